//! What comes back for a request about a key.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::RequestError;
use crate::causality::{Tick, VersionVector};
use crate::config::Durability;
use crate::ids::{NodeId, PartitionId};
use crate::value::Visible;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Get`.
    Value(ValueReply),
    /// To every command that writes: applied.
    Written(WriteReply),
    /// To `Observe` and `Siblings`.
    Observed(ObservedReply),
    /// To `Collection` reads.
    Page(PageReply),
    /// To `Inspect`.
    Inspected(ReplicaView),
    /// To `Locate`.
    Located(Location),
    /// Not done, or not known to be done.
    Failed(RequestError),
}

/// Answer to a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueReply {
    /// The merged value.
    pub value: Visible,
    /// Fewer than R owners answered: there may be writes that nobody on this side has.
    pub partial: bool,
    /// Two types are live, or a text stands beside increments that it did not see. A delete covers all of it; a put covers
    /// increments only.
    pub conflict: bool,
    /// Whose answers were merged.
    pub answered: Vec<NodeId>,
    /// Every write that an owner held this long ago is in the answer; what owners took since then may be missing. It is 0 if
    /// all owners answered, else the time since those that answered have exchanged the partition with those that did not.
    /// `None`: not known of one of these (no exchange since a restart). It says nothing of writes that only fallbacks hold,
    /// because no owner could be reached where they were made; and a clock that is set back makes it too small.
    /// Unit: milliseconds.
    pub stale_ms: Option<u64>,
    /// The request's token, which now has seen this value.
    pub token: Option<Bytes>,
}

/// Answer to the first step of a write that can be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedReply {
    /// The merged value; of `Siblings` all concurrent values.
    pub value: Visible,
    /// What was seen, for the second step. Opaque, of this cluster only.
    pub context: Bytes,
    /// Fewer than R owners answered.
    pub partial: bool,
    /// The request's token, which now has seen this.
    pub token: Option<Bytes>,
}

/// Answer to a read of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReply {
    /// Elements with their values, in the order of their bytes: those that are in the collection.
    pub elements: Vec<(Bytes, Visible)>,
    /// Of these, the fields of a map in which a text stands beside increments that it did not see. A put or a removal covers
    /// them.
    #[serde(default)]
    pub conflicts: Vec<Bytes>,
    /// Where the next page begins (exclusive); `None`: this was the last.
    pub next: Option<Bytes>,
    /// Elements of the whole collection: an estimate while writes are on their way.
    pub size: u64,
    /// Fewer than R owners answered.
    pub partial: bool,
    /// The request's token, which now has seen the elements that were named; with pages and sizes no token may go.
    pub token: Option<Bytes>,
}

/// Answer to a write that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReply {
    /// What the coordinator's replica shows after the write: an estimate while other writes are on their way.
    pub value: Visible,
    /// Who holds the write, and how safely; none if nothing had to be written. Where elements were removed page by page:
    /// who holds the page that the fewest hold; other pages may be held by others, each by as many at least.
    pub acks: Vec<WriteAck>,
    /// Elements that a delete has removed, page by page. Unit: elements.
    #[serde(default)]
    pub removed: u64,
    /// A covering operation saw fewer than R owners.
    pub partial: bool,
    /// The request's token, which now has seen this write.
    pub token: Option<Bytes>,
}

/// One node that holds a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteAck {
    /// The node.
    pub node: NodeId,
    /// How safely.
    pub durability: Durability,
    /// An owner; else a fallback that holds a hint.
    pub is_owner: bool,
}

/// One replica's own view of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaView {
    /// Whose view.
    pub node: NodeId,
    /// Whether the key belongs to that node.
    pub is_owner: bool,
    /// An owner that has not yet taken over its data.
    pub is_newborn: bool,
    /// What this replica alone shows.
    pub value: Visible,
    /// Sum of the counter alone, exact, as decimal text (it may exceed an i64).
    pub counter: String,
    /// Every write that the row has seen.
    pub seen: VersionVector,
    /// Owners to whom this node owes the row.
    pub owes: Vec<NodeId>,
    /// Hash of the causal state of the key's rows, elements too: equal hashes, equal replicas. Replicas that have not settled
    /// equally far differ in it, though they may show the same. Hexadecimal.
    pub state_hash: String,
    /// Rows of elements that are in the hash.
    #[serde(default)]
    pub compared_elements: u64,
    /// There are more than [`crate::limits::INSPECTED_ELEMENTS_MAX`] elements; the rest is not in the hash.
    #[serde(default)]
    pub leaves_out_elements: bool,
    /// How far the key's partition is settled here: entries.
    #[serde(default)]
    pub compacted: Tick,
    /// The same of baselines.
    #[serde(default)]
    pub folded: Tick,
}

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Redis Cluster hash slot.
    pub slot: u16,
    /// Partition of the ring.
    pub partition: PartitionId,
    /// Owners in order of preference.
    pub owners: Vec<NodeId>,
    /// Fallbacks in order of preference.
    pub fallbacks: Vec<NodeId>,
}
