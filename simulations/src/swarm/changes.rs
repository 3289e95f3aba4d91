//! What became of the members in a run: read off the layouts that were decided.

use starling::message::client::{ClusterAnswer, ClusterCall};
use starling::ring::RingView;

use crate::world::World;

/// Kinds of changes that seeds can meet.
pub const KINDS: [&str; 14] = [
    "joins",
    "leaves",
    "replacements",
    "weights",
    "drains of several",
    "zones",
    "addresses",
    "losses",
    "losses amid a change",
    "losses of several",
    "losses with partitions",
    "recoveries",
    "reverts",
    "halts",
];

/// Those of them that few seeds meet: what operators do beside letting members come and go.
pub const RARE: [&str; 6] =
    ["drains of several", "zones", "addresses", "losses of several", "losses with partitions", "recoveries"];

/// How often members of a world came, went, were replaced, weighed otherwise or declared lost, and how often a change was
/// taken back or halted. Only what was decided counts.
pub fn count(world: &World) -> Vec<(&'static str, u64)> {
    let mut counts = KINDS.map(|kind| (kind, 0));
    let mut add = |kind: &str, by: usize| {
        counts.iter_mut().filter(|(known, _)| *known == kind).for_each(|(_, count)| *count += by as u64);
    };
    for (before, after) in world.layouts().iter().zip(world.layouts().iter().skip(1)) {
        let (before, after) = (before.ring.as_ref(), after.ring.as_ref());
        let joined = || after.layout().members.iter().filter(|member| before.layout().member(member.id).is_none());
        add("joins", joined().filter(|member| member.place.is_none()).count());
        add("replacements", joined().filter(|member| member.place.is_some()).count());
        let lost = newly_lost(before, after);
        add("losses", lost);
        add("losses amid a change", if before.layout().phase.is_steady() { 0 } else { lost });
        let of_both = || {
            let members = after.layout().members.iter();
            members.filter_map(|member| before.layout().member(member.id).map(|was| (was, member)))
        };
        add("leaves", of_both().filter(|(was, is)| is.leaving && !was.leaving && !after.is_fenced(is.id)).count());
        let is_recovered = after.layout().forced.is_some() && before.layout().forced != after.layout().forced;
        add("recoveries", usize::from(is_recovered));
        add("losses of several", usize::from(lost > 1 && !is_recovered));
        let with_partitions = after.layout().fenced.iter().any(|fenced| {
            before.layout().fenced.iter().all(|known| known != fenced) && !fenced.declared_lost.is_empty()
        });
        add("losses with partitions", usize::from(with_partitions));
        let drained = of_both().filter(|(was, is)| was.weight > 0 && is.weight == 0 && !is.leaving).count();
        add("drains of several", usize::from(drained > 1));
        add("zones", of_both().filter(|(was, is)| was.zone != is.zone).count());
        add("addresses", of_both().filter(|(was, is)| was.address != is.address).count());
        add("weights", of_both().filter(|(was, is)| was.weight != is.weight).count());
    }
    for call in world.calls() {
        match (&call.call, &call.answer) {
            (ClusterCall::Revert, Some(ClusterAnswer::Committed(_))) => add("reverts", 1),
            (ClusterCall::PauseMoves(true), Some(ClusterAnswer::Paused(true))) => add("halts", 1),
            _ => {}
        }
    }
    counts.to_vec()
}

fn newly_lost(before: &RingView, after: &RingView) -> usize {
    after.layout().fenced.iter().filter(|fenced| !before.is_fenced(fenced.node)).count()
}
