//! Names of things: newtypes, so that a partition can never be passed where a node is meant.
//!
//! Everyone uses them; they have no behaviour beyond printing themselves.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits;

/// A place in the cluster: one member of the layout. It stands in the member's certificate and in debts.
/// Never an actor: what a node *remembers* is named by [`crate::causality::ActorId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// The cluster that a message, a certificate or a data directory belongs to; random, made with the cluster.
/// In files that people read it is 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(#[serde(with = "hex_in_text")] pub [u8; 16]);

/// One of the Q equal ranges of slots; ownership is decided per partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

/// A client's number for one request on one connection; the answer carries it back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// A client connection of one node, numbered by the shell that accepted it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// One dialogue (a read, a write, an exchange …) of one shard in one start of its node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// Number of a sealed turn. Cumulative: when a ticket is durable, so is every smaller one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// Version of a row in one data directory: start number (high 24 bits) and a count of the shard's row changes
/// (low 40 bits). It grows with every change of a row and is never reused, not even after the row went and came back,
/// so an acknowledgement can be compared with what is owed. Never replicated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RowVersion(pub u64);

/// Random number of one data directory, made with it. A wiped disk comes back with another one, so that what was said
/// of the data that it lost counts no longer. A start is named by [`crate::causality::Epoch`], a directory by this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// A type with elements, each of which is a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CollectionKind {
    /// Members; adding wins over a removal that did not see it.
    Set,
    /// Fields, each a register and a counter.
    Map,
    /// Members with a score; the last score wins.
    SortedSet,
}

impl CollectionKind {
    /// All of them.
    pub const ALL: [CollectionKind; 3] = [CollectionKind::Set, CollectionKind::Map, CollectionKind::SortedSet];
}

/// A key as clients name it: 0 to [`limits::KEY_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Key(Bytes);

/// A key longer than [`limits::KEY_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key has {bytes} bytes, at most {} are allowed", limits::KEY_BYTES_MAX)]
pub struct KeyTooLong {
    /// Length of the refused key.
    pub bytes: usize,
}

impl Key {
    /// The key with these bytes, unless there are too many of them.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Key, KeyTooLong> {
        let bytes = bytes.into();
        if bytes.len() > limits::KEY_BYTES_MAX {
            return Err(KeyTooLong { bytes: bytes.len() });
        }
        Ok(Key(bytes))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bytes> for Key {
    type Error = KeyTooLong;
    fn try_from(bytes: Bytes) -> Result<Key, KeyTooLong> {
        Key::new(bytes)
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Bytes {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl PartitionId {
    /// Which of `shards` shards of a node keeps it, from 0. Nodes may have different numbers of shards.
    pub fn shard(self, shards: usize) -> usize {
        usize::from(self.0) % shards.max(1)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Sixteen bytes as hexadecimal text where people read it (TOML, JSON), as they are elsewhere.
mod hex_in_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&super::ClusterId(*bytes))
        } else {
            bytes.serialize(serializer)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 16]>::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten();
        number.map(u128::to_be_bytes).ok_or_else(|| D::Error::custom(format!("{text:?} is not 32 hexadecimal digits")))
    }
}

macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
debug_as_display!(NodeId, PartitionId, ClusterId);

macro_rules! debug_as_number {
    ($($name:ident $prefix:literal),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}
debug_as_number!(RequestId "request ", ConnectionId "connection ", OpId "op ", Ticket "ticket ", RowVersion "v", Incarnation "directory ");
