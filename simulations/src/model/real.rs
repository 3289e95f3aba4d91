//! The store's own values under the same machine: `starling::value`'s rows, as the replica moves them about.
//!
//! A key is a family: its main row, the row of each session, and what the main row knows of those (`Beside`). Everything
//! travels as the encoded bytes of single rows. How a family merges follows `replica/apply.rs`, how a cover spreads
//! `replica/writing.rs`, how a row settles `stability/normal.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::causality::{ActorId, Context, Dot, Epoch, Tenure, Tick};
use starling::time::Hlc;
use starling::value::{self, Beside, Row, Totals};

use super::machine::rules::Rules;
use super::machine::values::{Actor, Bits, Closed, Mint, SessionEvent, Settled, Shown, Values};

/// Length of a tick.
const TICK: Duration = Duration::from_secs(1);
const TICK_MICROS: u64 = 1_000_000;

/// The rows of one key at one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    main: Row,
    beside: Beside,
    sessions: BTreeMap<ActorId, Row>,
}

/// One physical row as it travels: whose (a session's, or the main row), and its bytes.
pub type Part = (Option<[u8; ActorId::BYTES]>, Bytes);

fn actor(of: Actor) -> ActorId {
    let epoch = Epoch(u64::from(of.kind) << 16 | u64::from(of.number) << 8 | u64::from(of.epoch));
    let tenure = if of.kind == 0 { Tenure::SESSION } else { Tenure(0) };
    ActorId { expires: Tick(of.tick.into()), epoch, tenure }
}

fn tick(of: u8) -> Tick {
    Tick(of.into())
}

fn dot(mint: Mint) -> Dot {
    Dot { actor: actor(mint.actor), event: mint.event.into() }
}

fn stamp(mint: Mint) -> Hlc {
    Hlc { wall: u64::from(mint.at.0) * TICK_MICROS, logical: mint.at.1.into() }
}

impl Family {
    /// All rows as one, as a coordinator sees them that observes before it covers.
    fn whole(&self) -> Row {
        let mut whole = self.main.clone();
        for session in self.sessions.values() {
            whole.merge(session);
        }
        whole
    }

    fn replace_session(&mut self, actor: ActorId, after: Row) {
        self.beside.replace_session(self.sessions.get(&actor), Some(&after), actor);
        self.sessions.insert(actor, after);
    }

    /// Replaces a session's row; an empty one goes.
    fn keep_session(&mut self, actor: ActorId, after: Row) {
        if after.is_empty() {
            self.beside.replace_session(self.sessions.remove(&actor).as_ref(), None, actor);
        } else {
            self.replace_session(actor, after);
        }
    }

    /// Takes a delta of the whole counter: what sessions did goes to their rows. Says what is sent.
    fn spread(&mut self, delta: Row) -> Vec<Part> {
        let (main, sessions) = delta.split_sessions();
        self.main.merge(&main);
        let mut parts = vec![(None, main.encode())];
        for (actor, delta) in sessions {
            let mut after = self.sessions.get(&actor).cloned().unwrap_or_default();
            after.merge(&delta);
            self.replace_session(actor, after);
            parts.push((Some(actor.to_bytes()), delta.encode()));
        }
        parts
    }

    fn cover(
        &mut self,
        mint: Mint,
        other: Option<&Family>,
        write: impl FnOnce(&mut Row, Dot, Hlc, &Row) -> Row,
    ) -> Vec<Part> {
        let mut observed = self.whole();
        if let Some(other) = other {
            observed.merge(&other.whole());
        }
        let mut row = observed.clone();
        let delta = write(&mut row, dot(mint), stamp(mint), &observed);
        self.spread(delta)
    }

    /// What comes, row by row, as it would be merged: the row it goes to (a session's or the main one), that row's
    /// state before, and what is left of what came. `None` for bytes that cannot be read.
    fn sorted(parts: &[Part]) -> Vec<(Option<ActorId>, Row)> {
        let mut rows: Vec<(Option<ActorId>, Row)> = parts
            .iter()
            .filter_map(|(actor, bytes)| Some((actor.map(ActorId::from_bytes), Row::decode(bytes).ok()?)))
            .collect();
        rows.sort_by_key(|(actor, _)| *actor);
        rows
    }

