//! Taking up another layout.
//!
//! The driver builds the [`RingView`] off the shard's thread and tells every shard ([`super::Input::RingChanged`]) once the
//! layout is durable. From the end of that turn on the shard acts by it, and says so with every message.

use std::sync::Arc;

use super::Shard;
use crate::ring::RingView;

impl Shard {
    /// Acts by this layout from now on. An older one than the present changes nothing.
    pub(super) fn on_ring_changed(&mut self, ring: Arc<RingView>) {
        if ring.epoch().number <= self.site.ring.epoch().number {
            return;
        }
        self.turn.out.on_layout(ring.epoch().number);
        self.site.ring = ring;
    }
}
