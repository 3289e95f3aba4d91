//! What must be true of a run: one checker per file, each looking at evidence and answering with violations.
//!
//! A checker knows what clients asked and were told, what nodes reported, and what stands on every disk at the end. It
//! shares no code with the protocol but the decoding of rows. A violation names the operations that prove it.
//!
//! What may be lost: a write that only one node had acknowledged (`--w 1`) when a disk was damaged later, or a member
//! declared lost; or two nodes, if that happened to two. Such writes count as "may or may not be there"
//! ([`Evidence::certainty`]). What a member that joins had alone, before its change was taken back, counts for nobody.

pub mod actors_bounded;
pub mod begun_anew;
pub mod cell;
pub mod convergence;
pub mod counter_bounds;
pub mod dot_uniqueness;
pub mod exactly_once;
pub mod expiry;
mod finals;
pub mod flags;
pub mod forgotten;
pub mod honest_answers;
pub mod maps;
mod meets;
pub mod no_debt_left;
pub mod no_lost_ack;
pub mod one_layout;
pub mod quorums_met;
pub mod reads_see_acks;
pub mod rivals_refuse;
pub mod sets;
mod shown;
pub mod siblings;
pub mod sketches;
pub mod sorted_sets;
pub mod subset_sum;
pub mod tokens;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use finals::Finals;
use starling::ids::{Key, NodeId};
use starling::membership::Fenced;
use starling::message::client::{Response, WriteReply};
use starling::ring::PreferenceList;
use starling::storage::RowKey;
use starling::time::Timestamp;

use crate::world::history::{Known, Op, OpNumber};
use crate::world::membership::Decided;
use crate::world::{StoredRows, World};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who found it.
    pub checker: &'static str,
    /// What, with the evidence.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// What checkers look at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The world at the end of the run.
    pub world: &'a World,
    /// What stands on every disk.
    pub rows: StoredRows,
    /// Operations by key, in the order in which they were invoked.
    pub by_key: BTreeMap<Key, Vec<OpNumber>>,
    /// What the last reads showed, if everything came to rest.
    pub finals: BTreeMap<Key, Finals<'a>>,
    judged: Judged,
}

/// How much the checkers have judged, by what they call it: a run in which a checker found nothing to judge proves nothing
/// of what it looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged(RefCell<BTreeMap<&'static str, u64>>);

impl Judged {
    /// Every name with its count, in the order of the names.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.0.borrow().iter().map(|(name, count)| (*name, *count)).collect()
    }
}

/// What the checkers judge, by these names; the swarm test asks for more than none of each.
pub const JUDGED: [&str; 28] = [
    "actors_bounded",
    "begun_anew: gone",
    "begun_anew: written anew",
    "convergence",
    "counter_bounds",
    "dot_uniqueness",
    "exactly_once",
    "exactly_once: resets",
    "exactly_once: resets in doubt",
    "expiry",
    "flags",
    "forgotten",
    "honest_answers",
    "maps",
    "maps: put and counted",
    "no_debt_left",
    "no_lost_ack",
    "one_layout",
    "quorums_met",
    "quorums_met: zones",
    "reads_see_acks",
    "rivals_refuse",
    "sets",
    "siblings",
    "sketches",
    "sorted_sets",
    "sorted_sets: added to",
    "tokens",
];

/// Whether a write must be found at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It was acknowledged, and nothing excuses its loss.
    Must,
    /// It may be there or not.
    May,
    /// It was refused as not applied.
    MustNot,
}

impl<'a> Evidence<'a> {
    /// Gathers the evidence of a world.
    pub fn of(world: &'a World) -> Evidence<'a> {
        let mut by_key: BTreeMap<Key, Vec<OpNumber>> = BTreeMap::new();
        for (number, op) in world.history.ops().iter().enumerate() {
            by_key.entry(op.request.key.clone()).or_default().push(OpNumber(number));
        }
        Evidence { world, rows: world.stored_rows(), by_key, finals: finals::of(world), judged: Judged::default() }
    }

    /// Notes that a checker judges something: it must be one that could be found wrong.
    pub fn judges(&self, name: &'static str) {
        self.judges_many(name, 1);
    }

    /// The same of several.
    pub fn judges_many(&self, name: &'static str, count: usize) {
        debug_assert!(JUDGED.contains(&name), "{name} is none of the names");
        *self.judged.0.borrow_mut().entry(name).or_default() += count as u64;
    }

    /// The operations on a key.
    pub fn ops<'b>(&'b self, key: &Key) -> impl Iterator<Item = (OpNumber, &'b Op)> + use<'a, 'b> {
        let numbers = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().map(|number| (*number, self.world.history.op(*number)))
    }

    /// Whether a write must be found at the end.
    pub fn certainty(&self, op: &Op) -> Certainty {
        match op.known() {
            Known::NotApplied => Certainty::MustNot,
            Known::Unknown => Certainty::May,
            Known::Applied => match written(op) {
                // A delete of nothing writes nothing.
                Some((_, reply)) if reply.acks.is_empty() => Certainty::May,
                Some((at, reply)) if self.may_be_lost(op, at, reply) => Certainty::May,
                _ => Certainty::Must,
            },
        }
    }

