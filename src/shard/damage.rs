//! What to do about a directory that is damaged: rows whose checksum does not fit, or a file that is gone.
//!
//! ```text
//! a read fails as corrupt ──→ noted, told once ──→ the other owners answer, and none is newborn ──→ Restart: begins anew, empty
//!                             reads of it fail,             └──else: goes on, and looks again with every look at the peers
//!                             elsewhere they succeed
//! ```
//!
//! The row is never taken for absent: whoever reads it is refused, and asks another owner. It cannot be mended in place: this
//! start has told others what it holds (the reports of `stability`, rule R12), so only a new incarnation may hold less. A node
//! that begins anew takes everything over from its co-owners; until then one owner fewer has what was written. So it waits while
//! that could take the last copy away: while a partition has no other owner that answers, or another owner is newborn itself.
//!
//! It is the whole directory that is given up, so a shard looks at all partitions of its node, and is told by the other shards
//! when a newborn has asked them.
//!
//! Called by the shard with each failure of the store, and on the timer of liveness.

use std::time::Duration;

use super::{Effect, Observation, Shard};
use crate::ids::NodeId;
use crate::message::peer::{NewbornQuery, PeerMessage};
use crate::mutation::{self, Mutation};
use crate::storage::StoreError;
use crate::time::{Now, Timestamp};

/// A newborn asks its co-owners all the time: whoever has not asked for so long is none.
const NEWBORN_SILENT: Duration = Duration::from_secs(5);

/// What is known of damage.
#[derive(Debug, Default)]
pub(super) struct Damage {
    detail: Option<String>,
    /// The process is to end.
    is_told: bool,
    /// When a co-owner last said that it is newborn, to this shard or to another one of the node.
    newborn_at: Option<Timestamp>,
    /// When the other shards were told that.
    passed_on_at: Option<Timestamp>,
}

impl Shard {
    /// The store could not read.
    pub(super) fn on_store_error(&mut self, error: &StoreError) {
        if error.is_corrupt() && self.damage.detail.is_none() && !mutation::is_off(Mutation::DamageIgnored) {
            self.damage.detail = Some(error.detail.clone());
            self.turn.out.observe(Observation::Damaged { detail: error.detail.clone() });
        }
    }

    /// A co-owner says that it is newborn: it needs what stands here. Another shard of this node may be the damaged one.
    pub(super) fn on_newborn(&mut self, now: Now, from: NodeId, query: NewbornQuery) {
        self.damage.newborn_at = Some(now.mono);
        let is_due = self.damage.passed_on_at.is_none_or(|at| now.mono.since(at) >= self.site.config.ping_interval);
        if from != self.site.identity.node && is_due {
            self.damage.passed_on_at = Some(now.mono);
            self.tell_other_shards(|| PeerMessage::NewbornQuery(query));
        }
    }

    /// Begins anew, if there is a reason and nothing is lost by it.
    pub(super) fn heal(&mut self, now: Now) {
        if let Some(error) = self.turn.take_failure() {
            self.on_store_error(&error);
        }
        let Some(detail) = self.damage.detail.clone().filter(|_| !self.damage.is_told) else { return };
        let is_needed = self.damage.newborn_at.is_some_and(|at| now.mono.since(at) < NEWBORN_SILENT);
        let env = self.site.env(now);
        let own = env.ring.partitions().filter(|partition| env.ring.is_owner(*partition, env.me));
        let has_others = own.into_iter().all(|partition| {
            let mut others = env.ring.readers(partition).iter().filter(|owner| **owner != env.me).peekable();
            others.peek().is_some() && others.all(|owner| env.liveness.is_reachable(*owner))
        });
        if has_others && !is_needed {
            self.damage.is_told = true;
            self.turn.out.effect(Effect::Restart { why: detail });
        }
    }
}
