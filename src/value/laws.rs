//! The laws that every value must keep, in one place; every type's tests call them, `Row` on states that histories made.
//!
//! ```text
//! commutative   x ⊔ y = y ⊔ x
//! associative   (x ⊔ y) ⊔ z = x ⊔ (y ⊔ z)
//! idempotent    x ⊔ x = x,  (x ⊔ y) ⊔ y = x ⊔ y
//! delta         x ⊔ before ⊔ delta = x ⊔ after       for every x
//! encoding      decode(encode(x)) = x;   x = y  ⇔  encode(x) = encode(y)  ⇔  hash(x) = hash(y)
//! ```

use std::fmt::Debug;

use crdts::CvRDT;

use super::Row;

fn join<T: CvRDT + Clone>(x: &T, y: &T) -> T {
    let mut joined = x.clone();
    assert!(joined.validate_merge(y).is_ok(), "a merge is never refused");
    CvRDT::merge(&mut joined, y.clone());
    joined
}

/// Commutative, associative, idempotent.
pub fn check_merge<T: CvRDT + Clone + PartialEq + Debug>(x: &T, y: &T, z: &T) {
    let xy = join(x, y);
    assert_eq!(xy, join(y, x), "commutative");
    assert_eq!(join(&xy, z), join(x, &join(y, z)), "associative");
    assert_eq!(join(x, x), *x, "idempotent");
    assert_eq!(join(&xy, y), xy, "absorbs what it has");
}

/// A delta does for everyone what the whole state does.
pub fn check_delta<T: CvRDT + Clone + PartialEq + Debug>(before: &T, delta: &T, after: &T, other: &T) {
    assert_eq!(join(before, delta), *after, "the row contains its delta, and no more");
    assert_eq!(join(&join(other, before), delta), join(other, after), "delta-merge equals full merge");
}

/// `merge` says whether it changed anything, and says the truth.
pub fn check_reported_change(x: &Row, y: &Row) {
    let mut merged = x.clone();
    let changed = merged.merge(y);
    assert_eq!(changed, merged != *x, "merge reports a change exactly if there was one");
}

/// Bytes and hashes stand for states.
pub fn check_encoding(x: &Row, y: &Row) {
    let (bytes_x, bytes_y) = (x.encode(), y.encode());
    assert_eq!(Row::decode(&bytes_x).as_ref(), Ok(x), "decode reverses encode");
    assert_eq!(x == y, bytes_x == bytes_y, "equal states, equal bytes");
    assert_eq!(x == y, x.state_hash() == y.state_hash(), "equal states, equal hashes");
    assert_eq!(x.state_hash(), Row::state_hash_of(&bytes_x), "the hash of the bytes is the hash of the state");
    assert_eq!(x.is_empty(), bytes_x.is_empty(), "only an empty row has no bytes");
}
