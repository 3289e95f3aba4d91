//! What a layout costs to take up: time, memory and evenness of a placement, up to the largest clusters.
//!
//! Every node and every client computes it once per layout, twice while the members change; a request only looks it up.

use std::time::Duration;

use starling::ids::{ClusterId, NodeId, PartitionId};
use starling::membership::{Change, Fallbacks, Layout, Member, Plan};
use starling::ring::change::{Moves, Preview};
use starling::ring::{PreferenceList, RingView};

use super::{on_processor, time_of};

/// A cluster that is placed: members of weight 1 without zones, N = 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Members.
    pub members: u64,
    /// Q.
    pub partitions: u16,
    /// F.
    pub fallbacks: Fallbacks,
}

/// From a shop's cluster to the largest that a layout can describe. Growing, for the sake of the peaks of memory.
pub const SIZES: [Size; 5] = [
    Size { members: 5, partitions: 256, fallbacks: Fallbacks::Next(2) },
    Size { members: 50, partitions: 1_024, fallbacks: Fallbacks::Next(2) },
    Size { members: 200, partitions: 4_096, fallbacks: Fallbacks::Next(2) },
    Size { members: 1_000, partitions: 16_384, fallbacks: Fallbacks::Next(2) },
    Size { members: 1_000, partitions: 16_384, fallbacks: Fallbacks::All },
];

/// What a placement cost, and how good it is.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Of what.
    pub size: Size,
    /// To place it once.
    pub time: Duration,
    /// To preview that one more joins: two placements and their comparison.
    pub preview: Duration,
    /// Owned partitions of the lightest and of the heaviest member, in units of the fair share.
    pub spread: [f64; 2],
    /// Copies that move when one more joins, in units of what it must take.
    pub join_score: f64,
    /// What the ring holds on to. Unit: bytes, without what the allocator adds.
    pub held_bytes: usize,
    /// The most that the process had in memory until here, above what it had in the beginning. Unit: bytes. `None` where
    /// the system does not tell.
    pub peak_bytes: Option<u64>,
}

/// Places clusters of these sizes, one after the other.
pub fn placement(sizes: &[Size]) -> Vec<Placed> {
    // What was measured before in this process must not count: the system forgets its peak. Unused memory that the heap
    // still has is taken again unseen; so it is exact only when nothing was measured before.
    let is_reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let at_first = resident("VmRSS:").filter(|_| is_reset);
    sizes.iter().map(|size| place(*size, at_first)).collect()
}

fn place(size: Size, at_first: Option<u64>) -> Placed {
    let member = |id: u64| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"));
    let mut layout = Layout::founding(ClusterId([7; 16]), "cost", (1..=size.members).map(member).collect());
    layout.partitions = size.partitions;
    layout.fallbacks = size.fallbacks;
    let layout = layout.seal().expect("the layout is sound");
    let mut ring = None;
    let time = time_of(1, || ring = RingView::new(layout).ok());
    let ring = ring.expect("the layout is sound");
    let moves = Moves::between(&ring, &ring);
    let balances = || moves.members.values().map(starling::ring::change::Load::balance);
    let begun = on_processor();
    let join = Change::Join(member(size.members + 1));
    let preview = Preview::of(&ring, &Plan { base: ring.epoch(), changes: vec![join], accepts_loss: false });
    let preview_time = on_processor() - begun;
    let preview = preview.expect("one more can join");
    Placed {
        size,
        time,
        preview: preview_time,
        spread: [balances().fold(f64::INFINITY, f64::min), balances().fold(0.0, f64::max)],
        join_score: preview.moves.score().unwrap_or(f64::NAN),
        held_bytes: held(&ring),
        peak_bytes: resident("VmHWM:").zip(at_first).map(|(peak, first)| peak.saturating_sub(first)),
    }
}

/// What a view holds on to. Unit: bytes, without what the allocator adds.
pub(super) fn held(ring: &RingView) -> usize {
    ring.partitions().map(|partition| bytes_of(ring, partition)).sum()
}

fn bytes_of(ring: &RingView, partition: PartitionId) -> usize {
    size_of::<PreferenceList>() + std::mem::size_of_val(ring.accept_set(partition))
}

/// A line of the process's status that tells kibibytes. Unit: bytes.
fn resident(what: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_keeps_the_promises_of_the_placement() {
        let placed = placement(&SIZES[..2]);
        for one in &placed {
            let [lightest, heaviest] = one.spread;
            assert!(lightest > 0.5 && (1.0..=1.11).contains(&heaviest), "{one:?}");
            assert!(one.join_score <= 1.3 && one.preview > one.time / 4, "{one:?}");
        }
        assert_eq!(placed[0].held_bytes, 256 * (size_of::<PreferenceList>() + 5 * 8));
        assert!(placed[1].peak_bytes.is_none_or(|peak| peak < 1 << 30));
    }
}
