//! What became of the members in a run: read off the layouts that were decided.

use starling::message::client::{ClusterAnswer, ClusterCall};
use starling::ring::RingView;

use crate::world::World;

/// Kinds of changes that seeds can meet.
pub const KINDS: [&str; 8] =
    ["joins", "leaves", "replacements", "weights", "losses", "losses amid a change", "reverts", "halts"];

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
