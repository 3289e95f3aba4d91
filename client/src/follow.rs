//! Following the layout: when a node speaks of a newer one, it is fetched, and calls go by it from then on.
//!
//! ```text
//! HELLO of a node: layout 8, ours is 7  ┐
//! refused: stale layout                 ├─→ NodeCall::Layout on that connection ─→ placement computed ─→ Nodes replaced
//! ```
//!
//! In the background, one at a time, and no call waits for it: nodes serve those who know an older layout, too. Links to
//! members that stay are kept. What is fetched must be a layout of the same cluster, with a larger number; the node proved
//! by its certificate that it belongs to that cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use starling::membership::Layout;
use starling::message::client::{AnswerBody, CallBody, NodeAnswer, NodeCall};
use starling::ring::RingView;
use tokio::time::Instant;

use crate::connection::{Connection, Limits};
use crate::engine::Engine;
use crate::nodes::Nodes;

/// Time for fetching a layout.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// Fetches the layout of the node at the other end, in the background, unless another fetch is under way.
    pub(crate) fn follow(self: &Arc<Engine>, connection: Arc<Connection>) {
        if self.is_following.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let by = Instant::now() + PATIENCE;
            let asked = connection.call(CallBody::Node(NodeCall::Layout), Limits { send_by: by, answer_by: by }).await;
            if let Ok(AnswerBody::Node(NodeAnswer::Layout(layout))) = asked {
                engine.take_up(*layout).await;
            }
            engine.is_following.store(false, Ordering::Release);
        });
    }

    /// Goes by a layout from now on, if it is newer. Computes its placement: up to seconds for a thousand members.
    pub(crate) async fn take_up(self: &Arc<Engine>, layout: Layout) {
        let present = self.nodes();
        let (ours, theirs) = (present.ring().layout().epoch.number, layout.epoch.number);
        if layout.cluster != present.ring().layout().cluster || theirs <= ours {
            return;
        }
        // A layout that cannot be is none; the node that has it is another one's problem.
        let Ok(Ok(ring)) = tokio::task::spawn_blocking(move || RingView::new(layout)).await else { return };
        let mut nodes = self.write_nodes();
        if nodes.ring().epoch().number < ring.epoch().number {
            *nodes = Arc::new(Nodes::new(Arc::new(ring), Some(&**nodes), &self.dialer, &self.config, &self.changed));
        }
    }
}
