//! Stability: what may be forgotten, by proof and never by a timer.
//!
//! Actors expire; once all that they did up to a tick is known to be the same on every owner, it is replaced by its sum,
//! and deletions that everybody knows are forgotten. Per partition, and per tick:
//!
//! ```text
//!          R6 all seal            R7 all have sealed          R9 all owners' reports equal       R10 the same, baselines
//! events ──────────────→ sealed ─────────────────────→ frozen ───────────────────────────→ compacted ─────────────→ folded
//! accepted          clients refused           changed by exchange only      │ R8 survey,        │ ignored         │ tombstones
//!                   (a fallback has            between known directories     │ report of what   ↓                 ↓ forgotten
//!                    none left)                                              │ is durable       sweep: rows rewritten, deleted
//! ```
//!
//! Every owner with something to settle asks the accept set once per `stability_interval` and acts on the answers to its
//! present round alone (`decide`): no vote, no leader. A node that is down stops this for the partitions whose accept set
//! it is in, and no write. What must survive a crash stands in `PartitionMemory`; the rest is asked and surveyed again.
//!
//! ```text
//! rounds.rs   who is asked when, and what is answered               scan.rs      surveys and sweeps, page by page
//! decide.rs   the rules, as a pure function of the answers          findings.rs  what becomes of them
//! steps.rs    what is done
//! seal.rs     when a tick may be sealed                             takeover.rs  learning how far others have settled
//! footing.rs  what turns must know while they change rows           part.rs      what is known of one partition
//! loss.rs     the proof that the own directory has lost its memory
//! ```
//!
//! Called by the shard. Costs one look through each owned partition per start, and then nothing for one in which nothing
//! can be settled; else one message per node of the accept set and interval, one survey and one sweep of the partition per
//! step. Bounded: partitions per round, scans at once, pages. Source: the rules, and the searches that they stood, are in
//! `simulations/src/model/README.md`.

pub mod decide;
mod findings;
mod footing;
mod loss;
mod part;
mod rounds;
mod scan;
mod seal;
mod status;
mod steps;
mod takeover;

use std::collections::{BTreeMap, BTreeSet};

pub use decide::{Step, View};
pub use footing::{Footing, Held, Watch};
pub use scan::{Found, Purpose};

use crate::causality::{Epoch, Tick};
use crate::ids::{NodeId, OpId, PartitionId};
use crate::message::peer::{
    Lifetimes, Marks, PeerMessage, Report, StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState,
};
use crate::mutation::{self, Mutation};
use crate::replica::{PartitionMemory, marks};
use crate::shard::{Env, Local, Observation, TimerKey, Turn};
use crate::storage::{Page, StoreError};
use crate::time::{Timestamp, WallTime, micros};
use part::Part;
use scan::Scans;

/// Partitions asked about at one firing of the timer; the others follow at the next ones.
const PARTITIONS_PER_ROUND_MAX: usize = 256;

/// Who was asked by another node stays awake for so many intervals.
const AWAKE_INTERVALS: u32 = 3;

/// A partition that waits is measured once in so many intervals.
const MEASURE_INTERVALS: u32 = 12;

/// After a survey a partition rests so many times as long as it took.
const SCAN_PAUSES: u32 = 8;

/// Largest number by which the pause between two comparisons of unequal owners is doubled.
const COMPARE_DOUBLINGS_MAX: u32 = 4;

/// An exchange that is needed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurry {
    /// Of which partition.
    pub partition: PartitionId,
    /// With whom.
    pub node: NodeId,
}

/// A survey whose rows are durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The dialogue.
    pub op: OpId,
    /// Where.
    pub partition: PartitionId,
    /// Of entries.
    pub entries: Report,
    /// Of baselines.
    pub baselines: Report,
}

/// What a question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// That this tick be sealed.
    Seal(Tick),
    /// That a step which is under way go on.
    Help,
    /// Only the answer.
    Answer,
}

/// The settling of one shard's partitions.
#[derive(Debug, Default)]
pub struct Stability {
    round: u64,
    rounds_at: Timestamp,
    /// Every own partition was looked through once, or is in the queue.
    has_looked: bool,
    /// The partition after which the next round begins.
    cursor: Option<PartitionId>,
    parts: BTreeMap<PartitionId, Part>,
    scans: Scans,
    /// Owners that are ahead, and from whom this node must take over what they have settled.
    catching_up: BTreeSet<(PartitionId, NodeId)>,
    /// Partitions of which this fallback had sealed ticks up to these, in a memory that it has lost.
    behind: BTreeMap<PartitionId, Tick>,
    /// Partitions that were found to have lost their memory, since the start.
    losses: u64,
}

impl Stability {
    /// Another layout is taken up: answers to rounds of before count no longer, and what reports rest on may be another set of
    /// owners. Everything is asked and surveyed again.
    pub fn on_layout(&mut self, env: &Env<'_>, turn: &mut Turn) {
        for (partition, part) in &mut self.parts {
            part.end_round();
            part.void();
            turn.footing_mut().unwatch(*partition);
        }
        self.catching_up.clear();
        self.has_looked = false;
        self.rounds_at = env.now.mono;
    }
}

impl Part {
    fn is_awake(&self, env: &Env<'_>) -> bool {
        self.asked_at.is_some_and(|at| env.now.mono.since(at) < env.config.stability_interval * AWAKE_INTERVALS)
    }
}

/// R11.
fn may_act(memory: &PartitionMemory) -> bool {
    memory.is_established || mutation::is_off(Mutation::NewbornReports)
}

fn is_fallback(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.accepts(partition, env.me) && !env.ring.is_owner(partition, env.me)
}

fn ask(env: &Env<'_>, turn: &mut Turn, partition: PartitionId, node: NodeId, round: u64, want: Want) {
    let wanted = if let Want::Seal(tick) = want { tick } else { Tick(0) };
    let marks = marks::marks(env, turn, partition);
    let query = StabilityQuery { round, marks, wanted, is_needed: want != Want::Answer };
    turn.out.send(node, partition, PeerMessage::StabilityQuery(query));
}
