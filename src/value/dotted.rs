//! Values under the dots that wrote them: what was added and not yet seen removed.
//!
//! ```text
//! live      dot → value          what stands
//! context   dots that were seen  what stands, and what no longer does; see `causality::Context`
//!
//! merge(x, y):  a dot lives if both have it, or one has it and the other has not seen it
//! ```
//!
//! An addition has a dot of its own and may take the place of the dots that it saw (a put with a context, a new score). A
//! removal takes away the dots that it saw, so what is added at the same time elsewhere survives: additions win. A removal
//! has a dot too, which only is seen: so what it leaves has a tick, and is forgotten by proof like everything else.
//!
//! The state travels **whole**. A version vector says "up to this event", so a part of the state under it would swallow
//! earlier events that the part left out. Here is no tombstone per element: the context is one number per live actor.
//!
//! Used for siblings (`Bytes`), flags and presence (`()`) and scores. The `crdts` crate's `Orswot` is the oracle; its `MVReg`
//! loses one of two values that one coordinator took blindly, and a test beside this file shows it.
//!
//! Encoding (field kind 6): `floor u32 │ actors │ (actor 16 │ event)* │ (actor 16 │ event │ length │ value)*`.
//!
//! Source: Preguiça et al., "Dotted Version Vectors" (2010); Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012).

use std::cmp::Ordering;

use super::error::DecodeError;
use super::per_actor::Content;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::{ActorId, Context, Dot, Tick, VersionVector};
use crate::limits;
use crate::mutation::{self, Mutation};

/// Values under dots. Every live dot is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dotted<V> {
    /// In the order of the dots.
    live: Vec<(Dot, V)>,
    context: Context,
}

impl<V> Default for Dotted<V> {
    fn default() -> Self {
        Dotted { live: Vec::new(), context: Context::default() }
    }
}

/// Nothing but the dot matters.
impl Content for () {
    fn encoded_bytes(&self) -> usize {
        0
    }
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("a value where a dot says all")) }
    }
}

impl<V: Content> Dotted<V> {
    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.context.is_empty()
    }

    /// Whether anything stands.
    pub fn is_live(&self) -> bool {
        !self.live.is_empty()
    }

    /// What stands, in the order of the dots.
    pub fn live(&self) -> &[(Dot, V)] {
        &self.live
    }

    /// What was seen.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Adds a value in place of those that `seen` has seen.
    ///
    /// # Panics
    /// If the dot is not fresh: every peer would take it for one that was removed.
    pub fn put(&mut self, dot: Dot, value: V, seen: &Context) {
        self.cover(dot, seen);
        let place = self.live.partition_point(|(other, _)| *other < dot);
        self.live.insert(place, (dot, value));
    }

    /// Takes away what `seen` has seen, under a dot that only is seen.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn cover(&mut self, dot: Dot, seen: &Context) {
        assert!(dot.event > 0 && !self.context.has_seen(dot), "a dot is minted once: {dot:?} was seen");
        self.live.retain(|(other, _)| !seen.has_seen(*other));
        self.context.merge(seen);
        self.context.observe(dot);
    }

    /// Takes away all that stands here.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn clear(&mut self, dot: Dot) {
        let seen = self.context.clone();
        self.cover(dot, &seen);
    }

    /// Merges. Returns whether anything changed.
    pub fn merge(&mut self, other: &Dotted<V>) -> bool {
        if self == other {
            return false;
        }
        let keeps_all = mutation::is_off(Mutation::DottedIgnoresContext);
        let mut live = Vec::with_capacity(self.live.len().max(other.live.len()));
        let (mut ours, mut theirs) = (self.live.iter().peekable(), other.live.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((our_dot, _)), Some((their_dot, _))) => our_dot.cmp(their_dot),
            };
            match order {
                Ordering::Less => {
                    live.extend(ours.next().filter(|(dot, _)| keeps_all || !other.context.has_seen(*dot)).cloned());
                }
                Ordering::Greater => {
                    live.extend(theirs.next().filter(|(dot, _)| keeps_all || !self.context.has_seen(*dot)).cloned());
                }
                // One dot, one value; should that ever not be so, the larger wins everywhere.
                Ordering::Equal => live.extend(ours.next().max(theirs.next()).cloned()),
            }
        }
        let changed = live != self.live;
        self.live = live;
        self.context.merge(&other.context) || changed
    }

    /// Takes away what stands under these dots; they stay seen.
    pub(super) fn kill(&mut self, is_dead: impl Fn(&Dot) -> bool) {
        self.live.retain(|(dot, _)| !is_dead(dot));
    }

    /// Keeps only what is of later ticks: what stands, and what was seen.
    pub(super) fn keep_younger(&mut self, than: Tick) {
        self.live.retain(|(dot, _)| dot.actor.expires > than);
        let mut seen = self.context.seen().clone();
        seen.forget(than);
        self.context = Context::new(Tick(0), seen);
    }

    /// Leaves out of the context the actors that expired by `through`. Returns whether there were any.
    pub fn compact(&mut self, through: Tick) -> bool {
        self.context.compact(through)
    }

    /// Whether only a removal is remembered, of which everything has settled.
    pub fn is_settled_tombstone(&self) -> bool {
        self.live.is_empty() && self.context.seen().is_empty() && !self.context.is_empty()
    }

    /// Whether a merge of `incoming` would bring something up to this tick that was never seen here: a dot that lives, or one
    /// that is only seen and comes without a fresh one. With a fresh one it is welcome, for it says what that took away:
    /// whoever knows the fresh dot, by whatever way, knows that too, and nothing can come back.
    pub fn is_touched_by(&self, incoming: &Dotted<V>, frozen: Tick) -> bool {
        let is_new = |dot: Dot| !self.context.has_seen(dot);
        if incoming.live.iter().any(|(dot, _)| dot.actor.expires <= frozen && is_new(*dot)) {
            return true;
        }
        let news: Vec<Dot> = incoming
            .context
            .seen()
            .dots()
            .map(|(actor, event)| Dot { actor, event })
            .filter(|dot| is_new(*dot))
            .collect();
        news.first().is_some_and(|oldest| oldest.actor.expires <= frozen)
            && news.last().is_some_and(|newest| newest.actor.expires <= frozen)
    }

    /// Every actor with an event; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.context.seen().dots().chain(self.live.iter().map(|(dot, _)| (dot.actor, dot.event)))
    }

    /// Whether the state could be read back.
    pub fn is_within_limits(&self) -> bool {
        self.live.len() <= limits::UNION_ITEMS_PER_FIELD_MAX
            && self.context.seen().len() <= limits::ACTORS_PER_FIELD_MAX
    }
}

