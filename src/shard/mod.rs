//! The shard: a single-threaded deterministic machine that owns a set of partitions.
//!
//! ```text
//!            ┌────────────────────────── Shard ───────────────────────────┐
//! Input ───→ │ handle ─→ coordinator ⇄ replica ⇄ Turn (overlay) ─→ Store  │
//!            │             hints, antientropy, liveness                    │ ───→ seal: batch, ticket, effects
//! tick ────→ │             └── all meet here, by `Local` messages ──┘      │
//!            └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! Driven by `node/src/runtime/shard_thread.rs` in production and by `simulations/src/world` in simulation:
//! `handle` inputs until a bound, `tick`, `seal`, write the batch, perform the effects, sync off the thread, and feed
//! `Input::Durable` with the ticket back. This file only routes: it decides nothing.
//!
//! Promises: no I/O but point reads from memory; no clock, no entropy, no order of a hash; the same inputs give the same
//! effects. Everything that is held, queued or remembered is bounded by `config.rs` and `limits.rs`.

mod adoption;
mod cluster;
mod convergence;
mod damage;
mod deadlines;
mod env;
mod input;
mod local;
mod moves;
pub mod observation;
mod outbox;
mod routes;
mod row_cache;
mod row_map;
mod running;
mod timer;
mod timers;
mod turn;

use std::sync::Arc;

pub use deadlines::Deadlines;
pub use env::{Env, ShardScope, Site};
pub use input::{DebtPage, Effect, Input, Job, JobResult};
pub use local::{
    Asker, FreshWrite, Local, MergeSource, Merged, Mint, Minted, Missing, NotMinted, Observed, Start, Task, TaskBody,
    not_applied, unknown,
};
pub use observation::Observation;
pub use outbox::Outbox;
pub use running::Running;
pub use timer::TimerKey;
pub use turn::{Access, Turn};

use crate::antientropy::{
    Compared, Exchanged, Exchanges, Finding, Newborns, Outcome, Plan, Responders, Schedule, Trees, WALKS_MAX, Walked,
    Walks, answer_tree,
};
use crate::config::ShardConfig;
use crate::coordinator::Coordinator;
use crate::council::Council;
use crate::hints::{Delivery, Ledger, Retargets};
use crate::ids::{ConnectionId, NodeId, OpId, PartitionId, RequestId, Ticket};
use crate::limits;
use crate::membership::claims::{Change, Claims, Question};
use crate::membership::liveness::Liveness;
use crate::message::client::{ReadRepairStatus, Request, ShardStatus};
use crate::message::peer::{
    Addressed, Challenge, Claim, Frame, Marks, OwedRow, Paused, PeerMessage, Ping, Read, Replicate,
};
use crate::replica::{Identity, OpenError, Partitions, Replica, Standing};
use crate::ring::RingView;
use crate::stability::{Hurry, Stability};
use crate::storage::{Batch, Page, RowKey, Store, StoreError};
use crate::time::{Now, Timestamp, micros};
use crate::transfer::Transfer;

/// One shard of one node.
#[derive(Debug)]
pub struct Shard {
    site: Site,
    turn: Turn,
    coordinator: Coordinator,
    replica: Replica,
    ledger: Ledger,
    delivery: Delivery,
    retargets: Retargets,
    schedule: Schedule,
    exchanges: Exchanges,
    walks: Walks,
    responders: Responders,
    newborns: Newborns,
    transfer: Transfer,
    stability: Stability,
    /// Numbers the dialogues of exchanges, begun here or there, and of scans.
    next_exchange: u64,
    compared: Compared,
    damage: damage::Damage,
    exchanges_done: u64,
    exchanged_rows: u64,
    tree_walks: u64,
    tree_differences: u64,
    /// An operator's word on the moving of data.
    paused: Paused,
    /// Of shard 0.
    council: Option<Box<Council>>,
}

