//! Ways to the members, this one among them.

use std::sync::Arc;

use starling::causality::Epoch;
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::FaultPlan;
use starling::message::peer::Frame;

use super::router::{PeerLinks, Router};
use crate::transport::inbound::Inbound;
use crate::transport::{NotSent, Transport};

/// The transport, and the short way to the other shards of this node.
pub(super) struct Links {
    pub transport: Transport,
    pub router: Router,
}

impl PeerLinks for Links {
    fn send(&self, to: NodeId, frame: Frame) -> Result<(), NotSent> {
        if to == self.transport.node() {
            self.router.peer_frame(to, frame);
            return Ok(());
        }
        self.transport.send(to, frame)
    }
    fn send_back(&self, to: NodeId, start: Epoch, frame: Frame) {
        self.transport.send_back(to, start, frame);
    }
    fn faults(&self) -> FaultPlan {
        self.transport.faults()
    }
    fn set_layout(&self, layout: &Arc<Layout>) {
        self.transport.set_layout(layout);
    }
}
