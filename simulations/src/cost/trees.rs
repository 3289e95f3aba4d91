//! What it costs owners to find out that they hold the same, or what differs: messages and bytes, not time.
//!
//! Those that hold the same say so with one message each way, whatever they hold. k rows that differ among n are found by walking
//! down the sums, level by level, to at most k leaves, each of which lists the hashes of its rows: k · (log n levels + one leaf).
//! A leaf holds no more rows however many there are, so the bytes divided by k · log n stay below a constant; they change between
//! two sizes, for leaves fill up until they are parted, and fall where many of the k share a leaf or a path.

use std::time::Duration;

use starling::config::ShardConfig;
use starling::ids::Key;
use starling::message::client::Command;
use starling::message::peer::PeerMessage;

use super::{Bus, bus};

/// In how many rows an owner differs from the two others.
const DIFFERENCES: [usize; 4] = [0, 1, 10, 100];

/// One owner of so many rows compared with two others.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Rows of the one partition.
    pub rows: usize,
    /// Rows that it lacked.
    pub differences: usize,
    /// Messages of the comparisons, both ways, and of the exchange of what differed.
    pub messages: usize,
    /// Their encoded bytes.
    pub bytes: usize,
    /// Of these, bytes of sums and hashes: all but whole rows.
    pub compared_bytes: usize,
}

impl Comparison {
    /// k · log₂ n; 0 if nothing differed.
    pub fn k_log_n(&self) -> f64 {
        self.differences as f64 * (self.rows as f64).log2()
    }
}

/// Partitions of 1,000, 10,000, … rows, up to `largest`: an owner was away while some rows came, and returns.
pub fn trees(largest: usize) -> Vec<Comparison> {
    let sizes = std::iter::successors(Some(1_000), |size| Some(size * 10)).take_while(|size| *size <= largest);
    sizes.flat_map(of_size).collect()
}

fn of_size(rows: usize) -> Vec<Comparison> {
    let config = ShardConfig {
        // Nothing but comparisons closes what was missed.
        handoff: false,
        ledger_entries_max: DIFFERENCES.iter().sum::<usize>().max(1),
        ..ShardConfig::default()
    };
    let mut bus = Bus::with(config, 1);
    let add = |number: usize| (Key::new(format!("key/{number}")).expect("a short key"), Command::Increment { by: 1 });
    for first in (0..rows).step_by(1_000) {
        bus.run((first..rows.min(first + 1_000)).map(add));
    }
    bus.wait(Duration::from_secs(40));
    let mut next = rows;
    DIFFERENCES
        .iter()
        .map(|differences| {
            bus.set_away(true);
            bus.wait(Duration::from_secs(3));
            bus.run((next..next + differences).map(add));
            next += differences;
            bus.wait(Duration::from_secs(3));
            let before = bus.seen().clone();
            bus.set_away(false);
            bus.wait(Duration::from_secs(5));
            let seen = bus.seen();
            Comparison {
                rows: next,
                differences: *differences,
                messages: seen.messages - before.messages,
                bytes: seen.bytes - before.bytes,
                compared_bytes: seen.compared_bytes - before.compared_bytes,
            }
        })
        .collect()
}

/// Messages of comparisons that arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    messages: usize,
    bytes: usize,
    compared_bytes: usize,
}

impl Seen {
    /// A message arrives that takes so many bytes.
    pub fn note(&mut self, message: &PeerMessage, bytes: usize) {
        let is_comparison =
            matches!(message, PeerMessage::TreeOffer(_) | PeerMessage::TreeAnswer(_) | PeerMessage::ExchangeOffer(_));
        let is_rows = matches!(
            message,
            PeerMessage::ExchangeAnswer(_) | PeerMessage::ExchangePush(_) | PeerMessage::ExchangePushed(_)
        );
        if is_comparison || is_rows {
            self.messages += 1;
            self.bytes += bytes;
            self.compared_bytes += if is_comparison { bytes } else { 0 };
        }
    }
}

/// The node that is away for a while.
pub const AWAY: usize = bus::NODES - 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums and hashes of comparisons with two co-owners, a leaf's rows among them. Unit: bytes per k · log₂ n.
    const BYTES_MAX: f64 = 1_200.0;

    /// The same. Unit: messages per k · log₂ n.
    const MESSAGES_MAX: f64 = 4.0;

    #[test]
    fn equal_owners_cost_the_same_whatever_they_hold_and_differences_cost_k_log_n() {
        let sizes = [500, 2_000, 8_000].map(of_size);
        let costs = |rows: &[Comparison], differences| {
            let found = rows.iter().find(|it| it.differences == differences).cloned();
            found.expect("every number of differences is measured")
        };
        let equal = sizes.each_ref().map(|size| costs(size, 0));
        for one in &equal {
            assert_eq!((one.messages, one.bytes), (equal[0].messages, equal[0].bytes), "{one:?}");
        }
        for one in sizes.iter().flatten().filter(|it| it.differences > 0) {
            assert!((one.compared_bytes as f64) < BYTES_MAX * one.k_log_n(), "{one:?}");
            assert!((one.messages as f64) < MESSAGES_MAX * one.k_log_n(), "{one:?}");
        }
        // Sixteen times as many rows: two levels more, and no more than a fuller leaf.
        for differences in [1, 10] {
            let [small, .., large] = sizes.each_ref().map(|size| costs(size, differences));
            assert!(large.compared_bytes < 4 * small.compared_bytes, "{small:?}, {large:?}");
        }
    }
}
