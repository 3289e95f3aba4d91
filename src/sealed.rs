//! Contexts and tokens: bytes that a client keeps for the cluster, sealed so that nobody else can make them.
//!
//! ```text
//! version u8 │ kind u8 │ keyed hash of (kind, payload), 16 bytes │ payload
//! ```
//!
//! The key is the cluster's own and stands in its members' bundles; so what was forged, cut or made by another cluster is
//! refused alike, before it is decoded. Source: BLAKE3 in its keyed mode.

use bytes::Bytes;

use crate::limits;

/// The key that the members of a cluster share.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey(pub [u8; 32]);

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sealed {
    /// What a reset or a set-to-value covers.
    CounterContext = 1,
    /// Which siblings a put replaces.
    SiblingContext = 2,
    /// What a client's session has seen.
    SessionToken = 3,
}

/// Not sealed by this cluster, or not for this use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this cluster for this use")]
pub struct NotSealedHere;

const VERSION: u8 = 1;
const HASH_BYTES: usize = 16;
const HEAD_BYTES: usize = 2 + HASH_BYTES;

/// Text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("64 hexadecimal digits are expected, and not all of them zero")]
pub struct NotAKey;

impl SealKey {
    /// Reads a key as it stands in a bundle: 64 hexadecimal digits, perhaps with white space around them. Zero is refused:
    /// it is what experiments use, and everybody knows it.
    pub fn from_hex(text: &str) -> Result<SealKey, NotAKey> {
        let digits = text.trim().as_bytes();
        let mut key = [0; 32];
        if digits.len() != 2 * key.len() {
            return Err(NotAKey);
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or(NotAKey)?;
                *byte = *byte << 4 | value as u8;
            }
        }
        if key == [0; 32] { Err(NotAKey) } else { Ok(SealKey(key)) }
    }

    /// As it stands in a bundle.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seals a payload.
    pub fn seal(&self, kind: Sealed, payload: &[u8]) -> Bytes {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
        bytes.extend_from_slice(&[VERSION, kind as u8]);
        bytes.extend_from_slice(&self.hash(kind, payload));
        bytes.extend_from_slice(payload);
        bytes.into()
    }

    /// The payload, if this cluster sealed it for this use.
    pub fn open(&self, kind: Sealed, sealed: &Bytes) -> Result<Bytes, NotSealedHere> {
        let payload = match sealed.get(HEAD_BYTES..) {
            Some(payload) if sealed.len() <= limits::CONTEXT_BYTES_MAX => payload,
            _ => return Err(NotSealedHere),
        };
        let head = [&[VERSION, kind as u8][..], &self.hash(kind, payload)].concat();
        if sealed.starts_with(&head) { Ok(sealed.slice(HEAD_BYTES..)) } else { Err(NotSealedHere) }
    }

    fn hash(&self, kind: Sealed, payload: &[u8]) -> [u8; HASH_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[kind as u8]).update(payload);
        let mut hash = [0; HASH_BYTES];
        hasher.finalize_xof().fill(&mut hash);
        hash
    }
}

/// The key itself is never printed.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_digits_and_nothing_else_is_one() {
        let key = SealKey(std::array::from_fn(|place| place as u8 * 7));
        assert_eq!(SealKey::from_hex(&format!("{}\n", key.to_hex())), Ok(key.clone()));
        let (hex, zeros) = (key.to_hex(), "0".repeat(64));
        for text in ["", &hex[1..], &format!("{hex}0"), &hex.replace('e', "g"), &zeros, &"ü".repeat(32)] {
            assert_eq!(SealKey::from_hex(text), Err(NotAKey), "{text:?}");
        }
    }

    #[test]
    fn only_the_own_cluster_opens_what_was_sealed_and_only_whole() {
        let (own, other) = (SealKey([1; 32]), SealKey([2; 32]));
        let sealed = own.seal(Sealed::CounterContext, b"what was seen");
        assert_eq!(own.open(Sealed::CounterContext, &sealed).as_deref(), Ok(&b"what was seen"[..]));
        assert_eq!(own.open(Sealed::SiblingContext, &sealed), Err(NotSealedHere));
        assert_eq!(other.open(Sealed::CounterContext, &sealed), Err(NotSealedHere));
        for length in 0..sealed.len() {
            assert_eq!(own.open(Sealed::CounterContext, &sealed.slice(..length)), Err(NotSealedHere));
        }
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(own.open(Sealed::CounterContext, &forged.into()), Err(NotSealedHere));
        }
    }
}