    /// Whether a write that was acknowledged then may be lost: only one node had it, and some disk has lost something since,
    /// or as many as had it, and no owner among those is well. While owners change, who had it is counted in each of the two
    /// placements: the change may be taken back, and those to come go.
    fn may_be_lost(&self, op: &Op, at: Timestamp, reply: &WriteReply) -> bool {
        let is_kept = || reply.acks.iter().any(|ack| ack.is_owner && self.keeps_since(ack.node, at));
        let partition = self.world.ring().partition_of(&op.request.key);
        let acks_in =
            |set: &PreferenceList| reply.acks.iter().filter(|ack| set.accept_set().contains(&ack.node)).count();
        let by_placement = self.rings_of(op).flat_map(|ring| ring.write_sets(partition)).map(acks_in);
        let (holders, damaged) = (by_placement.min().unwrap_or(reply.acks.len()), self.damaged_since(at));
        damaged > 0 && holders <= damaged && (holders < 2 || !is_kept())
    }

    /// Nodes whose disks lost something later, or which were declared lost later.
    fn damaged_since(&self, at: Timestamp) -> usize {
        self.world.places().iter().filter(|node| node.damaged_at.is_some_and(|damaged| damaged >= at)).count()
    }

    /// Whether a key's partition was declared lost, with the last of its owners, between two moments.
    pub fn is_declared_lost(&self, key: &Key, from: Timestamp, until: Timestamp) -> bool {
        let partition = self.world.ring().partition_of(key);
        let layouts = self.world.layouts();
        let declares = |(before, after): (&Decided, &Decided)| {
            let is_new = |fenced: &&Fenced| !before.ring.is_fenced(fenced.node);
            let is_named =
                |fenced: &Fenced| fenced.declared_lost.iter().any(|run| (run.first..=run.last).contains(&partition));
            (from..=until).contains(&after.at) && after.ring.layout().fenced.iter().filter(is_new).any(is_named)
        };
        layouts.iter().zip(layouts.iter().skip(1)).any(declares)
    }

    /// Whether a node kept all that it held durably at `at` or later.
    pub fn keeps_since(&self, node: NodeId, at: Timestamp) -> bool {
        let node = self.world.node(self.world.number_of(node));
        node.damaged_at.is_none_or(|damaged| damaged < at)
    }

    /// The last moment at which a write can have been minted: its answer, or, where none tells, the deadline after the
    /// longest way that any message took to a coordinator.
    pub fn minted_by(&self, op: &Op) -> Timestamp {
        const SLACK: Duration = Duration::from_secs(1);
        match op.known() {
            Known::Applied => op.ended_at().unwrap_or(op.invoked_at),
            Known::NotApplied | Known::Unknown => {
                let waits = op.deadline + self.world.network.longest_transit + SLACK;
                self.world.pauses_end(None, op.invoked_at.after(waits)).after(SLACK)
            }
        }
    }

    /// The row of a key.
    pub fn row(&self, key: &Key) -> RowKey {
        RowKey::main(key)
    }
}

/// The acknowledgement of a write, and when it came.
pub fn written(op: &Op) -> Option<(Timestamp, &WriteReply)> {
    match &op.answer {
        Some((at, Response::Written(reply))) => Some((*at, reply)),
        _ => None,
    }
}

/// One checker.
pub type Checker = fn(&Evidence<'_>) -> Vec<Violation>;

/// Those that judge what clients were told on the way, and what nodes did meanwhile.
const OF_THE_RUN: &[Checker] = &[
    reads_see_acks::check,
    honest_answers::check,
    quorums_met::check,
    one_layout::check,
    rivals_refuse::check,
    tokens::check,
    actors_bounded::check,
];

/// Those that judge what has become of the data, whatever was told on the way: of a restored cluster, by the history of
/// the one from which the backups are.
pub const OF_THE_DATA: &[Checker] = &[
    dot_uniqueness::check,
    counter_bounds::check,
    no_lost_ack::check,
    convergence::check,
    no_debt_left::check,
    exactly_once::check,
    sets::check,
    maps::check,
    sorted_sets::check,
    siblings::check,
    flags::check,
    sketches::check,
    expiry::check,
    begun_anew::check,
    forgotten::check,
];

/// Asks every checker.
pub fn check_all(world: &World) -> Vec<Violation> {
    judge(world).0
}

/// Asks every checker; tells how much they have judged, too.
pub fn judge(world: &World) -> (Vec<Violation>, Judged) {
    let evidence = Evidence::of(world);
    let violations = OF_THE_DATA.iter().chain(OF_THE_RUN).flat_map(|check| check(&evidence)).collect();
    (violations, evidence.judged)
}

#[cfg(test)]
#[path = "alarm_tests.rs"]
mod tests;
