//! Owners to come: with which owners of before everything has been exchanged, and with whom next.
//!
//! ```text
//! newborn ──an established owner of before tells the seal──→ joining ──exchange with the most folded owner of before: takes over
//!                                                               │     ──with each of the others: takes what it has besides
//!                                                               └──all──→ its ticks, established, synced: one write
//! ```
//!
//! A credit is an exchange with an owner of before in which this node took all that the other had, and that both sides began
//! under the present layout; whether the other took what it lacked, for which it may have no room, is another matter. Who is loaded keeps its ticks of settling at zero until the end, so nothing that comes is taken for settled; those of the first
//! teacher are its own then, for nobody settles the partition meanwhile. Credits are in memory: a start begins again, and only
//! hashes travel twice. What is `synced` is durable.

use std::collections::{BTreeMap, BTreeSet};

use super::Came;
use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::message::peer::Marks;
use crate::mutation::{self, Mutation};
use crate::replica::Standing;
use crate::shard::{Env, Observation, Turn};

/// The partitions that this shard's node is to own.
#[derive(Debug, Default)]
pub struct Incoming {
    by_id: BTreeMap<PartitionId, Load>,
    /// What came since the change began, by who gave it.
    pub(super) came: BTreeMap<NodeId, Came>,
}

/// How far one of them is. Of the present layout only.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Owners of before with whom everything was exchanged.
    pub(super) credits: BTreeSet<NodeId>,
    /// What the first teacher said of itself.
    first: Option<Marks>,
    /// The furthest that any teacher had sealed.
    sealed: Tick,
    /// The furthest that any teacher had frozen.
    frozen: Tick,
    pub(super) came: Came,
    /// The most rows of it that a teacher said to have.
    pub(super) rows_there: Option<u64>,
}

impl Incoming {
    /// Another layout is taken up: what was exchanged under the one before proves nothing. With a change that `begins`,
    /// counting begins too.
    pub fn on_layout(&mut self, begins: bool) {
        if begins {
            *self = Incoming::default();
        }
        for load in self.by_id.values_mut() {
            *load = Load { came: load.came, ..Load::default() };
        }
    }

    /// Whether this node must still exchange everything with owners of before. Who is the last of them that was not declared
    /// lost has nobody to do it with: whatever is left it has, or founds.
    pub fn is_unsynced(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> bool {
        let memory = turn.memory(partition);
        let is_last = || memory.is_established && Incoming::teachers(env, partition).next().is_none();
        env.ring.layout().phase.reads_before()
            && env.ring.owners_to_come(partition).contains(&env.me)
            && memory.synced < env.ring.since(partition)
            && !is_last()
    }

    /// The owners of before with whom it must.
    pub fn teachers<'a>(env: &Env<'a>, partition: PartitionId) -> impl Iterator<Item = NodeId> + use<'a> {
        let me = env.me;
        env.ring.owners_before(partition).iter().copied().filter(move |node| *node != me)
    }

    /// Whether an exchange with this peer is still lacking.
    pub fn lacks(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId, peer: NodeId) -> bool {
        Incoming::is_unsynced(env, turn, partition)
            && Incoming::teachers(env, partition).any(|teacher| teacher == peer)
            && !self.credits(partition).is_some_and(|credits| credits.contains(&peer))
    }

    /// How an owner to come is to be loaded from this peer now; `None`: not now. `marks` tells what a teacher said of itself last.
    pub fn lesson(
        &self,
        env: &Env<'_>,
        turn: &Turn,
        (partition, peer): (PartitionId, NodeId),
        marks: impl Fn(NodeId) -> Option<Marks>,
    ) -> Option<Lesson> {
        if !turn.memory(partition).knows_seal || env.is_below_reserve || !self.lacks(env, turn, partition, peer) {
            return None;
        }
        if self.by_id.get(&partition).is_some_and(|load| load.first.is_some()) {
            return Some(Lesson::Further);
        }
        // What the most folded one has forgotten is taken from none of the others as something new.
        let rank = |node: NodeId| marks(node).map_or((Tick(0), Tick(0)), |marks| (marks.folded, marks.compacted));
        let reachable = Incoming::teachers(env, partition).filter(|node| env.liveness.is_reachable(*node));
        let best = reachable.max_by_key(|node| (rank(*node), std::cmp::Reverse(*node)));
        (best == Some(peer)).then_some(Lesson::First)
    }

    /// Whether one partition more may be loaded, beside these.
    pub fn has_room(loading: &BTreeSet<PartitionId>) -> bool {
        loading.len() < limits::TRANSFERS_MAX
    }

    /// So much came from an owner of before, which has about so many rows of the partition.
    pub fn note(&mut self, partition: PartitionId, peer: NodeId, came: Came, rows_there: Option<u64>) {
        let load = self.by_id.entry(partition).or_default();
        load.came.add(came);
        load.rows_there = load.rows_there.max(rows_there);
        self.came.entry(peer).or_default().add(came);
    }

    /// All that this peer had was taken, in an exchange that both sides began under the present layout. `marks`: what it said of
    /// itself first and last, if this node began. True if that was the last one that was lacking: the partition is synced now.
    pub fn credit(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        (partition, peer): (PartitionId, NodeId),
        marks: Option<(Marks, Marks)>,
    ) -> Option<Loaded> {
        if !self.lacks(env, turn, partition, peer) {
            return None;
        }
        let is_loading = Standing::is_loading(env, turn, partition);
        let load = self.by_id.entry(partition).or_default();
        load.credits.insert(peer);
        if let Some((first, last)) = marks {
            load.first.get_or_insert(first);
            load.sealed = load.sealed.max(last.sealed);
            load.frozen = load.frozen.max(last.frozen);
        }
        let mut missing = Incoming::teachers(env, partition).filter(|teacher| !load.credits.contains(teacher));
        if missing.next().is_some() && !mutation::is_off(Mutation::SyncWithOneTeacher) {
            return None;
        }
        let ticks = match (is_loading, load.first) {
            (true, Some(first)) => Some(Marks { sealed: load.sealed, frozen: load.frozen, ..first }),
            (true, None) => return None,
            // Who is newborn among those who stay learns from one of the others first.
            (false, _) if !turn.memory(partition).is_established => return None,
            (false, _) => None,
        };
        Some(Loaded { ticks })
    }

    /// The partition is synced: durable with the turn.
    pub fn finish(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId) {
        turn.mark_synced(partition, env.ring.epoch().number);
        let Came { rows, bytes } = self.by_id.get(&partition).map_or(Came::default(), |load| load.came);
        turn.out.observe(Observation::PartitionSynced { partition, rows, bytes });
    }

    pub(super) fn load(&self, partition: PartitionId) -> Option<&Load> {
        self.by_id.get(&partition)
    }

    /// Whether a first teacher has given all it has: the others add little to it.
    pub(super) fn has_first(&self, partition: PartitionId) -> bool {
        self.by_id.get(&partition).is_some_and(|load| load.first.is_some())
    }

    fn credits(&self, partition: PartitionId) -> Option<&BTreeSet<NodeId>> {
        self.by_id.get(&partition).map(|load| &load.credits)
    }
}

/// What comes of an exchange with an owner of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// The first: its ticks will be the own ones, and what it has forgotten is given up.
    First,
    /// A further one: what it has besides.
    Further,
}

/// Everything that the owners of before had is here.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Of an owner to come: how far the partition is settled for it from now on.
    pub ticks: Option<Marks>,
}