/// A sealed turn. The driver writes the batch if it is not empty, and performs the effects, which wait for nothing.
#[derive(Debug)]
pub struct SealedTurn {
    /// Written atomically, before the next input is handled.
    pub batch: Batch,
    /// Durable when the batch is; the same as before if the batch is empty.
    pub ticket: Ticket,
    /// In order.
    pub effects: Vec<Effect>,
}

impl Shard {
    /// Opens a shard on the directory of a start. Reads what it must remember: the partitions' memory and the index of
    /// debts. `seed` shifts this shard's timers, so that the shards of a cluster do not act in step.
    pub fn open(
        config: ShardConfig,
        identity: Identity,
        scope: ShardScope,
        ring: Arc<RingView>,
        store: Arc<dyn Store>,
        seed: u64,
        now: Now,
    ) -> Result<Shard, OpenError> {
        config.validate()?;
        let partitions = Partitions::open(store.as_ref(), &ring, |partition| scope.has(partition))?;
        let count = ring.layout().partitions;
        let mut retargets = Retargets::default();
        let is_mine = |row: &RowKey, owner: NodeId| {
            let partition = row.partition(count);
            let is_mine = scope.has(partition);
            if is_mine {
                retargets.on_found(&ring, partition, owner);
            }
            is_mine
        };
        let council = (scope.index == 0)
            .then(|| Council::open(store.as_ref(), (&ring, &partitions), &identity, seed))
            .transpose()?;
        let council = council.map(Box::new);
        let turn = Turn::open(
            (Outbox::new(identity.node, ring.epoch().number), Trees::new(count)),
            store,
            partitions,
            count,
            (identity.epoch, identity.start, scope),
            config.row_cache_bytes,
            is_mine,
        )?;
        let liveness = Liveness::new(identity.node, adoption::members(&ring));
        let claims = Claims::new(identity.node, identity.epoch, adoption::members(&ring));
        let site = Site {
            scope,
            config,
            identity,
            ring,
            liveness,
            claims,
            exchanged: Exchanged::default(),
            is_below_reserve: false,
            clock_ahead_ms: None,
            delivery_pause_ms: 0,
        };
        let mut shard = Shard {
            site,
            turn,
            coordinator: Coordinator::new(scope),
            replica: Replica::default(),
            ledger: Ledger::default(),
            delivery: Delivery::default(),
            retargets,
            schedule: Schedule::default(),
            exchanges: Exchanges::default(),
            walks: Walks::default(),
            responders: Responders::default(),
            newborns: Newborns::default(),
            transfer: Transfer::default(),
            stability: Stability::default(),
            next_exchange: 0,
            compared: Compared::default(),
            damage: damage::Damage::default(),
            exchanges_done: 0,
            exchanged_rows: 0,
            tree_walks: 0,
            tree_differences: 0,
            paused: Paused::default(),
            council,
        };
        if let Some(council) = &shard.council {
            council.keep_closed(&mut shard.turn);
            shard.turn.out.set_timer(TimerKey::Council, now.mono);
        }
        shard.take_roles();
        shard.take_partitions(now);
        let again = shard.site.config.tree_rebuild_interval;
        shard.turn.take_over_trees(if again.is_zero() { Timestamp(u64::MAX) } else { now.mono.after(again) });
        let shift = std::time::Duration::from_micros(seed % micros(shard.site.config.ping_interval).max(1));
        for timer in [TimerKey::Liveness, TimerKey::Newborn, TimerKey::ExchangeSchedule, TimerKey::Stability] {
            shard.turn.out.set_timer(timer, now.mono.after(shift));
        }
        Ok(shard)
    }

