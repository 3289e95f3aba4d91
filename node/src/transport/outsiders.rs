//! What is heard of a node that has a certificate of the cluster and is no member: it asks for the layout, tells one, or
//! offers itself. Whatever else stands in its frames is dropped here, before any shard sees it: the writes and answers of
//! a node that was declared lost must change nothing.

use starling::ids::{ConnectionId, NodeId};
use starling::membership::LayoutEpoch;
use starling::membership::principal::Role;
use starling::message::client::Call;
use starling::message::peer::Frame;

use super::inbound::{Answers, Inbound};

/// Hands on what such nodes may say.
#[derive(Clone)]
pub(super) struct Outsiders<I>(pub(super) I);

impl<I: Inbound> Inbound for Outsiders<I> {
    fn peer_frame(&self, from: NodeId, mut frame: Frame) {
        frame.messages.retain(|addressed| addressed.message.may_come_from_outside());
        if !frame.messages.is_empty() {
            self.0.peer_frame(from, frame);
        }
    }

    fn layout_heard(&self, from: NodeId, theirs: LayoutEpoch) {
        self.0.layout_heard(from, theirs);
    }

    fn peer_unreachable(&self, node: NodeId, not_sent: Vec<Frame>) {
        self.0.peer_unreachable(node, not_sent);
    }

    fn connection_opened(&self, connection: ConnectionId, role: &Role, answers: Answers) {
        self.0.connection_opened(connection, role, answers);
    }

    fn client_call(&self, connection: ConnectionId, call: Call) {
        self.0.client_call(connection, call);
    }

    fn connection_closed(&self, connection: ConnectionId) {
        self.0.connection_closed(connection);
    }
}
