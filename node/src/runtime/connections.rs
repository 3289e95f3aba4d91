//! The client connections of this node: where the answers to their calls go.
//!
//! The transport opens and closes them; router and shard threads hand over answers and never wait. How many answers may
//! pile up before a client that does not read is disconnected is the transport's affair (`transport::inbound`).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use starling::ids::ConnectionId;
use starling::message::client::Answer;

use crate::transport::inbound::Answers;

/// All open client connections.
#[derive(Default)]
pub struct Connections {
    open: RwLock<HashMap<ConnectionId, Answers>>,
}

impl Connections {
    /// Answers to this connection go this way from now on.
    pub fn open(&self, connection: ConnectionId, answers: Answers) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(connection, answers);
    }

    /// Forgets a connection.
    pub fn close(&self, connection: ConnectionId) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }

    /// Hands over answers. Those to a connection that is gone are dropped: nobody is there to read them.
    pub fn deliver(&self, answers: impl IntoIterator<Item = (ConnectionId, Answer)>) {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        for (connection, answer) in answers {
            if let Some(way) = open.get(&connection) {
                way.send(answer);
            }
        }
    }
}
