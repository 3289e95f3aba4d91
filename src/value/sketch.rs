//! The sketch: how many distinct items were added, estimated (HyperLogLog).
//!
//! ```text
//! generation   stamp of the last deletion, or none        the larger wins whole
//! latest       stamp of the last write of the generation  the larger
//! registers    2^14 numbers of 6 bits                     pointwise the larger
//! ```
//!
//! An item's hash picks a register and offers it the length of a run of zeros; the largest offer stays. So adding is
//! idempotent and commutes, and two sketches merge to that of the union. The standard error is 0.81 %. A deletion begins a
//! new generation, and additions that did not see it go with the old one.
//!
//! Encoding (field kind 7): `has generation u8 │ [stamp 36] │ stamp 36 │ form u8 │ registers`. Form 0: none. Form 1, up to 4,095
//! registers: `(number u16 │ value u8)*`, ascending. Form 2, more: 12,288 bytes, four registers in three bytes.
//!
//! The hash and everything about the registers is pinned: sketches on disk outlive programs.
//!
//! Source: Flajolet et al. (2007); the estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (2017), which needs no correction by tables.

use super::error::DecodeError;
use super::register::Stamp;
use super::wire::Reader;
use crate::causality::ActorId;
use crate::time::Hlc;

/// Bits of the hash that pick the register.
const INDEX_BITS: u32 = 14;

/// Registers of a sketch.
const REGISTERS: usize = 1 << INDEX_BITS;

/// Largest value of a register: the run of zeros in what is left of the hash, and one.
const VALUE_MAX: u8 = (64 - INDEX_BITS + 1) as u8;

/// Most registers that stand as pairs; with more, all of them packed take less room.
const PAIRS_MAX: usize = 4095;

/// Bytes of all registers, packed.
const PACKED_BYTES: usize = REGISTERS / 4 * 3;

/// A sketch; the default is one that was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch(Option<Content>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    generation: Option<Stamp>,
    latest: Stamp,
    registers: Registers,
}

/// The registers that are not zero. Which form it is, their number says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Registers {
    /// Number and value, ascending.
    Pairs(Vec<(u16, u8)>),
    /// All of them.
    All(Box<[u8]>),
}

impl Sketch {
    /// A sketch of these items, within the generation of `self`: what an addition has to send.
    pub fn delta(&self, stamp: Stamp, items: impl IntoIterator<Item: AsRef<[u8]>>) -> Sketch {
        let mut pairs: Vec<(u16, u8)> = items.into_iter().map(|item| offer(item.as_ref())).collect();
        pairs.sort_unstable_by_key(|(number, value)| (*number, std::cmp::Reverse(*value)));
        pairs.dedup_by_key(|(number, _)| *number);
        if pairs.is_empty() {
            return Sketch::default();
        }
        let generation = self.0.as_ref().and_then(|content| content.generation);
        Sketch(Some(Content { generation, latest: stamp, registers: Registers::of_pairs(pairs) }))
    }

    /// A new, empty generation: a deletion.
    pub fn cleared(stamp: Stamp) -> Sketch {
        Sketch(Some(Content { generation: Some(stamp), latest: stamp, registers: Registers::Pairs(Vec::new()) }))
    }

    /// Whether nobody ever wrote it.
    pub fn is_unwritten(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it holds an item.
    pub fn is_live(&self) -> bool {
        self.0.as_ref().is_some_and(|content| !content.registers.is_empty())
    }

    /// When it was deleted, if it holds nothing since.
    pub fn tombstone(&self) -> Option<&Stamp> {
        self.0.as_ref().filter(|content| content.registers.is_empty()).map(|content| &content.latest)
    }

    /// The last write.
    pub fn latest(&self) -> Option<&Stamp> {
        self.0.as_ref().map(|content| &content.latest)
    }

    /// Every actor with an event that the sketch names.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let stamps = self.0.iter().flat_map(|content| content.generation.iter().chain([&content.latest]));
        stamps.map(|stamp| (stamp.actor, stamp.event))
    }

    /// The largest clock reading that the sketch names.
    pub fn hlc(&self) -> Hlc {
        self.0
            .iter()
            .flat_map(|content| content.generation.iter().chain([&content.latest]))
            .map(|stamp| stamp.hlc)
            .max()
            .unwrap_or_default()
    }

    /// About how many distinct items were added.
    pub fn estimate(&self) -> u64 {
        self.0.as_ref().map_or(0, |content| content.registers.estimate())
    }

