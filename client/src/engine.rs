//! What all clones of a client share: the members with their connections, and how new ones are dialled.
//!
//! [`Caller`](crate::caller::Caller) sends through it; [`follow`](crate::follow) replaces the members when a newer layout
//! is heard of. The last clone that goes closes what was dialled.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use starling::ring::RingView;
use tokio::sync::watch;

use crate::ClientConfig;
use crate::dial::Dialer;
use crate::nodes::Nodes;

/// What all clones of a client share.
pub(crate) struct Engine {
    nodes: RwLock<Arc<Nodes>>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) config: ClientConfig,
    pub(crate) changed: watch::Sender<()>,
    /// A newer layout is being fetched.
    pub(crate) is_following: AtomicBool,
}

impl Engine {
    /// What the clones of a client of this ring share.
    pub(crate) fn new(ring: Arc<RingView>, dialer: Arc<Dialer>, config: ClientConfig) -> Engine {
        let (changed, _) = watch::channel(());
        let nodes = RwLock::new(Arc::new(Nodes::new(ring, None, &dialer, &config, &changed)));
        Engine { nodes, dialer, config, changed, is_following: AtomicBool::new(false) }
    }

    /// The members, by the newest layout that was heard of.
    pub(crate) fn nodes(&self) -> Arc<Nodes> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, to be replaced.
    pub(crate) fn write_nodes(&self) -> RwLockWriteGuard<'_, Arc<Nodes>> {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.dialer.close();
    }
}