    /// Where a row that came is merged into, and what is ignored of it.
    fn direct(&self, to: Option<ActorId>, incoming: &mut Row, settled: Settled) -> Option<ActorId> {
        let summed = self.main.settled_tick().max(tick(settled.w));
        let is_settled = to.is_some_and(|actor| actor.expires <= summed);
        let (to, through) = if is_settled { (None, summed) } else { (to, tick(settled.w)) };
        incoming.ignore_settled(&self.state(to), through, tick(settled.v));
        to
    }

    fn state(&self, of: Option<ActorId>) -> Row {
        match of {
            None => self.main.clone(),
            Some(actor) => self.sessions.get(&actor).cloned().unwrap_or_default(),
        }
    }

    fn take(&mut self, to: Option<ActorId>, incoming: &Row) {
        match to {
            None => {
                self.main.merge(incoming);
            }
            Some(actor) => {
                let mut after = self.state(to);
                after.merge(incoming);
                self.replace_session(actor, after);
            }
        }
    }
}

fn bits(parts: impl Iterator<Item = Totals>) -> Bits {
    parts.fold(0, |all, totals| all | (totals.p | totals.n) as Bits)
}

impl Values for Family {
    type Part = Part;

    const SET_COVERS: bool = true;
    const VOUCHED_ONLY: bool = true;

    fn request(&mut self, event: SessionEvent) -> Vec<Part> {
        let session = actor(event.actor);
        let mut after = self.state(Some(session));
        let totals = Totals { p: event.p.into(), n: event.n.into() };
        let Ok(delta) = after.increment_as(session, event.event.into(), totals) else { return vec![] };
        self.replace_session(session, after);
        vec![(Some(session.to_bytes()), delta.encode())]
    }

    fn increment(&mut self, mint: Mint, ghost: Bits) -> Vec<Part> {
        let delta = self.main.increment(dot(mint), stamp(mint), ghost as i64, &self.beside);
        delta.map_or(vec![], |delta| vec![(None, delta.encode())])
    }

    fn reset(&mut self, mint: Mint, other: Option<&Family>, _: u8, _: Settled, _: Rules) -> Vec<Part> {
        self.cover(mint, other, |row, dot, stamp, seen| row.reset(dot, stamp, seen))
    }

    fn write_dots(&mut self, mint: Mint, adds: Option<u8>, removes: bool) -> Vec<Part> {
        let Some(ghost) = adds else {
            return self.cover(mint, None, |row, dot, stamp, seen| row.delete(dot, stamp, seen));
        };
        let seen = if removes { self.main.siblings_context() } else { Context::default() };
        let delta = self.main.put_sibling(dot(mint), stamp(mint), Bytes::from(vec![ghost]), &seen);
        delta.map_or(vec![], |delta| vec![(None, delta.encode())])
    }

    fn set(&mut self, mint: Mint, value: Option<u8>) -> Vec<Part> {
        match value {
            Some(value) => {
                let text = Bytes::from(value.to_string());
                self.cover(mint, None, |row, dot, stamp, seen| row.put(dot, stamp, text, seen))
            }
            None => self.cover(mint, None, |row, dot, stamp, seen| row.reset(dot, stamp, seen)),
        }
    }

    fn latest(&self) -> Option<(u8, u8)> {
        let latest = self.whole().latest_stamp();
        (latest != Hlc::default()).then_some(((latest.wall / TICK_MICROS) as u8, latest.logical as u8))
    }

    fn has_dots(part: &Part) -> bool {
        Row::decode(&part.1).is_ok_and(|row| !row.siblings_context().is_empty())
    }

    fn parts(&self) -> Vec<Part> {
        let main = (!self.main.is_empty()).then(|| (None, self.main.encode()));
        let sessions = self.sessions.iter().map(|(actor, row)| (Some(actor.to_bytes()), row.encode()));
        main.into_iter().chain(sessions).collect()
    }

    fn merge(&mut self, parts: &[Part], settled: Settled, _: bool, _: Rules) {
        for (to, mut incoming) in Family::sorted(parts) {
            let to = self.direct(to, &mut incoming, settled);
            self.take(to, &incoming);
        }
        self.normalise(settled);
    }