    /// Merges. Returns whether anything changed.
    pub fn merge(&mut self, other: &Sketch) -> bool {
        let Some(theirs) = &other.0 else { return false };
        match &mut self.0 {
            Some(ours) if ours.generation == theirs.generation => {
                let is_later = theirs.latest > ours.latest;
                if is_later {
                    ours.latest = theirs.latest;
                }
                ours.registers.merge(&theirs.registers) || is_later
            }
            Some(ours) if ours.generation > theirs.generation => false,
            Some(_) | None => {
                self.clone_from(other);
                true
            }
        }
    }

    /// Whether a merge of `incoming` would change anything although nothing in it is newer than this tick.
    pub fn is_touched_by(&self, incoming: &Sketch, frozen: crate::causality::Tick) -> bool {
        incoming.latest().is_some_and(|latest| latest.actor.expires <= frozen) && self.clone().merge(incoming)
    }
}

impl Registers {
    fn of_pairs(pairs: Vec<(u16, u8)>) -> Registers {
        if pairs.len() <= PAIRS_MAX {
            return Registers::Pairs(pairs);
        }
        let mut all = vec![0; REGISTERS].into_boxed_slice();
        for (number, value) in pairs {
            raise(&mut all, number, value);
        }
        Registers::All(all)
    }

    fn is_empty(&self) -> bool {
        matches!(self, Registers::Pairs(pairs) if pairs.is_empty())
    }

    fn merge(&mut self, other: &Registers) -> bool {
        match (&mut *self, other) {
            (Registers::All(ours), Registers::All(theirs)) => {
                let mut changed = false;
                for (ours, theirs) in ours.iter_mut().zip(theirs.iter()) {
                    changed |= theirs > ours;
                    *ours = (*ours).max(*theirs);
                }
                changed
            }
            (Registers::All(ours), Registers::Pairs(theirs)) => {
                theirs.iter().fold(false, |changed, (number, value)| raise(ours, *number, *value) || changed)
            }
            (Registers::Pairs(ours), Registers::All(theirs)) => {
                let mut all = theirs.clone();
                for (number, value) in ours.iter() {
                    raise(&mut all, *number, *value);
                }
                *self = Registers::All(all);
                true
            }
            (Registers::Pairs(ours), Registers::Pairs(theirs)) => {
                let mut changed = false;
                let mut missing = Vec::new();
                for (number, value) in theirs {
                    match ours.binary_search_by_key(number, |(number, _)| *number) {
                        Ok(place) => {
                            if let Some((_, known)) = ours.get_mut(place).filter(|(_, known)| *known < *value) {
                                *known = *value;
                                changed = true;
                            }
                        }
                        Err(_) => missing.push((*number, *value)),
                    }
                }
                if !missing.is_empty() {
                    let mut pairs = std::mem::take(ours);
                    pairs.append(&mut missing);
                    pairs.sort_unstable_by_key(|(number, _)| *number);
                    *self = Registers::of_pairs(pairs);
                    changed = true;
                }
                changed
            }
        }
    }

