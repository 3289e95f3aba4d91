//! What a command writes: the deltas of every row that it changes, minted and merged in one step.
//!
//! Each row has its own actor and events; a command on several rows of a family mints a dot on each. Elements are written
//! in `writing_elements`, what sessions did in `writing_sessions`; what deadlines ask of a write is in `writing_expiry`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::mint::next_event;
use super::{Minting, Standing, StoredRow, family};
use crate::causality::{ActorId, Context, Dot, Tick};
use crate::ids::{NodeId, RowVersion};
use crate::limits;
use crate::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Reason, Upkeep};
use crate::message::contexts::{self, CounterContext};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, NotMinted, Observation, Observed, Turn, not_applied, unknown};
use crate::storage::{RowKey, RowKind};
use crate::time::{Hlc, HybridClock};
use crate::value::{Beside, Row, ValueError, ValueType};

/// Writes the rows of one family.
pub(super) struct Pen<'a> {
    pub env: &'a Env<'a>,
    pub turn: &'a mut Turn,
    pub clock: &'a mut HybridClock,
    pub main: &'a RowKey,
    /// A fallback owes every row that it writes to these owners.
    pub owed: &'a [NodeId],
    /// Increments that were observed are frozen, and have not come here: they cannot be covered.
    pub lacks_frozen: bool,
    /// Too few owners are there: fallbacks must hold the write too.
    pub needs_fallbacks: bool,
    /// What was written so far: by row the version that contains it, and the delta.
    pub parts: BTreeMap<RowKey, (RowVersion, Row)>,
}

