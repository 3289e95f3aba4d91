//! How far the replicas of a cluster are apart, summed up from what each node says of its peers.

use std::collections::BTreeMap;

use starling::ids::NodeId;
use starling::message::client::{NodeStatus, PeerLag};

/// How far a cluster has converged, as its nodes told it.
///
/// What a node has not been acknowledged by a peer, it counts itself; what no node counts (a coordinator died before it wrote
/// anything down) is found by the next comparison, so it is at most [`PeerLag::compared_ms_ago`] old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Convergence {
    /// Of each member: what it has not confirmed, over all nodes that answered.
    pub peers: BTreeMap<NodeId, PeerLag>,
    /// The same over all members.
    pub cluster: PeerLag,
    /// Copies of partitions, each counted by the node that keeps it.
    pub owned_partitions: u64,
    /// Of these: equal to every other copy when they were last compared, and that was not long ago.
    pub equal_partitions: u64,
    /// Copies of which another owner may lack something that nobody has written down as owed.
    pub needs_repair_partitions: u64,
    /// Nodes that answered.
    pub answering: usize,
    /// Nodes that did not: what they alone know is not in here, and a copy that was equal to theirs when it was last compared
    /// still counts as equal. Look here before you take the sum for the cluster's.
    pub silent: Vec<NodeId>,
}

impl Convergence {
    /// Sums up what nodes told; `None`: it did not answer.
    pub fn of<'a>(told: impl IntoIterator<Item = (NodeId, Option<&'a NodeStatus>)>) -> Convergence {
        let mut sum = Convergence::default();
        for (node, status) in told {
            let Some(NodeStatus { shards, .. }) = status else {
                sum.silent.push(node);
                continue;
            };
            sum.answering += 1;
            for peer in &shards.peers {
                sum.peers.entry(peer.node).or_default().add(&peer.lag);
                sum.cluster.add(&peer.lag);
            }
            sum.owned_partitions += u64::from(shards.owned_partitions);
            sum.equal_partitions += u64::from(shards.equal_partitions);
            sum.needs_repair_partitions += u64::from(shards.needs_repair_partitions);
        }
        sum
    }

    /// Share of the copies that were equal to all others when they were last compared. From 0 to 1; `None`: nobody answered.
    pub fn equal_share(&self) -> Option<f64> {
        (self.owned_partitions > 0).then(|| self.equal_partitions as f64 / self.owned_partitions as f64)
    }
}
