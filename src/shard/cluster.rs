//! The keeper of the layout ([`crate::council`]) on its way to the shard and the driver: calls about the
//! cluster, what is said of layouts, and who is heard at all.

use super::*;
use crate::causality::Epoch;
use crate::membership::LayoutEpoch;
use crate::message::client::{ClusterAnswer, ClusterCall, ClusterError};
use crate::message::peer::{LayoutMessage, MoveAnswer, MoveQuery, Paused};
use crate::mutation::{self, Mutation};

impl Shard {
    /// A call about the cluster.
    pub(super) fn on_admin(&mut self, now: Now, asker: (ConnectionId, RequestId), call: ClusterCall) {
        match &mut self.council {
            Some(council) => council.on_call(&self.site.env(now), &mut self.turn, asker, call),
            None => {
                let (connection, request_id) = asker;
                let answer = ClusterAnswer::Refused(ClusterError::NotAMember);
                self.turn.out.perform_after(Ticket(0), Effect::NodeReply { connection, request_id, answer });
            }
        }
    }

    /// A node is known to act by this layout.
    pub(super) fn on_layout_heard(&mut self, now: Now, from: NodeId, layout: LayoutEpoch) {
        if let Some(council) = &mut self.council {
            council.on_layout_heard(&self.site.env(now), &mut self.turn, from, layout);
        }
    }

    /// Whether a frame of this node is heard: members that are not fenced are, unless they act by a layout that cannot be beside
    /// the own one. Of all others only what outsiders may say.
    pub(super) fn hears(&self, from: NodeId, theirs: LayoutEpoch) -> bool {
        let ring = &self.site.ring;
        if from == self.site.identity.node {
            return true;
        }
        let is_fenced = ring.is_fenced(from) && !mutation::is_off(Mutation::FencedSpeaks);
        ring.layout().member(from).is_some() && !is_fenced && !ring.epoch().rivals(theirs)
    }

    /// Something is said of the layout.
    pub(super) fn on_layout_message(&mut self, now: Now, from: (NodeId, Epoch), message: LayoutMessage) {
        let (node, start) = from;
        match message {
            LayoutMessage::MoveQuery(query) => self.on_move_query(now, (node, start), query),
            LayoutMessage::Pause(paused) => self.pause(now, paused),
            LayoutMessage::Doubt(doubted) => self.site.liveness.doubt(doubted),
            message => {
                if let Some(council) = &mut self.council {
                    council.on_message(&self.site.env(now), &mut self.turn, node, message);
                }
            }
        }
    }

    /// An operator's word on the moving of data: the newest counts. Shard 0 passes it on to the node's others.
    fn pause(&mut self, now: Now, paused: Paused) {
        let newest = self.paused.newer(paused);
        let is_news = newest != self.paused;
        if newest.is_paused != self.paused.is_paused {
            self.pause_moves(now, newest.is_paused);
            self.turn.out.set_timer(TimerKey::ExchangeSchedule, now.mono);
        }
        self.paused = newest;
        if let Some(council) = &mut self.council {
            council.on_paused(newest);
            if is_news {
                self.tell_other_shards(|| PeerMessage::Layout(Box::new(LayoutMessage::Pause(newest))));
            }
        }
    }

    /// Says something to the other shards of this node, by way of the driver.
    pub(super) fn tell_other_shards(&mut self, message: impl Fn() -> PeerMessage) {
        let (me, scope) = (self.site.identity.node, self.site.scope);
        for shard in (0..scope.count).filter(|shard| *shard != scope.index) {
            self.turn.out.send_around(me, PartitionId(shard as u16), message());
        }
    }

    fn on_move_query(&mut self, now: Now, (from, epoch): (NodeId, Epoch), query: MoveQuery) {
        self.pause(now, query.paused);
        let shard = self.site.scope.index as u16;
        let answer = MoveAnswer {
            round: query.round,
            epoch,
            shard,
            shards: self.site.scope.count as u16,
            adopted: self.site.ring.epoch().number,
            state: self.move_state(now),
        };
        let answer = PeerMessage::Layout(Box::new(LayoutMessage::MoveAnswer(answer)));
        // What it says is durable once the memory of the partitions is.
        let ticket = self.turn.memory_ticket();
        match from == self.site.identity.node && shard > 0 {
            true => self.turn.out.send_around_after(ticket, from, PartitionId(0), answer),
            false => self.turn.out.send_after(ticket, from, PartitionId(0), answer),
        }
    }
}