impl Pen<'_> {
    /// Writes what a command asks for, or says why not; then nothing was changed.
    pub fn write(
        &mut self,
        command: &Command,
        observed: Option<&Observed>,
        standing: Standing,
    ) -> Result<(), NotMinted> {
        self.check_type(command, observed)?;
        match command {
            Command::Upkeep(Upkeep::Sweep) => return self.sweep(observed),
            Command::Upkeep(Upkeep::Remove { kind, elements }) => {
                let remove = |element: &Bytes| ElementWrite { element: element.clone(), change: ElementChange::Remove };
                let changes: Vec<ElementWrite> = elements.iter().map(remove).collect();
                return self.write_elements(*kind, &changes, observed);
            }
            _ => {}
        }
        self.sweep_first(command, observed)?;
        self.outlive(command, observed)?;
        match command {
            Command::Increment { by } => self.increment(*by),
            Command::IncrementAs(write) => self.increment_as(write),
            Command::Put { value } => {
                let seen = self.seen(observed, standing)?;
                self.cover(seen, |row, dot, stamp, seen| row.put(dot, stamp, value.clone(), seen))
            }
            Command::Delete => {
                let seen = self.seen(observed, standing)?;
                self.cover(seen, |row, dot, stamp, seen| row.delete(dot, stamp, seen))
            }
            Command::Overwrite { context, to } => self.overwrite(context, *to),
            Command::PutSibling { value, context } => self.put_sibling(value, context.as_ref()),
            Command::SetFlag { on: true } => self.add(|row, dot, stamp| row.set_flag(dot, stamp)),
            Command::SetFlag { on: false } => {
                let seen = self.seen(observed, standing)?;
                self.add(|row, dot, stamp| row.clear_flag(dot, stamp, &seen))
            }
            Command::AddToSketch { items } => self.add(|row, dot, stamp| row.add_to_sketch(dot, stamp, items)),
            Command::Expire { deadline } => {
                let seen = self.seen(observed, standing)?;
                if self.is_expired() || seen.is_expired(self.env.now.wall) {
                    // What has gone for its readers does not come back by a later deadline.
                    return Ok(());
                }
                let main = self.main;
                let stands = self.turn.row(main).is_some_and(|stored| stored.row.has_anything(&stored.header.beside));
                if stands || seen.has_anything(&Beside::NONE) {
                    return self.add(|row, dot, stamp| row.set_expiry(dot, stamp, *deadline));
                }
                Ok(())
            }
            Command::Collection { kind, command: CollectionCommand::Write { changes } } => {
                self.write_elements(*kind, changes, observed)
            }
            Command::Upkeep(_)
            | Command::Get
            | Command::Observe
            | Command::Siblings
            | Command::Collection { .. }
            | Command::Inspect
            | Command::Locate => Err(not_applied(Reason::Malformed("this command writes nothing".into())).into()),
        }
    }

    /// A command of another type than the one that is shown is refused: shown here, or where it was observed.
    fn check_type(&self, command: &Command, observed: Option<&Observed>) -> Result<(), NotMinted> {
        let kind = match command {
            Command::Increment { .. } | Command::IncrementAs(_) | Command::Put { .. } | Command::Overwrite { .. } => {
                ValueType::String
            }
            Command::PutSibling { .. } => ValueType::Siblings,
            Command::SetFlag { .. } => ValueType::Flag,
            Command::AddToSketch { .. } => ValueType::Sketch,
            Command::Collection { kind, .. } => ValueType::Collection(*kind),
            // They are of every type.
            _ => return Ok(()),
        };
        let nothing = StoredRow::default();
        let StoredRow { row, header } = self.turn.row(self.main).unwrap_or(&nothing);
        let now = self.env.now.wall;
        let judged = match observed {
            None => row.can_write(kind, &header.beside, now),
            Some(Observed { row: seen, beside: seen_beside, .. }) => {
                let (mut row, mut beside) = (row.clone(), seen_beside.clone());
                row.merge(seen);
                beside.take_counts(&header.beside);
                row.can_write(kind, &beside, now)
            }
        };
        judged.map_err(|held| not_applied(Reason::WrongType { held: held.to_string() }).into())
    }

    /// A write of the main row that covers nothing.
    fn add(&mut self, write: impl FnOnce(&mut Row, Dot, Hlc) -> Row) -> Result<(), NotMinted> {
        let (main, seen) = (self.main, self.latest_stamp(self.main));
        self.mint(main, seen, |row, dot, stamp, _| Ok(write(row, dot, stamp))).map_err(refused)
    }

    fn put_sibling(&mut self, value: &Bytes, context: Option<&Bytes>) -> Result<(), NotMinted> {
        let seen = match context {
            None => Context::default(),
            Some(context) => {
                contexts::open_siblings(&self.env.config.seal_key, self.main, context).map_err(|_| foreign_context())?
            }
        };
        let main = self.main;
        let row = self.turn.row(main).map(|stored| &stored.row);
        row.map_or(Ok(()), |row| row.can_put_sibling(value, &seen)).map_err(refused)?;
        if self.needs_fallbacks && row.is_some_and(|row| row.has_siblings_through(self.sealed(), &seen)) {
            return Err(not_applied(Reason::Unsettled).into());
        }
        let stamp = self.latest_stamp(main);
        self.mint(main, stamp, |row, dot, stamp, _| row.put_sibling(dot, stamp, value.clone(), &seen)).map_err(refused)
    }

    /// Covers what the context has seen, under the stamp that it names: sent again, it is the same write.
    fn overwrite(&mut self, context: &Bytes, to: Option<i64>) -> Result<(), NotMinted> {
        let CounterContext { stamp, dot, seen } =
            CounterContext::open(&self.env.config.seal_key, self.main, context).map_err(|_| foreign_context())?;
        if dot.actor.expires <= self.refused() {
            return Err(unknown(Reason::SessionExpired).into());
        }
        // It would cover what is summed up, perhaps forgotten already. What is only frozen may still be covered.
        let settled = self.turn.row(self.main).map_or(Tick(0), |stored| stored.row.settled_tick());
        let memory = self.turn.memory(self.turn.partition_of(self.main));
        if seen.has_records_through(memory.compacted) || seen.settled_tick() < settled {
            return Err(unknown(Reason::ContextSettled).into());
        }
        let own = self.state(self.main);
        let is_first = !own.actors().any(|(actor, _)| actor == dot.actor);
        let is_fallback = !self.env.ring.is_owner(self.turn.partition_of(self.main), self.env.me);
        if is_first && (self.needs_fallbacks || is_fallback) && seen.has_records_through(self.sealed()) {
            // An earlier send of it may have been carried out elsewhere.
            return Err(unknown(Reason::Unsettled).into());
        }
        let mut seen = seen;
        if own.is_expired(self.env.now.wall) && is_first {
            // All that has expired goes under the same stamp, and the deadline with it.
            seen.merge(&own);
            seen = seen.clone().delete(dot, stamp, &seen);
        }
        let mut whole = seen.clone();
        let delta = match to {
            Some(number) => whole.put(dot, stamp, Bytes::from(number.to_string()), &seen),
            None => whole.reset(dot, stamp, &seen),
        };
        self.spread(delta, None)
    }

    fn increment(&mut self, by: i64) -> Result<(), NotMinted> {
        let main = self.main;
        self.turn
            .row(main)
            .map_or(Ok(()), |stored| stored.row.can_increment(by, &stored.header.beside))
            .map_err(refused)?;
        let seen = self.latest_stamp(main);
        self.mint(main, seen, |row, dot, stamp, beside| row.increment(dot, stamp, by, beside)).map_err(refused)
    }

    /// Up to which tick clients' sessions are refused: what is sealed here, or may be by the clocks. A directory that was
    /// replaced by an earlier copy does not remember what it had sealed; a session that it took then would count nowhere.
    pub(super) fn refused(&self) -> Tick {
        let sealed = self.turn.refused(self.turn.partition_of(self.main));
        if mutation::is_off(Mutation::SealIgnored) || mutation::is_off(Mutation::ExpiredTaken) {
            return sealed;
        }
        sealed.max(self.env.sealable())
    }

    /// What was observed, or else the own row: only if that is all there is.
    fn seen(&self, observed: Option<&Observed>, standing: Standing) -> Result<Row, NotMinted> {
        match (observed, self.turn.row(self.main)) {
            (Some(observed), _) => Ok(observed.row.clone()),
            // Sessions stand beside the main row, and elements are removed before the key is.
            (None, Some(own)) if own.header.beside.has_sessions() || own.header.beside.has_elements() => {
                Err(NotMinted::MustObserve)
            }
            (None, Some(own)) if standing == Standing::Fallback && own.row.has_live_counter(&Beside::NONE) => {
                // What a fallback holds of a counter is a part of it.
                Err(not_applied(Reason::NoOwner).into())
            }
            (None, own) => Ok(own.map_or_else(Row::default, |stored| stored.row.clone())),
        }
    }

    /// Clients' events up to here are refused.
    fn sealed(&self) -> Tick {
        self.turn.refused(self.turn.partition_of(self.main))
    }

    /// Refuses to cover what fallbacks may not take, where they would have to: nothing was changed yet.
    pub(super) fn may_cover(&self, seen: &Row) -> Result<(), NotMinted> {
        if self.needs_fallbacks && seen.has_records_through(self.sealed()) {
            return Err(not_applied(Reason::Unsettled).into());
        }
        Ok(())
    }

    /// Covers what was seen.
    pub(super) fn cover(
        &mut self,
        seen: Row,
        write: impl FnOnce(&mut Row, Dot, Hlc, &Row) -> Row,
    ) -> Result<(), NotMinted> {
        if self.lacks_frozen {
            // Whoever says that all is gone must have covered all.
            return Err(not_applied(Reason::Settling { node: self.env.me }).into());
        }
        self.may_cover(&seen)?;
        let latest = self.latest_stamp(self.main).max(seen.latest_stamp());
        let minting = next_event(self.env, self.turn, self.main);
        let stamp = self.clock.stamp(self.env.now.wall, latest);
        let mut whole = seen.clone();
        let delta = write(&mut whole, Dot { actor: minting.actor, event: minting.event }, stamp, &seen);
        self.spread(delta, Some(minting))
    }

    /// Merges a delta of the whole counter: what sessions did goes to their rows.
    fn spread(&mut self, delta: Row, minting: Option<Minting>) -> Result<(), NotMinted> {
        let (main, sessions) = delta.split_sessions();
        let session_key_bytes = self.main.as_bytes().len() + ActorId::BYTES;
        let deltas = sessions.iter().map(|(_, delta)| session_key_bytes + delta.encoded_bytes_max());
        check_bytes(main.encoded_bytes_max() + deltas.sum::<usize>())?;
        let mut state = self.state(self.main);
        state.merge(&main);
        self.take(self.main, state, main);
        if let Some(minting) = minting {
            self.sign(self.main, minting);
        }
        for (actor, delta) in sessions {
            let row = self.main.session(actor);
            let mut state = self.state(&row);
            state.merge(&delta);
            self.take(&row, state, delta);
        }
        Ok(())
    }

    /// Mints on a row, in place: the fast way of an increment.
    pub(super) fn mint(
        &mut self,
        row: &RowKey,
        seen: Hlc,
        write: impl FnOnce(&mut Row, Dot, Hlc, &Beside) -> Result<Row, ValueError>,
    ) -> Result<(), ValueError> {
        let minting = next_event(self.env, self.turn, row);
        let stamp = self.clock.stamp(self.env.now.wall, seen);
        let version = self.turn.next_version();
        let is_side = row.kind() != RowKind::Main;
        let before = if is_side { self.turn.row(row).map(|stored| stored.row.clone()) } else { None };
        let partition = row.partition(self.env.ring.layout().partitions);
        let held = self.turn.held(row, partition);
        let stored = self.turn.row_mut(row);
        let delta =
            write(&mut stored.row, Dot { actor: minting.actor, event: minting.event }, stamp, &stored.header.beside)?;
        stored.header.version = version;
        if is_side {
            let after = stored.row.clone();
            family::note(self.turn, row, before.as_ref(), Some(&after));
        }
        self.turn.note_change(row, partition, held);
        self.note_part(row, version, delta);
        self.sign(row, minting);
        Ok(())
    }

    /// Replaces a row's state, and notes its delta.
    pub(super) fn take(&mut self, row: &RowKey, state: Row, delta: Row) {
        let version = family::replace(self.turn, row, state);
        self.note_part(row, version, delta);
    }

    fn note_part(&mut self, row: &RowKey, version: RowVersion, delta: Row) {
        self.turn.count_bytes(delta.encoded_bytes_max());
        if !self.owed.is_empty() {
            let header = &mut self.turn.row_mut(row).header;
            for owner in self.owed {
                header.owe(*owner, version, self.env.now.wall);
            }
        }
        match self.parts.get_mut(row) {
            // A second write of this step on the row.
            Some(part) => {
                part.0 = version;
                part.1.merge(&delta);
            }
            None => {
                self.parts.insert(row.clone(), (version, delta));
            }
        }
    }

    /// Remembers the dot that was minted on a row, and reports it.
    fn sign(&mut self, row: &RowKey, minting: Minting) {
        self.turn.row_mut(row).header.minting = Some(minting);
        let dot = Dot { actor: minting.actor, event: minting.event };
        let delta_hash = self.parts.get(row).map_or(0, |(_, delta)| delta.state_hash() as u64);
        self.turn.out.observe(Observation::Minted { row: row.clone(), dot, delta_hash });
    }

    fn state(&self, row: &RowKey) -> Row {
        self.turn.row(row).map_or_else(Row::default, |stored| stored.row.clone())
    }

    pub(super) fn latest_stamp(&self, row: &RowKey) -> Hlc {
        self.turn.row(row).map_or_else(Hlc::default, |stored| stored.row.latest_stamp())
    }
}

