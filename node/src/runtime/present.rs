//! The layout that the node acts by, for those who only look it up: router, status, backups. Shards have views of their
//! own, which change with their turns; this one changes when they have been told.

use std::sync::{Arc, PoisonError, RwLock};

use starling::ring::RingView;

/// The present view. Looking costs a read lock and a count of references.
#[derive(Debug)]
pub struct PresentRing {
    ring: RwLock<Arc<RingView>>,
}

impl PresentRing {
    /// The view that the node starts with.
    pub fn new(ring: Arc<RingView>) -> PresentRing {
        PresentRing { ring: RwLock::new(ring) }
    }

    /// The view that is in force.
    pub fn get(&self) -> Arc<RingView> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another one, from now on.
    pub fn set(&self, ring: Arc<RingView>) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }
}
