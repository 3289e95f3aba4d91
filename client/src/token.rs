//! The token of a reader: what it has seen, so that nothing that it is shown later is older.
//!
//! A token gives *read your writes* and *monotonic reads*: a read waits, within its deadline, until a replica shows what
//! the token has seen, and else fails as stale; it never shows less. Calls with one token go one after the other, since
//! each must see what the one before saw. Pages and sizes of collections are not followed: they show what there is. The
//! bytes are opaque and sealed by the cluster.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

/// What a reader has seen. Clones share it. [`crate::Client::following`] uses it.
#[derive(Clone, Debug, Default)]
pub struct Token {
    seen: Arc<Mutex<Bytes>>,
}

impl Token {
    /// A token that has seen nothing yet.
    pub fn new() -> Token {
        Token::default()
    }

    /// A token that goes on where another one ended: these are bytes of [`Token::bytes`]. The cluster checks them.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Token {
        Token { seen: Arc::new(Mutex::new(bytes.into())) }
    }

    /// What it has seen, to be kept for a later process. Waits for a call that is under way. Empty: nothing yet.
    pub async fn bytes(&self) -> Bytes {
        self.seen.lock().await.clone()
    }

    /// Holds other calls off until this one has its answer.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.seen.lock().await
    }
}
