//! Who waits for whom before what has expired can be summed up and forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use starling::causality::Tick;
use starling::ids::NodeId;
use starling::message::client::{Need, NodeStatus, PartitionStability, SessionTerms};
use starling_client::Client;

use super::super::output;
use super::uptime;

/// A node asks about a partition every five seconds; so long a new start may not know what its peers have done.
const FIRST_ROUNDS: Duration = Duration::from_secs(15);

/// Who waits for whom before what has expired can be summed up and forgotten, and until when for time. Nodes that wait for
/// their own work need no sentence.
pub(super) fn sentences(client: &Client, name: &str, status: &NodeStatus) -> Vec<String> {
    // A node that has just started has not asked everybody yet.
    let is_new = status.uptime_s < FIRST_ROUNDS.as_secs();
    let mut waits: BTreeMap<(NodeId, Need), u32> = BTreeMap::new();
    for waiting in status.shards.settling.iter().flat_map(|partition| &partition.waiting) {
        *waits.entry((waiting.node, waiting.need)).or_default() += 1;
    }
    let sentence = |((node, need), partitions): ((NodeId, Need), u32)| {
        format!(
            "{name} cannot settle {}: waits for {} {}",
            output::count(partitions.into(), "partition"),
            client.name_of(node),
            need_text(need)
        )
    };
    waits.retain(|(_, need), _| !(is_new && *need == Need::Seal));
    waits.into_iter().map(sentence).chain(waits_for_time(name, status)).collect()
}

/// Partitions that wait for nobody but for the last actor in them to expire.
fn waits_for_time(name: &str, status: &NodeStatus) -> Option<String> {
    let waiting = status.shards.settling.iter().filter(|partition| partition.waiting.is_empty());
    let left = waiting.filter_map(|partition| expires_in(&status.sessions, partition.newest)).collect::<Vec<_>>();
    let last = left.iter().max()?;
    let (number, is_all) =
        (left.len() as u64, status.shards.settling.len() as u64 >= status.shards.settling_partitions.into());
    Some(format!(
        "{name}: {}{} for time: writers that are still at work can be summed up and forgotten once they have expired, \
         the last of them in {}",
        if is_all { "" } else { "at least " },
        if number == 1 { "1 partition waits".to_owned() } else { format!("{number} partitions wait") },
        uptime(last.as_secs().max(1)),
    ))
}

/// Until the tick is over, by the node's clock; `None` if it is.
fn expires_in(terms: &SessionTerms, tick: Tick) -> Option<Duration> {
    let end_us = (u64::from(tick.0) + 1).checked_mul(terms.tick_us)?;
    end_us.checked_sub(terms.wall.0).filter(|left| *left > 0).map(Duration::from_micros)
}

fn need_text(need: Need) -> &'static str {
    match need {
        Need::Answer => "to answer",
        Need::Data => "to take over its data",
        Need::Seal => "to seal what has expired (its clock, or hints that it cannot deliver, hold it back)",
        Need::Freeze => "to learn that all have sealed",
        Need::Report => "to report its rows",
        Need::Directories => "to learn of a new directory",
        Need::Exchange => "to become equal by exchange",
        Need::Compaction => "to sum up, too",
        Need::Fold => "to fold baselines, too",
        Need::Move => "for the change of the members: the partition moves",
        Need::Lifetimes => "to be started with the same --tick and --actor-lease",
    }
}

pub(super) fn json_of(client: &Client, terms: &SessionTerms, partition: &PartitionStability) -> Value {
    let waiting =
        partition.waiting.iter().map(|waiting| json!({ "node": client.name_of(waiting.node), "need": waiting.need }));
    json!({
        "partition": partition.partition.0,
        "sealed": partition.sealed.0,
        "frozen": partition.frozen.0,
        "compacted": partition.compacted.0,
        "folded": partition.folded.0,
        "newest": partition.newest.0,
        "newest_expires_in_s": expires_in(terms, partition.newest).map_or(0, |left| left.as_secs().max(1)),
        "unsettled_rows": partition.unsettled_rows,
        "unsettled_bytes": partition.unsettled_bytes,
        "waits_for": waiting.collect::<Vec<_>>(),
    })
}

/// `12 (3 KiB)`: partitions with something unsettled, and what of it is known.
pub(super) fn unsettled(status: &NodeStatus) -> String {
    let bytes: u64 = status.shards.settling.iter().filter_map(|partition| partition.unsettled_bytes).sum();
    match (status.shards.settling_partitions, bytes) {
        (0, _) => "-".into(),
        (partitions, 0) => partitions.to_string(),
        (partitions, bytes) => format!("{partitions} ({} KiB)", bytes.div_ceil(1024)),
    }
}

#[cfg(test)]
mod tests {
    use starling::time::WallTime;

    use super::*;

    #[test]
    fn a_tick_is_over_when_the_next_one_begins() {
        let terms = |wall| SessionTerms { tick_us: 10_000_000, lease_ticks_max: 6, wall: WallTime(wall) };
        assert_eq!(expires_in(&terms(55_000_000), Tick(5)), Some(Duration::from_secs(5)));
        assert_eq!(expires_in(&terms(60_000_000), Tick(5)), None);
        assert_eq!(expires_in(&terms(70_000_000), Tick(5)), None);
        assert_eq!(expires_in(&SessionTerms::default(), Tick(5)), None, "a node that does not tell");
    }
}
