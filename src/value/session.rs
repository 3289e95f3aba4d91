//! A client's session as an actor: its entry is what it says that it did, so whatever is sent again counts once.
//!
//! A session sends, per key, its cumulative `(event, p, n)`, never "+1". The entry stands in a row of its own beside the
//! key's row, with its baseline, so that an increment decodes none of the other sessions. Errors show a client that
//! contradicts itself; nothing is changed then.

use super::Row;
use super::counter::{Counter, Totals};
use super::error::ValueError;
use super::per_actor::{PerActor, Record};
use super::string::StringState;
use crate::causality::ActorId;

impl Row {
    /// By how much a session's totals would change the value; `None` if they are known already.
    ///
    /// The errors are those of a client that contradicts what it sent before, and a change beyond an i64.
    pub fn session_change(&self, actor: ActorId, event: u64, totals: Totals) -> Result<Option<i64>, ValueError> {
        if totals.p.max(totals.n) > SESSION_TOTAL_MAX {
            return Err(ValueError::Overflow);
        }
        let Some(known) = self.entry_of(actor) else { return change(Totals::default(), totals).map(Some) };
        if event == known.event {
            return if totals == known.content { Ok(None) } else { Err(ValueError::EventReused { event }) };
        }
        let (older, newer) = if event < known.event { (totals, known.content) } else { (known.content, totals) };
        if newer.p < older.p || newer.n < older.n {
            return Err(ValueError::TotalsShrank { event });
        }
        if event < known.event { Ok(None) } else { change(older, newer).map(Some) }
    }

    /// Takes over what a session did up to an event. The delta is the session's entry, also if it was known already: who
    /// sends again wants it held by enough nodes. Whether the value can bear the change, the key's main row knows
    /// ([`Row::can_increment`]).
    ///
    /// # Panics
    /// If the event is zero: events count from 1.
    pub fn increment_as(&mut self, actor: ActorId, event: u64, totals: Totals) -> Result<Row, ValueError> {
        assert!(event > 0, "events count from 1");
        if self.session_change(actor, event, totals)?.is_some() {
            self.string.counter.entries.merge(&PerActor::of(Record { actor, event, content: totals }));
        }
        let entries = self.entry_of(actor).map(PerActor::of).unwrap_or_default();
        Ok(Row::of_counter(Counter::of(entries, PerActor::default())))
    }

    /// The sessions that have done something here; one that a reset has seen comes twice.
    pub fn sessions(&self) -> impl Iterator<Item = ActorId> {
        let counter = &self.string.counter;
        counter
            .entries
            .iter()
            .chain(counter.baselines.iter())
            .map(|record| record.actor)
            .filter(|actor| actor.is_session())
    }

    /// Takes the sessions out: their entries and baselines, as the rows that stand beside this one. A baseline whose
    /// entry has settled stays here, for there is no row for it.
    pub fn split_sessions(mut self) -> (Row, Vec<(ActorId, Row)>) {
        let counter = &mut self.string.counter;
        let settled = counter.settled().tick;
        let entries = counter.entries.take(|entry| entry.actor.is_session());
        let mut baselines: PerActor<Totals> = PerActor::default();
        for baseline in counter.baselines.take(|record| record.actor.is_session() && record.actor.expires > settled) {
            baselines.merge(&PerActor::of(baseline));
        }
        let mut rows: Vec<(ActorId, Row)> = entries
            .into_iter()
            .map(|entry| {
                let baseline = baselines.remove(entry.actor).map(PerActor::of).unwrap_or_default();
                (entry.actor, Row::of_counter(Counter::of(PerActor::of(entry), baseline)))
            })
            .collect();
        // Bytes from outside may hold a baseline without its entry; it is kept as it came.
        for baseline in baselines.iter() {
            let counter = Counter::of(PerActor::default(), PerActor::of(*baseline));
            rows.push((baseline.actor, Row::of_counter(counter)));
        }
        rows.sort_by_key(|(actor, _)| *actor);
        (self, rows)
    }

    /// What an actor did, if the row has it.
    pub(super) fn entry_of(&self, actor: ActorId) -> Option<Record<Totals>> {
        self.string.counter.entries.get(actor).copied()
    }

    /// What resets saw of an actor, if the row has it.
    pub(super) fn baseline_of(&self, actor: ActorId) -> Option<Record<Totals>> {
        self.string.counter.baselines.get(actor).copied()
    }

    fn of_counter(counter: Counter) -> Row {
        Row { string: StringState { counter, ..StringState::default() }, ..Row::default() }
    }
}

/// Largest total of a session: sums of millions of them stay far from 2^128.
const SESSION_TOTAL_MAX: u128 = 1 << 96;

/// `newer` − `older`; each part has grown.
fn change(older: Totals, newer: Totals) -> Result<i64, ValueError> {
    let (p, n) = (newer.p.saturating_sub(older.p), newer.n.saturating_sub(older.n));
    let difference = if p >= n {
        i64::try_from(p - n).ok()
    } else {
        u64::try_from(n - p).ok().and_then(|less| 0i64.checked_sub_unsigned(less))
    };
    difference.ok_or(ValueError::Overflow)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