/// Refuses a write whose parts would not travel in one message, before anything is minted.
pub(super) fn check_bytes(bytes: usize) -> Result<(), NotMinted> {
    if bytes <= limits::WRITE_BYTES_MAX {
        return Ok(());
    }
    let (bytes, bytes_max) = (bytes as u64, limits::WRITE_BYTES_MAX as u64);
    Err(not_applied(Reason::CommandTooLarge { bytes, bytes_max }).into())
}

pub(super) fn foreign_context() -> NotMinted {
    not_applied(Reason::ForeignToken { what: "context".into() }).into()
}

pub(super) fn refused(error: ValueError) -> NotMinted {
    not_applied(match error {
        ValueError::NotANumber => Reason::NotANumber,
        ValueError::Overflow => Reason::Overflow,
        ValueError::EventReused { event } | ValueError::TotalsShrank { event } => Reason::SessionReused { event },
        ValueError::NotFinite => Reason::NotFinite,
        ValueError::TooLarge { bytes } => {
            Reason::ValueTooLarge { bytes: bytes as u64, bytes_max: limits::VALUE_BYTES_MAX as u64 }
        }
        ValueError::TooManySiblings { count } => {
            Reason::TooManySiblings { count: count as u64, count_max: limits::SIBLINGS_MAX as u64 }
        }
        ValueError::SiblingsTooLarge { bytes } => {
            Reason::SiblingsTooLarge { bytes: bytes as u64, bytes_max: limits::SIBLING_BYTES_MAX as u64 }
        }
    })
    .into()
}
