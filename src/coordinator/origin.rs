//! Where a request came from, and how its answer gets back there.

use super::bounds;
use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, OpId, PartitionId, RequestId};
use crate::message::client::Response;
use crate::message::peer::{Forwarded, PeerMessage};
use crate::shard::{Local, Outbox};

/// No dialogue has this number: of what the coordinator does unasked, and nobody waits for.
pub const NOBODY: OpId = OpId(0);

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node.
    Client {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the request.
        request_id: RequestId,
    },
    /// This coordinator itself, for one of its dialogues.
    Own {
        /// Which.
        op: OpId,
    },
    /// A peer that forwarded a client's request.
    Peer {
        /// Who.
        node: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
    },
}

impl Origin {
    /// Whether this is a step of one of the coordinator's dialogues.
    pub fn is_step(self) -> bool {
        matches!(self, Origin::Own { op } if op != NOBODY)
    }

    /// Answers, with what fits into a message.
    pub fn answer(self, out: &mut Outbox, partition: PartitionId, response: Response) {
        match self {
            Origin::Client { connection, request_id } => {
                out.reply(connection, request_id, bounds::of_answer(response));
            }
            Origin::Own { op } => out.tell(Local::Answered { op, response }),
            Origin::Peer { node, epoch, op } => {
                let response = bounds::of_answer(response);
                out.send(node, partition, PeerMessage::Forwarded(Forwarded { op, epoch, response }));
            }
        }
    }
}
