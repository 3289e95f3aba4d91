//! What a start of a node is called: its member id, and an epoch that no other start shares.
//!
//! The directory's record names the cluster, the member, the number of starts and the directory's *incarnation*, a
//! random number made with it, by which others tell it from one that was wiped. Every start takes a fresh random
//! epoch and makes it durable before any shard opens, so a wiped disk, a restored backup and a cloned directory never
//! share a number with their past: there is nothing to copy that would let one continue.

use bytes::Bytes;

use crate::causality::Epoch;
use crate::ids::{ClusterId, Incarnation, NodeId};
use crate::membership::Layout;
use crate::mutation::{self, Mutation};
use crate::storage::{Batch, Space, Store, StoreError, keyspace};

/// One start of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member.
    pub node: NodeId,
    /// The memory of this start.
    pub epoch: Epoch,
    /// How often this directory was started, this start included.
    pub start: u32,
    /// The directory.
    pub incarnation: Incarnation,
}

/// Why a node cannot open its directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The layout does not name the member.
    #[error("member {node} is not in the layout of cluster {cluster}; use the bundle that init-cluster wrote for it")]
    NotAMember {
        /// Who.
        node: NodeId,
        /// Where.
        cluster: ClusterId,
    },
    /// The directory belongs to another cluster. Nothing was changed.
    #[error("the data directory belongs to cluster {found}, not to {expected}; give this node a directory of its own")]
    OtherCluster {
        /// Whose it is.
        found: ClusterId,
        /// Whose it should be.
        expected: ClusterId,
    },
    /// The directory belongs to another member. Nothing was changed.
    #[error("the data directory belongs to member {found}, not to {expected}; give this node a directory of its own")]
    OtherMember {
        /// Whose it is.
        found: NodeId,
        /// Whose it should be.
        expected: NodeId,
    },
    /// The directory's record cannot be read.
    #[error("the record of the data directory is malformed ({detail}); restore it, or start with an empty directory")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const VERSION: u8 = 2;
const RECORD_BYTES: usize = 1 + 16 + 8 + 4 + 8 + 8;

/// Begins a start: checks that the directory is this member's, takes an epoch, and makes it durable. Once per process
/// start, before any shard opens. `entropy` must be fresh random bits.
pub fn begin_start(store: &dyn Store, layout: &Layout, node: NodeId, entropy: u64) -> Result<Identity, OpenError> {
    if layout.member(node).is_none() {
        return Err(OpenError::NotAMember { node, cluster: layout.cluster });
    }
    begin(store, layout.cluster, node, entropy)
}

/// As [`begin_start`], of a node that is no member yet: its certificate says whose cluster it is, and who it would be.
pub fn begin_candidate(
    store: &dyn Store,
    cluster: ClusterId,
    node: NodeId,
    entropy: u64,
) -> Result<Identity, OpenError> {
    begin(store, cluster, node, entropy)
}

fn begin(store: &dyn Store, cluster: ClusterId, node: NodeId, entropy: u64) -> Result<Identity, OpenError> {
    let key = keyspace::directory_key();
    let (starts, incarnation) = match store.fetch(Space::Meta, &key)? {
        None => (0, Incarnation(entropy)),
        Some(record) => check(&record, cluster, node)?,
    };
    let start = starts.saturating_add(1);
    let epoch = if mutation::is_off(Mutation::EpochReused) { u64::from(start) << 32 | node.0 } else { entropy };
    let identity = Identity { cluster, node, epoch: Epoch(epoch), start, incarnation };
    let mut batch = Batch::default();
    batch.put(Space::Meta, key, record_of(&identity));
    store.write(&batch)?;
    store.sync()?;
    Ok(identity)
}

/// Checks that a directory is one in which this member has started.
pub fn check_owner(store: &dyn Store, layout: &Layout, node: NodeId) -> Result<(), OpenError> {
    match store.fetch(Space::Meta, &keyspace::directory_key())? {
        None => Err(OpenError::Malformed { detail: "there is none" }),
        Some(record) => check(&record, layout.cluster, node).map(|_| ()),
    }
}

/// The number of earlier starts that a directory's record tells, and its incarnation.
fn check(record: &[u8], cluster: ClusterId, node: NodeId) -> Result<(u32, Incarnation), OpenError> {
    let whole: &[u8; RECORD_BYTES] =
        record.try_into().map_err(|_| OpenError::Malformed { detail: "its length is wrong" })?;
    let (version, rest) = whole.split_at(1);
    if version != [VERSION] {
        return Err(OpenError::Malformed { detail: "it is of another version" });
    }
    let (found_cluster, rest) = rest.split_at(16);
    let (found_node, rest) = rest.split_at(8);
    let (starts, rest) = rest.split_at(4);
    let (_epoch, incarnation) = rest.split_at(8);
    if found_cluster != cluster.0 {
        let mut found = [0; 16];
        found.copy_from_slice(found_cluster);
        return Err(OpenError::OtherCluster { found: ClusterId(found), expected: cluster });
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let found = NodeId(number(found_node));
    if found != node {
        return Err(OpenError::OtherMember { found, expected: node });
    }
    Ok((number(starts) as u32, Incarnation(number(incarnation))))
}

fn record_of(identity: &Identity) -> Bytes {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&identity.cluster.0);
    bytes.extend_from_slice(&identity.node.0.to_be_bytes());
    bytes.extend_from_slice(&identity.start.to_be_bytes());
    bytes.extend_from_slice(&identity.epoch.0.to_be_bytes());
    bytes.extend_from_slice(&identity.incarnation.0.to_be_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::fuzz_tests::{feed as fuzz, rounds};
    use crate::value::golden_tests::{check_bytes, unhex};

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    fn identity(entropy: u64) -> Identity {
        let (node, start) = (NodeId(3), 0x0102_0304);
        Identity { cluster: CLUSTER, node, epoch: Epoch(entropy), start, incarnation: Incarnation(!entropy) }
    }

    #[test]
    fn the_record_of_a_directory_has_its_old_bytes() {
        let (old, now) = (include_str!("golden/directory.hex"), identity(0x1112_1314_1516_1718));
        check_bytes(old, &record_of(&now));
        assert_eq!(check(&unhex(old), CLUSTER, now.node), Ok((now.start, now.incarnation)));
    }

    #[test]
    fn whatever_is_read_as_the_record_of_a_directory_is_that_of_this_member() {
        for round in 0..rounds() {
            let good = [identity(round), identity(u64::MAX)].map(|identity| record_of(&identity).to_vec());
            fuzz(round, &good, |bytes| {
                let (start, incarnation) = check(bytes, CLUSTER, NodeId(3)).ok()?;
                // The epoch of an earlier start is nobody's business.
                let epoch = Epoch(u64::from_be_bytes(bytes.get(29..37)?.try_into().ok()?));
                Some(record_of(&Identity { epoch, start, incarnation, ..identity(0) }).to_vec())
            });
        }
    }
}