    /// Ertl's estimator: `α m² / (m σ(zeros / m) + Σ count(k) 2^-k + m τ(1 − full / m) 2^-q)`.
    fn estimate(&self) -> u64 {
        let mut counts = [0u32; VALUE_MAX as usize + 1];
        let mut count = |value: u8| {
            if let Some(count) = counts.get_mut(usize::from(value)) {
                *count += 1;
            }
        };
        match self {
            Registers::Pairs(pairs) => {
                pairs.iter().for_each(|(_, value)| count(*value));
                (pairs.len()..REGISTERS).for_each(|_| count(0));
            }
            Registers::All(all) => all.iter().for_each(|value| count(*value)),
        }
        let m = REGISTERS as f64;
        let [zeros, between @ .., full] = counts;
        if zeros as usize == REGISTERS {
            return 0;
        }
        let mut sum = m * tau(1.0 - f64::from(full) / m);
        for count in between.iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += m * sigma(f64::from(zeros) / m);
        // α for infinitely many registers: 1 / (2 ln 2).
        (m * m / (2.0 * std::f64::consts::LN_2) / sum).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum == before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        y *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * y;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// Which register an item goes to, and what it offers.
fn offer(item: &[u8]) -> (u16, u8) {
    let hash = xxhash_rust::xxh3::xxh3_64(item);
    let rest = hash << INDEX_BITS;
    let value = (rest.leading_zeros() as u8 + 1).min(VALUE_MAX);
    ((hash >> (64 - INDEX_BITS)) as u16, value)
}

fn raise(all: &mut [u8], number: u16, value: u8) -> bool {
    match all.get_mut(usize::from(number)) {
        Some(known) if *known < value => {
            *known = value;
            true
        }
        Some(_) | None => false,
    }
}

const NONE: u8 = 0;
const PAIRS: u8 = 1;
const ALL: u8 = 2;

/// Bytes.
impl Sketch {
    /// Bytes that [`Sketch::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        let Some(Content { generation, registers, .. }) = &self.0 else { return 0 };
        let registers = match registers {
            Registers::Pairs(pairs) => pairs.len() * 3,
            Registers::All(_) => PACKED_BYTES,
        };
        let stamps = if generation.is_some() { 2 } else { 1 };
        1 + stamps * Stamp::BYTES + 1 + registers
    }

    /// Appends the sketch, if it was written.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(Content { generation, latest, registers }) = &self.0 else { return };
        out.push(generation.is_some().into());
        if let Some(generation) = generation {
            generation.encode(out);
        }
        latest.encode(out);
        match registers {
            Registers::Pairs(pairs) => {
                out.push(if pairs.is_empty() { NONE } else { PAIRS });
                for (number, value) in pairs {
                    out.extend_from_slice(&number.to_be_bytes());
                    out.push(*value);
                }
            }
            Registers::All(all) => {
                out.push(ALL);
                for four in all.chunks_exact(4) {
                    let packed = four.iter().fold(0u32, |packed, value| packed << 6 | u32::from(*value));
                    out.extend(packed.to_be_bytes().iter().skip(1));
                }
            }
        }
    }

    /// Reads a sketch that takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Sketch, DecodeError> {
        let mut reader = Reader::new(bytes);
        let generation = match reader.byte()? {
            0 => None,
            1 => Some(Stamp::decode(&mut reader)?),
            _ => return Err(DecodeError::Malformed("a sketch that has neither a generation nor none")),
        };
        let latest = Stamp::decode(&mut reader)?;
        let registers = match (reader.byte()?, reader.remainder()) {
            (NONE, []) if generation.is_some() => Registers::Pairs(Vec::new()),
            (PAIRS, pairs) if !pairs.is_empty() => Registers::Pairs(decode_pairs(pairs)?),
            (ALL, packed) if packed.len() == PACKED_BYTES => decode_all(packed)?,
            _ => return Err(DecodeError::Malformed("a sketch of no form")),
        };
        // Whatever is written is written in a generation, after it began.
        if generation.is_some_and(|generation| generation > latest) {
            return Err(DecodeError::Malformed("a sketch older than its generation"));
        }
        Ok(Sketch(Some(Content { generation, latest, registers })))
    }
}

fn decode_pairs(bytes: &[u8]) -> Result<Vec<(u16, u8)>, DecodeError> {
    let (pairs, rest) = bytes.as_chunks::<3>();
    if !rest.is_empty() || pairs.len() > PAIRS_MAX {
        return Err(DecodeError::Malformed("registers of a sketch cut short, or too many"));
    }
    let pairs: Vec<(u16, u8)> =
        pairs.iter().map(|[high, low, value]| (u16::from_be_bytes([*high, *low]), *value)).collect();
    let is_ascending = pairs.is_sorted_by(|(a, _), (b, _)| a < b);
    let is_within = |(number, value): &(u16, u8)| usize::from(*number) < REGISTERS && (1..=VALUE_MAX).contains(value);
    if is_ascending && pairs.iter().all(is_within) {
        Ok(pairs)
    } else {
        Err(DecodeError::Malformed("registers of a sketch out of order, or out of range"))
    }
}

fn decode_all(bytes: &[u8]) -> Result<Registers, DecodeError> {
    let (threes, _) = bytes.as_chunks::<3>();
    let mut all = Vec::with_capacity(REGISTERS);
    for [a, b, c] in threes {
        let packed = u32::from_be_bytes([0, *a, *b, *c]);
        all.extend([18, 12, 6, 0].map(|shift| (packed >> shift) as u8 & 0x3F));
    }
    let count = all.iter().filter(|value| **value > 0).count();
    if count > PAIRS_MAX && all.iter().all(|value| *value <= VALUE_MAX) {
        Ok(Registers::All(all.into()))
    } else {
        Err(DecodeError::Malformed("registers of a sketch that should stand as pairs, or out of range"))
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Sketch {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Sketch::merge(self, &other);
    }
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