    /// Takes one input in. What it causes leaves with [`Shard::seal`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.site.exchanged.on_clocks(now);
        match input {
            Input::Client { connection, request_id, request } => {
                self.on_client(now, connection, request_id, request);
            }
            Input::Peer { from, frame } => self.on_frame(now, from, frame),
            Input::PeerUnreachable { node, not_sent } => {
                for frame in &not_sent {
                    self.on_not_sent(now, node, frame);
                }
                if self.site.liveness.on_lost(node, now.mono) {
                    self.on_lost(now, node);
                }
            }
            Input::PeerQueueFull { node, frame } => self.on_not_sent(now, node, &frame),
            Input::Durable(ticket) => self.turn.on_durable(ticket),
            Input::JobDone(result) => self.on_job(now, result),
            Input::Stopping => self.turn.is_stopping = true,
            Input::RingChanged(ring) => self.on_ring_changed(now, ring),
            Input::LayoutHeard { from, layout } => self.on_layout_heard(now, from, layout),
            Input::Admin { connection, request_id, call } => self.on_admin(now, (connection, request_id), call),
            Input::DiskReserve { is_below } => self.site.is_below_reserve = is_below,
        }
        self.drain_local(now);
    }

    /// Fires the timers that are due.
    pub fn tick(&mut self, now: Now) {
        while let Some(timer) = self.turn.out.pop_due_timer(now.mono) {
            self.on_timer(now, timer);
            self.drain_local(now);
        }
    }

    /// When [`Shard::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.turn.out.next_deadline()
    }

    /// Whether the turn has grown to its bound: the driver should seal it.
    pub fn turn_is_full(&self) -> bool {
        self.turn.is_full()
    }

    /// Ends the turn: its writes as one batch, and the effects that need not wait.
    pub fn seal(&mut self, now: Now) -> SealedTurn {
        self.coordinator.flush(&self.site.env(now), &mut self.turn.out);
        self.drain_local(now);
        let batch = self.turn.take_batch();
        let sender = outbox::Sender {
            layout: self.site.ring.epoch(),
            epoch: self.site.identity.epoch,
            clock: self.replica.clock.reading(now.wall),
        };
        let (ticket, effects) = self.turn.out.seal(!batch.is_empty(), sender);
        SealedTurn { batch, ticket, effects }
    }

    /// Sums of the rows on disk, as of the last sealed turn.
    pub fn trees(&self) -> &Trees {
        &self.turn.trees
    }

    /// For `starling status`.
    pub fn status(&self, now: Now) -> ShardStatus {
        let owned = || {
            self.turn.memories().filter(|(partition, _)| self.site.ring.is_owner(*partition, self.site.identity.node))
        };
        let env = self.site.env(now);
        let mut status = ShardStatus {
            peers: self.peers(now),
            open_ops: self.coordinator.open_ops() as u64,
            ledger_entries: self.ledger.len() as u64,
            owned_partitions: owned().count() as u32,
            newborn_partitions: owned().filter(|(_, memory)| !memory.is_established).count() as u32,
            equal_partitions: self.compared.equal(&env, owned().map(|(partition, _)| partition)),
            needs_repair: self.needing_repair().take(limits::REPAIRS_SHOWN_MAX).collect(),
            needs_repair_partitions: self.needing_repair().count() as u32,
            exchanges: self.exchanges_done,
            exchanged_rows: self.exchanged_rows,
            read_repairs: ReadRepairStatus { taken: self.replica.repaired, ..self.coordinator.read_repairs() },
            tree_walks: self.tree_walks,
            tree_differences: self.tree_differences,
            trees_waiting: self.turn.trees.waiting() as u32,
            tree_bytes: self.turn.trees.bytes() as u64,
            amnesia_alarms: self.replica.amnesia_alarms + self.stability.losses(),
            conflicts: self.replica.conflicts.met(now.mono),
            conflicting: self.replica.conflicts.status(now.mono),
            claim_alarms: self.site.claims.alarms(),
            rival: self.site.claims.rival().map(|epoch| epoch.to_string()),
            clock_ahead_ms: self.site.liveness.clock_ahead() / 1000,
            settling: self.stability.status(&env, &self.turn, limits::SETTLING_SHOWN_MAX),
            settling_partitions: self.stability.settling(&env, &self.turn).count() as u32,
            candidates: Vec::new(),
            rival_layout: None,
            moves: self.move_state(now),
            is_move_paused: self.paused.is_paused,
        };
        if let Some(council) = &self.council {
            council.fill_status(&mut status);
        }
        status
    }
}

#[cfg(test)]
mod tests;