/// Bytes.
impl<V: Content> Dotted<V> {
    /// Bytes that [`Dotted::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        let seen: usize =
            self.context.seen().dots().map(|(_, event)| ActorId::BYTES + number_bytes(event.into())).sum();
        let value_bytes = |(dot, value): &(Dot, V)| {
            let value = value.encoded_bytes();
            ActorId::BYTES + number_bytes(dot.event.into()) + number_bytes(value as u128) + value
        };
        4 + number_bytes(self.context.seen().len() as u128) + seen + self.live.iter().map(value_bytes).sum::<usize>()
    }

    /// Appends context and values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_context(&self.context, out);
        for (dot, value) in &self.live {
            out.extend_from_slice(&dot.actor.to_bytes());
            put_number(dot.event.into(), out);
            put_number(value.encoded_bytes() as u128, out);
            value.encode(out);
        }
    }

    /// Reads a state that takes all of these bytes and is not empty.
    pub fn decode(bytes: &[u8]) -> Result<Dotted<V>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let context = decode_context(&mut reader)?;
        let mut live: Vec<(Dot, V)> = Vec::new();
        while !reader.is_at_end() {
            if live.len() == limits::UNION_ITEMS_PER_FIELD_MAX {
                return Err(DecodeError::Malformed("too many values in one field"));
            }
            let dot = decode_dot(&mut reader)?;
            if live.last().is_some_and(|(last, _)| *last >= dot) {
                return Err(DecodeError::Malformed("dots out of order"));
            }
            if !context.has_seen(dot) {
                return Err(DecodeError::Malformed("a value under a dot that was not seen"));
            }
            live.push((dot, V::decode(reader.prefixed()?)?));
        }
        if context.is_empty() {
            return Err(DecodeError::Malformed("a field without dots"));
        }
        Ok(Dotted { live, context })
    }
}

/// Appends floor and actors.
pub(super) fn encode_context(context: &Context, out: &mut Vec<u8>) {
    out.extend_from_slice(&context.floor().0.to_be_bytes());
    put_number(context.seen().len() as u128, out);
    for (actor, event) in context.seen().dots() {
        out.extend_from_slice(&actor.to_bytes());
        put_number(event.into(), out);
    }
}

/// The reverse of [`encode_context`].
pub(super) fn decode_context(reader: &mut Reader<'_>) -> Result<Context, DecodeError> {
    let floor = Tick(u32::from_be_bytes(reader.array()?));
    let actors = reader.number()?;
    if actors > limits::ACTORS_PER_FIELD_MAX as u128 {
        return Err(DecodeError::Malformed("too many actors in one field"));
    }
    let mut seen = VersionVector::default();
    let mut last = None;
    for _ in 0..actors {
        let dot = decode_dot(reader)?;
        if last >= Some(dot.actor) || (floor > Tick(0) && dot.actor.expires <= floor) {
            return Err(DecodeError::Malformed("actors out of order, or below their floor"));
        }
        last = Some(dot.actor);
        seen.observe(dot);
    }
    Ok(Context::new(floor, seen))
}

fn decode_dot(reader: &mut Reader<'_>) -> Result<Dot, DecodeError> {
    let dot = Dot { actor: ActorId::from_bytes(reader.array()?), event: reader.number64()? };
    match dot {
        Dot { event: 0, .. } => Err(DecodeError::Malformed("event zero")),
        Dot { actor, .. } if actor.expires == Tick(0) => {
            Err(DecodeError::Malformed("an actor that expired before all time"))
        }
        dot => Ok(dot),
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl<V: Content> crdts::CvRDT for Dotted<V> {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Dotted::merge(self, &other);
    }
}

#[cfg(test)]
#[path = "dotted_tests.rs"]
mod tests;
