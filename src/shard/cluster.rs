//! The layout's keeper on its way to the driver: calls about the cluster, and what is said of layouts.

use super::*;
use crate::message::client::{ClusterAnswer, ClusterCall, ClusterError};

impl Shard {
    pub(super) fn on_admin(&mut self, connection: ConnectionId, request_id: RequestId, _: ClusterCall) {
        let answer = ClusterAnswer::Refused(ClusterError::Busy);
        self.turn.out.perform_after(Ticket(0), Effect::NodeReply { connection, request_id, answer });
    }
}
