//! Writes as the checks see them: what a coordinator sent to the others, with its dots, and whether a client was told.
//!
//! A write is caught where it leaves its coordinator: the parts of its first `Replicate`. A coordinator that reaches nobody
//! sends none; then the rows that it wrote stand for the write, which is no less. The write of an acknowledged request is
//! the one that does what was asked and that the token of the answer has seen; what it contains of earlier writes is
//! acknowledged with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling::causality::{Dot, Epoch};
use starling::ids::OpId;
use starling::message::contexts::CounterContext;
use starling::message::peer::{PeerMessage, Replicate};
use starling::message::token::Token;
use starling::sealed::SealKey;
use starling::shard::{Effect, Observation};
use starling::storage::memory::MemoryStore;
use starling::storage::{RowKey, RowKind};
use starling::time::WallTime;
use starling::value::register::Stamp;
use starling::value::{Row, Seen};

use super::record::Record;
use super::rows::Family;

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Of which dialogue; `None`: it was never sent.
    sent: Option<(Epoch, OpId)>,
    /// The main row of the key.
    pub main: RowKey,
    /// What it changes, or what stood after it.
    pub parts: BTreeMap<RowKey, Row>,
    /// The dots that were minted for it.
    pub dots: Vec<(RowKey, Dot)>,
    /// A client was told that it is done.
    pub is_acknowledged: bool,
}

impl Record {
    /// A turn of a node is over: notes what was written in it.
    pub fn note_writes(&mut self, effects: &[Effect], store: &MemoryStore) {
        let first = self.writes.len();
        let mut minted = Vec::new();
        for effect in effects {
            match effect {
                Effect::Observe(Observation::Minted { row, dot, .. }) => minted.push((row.clone(), *dot)),
                Effect::Send { frame, .. } => {
                    for addressed in &frame.messages {
                        if let PeerMessage::Replicate(replicate) = &addressed.message {
                            self.note_sent(frame.epoch, replicate);
                        }
                    }
                }
                _ => {}
            }
        }
        for (row, dot) in minted {
            let has_dot = |write: &&mut Write| {
                let part = write.parts.get(&row);
                part.is_some_and(|part| part.actors().any(|(actor, event)| actor == dot.actor && event >= dot.event))
            };
            match self.writes.iter_mut().skip(first).find(has_dot) {
                Some(write) => write.dots.push((row, dot)),
                None => {
                    // What it covers of sessions stands in their rows.
                    let main = row.main_row();
                    let family = Family::of(store, &main);
                    let parts = family.rows().map(|(row, state)| (row.clone(), state.clone())).collect();
                    self.writes.push(Write { sent: None, main, parts, dots: vec![(row, dot)], is_acknowledged: false });
                }
            }
        }
    }

    /// A client sends the second step of a reset: the write is made already, by what was observed, wherever it arrives.
    pub fn note_second_step(&mut self, key: &SealKey, main: &RowKey, context: &Bytes, to: Option<i64>) {
        let Ok(CounterContext { stamp, dot, seen }) = CounterContext::open(key, main, context) else { return };
        let mut whole = seen.clone();
        let delta = match to {
            Some(number) => whole.put(dot, stamp, Bytes::from(number.to_string()), &seen),
            None => whole.reset(dot, stamp, &seen),
        };
        let (row, sessions) = delta.split_sessions();
        let sessions = sessions.into_iter().map(|(actor, row)| (main.session(actor), row));
        let parts = sessions.chain([(main.clone(), row)]).collect();
        self.writes.push(Write { sent: None, main: main.clone(), parts, dots: Vec::new(), is_acknowledged: false });
    }

    fn note_sent(&mut self, epoch: Epoch, replicate: &Replicate) {
        let sent = Some((epoch, replicate.op));
        if self.writes.iter().rev().any(|write| write.sent == sent) {
            return;
        }
        let decoded =
            replicate.parts.iter().filter_map(|part| Some((part.row.clone(), Row::decode(&part.delta).ok()?)));
        let parts: BTreeMap<RowKey, Row> = decoded.collect();
        if let Some(main) = parts.keys().next().map(RowKey::main_row) {
            self.writes.push(Write { sent, main, parts, dots: Vec::new(), is_acknowledged: false });
        }
    }

