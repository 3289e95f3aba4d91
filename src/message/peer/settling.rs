//! How far a partition is settled ([`crate::stability`]).

use serde::{Deserialize, Serialize};

use crate::causality::{Epoch, Tick};
use crate::ids::{Incarnation, NodeId};

/// A directory, and how far a partition is settled in it. What an established owner sends under its present incarnation
/// may change frozen ticks; nothing else may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Which directory.
    pub incarnation: Incarnation,
    /// Clients' events up to here are refused.
    pub sealed: Tick,
    /// Rows of ticks up to here change only by exchange.
    pub frozen: Tick,
    /// Entries up to here are replaced by their sum.
    pub compacted: Tick,
    /// Baselines up to here are replaced by their sum, and tombstones forgotten.
    pub folded: Tick,
}

impl Marks {
    /// Whether each tick is at most the one that it rests on, as in every directory.
    pub fn are_in_order(&self) -> bool {
        self.folded <= self.compacted && self.compacted <= self.frozen && self.frozen <= self.sealed
    }
}

/// Asks a node of the accept set how far the partition is settled with it, and to seal what it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityQuery {
    /// Round of the asker. Only answers to its present one count.
    pub round: u64,
    /// The asker's directory, and how far the partition is settled there. Whatever another directory of this node said
    /// before counts no longer.
    pub marks: Marks,
    /// The asker has something to settle of this tick: seal it, if the clock allows.
    pub wanted: Tick,
    /// The asker has something to settle, and needs the receiver to take part.
    pub is_needed: bool,
}

/// Answer to [`StabilityQuery`]. It leaves when all that it says is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityAnswer {
    /// Round of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// What it asked for.
    pub state: StabilityState,
}

/// How far a partition is settled on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityState {
    /// How the node stands to the partition.
    pub standing: StabilityStanding,
    /// How long its actors live.
    pub lifetimes: Lifetimes,
    /// Its directory and its ticks.
    pub marks: Marks,
    /// The owners' directories, as the node knows them from answers to its own rounds. Reports count only with these.
    pub tags: Vec<(NodeId, Incarnation)>,
    /// An owner's newest report of entries, in this directory and start.
    pub report: Option<Report>,
    /// An owner's newest report of baselines, in this directory and start.
    pub baseline_report: Option<Report>,
}

/// How long actors live, by a node's settings. What may be forgotten is reckoned from them, so nothing is settled among
/// nodes that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetimes {
    /// Length of a tick. Unit: microseconds.
    pub tick_us: u64,
    /// Ticks that an actor is used for.
    pub lease_ticks: u32,
}

/// How a node stands to a partition, as far as settling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StabilityStanding {
    /// An owner that has the data.
    Owner,
    /// A fallback that knows how far the partition is sealed.
    Fallback,
    /// One of either that must learn that first: it accepts nothing.
    Newborn,
}

/// What an owner durably has of all ticks up to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Up to here.
    pub tick: Tick,
    /// Sum over the rows, modulo 2^128; equal for equal states only.
    pub digest: u128,
}
