//! The two sums of a counter: what expired actors did, and what resets have seen of it.
//!
//! ```text
//! settled   (tick, sum)             entries of actors that expired by `tick`, added up        larger (tick, sum) wins
//! covered   (tick, is full, sum)    baselines of actors that expired by `tick`, added up      larger (tick, full, sum) wins
//! ```
//!
//! Every replica adds up the same entries (`stability` proves it before it compacts), so the sum is a function of the
//! tick alone and the larger tick is the later state. Whoever takes over a sum forgets the entries that stand in it.
//! *Full* says that a reset saw the whole sum: then `covered` is a copy of `settled`, and it supersedes a covered sum of the
//! same tick that was added up from baselines. The sums themselves take part in the order only so that it is total.
//!
//! A tick here is the largest that was *really* added up in this row. So a row in which nothing expired stays as it is when
//! the partition's ticks go on.
//!
//! Encoding, as a field of kind *floor* (see `field`): `tag of the records u8 │ tick u32 │ [is full u8] │ events │ p │ n`.

use super::counter::Totals;
use super::error::DecodeError;
use super::per_actor::Record;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::Tick;

/// What several actors did, added up. Wraps at 2^128, which takes 2^65 of the largest increments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sum {
    /// Sum of the last events. A sum of baselines covers a sum of entries whole exactly if their events are equal.
    pub events: u128,
    /// Sum of the increments.
    pub p: u128,
    /// Sum of the decrements.
    pub n: u128,
}

impl Sum {
    /// What one actor did.
    pub fn of(record: &Record<Totals>) -> Sum {
        Sum { events: record.event.into(), p: record.content.p, n: record.content.n }
    }

    /// Adds.
    pub fn add(&mut self, other: &Sum) {
        self.events = self.events.wrapping_add(other.events);
        self.p = self.p.wrapping_add(other.p);
        self.n = self.n.wrapping_add(other.n);
    }

    /// Takes away what was added before.
    pub fn subtract(&mut self, other: &Sum) {
        self.events = self.events.wrapping_sub(other.events);
        self.p = self.p.wrapping_sub(other.p);
        self.n = self.n.wrapping_sub(other.n);
    }

    /// Bytes that [`Sum::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        number_bytes(self.events) + number_bytes(self.p) + number_bytes(self.n)
    }

    /// Appends the sum; the order of the bytes is the order of the sums.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_number(self.events, out);
        put_number(self.p, out);
        put_number(self.n, out);
    }

    /// Reads a sum.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Sum, DecodeError> {
        Ok(Sum { events: reader.number()?, p: reader.number()?, n: reader.number()? })
    }
}

/// The entries of actors that expired by a tick; the default is that there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Settled {
    /// Largest tick that was added up.
    pub tick: Tick,
    /// What they did.
    pub sum: Sum,
}

/// What resets saw of actors that expired by a tick; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covered {
    /// Largest tick that was added up.
    pub tick: Tick,
    /// A reset saw all that settled up to this tick.
    pub is_full: bool,
    /// What they saw.
    pub sum: Sum,
}

/// Both sums of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of entries.
    pub settled: Settled,
    /// Of baselines.
    pub covered: Covered,
}

impl Settled {
    /// Whether nothing was added up.
    pub fn is_nothing(&self) -> bool {
        *self == Settled::default()
    }

    /// Bytes that [`Settled::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        1 + 4 + self.sum.encoded_bytes()
    }

    /// Appends tag of the entries, tick and sum.
    pub fn encode(&self, entries: u8, out: &mut Vec<u8>) {
        out.push(entries);
        out.extend_from_slice(&self.tick.0.to_be_bytes());
        self.sum.encode(out);
    }

    /// Reads a sum that takes all of these bytes and has a tick.
    pub fn decode(entries: u8, bytes: &[u8]) -> Result<Settled, DecodeError> {
        let mut reader = Reader::new(bytes);
        let tick = decode_floor(entries, &mut reader)?;
        let sum = Sum::decode(&mut reader)?;
        end(&reader)?;
        Ok(Settled { tick, sum })
    }
}

impl Covered {
    /// Whether nothing was added up.
    pub fn is_nothing(&self) -> bool {
        *self == Covered::default()
    }

    /// Bytes that [`Covered::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        1 + 4 + 1 + self.sum.encoded_bytes()
    }

    /// Appends tag of the baselines, tick, fullness and sum.
    pub fn encode(&self, baselines: u8, out: &mut Vec<u8>) {
        out.push(baselines);
        out.extend_from_slice(&self.tick.0.to_be_bytes());
        out.push(self.is_full.into());
        self.sum.encode(out);
    }

    /// Reads a sum that takes all of these bytes and has a tick.
    pub fn decode(baselines: u8, bytes: &[u8]) -> Result<Covered, DecodeError> {
        let mut reader = Reader::new(bytes);
        let tick = decode_floor(baselines, &mut reader)?;
        let is_full = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Malformed("a covered sum that is neither full nor not")),
        };
        let sum = Sum::decode(&mut reader)?;
        end(&reader)?;
        Ok(Covered { tick, is_full, sum })
    }
}

fn decode_floor(records: u8, reader: &mut Reader<'_>) -> Result<Tick, DecodeError> {
    if reader.byte()? != records {
        return Err(DecodeError::Malformed("a sum of another field's records"));
    }
    match u32::from_be_bytes(reader.array()?) {
        0 => Err(DecodeError::Malformed("a sum of no tick")),
        tick => Ok(Tick(tick)),
    }
}

fn end(reader: &Reader<'_>) -> Result<(), DecodeError> {
    if reader.is_at_end() { Ok(()) } else { Err(DecodeError::Malformed("bytes behind a sum")) }
}
