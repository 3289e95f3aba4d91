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
