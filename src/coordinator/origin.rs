//! Where a request came from, and how its answer gets back there.

use super::bounds;
use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, OpId, PartitionId, RequestId};
use crate::message::client::Response;
use crate::message::peer::{Forwarded, PeerMessage};
use crate::shard::{Local, Outbox};

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
