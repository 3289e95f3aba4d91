//! Whom a coordinator may ask, in which order.

use crate::ids::{NodeId, PartitionId};
use crate::shard::Env;

/// The nodes that may answer a request: the accept set, or the owners alone if the request is strict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    pub partition: PartitionId,
    pub strict: bool,
}

impl Candidates {
    /// In order of preference, reachable or not.
    pub fn all<'a>(&self, env: &Env<'a>) -> &'a [NodeId] {
        if self.strict { env.ring.owners(self.partition) } else { env.ring.accept_set(self.partition) }
    }

    /// In order of preference, except that the own node comes first among its kind: it costs no message.
    pub fn reachable(&self, env: &Env<'_>) -> Vec<NodeId> {
        let owners = env.ring.owners(self.partition);
        let mut nodes: Vec<NodeId> =
            self.all(env).iter().copied().filter(|node| env.liveness.is_reachable(*node)).collect();
        nodes.sort_by_key(|node| (!owners.contains(node), *node != env.me));
        nodes
    }
}
