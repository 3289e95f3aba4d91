//! The layout: the members of the cluster, what they share, and the epoch under which that was decided.
//!
//! Made by `starling-node init-cluster` (epoch 1). Requests never compute with it: a [`crate::ring::RingView`] is built from
//! it once and looked up.
//!
//! A change of the members is a chain of layouts, each the next in number, one [`Phase`] each ([`phase`]). Who changes what
//! is a [`Plan`] of [`Change`]s ([`change`]).
//!
//! | file | what |
//! |---|---|
//! | this one | the types |
//! | [`phase`] | the phases of a change, and how one follows the other |
//! | [`change`] | what an operator asks for, applied to a layout or refused with the reason |
//! | [`paxos`] | agreement on the next layout, as a machine; [`crate::council`] runs it |
//! | `losses` | what a loss leaves to be done: empty places, changes taken back, layouts without a majority |
//! | `committed` | a decided layout with its past |
//! | `owner_table` | owners written down, of placement version 2 |
//! | `check` | which layouts can be |
//! | `hash` | the hash of the content |

pub mod change;
mod check;
mod committed;
mod draft;
mod hash;
pub(crate) mod losses;
mod owner_table;
pub mod paxos;
pub mod phase;
#[cfg(test)]
pub(crate) mod samples;

pub use change::{Change, ChangeError, Plan};
pub use committed::{Committed, Descent};
pub use owner_table::OwnerTable;
pub use phase::{Before, Fenced, Forced, PartitionRun, Phase};

use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, NodeId};

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
    /// The member whose place on the ring it took over (`replace`): its virtual nodes are those of that id. `None`: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<NodeId>,
    /// Carries nothing in the placement that is to come, and leaves the layout when the change is through.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl Member {
    /// A member of weight 1, in a zone of its own.
    pub fn new(id: NodeId, name: impl Into<String>, address: impl Into<String>) -> Member {
        Member {
            id,
            name: name.into(),
            address: address.into(),
            weight: 1,
            zone: String::new(),
            place: None,
            leaving: false,
        }
    }

    /// Whether partitions are placed on it.
    pub fn carries(&self) -> bool {
        self.weight > 0 && !self.leaving
    }

    /// The id whose virtual nodes it has.
    pub fn place(&self) -> NodeId {
        self.place.unwrap_or(self.id)
    }
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

impl LayoutEpoch {
    /// Whether another one cannot have been decided beside this one, as far as two neighbours in number tell.
    pub fn rivals(&self, other: LayoutEpoch) -> bool {
        match other.number.checked_sub(self.number) {
            Some(0) => self.content != other.content,
            Some(1) => other.parent != self.content,
            Some(_) => false,
            None => self.number - other.number == 1 && self.parent != other.content,
        }
    }
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
    /// In the order of their ids. While a change is under way: those of the placement that is to come, and the leaving ones.
    pub members: Vec<Member>,
    /// How far a change of the members is.
    #[serde(default, skip_serializing_if = "Phase::is_steady")]
    pub phase: Phase,
    /// The placement from which a change moves away; there unless the phase is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Before>>,
    /// Who decides on the next layout, in the order of their ids, at most [`crate::limits::VOTERS_MAX`]. Empty: see
    /// [`Layout::voters`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voters: Vec<NodeId>,
    /// Members that may never speak again under their id, in the order of their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fenced: Vec<Fenced>,
    /// The owners of every partition, where they are not what the members alone give: placement version 2, after a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Box<OwnerTable>>,
    /// Set if this layout was made without a majority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
}

/// A layout that cannot be: says which part and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the layout is refused: {0}")]
pub struct LayoutError(pub String);

impl Layout {
    /// The version of the placement of new clusters; older ones keep theirs, which this code computes as well.
    pub const PLACEMENT: u8 = 2;

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
            phase: Phase::Steady,
            before: None,
            voters: Vec::new(),
            fenced: Vec::new(),
            owners: None,
            forced: None,
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
