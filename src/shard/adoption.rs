//! Taking up another layout.
//!
//! ```text
//! roles of the own partitions, with what was remembered for the earlier ones      one write, before anything else
//! who is a member: liveness, claims; what went to who is none any more            ended
//! exchanges and walks under way, on both sides                                    ended: their pages are of before
//! debts to who is no owner any more                                               become debts to those that are (`hints`)
//! what is compared with whom, trees, what stability was told                      begun anew where it changed
//! open requests                                                                   go on by the new lists
//! ```
//!
//! The driver builds the [`RingView`] off the shard's thread and tells every shard ([`super::Input::RingChanged`]) once the
//! layout is durable. From the end of that turn on the shard acts by it, and says so with every message. Costs a look at each
//! partition of the shard; one write for each whose role changes. A start does the same for the layout that it opens with: it
//! may have been away while others took it up.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Observation, Shard, TimerKey};
use crate::antientropy::Newborns;
use crate::ids::{NodeId, PartitionId};
use crate::message::peer::Refusal;
use crate::replica::Role;
use crate::ring::RingView;
use crate::time::Now;

impl Shard {
    /// Acts by this layout from now on. An older one than the present changes nothing.
    pub(super) fn on_ring_changed(&mut self, now: Now, ring: Arc<RingView>) {
        let number = ring.epoch().number;
        if number <= self.site.ring.epoch().number {
            return;
        }
        self.turn.out.on_layout(number);
        self.site.ring = ring;
        self.take_roles();
        self.turn.out.observe(Observation::LayoutAdopted { number });
        // First by the new lists: who is asked in place of one that is gone must be of these.
        self.coordinator.on_ring_changed(&self.site.env(now), &mut self.turn.out);
        self.forget_strangers(now);
        self.delivery.begin_anew(&mut self.turn.out);
        self.exchanges.abandon_all(&mut self.turn.out);
        self.walks.abandon_all(&mut self.turn.out);
        self.responders.refuse_all(&mut self.turn.out, &Refusal::StaleLayout { have: number });
        self.newborns = Newborns::default();
        self.take_partitions(now);
        self.retargets.on_layout(&self.turn);
        self.stability.on_layout(&self.site.env(now), &mut self.turn);
        for timer in [TimerKey::Newborn, TimerKey::Stability] {
            self.turn.out.set_timer(timer, now.mono);
        }
    }

    /// Who is no member any more is neither asked nor waited for.
    fn forget_strangers(&mut self, now: Now) {
        let members: BTreeSet<NodeId> = members(&self.site.ring).collect();
        self.site.claims.set_members(&members);
        for node in self.site.liveness.set_members(&members) {
            self.on_lost(now, node);
            self.delivery.forget(&mut self.turn.out, node);
        }
    }

    /// What is kept for each own partition, and for each pair of it and a co-owner.
    pub(super) fn take_partitions(&mut self, now: Now) {
        let own: BTreeSet<PartitionId> = self.own_partitions().collect();
        self.turn.trees.set_partitions(&own);
        let ring = &self.site.ring;
        let is_pair = |partition: PartitionId, peer: NodeId| own.contains(&partition) && ring.is_owner(partition, peer);
        self.site.exchanged.retain(is_pair);
        self.compared.retain(is_pair);
        self.schedule.rebuild(&self.site.env(now), &own);
        self.on_moves_changed(now);
    }

    /// Notes what this node is to each partition now, and forgets what held for what it was.
    pub(super) fn take_roles(&mut self) {
        let (ring, me, scope) = (self.site.ring.clone(), self.site.identity.node, self.site.scope);
        let number = ring.epoch().number;
        for partition in ring.partitions().filter(|partition| scope.has(*partition)) {
            let role = Role::of(&ring, me, partition);
            if let Some(memory) = self.turn.memory(partition).in_role(role, number) {
                self.turn.change_memory(partition, |present| *present = memory);
            }
        }
    }

    /// The partitions of this shard that belong to the node.
    pub(super) fn own_partitions(&self) -> impl Iterator<Item = PartitionId> + use<'_> {
        let (ring, me, scope) = (&self.site.ring, self.site.identity.node, self.site.scope);
        ring.partitions().filter(move |partition| scope.has(*partition) && ring.is_owner(*partition, me))
    }
}

/// Who may speak in the cluster.
pub(super) fn members(ring: &RingView) -> impl Iterator<Item = NodeId> + use<'_> {
    ring.layout().members.iter().map(|member| member.id).filter(|node| !ring.is_fenced(*node))
}
