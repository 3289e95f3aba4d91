//! What every part of a shard may look at while it handles an input.

use std::sync::Arc;

use crate::antientropy::Exchanged;
use crate::causality::{Epoch, Tick};
use crate::config::ShardConfig;
use crate::ids::{Incarnation, NodeId, PartitionId};
use crate::membership::claims::Claims;
use crate::membership::liveness::Liveness;
use crate::mutation::{self, Mutation};
use crate::replica::Identity;
use crate::ring::RingView;
use crate::time::{Now, Timestamp, WallTime, micros};

use super::observation::Observation;

/// Which of a node's shards this is: it keeps the partitions of which [`PartitionId::shard`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardScope {
    /// From 0.
    pub index: usize,
    /// Shards of the node.
    pub count: usize,
}

impl ShardScope {
    /// Whether the partition is this shard's.
    pub fn has(self, partition: PartitionId) -> bool {
        partition.shard(self.count) == self.index
    }
}

/// What a shard knows of its surroundings from input to input.
#[derive(Debug)]
pub struct Site {
    /// Which partitions are this shard's.
    pub scope: ShardScope,
    /// The knobs.
    pub config: ShardConfig,
    /// The own member id and start.
    pub identity: Identity,
    /// Who owns what.
    pub ring: Arc<RingView>,
    /// Who answers.
    pub liveness: Liveness,
    /// Who claims whose member id.
    pub claims: Claims,
    /// Up to when it is known what co-owners have.
    pub exchanged: Exchanged,
    /// The file system is below its reserve: writes are refused.
    pub is_below_reserve: bool,
    /// The own clock is this far ahead of the peers, beyond the bound: register writes are refused. Unit: ms.
    pub clock_ahead_ms: Option<u64>,
    /// Who delivers debts is asked to wait this long between pages: longer while clients are busy here. Unit: ms.
    pub delivery_pause_ms: u32,
}

impl Site {
    /// The surroundings at an input.
    pub fn env(&self, now: Now) -> Env<'_> {
        Env {
            now,
            scope: self.scope,
            config: &self.config,
            me: self.identity.node,
            epoch: self.identity.epoch,
            incarnation: self.identity.incarnation,
            ring: &self.ring,
            liveness: &self.liveness,
            exchanged: &self.exchanged,
            is_below_reserve: self.is_below_reserve,
            has_rival: self.claims.rival().is_some() && !mutation::is_off(Mutation::RivalIgnored),
            clock_ahead_ms: self.clock_ahead_ms,
            delivery_pause_ms: self.delivery_pause_ms,
        }
    }

    /// Compares the own clock with the peers'; reports when it passes the bound, either way.
    pub fn check_clock(&mut self) -> Option<Observation> {
        let ahead = self.liveness.clock_ahead();
        let is_refusing = ahead > i64::try_from(micros(self.config.clock_ahead_max)).unwrap_or(i64::MAX);
        let ahead_ms = (ahead / 1000).max(0) as u64;
        let was_refusing = self.clock_ahead_ms.is_some();
        self.clock_ahead_ms = is_refusing.then_some(ahead_ms);
        (is_refusing != was_refusing).then_some(Observation::ClockAhead { ahead_ms, is_refusing })
    }
}

/// The world as a shard sees it at this input. Read only.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The time of the input.
    pub now: Now,
    /// Which partitions are this shard's.
    pub scope: ShardScope,
    /// The knobs.
    pub config: &'a ShardConfig,
    /// The own member id.
    pub me: NodeId,
    /// The own start.
    pub epoch: Epoch,
    /// The own directory.
    pub incarnation: Incarnation,
    /// Who owns what.
    pub ring: &'a RingView,
    /// Who answers.
    pub liveness: &'a Liveness,
    /// Up to when it is known what co-owners have.
    pub exchanged: &'a Exchanged,
    /// The file system is below its reserve: writes are refused.
    pub is_below_reserve: bool,
    /// Another live process claims this member id: writes are refused.
    pub has_rival: bool,
    /// The own clock is this far ahead of the peers, beyond the bound: register writes are refused. Unit: ms.
    pub clock_ahead_ms: Option<u64>,
    /// The own pace of taking deliveries. Unit: ms between pages.
    pub delivery_pause_ms: u32,
}

impl Env<'_> {
    /// The largest tick that the clocks allow to seal: its end lies further back than they may differ, by the own clock and
    /// by the peers'. One clock that jumps ahead for a moment would else seal the future, for ever.
    pub fn sealable(&self) -> Tick {
        let peers = self.liveness.wall_of_peers(self.now.mono).filter(|_| !mutation::is_off(Mutation::SealByOwnClock));
        let wall = peers.map_or(self.now.wall, |peers| peers.min(self.now.wall));
        let past = WallTime(wall.0.saturating_sub(micros(self.config.clock_ahead_max)));
        Tick(Tick::at(past, self.config.tick).0.saturating_sub(1))
    }

    /// A deadline from now, bounded to what a client may ask for.
    pub fn deadline(&self, asked_ms: Option<u32>) -> Timestamp {
        let span = asked_ms.map_or(self.config.request_deadline, |ms| std::time::Duration::from_millis(u64::from(ms)));
        self.now.mono.after(span.min(crate::limits::DEADLINE_MAX))
    }

    /// What is left until a deadline. Unit: milliseconds.
    pub fn remaining_ms(&self, deadline: Timestamp) -> u32 {
        u32::try_from(deadline.since(self.now.mono).as_millis()).unwrap_or(u32::MAX)
    }
}
