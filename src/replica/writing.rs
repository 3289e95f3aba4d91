//! What a command writes: the deltas of every row that it changes, minted and merged in one step.
//!
//! Each row has its own actor and events; a command on several rows of a family mints a dot on each. What a session did
//! is the session's own dot, so nothing is minted for it here.

use std::collections::BTreeMap;

use super::mint::next_event;
use super::{Minting, Standing, family};
use crate::causality::{Dot, Tick};
use crate::ids::{NodeId, RowVersion};
use crate::limits;
use crate::message::client::{Command, Reason, SessionWrite};
use crate::shard::{Env, NotMinted, Observation, Observed, Turn, not_applied, unknown};
use crate::storage::RowKey;
use crate::time::{Hlc, HybridClock};
use crate::value::{Beside, Row, Totals, ValueError};

/// Writes the rows of one family.
pub(super) struct Pen<'a> {
    pub env: &'a Env<'a>,
    pub turn: &'a mut Turn,
    pub clock: &'a mut HybridClock,
    pub main: &'a RowKey,
    /// A fallback owes every row that it writes to these owners.
    pub owed: &'a [NodeId],
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
        match command {
            Command::Increment { by } => self.increment(*by),
            Command::IncrementAs(write) => self.increment_as(write),
            Command::Put { value } => {
                self.cover(observed, standing, |row, dot, stamp, seen| row.put(dot, stamp, value.clone(), seen))
            }
            Command::Delete => self.cover(observed, standing, |row, dot, stamp, seen| row.delete(dot, stamp, seen)),
            _ => Err(not_applied(Reason::Malformed("this command writes nothing".into())).into()),
        }
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

    /// Takes over what a session did. Sent again it changes nothing, and is replicated again: who asks wants W copies.
    fn increment_as(&mut self, write: &SessionWrite) -> Result<(), NotMinted> {
        let SessionWrite { actor, event, p, n } = *write;
        let totals = Totals { p, n };
        let partition = self.main.partition(self.env.ring.layout().partitions);
        let tick = Tick::at(self.env.now.wall, self.env.config.tick);
        let ticks = u64::from(actor.expires.0.saturating_sub(tick.0));
        let ticks_max = u64::from(self.env.config.actor_lease_ticks);
        if ticks > ticks_max {
            return Err(not_applied(Reason::LeaseTooLong { ticks, ticks_max }).into());
        }
        if actor.expires <= self.turn.refused(partition) {
            return Err(unknown(Reason::SessionExpired).into());
        }
        let session = self.main.session(actor);
        let nothing = Row::default();
        let known = self.turn.row(&session);
        let row = known.map_or(&nothing, |stored| &stored.row);
        if let Some(by) = row.session_change(actor, event, totals).map_err(refused)? {
            let (main, beside) = self
                .turn
                .row(self.main)
                .map_or((&nothing, &Beside::NONE), |stored| (&stored.row, &stored.header.beside));
            main.can_increment(by, beside).map_err(refused)?;
            if known.is_none() && beside.sessions().bytes >= limits::SESSION_BYTES_PER_KEY_MAX {
                return Err(not_applied(Reason::TooManySessions).into());
            }
        }
        let mut state = row.clone();
        let delta = state.increment_as(actor, event, totals).map_err(refused)?;
        self.take(&session, state, delta);
        Ok(())
    }

    /// Covers what was observed, or else the own row: only if that is all there is.
    fn cover(
        &mut self,
        observed: Option<&Observed>,
        standing: Standing,
        write: impl FnOnce(&mut Row, Dot, Hlc, &Row) -> Row,
    ) -> Result<(), NotMinted> {
        let main = self.main;
        let own = self.turn.row(main);
        let observed = match (observed, own) {
            (Some(observed), _) => observed.row.clone(),
            (None, Some(own)) if own.header.beside.has_sessions() => return Err(NotMinted::MustObserve),
            (None, Some(own)) if standing == Standing::Fallback && own.row.has_live_counter(&Beside::NONE) => {
                // What a fallback holds of a counter is a part of it.
                return Err(not_applied(Reason::NoOwner).into());
            }
            (None, own) => own.map_or_else(Row::default, |stored| stored.row.clone()),
        };
        let seen = self.latest_stamp(main).max(observed.latest_stamp());
        let minting = next_event(self.env, self.turn, main);
        let stamp = self.clock.stamp(self.env.now.wall, seen);
        let mut whole = observed.clone();
        let delta = write(&mut whole, Dot { actor: minting.actor, event: minting.event }, stamp, &observed);
        self.spread(delta, Some(minting));
        Ok(())
    }

    /// Merges a delta of the whole counter: what sessions did goes to their rows.
    fn spread(&mut self, delta: Row, minting: Option<Minting>) {
        let (main, sessions) = delta.split_sessions();
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
    }

    /// Mints on a row, in place: the fast way of an increment.
    fn mint(
        &mut self,
        row: &RowKey,
        seen: Hlc,
        write: impl FnOnce(&mut Row, Dot, Hlc, &Beside) -> Result<Row, ValueError>,
    ) -> Result<(), ValueError> {
        let minting = next_event(self.env, self.turn, row);
        let stamp = self.clock.stamp(self.env.now.wall, seen);
        let version = self.turn.next_version();
        let stored = self.turn.row_mut(row);
        let delta =
            write(&mut stored.row, Dot { actor: minting.actor, event: minting.event }, stamp, &stored.header.beside)?;
        stored.header.version = version;
        self.note_part(row, version, delta);
        self.sign(row, minting);
        Ok(())
    }

    /// Replaces a row's state, and notes its delta.
    fn take(&mut self, row: &RowKey, state: Row, delta: Row) {
        let version = family::replace(self.env, self.turn, row, state);
        self.note_part(row, version, delta);
    }

    fn note_part(&mut self, row: &RowKey, version: RowVersion, delta: Row) {
        self.turn.count_bytes(delta.encoded_bytes_max());
        if !self.owed.is_empty() {
            let header = &mut self.turn.row_mut(row).header;
            for owner in self.owed {
                header.owe(*owner, version);
            }
        }
        self.parts.insert(row.clone(), (version, delta));
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

    fn latest_stamp(&self, row: &RowKey) -> Hlc {
        self.turn.row(row).map_or_else(Hlc::default, |stored| stored.row.latest_stamp())
    }
}

fn refused(error: ValueError) -> NotMinted {
    not_applied(match error {
        ValueError::NotANumber => Reason::NotANumber,
        ValueError::Overflow => Reason::Overflow,
        ValueError::EventReused { event } | ValueError::TotalsShrank { event } => Reason::SessionReused { event },
        ValueError::NotFinite => Reason::NotFinite,
        ValueError::TooLarge { bytes } => {
            Reason::ValueTooLarge { bytes: bytes as u64, bytes_max: limits::VALUE_BYTES_MAX as u64 }
        }
        ValueError::TooManySiblings { count } => {
            Reason::TooMany { what: "siblings".into(), count: count as u64, count_max: limits::SIBLINGS_MAX as u64 }
        }
    })
    .into()
}
