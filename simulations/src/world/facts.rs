//! What the nodes reported: every dot ever minted, across all starts, and how often each kind of fact was seen.

use std::collections::BTreeMap;

use starling::causality::Dot;
use starling::ids::NodeId;
use starling::shard::Observation;
use starling::storage::RowKey;
use starling::time::Timestamp;

/// One minting of a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Who.
    pub node: NodeId,
    /// In which of its starts.
    pub life: u32,
    /// When.
    pub at: Timestamp,
    /// Hash of the delta.
    pub delta_hash: u64,
}

/// A span in which a process knew of a rival: another live start of its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// The place of the process.
    pub place: usize,
    /// Since when it has known.
    pub began_at: Timestamp,
    /// When it learned that it is alone again, or died.
    pub ended_at: Option<Timestamp>,
}

/// The log of a world's observations.
#[derive(Debug, Default)]
pub struct Facts {
    /// Every minting, by what was minted. More than one entry is a fault.
    pub mints: BTreeMap<(RowKey, Dot), Vec<Mint>>,
    /// Who knew of a rival, and when.
    pub contests: Vec<Contest>,
    /// How often each kind of fact was seen: shows what a run has really exercised.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Facts {
    /// Takes a fact into account that a process reports: its place, its member id and which start of the place it is.
    pub fn record(&mut self, process: (usize, NodeId, u32), at: Timestamp, fact: &Observation) {
        let (place, node, life) = process;
        *self.counts.entry(kind(fact)).or_default() += 1;
        if let Observation::Minted { row, dot, delta_hash } = fact {
            let mint = Mint { node, life, at, delta_hash: *delta_hash };
            self.mints.entry((row.clone(), *dot)).or_default().push(mint);
        }
        match fact {
            Observation::TwoClaimants { node: claimed, is_contested: true } if *claimed == node => {
                self.contests.push(Contest { place, began_at: at, ended_at: None });
            }
            Observation::TwoClaimants { node: claimed, is_contested: false } if *claimed == node => {
                self.end_contest(place, at);
            }
            _ => {}
        }
    }

    /// A process is alone again, or gone.
    pub(super) fn end_contest(&mut self, place: usize, at: Timestamp) {
        for contest in self.contests.iter_mut().filter(|contest| contest.place == place) {
            contest.ended_at.get_or_insert(at);
        }
    }

    /// How often a kind of fact was seen.
    pub fn count(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }
}

/// The name of a kind of fact.
pub fn kind(fact: &Observation) -> &'static str {
    match fact {
        Observation::Minted { .. } => "minted",
        Observation::Amnesia { .. } => "amnesia",
        Observation::PeerSuspected { .. } => "peer suspected",
        Observation::PeerReachable { .. } => "peer reachable",
        Observation::DebtRecorded { .. } => "debt recorded",
        Observation::DebtStruck { .. } => "debt struck",
        Observation::HintDropped { .. } => "hint dropped",
        Observation::NeedsRepair { .. } => "needs repair",
        Observation::Damaged { .. } => "damaged",
        Observation::RepairProved { .. } => "repair proved",
        Observation::Established { is_founding: true, .. } => "founded",
        Observation::Established { is_founding: false, .. } => "established",
        Observation::ExchangeDone { .. } => "exchange done",
        Observation::TreeBuilt { differs: false, .. } => "tree built",
        Observation::TreeBuilt { differs: true, .. } => "tree differed",
        Observation::Conflict { .. } => "conflict",
        Observation::Malformed { .. } => "malformed",
        Observation::ClockAhead { .. } => "clock ahead",
        Observation::TwoClaimants { is_contested: true, .. } => "two claimants",
        Observation::TwoClaimants { is_contested: false, .. } => "one claimant again",
        Observation::Sealed { .. } => "sealed",
        Observation::Frozen { .. } => "frozen",
        Observation::Compacted { .. } => "compacted",
        Observation::Folded { .. } => "folded",
        Observation::MemoryLost { .. } => "memory lost",
        Observation::GivenUp { .. } => "given up",
        Observation::HintLost { .. } => "hint lost",
        Observation::Repaired { .. } => "repaired",
        Observation::FrozenRefused { .. } => "frozen refused",
        Observation::LayoutAdopted { .. } => "layout adopted",
        Observation::PartitionSynced { .. } => "partition synced",
        Observation::PartitionCleared { .. } => "partition cleared",
        Observation::LayoutDecided { .. } => "layout decided",
        Observation::RivalLayout { .. } => "rival layout",
        Observation::LayoutUnkept { .. } => "layout unkept",
        Observation::ForeignLayout { .. } => "foreign layout",
    }
}
