//! What a node keeps on disk of layouts: the decided one, its vote on the next, and its plan.
//!
//! Envelopes as messages have them, without the length: version, kind, and fields with their names, so that a later program
//! reads what an earlier one wrote. Golden files pin each.

use bytes::Bytes;

use crate::membership::layout::paxos::Acceptor;
use crate::membership::{Committed, Layout, Plan};
use crate::message::codec::{self, CodecError, Message};
use crate::replica::OpenError;
use crate::storage::{Space, Store, keyspace};

impl Message for Committed {
    const KIND: u8 = 32;
}
impl Message for Acceptor<Layout> {
    const KIND: u8 = 33;
}
impl Message for Plan {
    const KIND: u8 = 34;
}

/// The bytes of a record. Refused above the bound of a frame.
pub(super) fn encode<M: Message>(record: &M) -> Result<Bytes, CodecError> {
    let mut bytes = Vec::new();
    codec::encode(record, &mut bytes)?;
    Ok(Bytes::from(bytes.split_off(codec::LENGTH_BYTES)))
}

/// Reads a record; an empty one is none.
pub(super) fn fetch<M: Message>(store: &dyn Store, key: &Bytes, detail: &'static str) -> Result<Option<M>, OpenError> {
    match store.fetch(Space::Meta, key)? {
        Some(bytes) if !bytes.is_empty() => {
            codec::decode(&bytes).map(Some).map_err(|_| OpenError::Malformed { detail })
        }
        _ => Ok(None),
    }
}

/// The decided layout that a node has kept, with its past.
pub(super) fn stored_committed(store: &dyn Store) -> Result<Option<Committed>, OpenError> {
    let detail = "the layout that was decided last";
    let committed: Option<Committed> = fetch(store, &keyspace::layout_key(), detail)?;
    match committed {
        Some(committed) if committed.validate().is_err() => Err(OpenError::Malformed { detail }),
        committed => Ok(committed),
    }
}

/// The newest layout that a node has taken up. A start takes it instead of the bundle's, unless that one is newer.
pub fn stored_layout(store: &dyn Store) -> Result<Option<Layout>, OpenError> {
    Ok(stored_committed(store)?.map(|committed| committed.layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::Epoch;
    use crate::ids::NodeId;
    use crate::membership::layout::paxos::{Ask, Ballot};
    use crate::membership::layout::samples::{founded, member};
    use crate::membership::{Change, LayoutEpoch};
    use crate::storage::Batch;
    use crate::storage::memory::MemoryStore;
    use crate::value::golden_tests::{check_bytes, unhex};

    fn committed() -> Committed {
        let mut layout = founded(2, 4);
        layout.placement = 1;
        let first = Committed::first(layout.seal().unwrap());
        let mut next = first.layout.clone();
        next.epoch = LayoutEpoch { number: 2, content: 0, parent: first.layout.epoch.content };
        next.voters = vec![NodeId(1), NodeId(2)];
        first.followed_by(next.seal().unwrap())
    }

    fn vote() -> Acceptor<Layout> {
        let mut vote = Acceptor::new(2);
        let ballot = Ballot { round: 3, node: NodeId(2), start: Epoch(7) };
        vote.on_ask(&Ask { number: 2, ballot, value: Some(committed().layout) });
        vote
    }

    fn plan() -> Plan {
        let changes = vec![Change::Join(member(9)), Change::Fence(NodeId(1))];
        Plan { base: committed().layout.epoch, changes, accepts_loss: true }
    }

    #[test]
    fn the_record_of_a_decided_layout_has_its_old_bytes() {
        check_bytes(include_str!("golden/committed_1.hex"), &encode(&committed()).unwrap());
    }

    #[test]
    fn the_record_of_a_vote_has_its_old_bytes() {
        check_bytes(include_str!("golden/vote_1.hex"), &encode(&vote()).unwrap());
    }

    #[test]
    fn the_record_of_a_plan_has_its_old_bytes() {
        check_bytes(include_str!("golden/plan_1.hex"), &encode(&plan()).unwrap());
    }

    fn read<M: Message>(record: Bytes) -> Result<Option<M>, OpenError> {
        let store = MemoryStore::new(1);
        let mut batch = Batch::default();
        batch.put(Space::Meta, keyspace::layout_key(), record);
        store.write(&batch).unwrap();
        fetch(&store, &keyspace::layout_key(), "what was written")
    }

    #[test]
    fn records_of_old_programs_are_read() {
        let old = |hex: &str| Bytes::from(unhex(hex));
        assert_eq!(read(old(include_str!("golden/committed_1.hex"))), Ok(Some(committed())));
        assert_eq!(read(old(include_str!("golden/vote_1.hex"))), Ok(Some(vote())));
        assert_eq!(read(old(include_str!("golden/plan_1.hex"))), Ok(Some(plan())));
        assert_eq!(read::<Plan>(Bytes::new()), Ok(None), "a plan that was dropped");
    }

    #[test]
    fn a_record_that_is_damaged_or_of_another_kind_is_refused() {
        let good = encode(&committed()).unwrap();
        assert!(read::<Plan>(good.clone()).is_err());
        assert!(read::<Committed>(good.slice(..good.len() - 1)).is_err());
    }

    #[test]
    fn a_layout_that_does_not_have_its_hash_is_not_started_with() {
        let mut wrong = committed();
        wrong.layout.epoch.content ^= 1;
        let store = MemoryStore::new(1);
        let mut batch = Batch::default();
        batch.put(Space::Meta, keyspace::layout_key(), encode(&wrong).unwrap());
        store.write(&batch).unwrap();
        assert!(matches!(stored_layout(&store), Err(OpenError::Malformed { .. })));
    }
}
