//! What it costs owners to find out that they hold the same, or what differs: messages and bytes, not time.

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
