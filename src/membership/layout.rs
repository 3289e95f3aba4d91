//! The layout: the members of the cluster, what they share, and the epoch under which that was decided.
//!
//! Made once, by `starling-node init-cluster` (epoch 1), and fixed from then on. Requests never compute with it: a
//! [`crate::ring::RingView`] is built from it once and looked up.

use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, NodeId};
use crate::limits;

/// One member: a place in the cluster, with the address its peers and clients dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Never given to another member.
    pub id: NodeId,
    /// What people call it: `a`, `berlin-1`. Unique in the layout.
    pub name: String,
    /// `host:port` of its QUIC door.
    pub address: String,
    /// Share of the data relative to the other members. 1 is normal, 0 carries none.
    pub weight: u32,
    /// Replicas are placed in distinct zones while there are enough. Empty: a zone of its own.
    pub zone: String,
}

/// How many nodes after the owners may stand in for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallbacks {
    /// This many; 2 is the default.
    Next(u8),
    /// Every other member: a write needs only W members of the whole cluster.
    All,
}

/// Which decision a layout is. Ordered by number; equal numbers with different content are a fault that is alarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LayoutEpoch {
    /// 1 at creation, then one more per committed change.
    pub number: u64,
    /// xxh3 of the content. Hexadecimal in files that people read: TOML has no number this large.
    #[serde(with = "hash_in_text")]
    pub content: u64,
    /// Content hash of the layout before; 0 for the first.
    #[serde(with = "hash_in_text")]
    pub parent: u64,
}

/// The committed layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Random, made with the cluster: a message of another cluster is refused.
    pub cluster: ClusterId,
    /// What people call the cluster.
    pub name: String,
    /// Which decision this is.
    pub epoch: LayoutEpoch,
    /// N: owners per partition.
    pub replicas: u8,
    /// Q: partitions, a power of two up to 16384.
    pub partitions: u16,
    /// F: stand-ins per partition.
    pub fallbacks: Fallbacks,
    /// R where a request names none.
    pub read_quorum: u8,
    /// W where a request names none.
    pub write_quorum: u8,
    /// Version of the placement hash and walk; golden vectors pin each.
    pub placement: u8,
    /// In the order of their ids.
    pub members: Vec<Member>,
}

/// A layout that cannot be: says which part and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the layout is refused: {0}")]
pub struct LayoutError(pub String);

impl Layout {
    /// The placement version that this code computes.
    pub const PLACEMENT: u8 = 1;

    /// Layout epoch 1 of a new cluster, with N = 3 (or the number of members, if smaller), Q = 256, F = 2, and
    /// majorities for R and W. Change the fields, then [`Layout::seal`] it.
    pub fn founding(cluster: ClusterId, name: &str, members: Vec<Member>) -> Layout {
        let replicas = u8::try_from(members.len()).unwrap_or(u8::MAX).min(3);
        Layout {
            cluster,
            name: name.to_owned(),
            epoch: LayoutEpoch { number: 1, content: 0, parent: 0 },
            replicas,
            partitions: 256,
            fallbacks: Fallbacks::Next(2),
            read_quorum: replicas / 2 + 1,
            write_quorum: replicas / 2 + 1,
            placement: Layout::PLACEMENT,
            members,
        }
    }

    /// Checks the layout and writes the hash of its content into its epoch.
    pub fn seal(mut self) -> Result<Layout, LayoutError> {
        self.check()?;
        self.epoch.content = self.content_hash();
        Ok(self)
    }

    /// Checks a layout that was read from a file or a peer, its hash included.
    pub fn validate(&self) -> Result<(), LayoutError> {
        self.check()?;
        if self.epoch.content != self.content_hash() {
            return Err(LayoutError("its content does not have the hash that its epoch names".into()));
        }
        Ok(())
    }

    /// The member with this id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The member that people call so.
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    fn check(&self) -> Result<(), LayoutError> {
        let refuse = |text: String| Err(LayoutError(text));
        if self.members.is_empty() || self.members.len() > limits::MEMBERS_MAX {
            return refuse(format!("{} members, 1 to {} are possible", self.members.len(), limits::MEMBERS_MAX));
        }
        for pair in self.members.windows(2) {
            if let [first, second] = pair
                && first.id >= second.id
            {
                return refuse(format!("member ids {} and {} are not in growing order", first.id, second.id));
            }
        }
        for (index, member) in self.members.iter().enumerate() {
            if member.name.is_empty() || member.address.is_empty() {
                return refuse(format!("member {} lacks a name or an address", member.id));
            }
            if self.members.iter().skip(index + 1).any(|other| other.name == member.name) {
                return refuse(format!("two members are called {:?}", member.name));
            }
            if self.members.iter().skip(index + 1).any(|other| other.address == member.address) {
                return refuse(format!("two members have the address {}", member.address));
            }
        }
        if self.members.iter().all(|member| member.weight == 0) {
            return refuse("every member has weight 0; give at least one a weight of 1".into());
        }
        let weights: u64 = self.members.iter().map(|member| u64::from(member.weight)).sum();
        if weights > limits::WEIGHT_SUM_MAX {
            return refuse(format!(
                "the weights add up to {weights}, at most {} is possible; use smaller ones in the same proportion",
                limits::WEIGHT_SUM_MAX
            ));
        }
        let carriers = self.members.iter().filter(|member| member.weight > 0).count();
        if self.replicas == 0 || usize::from(self.replicas) > carriers {
            return refuse(format!("{} replicas, {carriers} members can carry one", self.replicas));
        }
        if !self.partitions.is_power_of_two() || self.partitions > limits::SLOTS {
            return refuse(format!("{} partitions, a power of two up to {} is needed", self.partitions, limits::SLOTS));
        }
        for (what, quorum) in [("read", self.read_quorum), ("write", self.write_quorum)] {
            if quorum == 0 || quorum > self.replicas {
                return refuse(format!("a {what} quorum of {quorum}, 1 to {} are possible", self.replicas));
            }
        }
        if self.placement != Layout::PLACEMENT {
            return refuse(format!("placement version {}, this program knows {}", self.placement, Layout::PLACEMENT));
        }
        Ok(())
    }

    /// xxh3 over every field but the epoch's own hash, in a fixed big-endian form.
    fn content_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        let text = |bytes: &mut Vec<u8>, value: &str| {
            bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
            bytes.extend_from_slice(value.as_bytes());
        };
        bytes.extend_from_slice(&self.cluster.0);
        text(&mut bytes, &self.name);
        bytes.extend_from_slice(&self.epoch.number.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.parent.to_be_bytes());
        let fallbacks = match self.fallbacks {
            Fallbacks::Next(count) => u16::from(count),
            Fallbacks::All => u16::MAX,
        };
        bytes.extend_from_slice(&[self.replicas, self.read_quorum, self.write_quorum, self.placement]);
        bytes.extend_from_slice(&self.partitions.to_be_bytes());
        bytes.extend_from_slice(&fallbacks.to_be_bytes());
        for member in &self.members {
            bytes.extend_from_slice(&member.id.0.to_be_bytes());
            bytes.extend_from_slice(&member.weight.to_be_bytes());
            text(&mut bytes, &member.name);
            text(&mut bytes, &member.address);
            text(&mut bytes, &member.zone);
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

/// A hash as hexadecimal text where people read it (TOML, JSON), as a number elsewhere.
mod hash_in_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{hash:016x}"))
        } else {
            hash.serialize(serializer)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(|_| D::Error::custom(format!("{text:?} is not a hexadecimal hash")))
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