    fn touches(&self, parts: &[Part], closed: Closed, settled: Settled, _: Rules) -> bool {
        let closed =
            value::Closed { through: tick(closed.through), baselines: tick(closed.covers), sums: tick(settled.w) };
        let mut after = self.clone();
        for (to, mut incoming) in Family::sorted(parts) {
            let to = after.direct(to, &mut incoming, settled);
            if after.state(to).touches(&incoming, closed) {
                return true;
            }
            after.take(to, &incoming);
        }
        false
    }

    fn leave_forgotten(parts: Vec<Part>, _: u8, _: u8) -> Vec<Part> {
        parts
    }

    fn give_up(&mut self, theirs: &Family, v: u8) {
        let lease = 0;
        let summed = self.main.settled_tick();
        self.main.give_up(&theirs.main, tick(v), TICK, lease, &self.beside);
        for actor in self.sessions.keys().copied().filter(|actor| actor.expires > summed).collect::<Vec<_>>() {
            let mut after = self.state(Some(actor));
            after.give_up(&theirs.state(Some(actor)), tick(v), TICK, lease, &Beside::NONE);
            self.keep_session(actor, after);
        }
    }

    fn keep_younger(&mut self, than: u8) {
        self.main.keep_younger(tick(than));
        for actor in self.sessions.keys().copied().collect::<Vec<_>>() {
            let mut after = self.state(Some(actor));
            after.keep_younger(tick(than));
            self.keep_session(actor, after);
        }
        if self.sessions.is_empty() && self.main.holds_only_touches() {
            self.main = Row::default();
        }
    }

    fn normalise(&mut self, settled: Settled) {
        self.beside.settle(&mut self.main, tick(settled.w));
        let summed = self.main.settled_tick().max(tick(settled.w));
        self.sessions.retain(|actor, _| actor.expires > summed);
        self.main.fold_baselines(tick(settled.v));
    }

    fn retire(&mut self, settled: Settled, lease: u8, _: Rules) -> bool {
        self.main.retire(tick(settled.v), TICK, u32::from(lease / 2), &self.beside)
    }

    fn digest(&self, through: u8, _: Rules) -> u128 {
        self.sum(|row| row.digest(tick(through)))
    }

    fn baseline_digest(&self, through: u8, lease: u8, _: Rules) -> u128 {
        self.sum(|row| row.baseline_digest(tick(through), TICK, u32::from(lease / 2)))
    }

    fn has_old(&self, through: u8, _: Rules) -> bool {
        let is_old = |(actor, _): (ActorId, u64)| actor.expires <= tick(through);
        self.main.actors().any(is_old) || self.sessions.values().any(|row| row.actors().any(is_old))
    }

    fn shown(&self) -> Shown {
        let rows = || std::iter::once(&self.main).chain(self.sessions.values());
        let ghost = |value: &Bytes| value.first().map_or(0, |ghost| 1 << ghost);
        Shown {
            value: self.main.counter_sum_text(&self.beside).parse().unwrap_or(i128::MAX),
            counted: rows().fold(0, |all, row| all | bits(row.counted_parts())),
            reset: rows().fold(0, |all, row| all | bits(row.covered_parts())),
            live: self.main.sibling_values().fold(0, |all, value| all | ghost(value)),
            register: self.main.register_write().map(|(stamp, value)| {
                let place = [stamp.hlc.wall / TICK_MICROS, stamp.hlc.logical.into(), stamp.actor.expires.0.into()]
                    .into_iter()
                    .chain([stamp.actor.epoch.0, stamp.event])
                    .fold(0, |place: u128, part| place << 24 | u128::from(part));
                (place, value.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()))
            }),
        }
    }
}

impl Family {
    fn sum(&self, of: impl Fn(&Row) -> Option<u128>) -> u128 {
        let mut sum = of(&self.main).unwrap_or(0);
        for (actor, row) in &self.sessions {
            let salt = u128::from_be_bytes(actor.to_bytes()) | 1;
            sum = sum.wrapping_add(of(row).map_or(0, |digest| digest.wrapping_mul(salt)));
        }
        sum
    }
}