    /// A client was told with this token that what it had asked for is done: which writes are acknowledged now, and were
    /// not before. None, if it cannot be told which of several was the client's.
    pub fn acknowledge(&mut self, key: &SealKey, token: &Bytes, asked: &Asked, main: &RowKey) -> Vec<usize> {
        let Ok(token) = Token::open(key, token) else { return Vec::new() };
        let in_token = |row: &RowKey| {
            token.of(if row.kind() == RowKind::Session { main } else { row }).cloned().unwrap_or_default()
        };
        let candidates: Vec<usize> = (asked.since..self.writes.len())
            .filter(|number| {
                let write = self.writes.get(*number).filter(|write| write.main == *main);
                write.is_some_and(|write| write.does(&asked.what) && write.is_seen_by(in_token))
            })
            .collect();
        let own = candidates.iter().copied().find(|own| candidates.iter().all(|other| self.contains(*own, *other)));
        let Some(own) = own else { return Vec::new() };
        let fresh: Vec<usize> = (0..self.writes.len())
            .filter(|number| self.writes.get(*number).is_some_and(|write| !write.is_acknowledged))
            .filter(|number| self.contains(own, *number))
            .collect();
        for number in &fresh {
            if let Some(write) = self.writes.get_mut(*number) {
                write.is_acknowledged = true;
            }
        }
        fresh
    }

    /// Whether who has seen the first write has seen the second.
    fn contains(&self, first: usize, second: usize) -> bool {
        let (Some(first), Some(second)) = (self.writes.get(first), self.writes.get(second)) else { return false };
        let seen_of = |row: &RowKey| first.parts.get(row).map(Row::seen).unwrap_or_default();
        first.main == second.main && second.is_seen_by(seen_of)
    }
}

/// What a client has asked for, as it shows in a write.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub what: What,
    /// How many writes there were before.
    pub since: usize,
}

/// What a write may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing that is looked for: a read, or an increment, which has a digit.
    Nothing,
    /// The register is this; `None`: empty.
    Register(Option<Bytes>),
    /// The deadline is this.
    Deadline(Option<WallTime>),
    /// The element is changed.
    Element(Bytes),
    /// This value stands among the siblings.
    Sibling(Bytes),
    /// The flag is changed.
    Flag,
}

impl Write {
    /// The write's own rows, as a family.
    pub fn family(&self) -> Family {
        Family::of_rows(&self.main, self.parts.iter().map(|(row, state)| (row.clone(), state.clone())))
    }

    /// Whether what was asked is what it does.
    fn does(&self, what: &What) -> bool {
        let nothing = Row::default();
        let main = self.parts.get(&self.main).unwrap_or(&nothing);
        match what {
            What::Nothing => false,
            What::Register(asked) => main.register_write().is_some_and(|(_, value)| value == asked.as_ref()),
            What::Deadline(asked) => main.deadline_write().is_some_and(|(_, deadline)| deadline == *asked),
            What::Element(name) => {
                let is_it = |row: &RowKey| matches!(row.kind(), RowKind::Element(_)) && row.sub_key() == *name;
                self.parts.keys().any(is_it)
            }
            What::Sibling(asked) => main.sibling_values().any(|value| value == asked),
            What::Flag => main.dotted_parts().get(1).is_some_and(|(_, seen)| !seen.is_empty()),
        }
    }

    /// Whether who has seen this of its rows has seen all of it.
    fn is_seen_by(&self, seen_of: impl Fn(&RowKey) -> Seen) -> bool {
        self.parts.iter().all(|(row, part)| {
            let mut seen = seen_of(row);
            let before = seen.clone();
            seen.merge(&part.seen());
            seen == before
        })
    }

    /// When it wrote a deadline; not one that it only saw, which may have been forgotten since.
    fn own_deadline(&self, row: &RowKey, part: &Row) -> Option<Stamp> {
        let (stamp, _) = part.deadline_write()?;
        let dot = Dot { actor: stamp.actor, event: stamp.event };
        self.dots.iter().any(|(of, own)| of == row && *own == dot).then_some(*stamp)
    }

    /// Whether a family contains what the write does: its registers, its dots, and what it covers.
    pub fn is_held_by(&self, family: &Family) -> bool {
        let nothing = Row::default();
        let stands = self.parts.iter().all(|(row, part)| {
            let held = family.row(row).unwrap_or(&nothing);
            part.register_write().map(|(stamp, _)| stamp) <= held.register_write().map(|(stamp, _)| stamp)
                && self.own_deadline(row, part) <= held.deadline_write().map(|(stamp, _)| *stamp)
                && part.dotted_parts().iter().zip(held.dotted_parts()).all(|((_, seen), (_, known))| {
                    let own = self.dots.iter().filter(|(of, dot)| of == row && seen.has_seen(*dot));
                    own.into_iter().all(|(_, dot)| known.has_seen(*dot))
                })
        });
        stands && self.family().digits(None).is_covered_by(family.digits(None))
    }
}
