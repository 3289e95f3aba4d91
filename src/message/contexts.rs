//! Contexts: what a client has seen of one key, for the second step of a write.
//!
//! The coordinator of the first step makes them, the replica of the second opens them. A counter's context names the one
//! stamp and dot of the write, so the second step is the same write however often, and wherever, it is carried out. A
//! context is bound to its key and sealed by the cluster.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec::{self, Message};
use crate::causality::{Context, Dot};
use crate::sealed::{NotSealedHere, SealKey, Sealed};
use crate::storage::RowKey;
use crate::time::Hlc;
use crate::value::Row;

/// For a reset or a set-to-value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterContext {
    /// When the write happens.
    pub stamp: Hlc,
    /// Its dot: of a session with one event, made for it.
    pub dot: Dot,
    /// What it covers: entries and settled sum.
    pub seen: Row,
}

/// As they travel.
#[derive(Serialize, Deserialize)]
struct CounterPayload {
    row: RowKey,
    stamp: Hlc,
    dot: Dot,
    seen: Bytes,
}

#[derive(Serialize, Deserialize)]
struct SiblingPayload {
    row: RowKey,
    seen: Context,
}

impl CounterContext {
    /// Seals it for a client.
    pub fn seal(&self, key: &SealKey, row: &RowKey) -> Bytes {
        let payload = CounterPayload { row: row.clone(), stamp: self.stamp, dot: self.dot, seen: self.seen.encode() };
        seal(key, Sealed::CounterContext, &payload)
    }

    /// Opens what a client sent back for this row.
    pub fn open(key: &SealKey, row: &RowKey, context: &Bytes) -> Result<CounterContext, NotSealedHere> {
        let payload: CounterPayload = open(key, Sealed::CounterContext, context)?;
        let seen = Row::decode(&payload.seen).map_err(|_| NotSealedHere)?;
        let context = CounterContext { stamp: payload.stamp, dot: payload.dot, seen };
        (payload.row == *row).then_some(context).ok_or(NotSealedHere)
    }
}

/// Seals what was seen of the siblings of a row.
pub fn seal_siblings(key: &SealKey, row: &RowKey, seen: &Context) -> Bytes {
    seal(key, Sealed::SiblingContext, &SiblingPayload { row: row.clone(), seen: seen.clone() })
}

/// Opens what a client sent back for this row.
pub fn open_siblings(key: &SealKey, row: &RowKey, context: &Bytes) -> Result<Context, NotSealedHere> {
    let payload: SiblingPayload = open(key, Sealed::SiblingContext, context)?;
    (payload.row == *row).then_some(payload.seen).ok_or(NotSealedHere)
}

impl Message for CounterPayload {
    const KIND: u8 = 16;
}
impl Message for SiblingPayload {
    const KIND: u8 = 17;
}

fn seal<T: Message>(key: &SealKey, kind: Sealed, payload: &T) -> Bytes {
    let mut bytes = Vec::new();
    // Only a payload beyond the bound of a frame fails; its empty context is refused when it comes back.
    match codec::encode(payload, &mut bytes) {
        Ok(()) => key.seal(kind, bytes.get(codec::LENGTH_BYTES..).unwrap_or_default()),
        Err(_) => Bytes::new(),
    }
}

fn open<T: Message>(key: &SealKey, kind: Sealed, context: &Bytes) -> Result<T, NotSealedHere> {
    let payload = key.open(kind, context)?;
    codec::decode(&payload).map_err(|_| NotSealedHere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Epoch, Tenure, Tick};
    use crate::ids::Key;

    #[test]
    fn a_context_serves_its_own_key_only() {
        let key = SealKey([7; 32]);
        let row = |name: &str| RowKey::main(&Key::new(name.to_owned()).unwrap());
        let dot = Dot { actor: ActorId { expires: Tick(1), epoch: Epoch(2), tenure: Tenure::SESSION }, event: 1 };
        let context = CounterContext { stamp: Hlc { wall: 5, logical: 6 }, dot, seen: Row::default() };
        let sealed = context.seal(&key, &row("likes"));
        assert_eq!(CounterContext::open(&key, &row("likes"), &sealed), Ok(context));
        assert!(CounterContext::open(&key, &row("carts"), &sealed).is_err());
        let mut seen = Context::default();
        seen.observe(dot);
        let sealed = seal_siblings(&key, &row("cart"), &seen);
        assert_eq!(open_siblings(&key, &row("cart"), &sealed), Ok(seen));
        assert!(open_siblings(&key, &row("likes"), &sealed).is_err());
    }
}
