//! The rows of one key, merged from all backups.
//!
//! The main row comes first and waits for the others: it takes in what settled sessions did, and is told what stands beside
//! it. Every row is joined as an owner joins what comes late (`replica/apply`); one of a backup that is older than what the base
//! has forgotten gives that up before, as a directory does that was replaced by an earlier copy.

use super::copies::{Age, Found};
use super::writer::Writer;
use super::{Level, RestoreError};
use crate::causality::{ActorId, Tick};
use crate::config::ShardConfig;
use crate::mutation::{self, Mutation};
use crate::replica::StoredRow;
use crate::replica::normal::{self, Normal};
use crate::storage::{RowKey, RowKind};
use crate::value::{Beside, Row};

/// A key whose rows are coming.
#[derive(Debug)]
pub(super) struct Family<'a> {
    key: RowKey,
    level: Level,
    config: &'a ShardConfig,
    main: Row,
    /// What stands beside the main row in the new cluster.
    beside: Beside,
    /// What stood beside the base's.
    base_beside: Beside,
}

impl<'a> Family<'a> {
    /// A key with nothing yet.
    pub fn new(key: RowKey, level: Level, config: &'a ShardConfig) -> Family<'a> {
        let (main, beside, base_beside) = (Row::default(), Beside::NONE, Beside::NONE);
        Family { key, level, config, main, beside, base_beside }
    }

    /// The main row's key.
    pub fn main(&self) -> &RowKey {
        &self.key
    }

    /// Takes in the next row of the key. Main row first, sessions next.
    pub fn take(&mut self, row: &RowKey, found: Vec<Found>, writer: &mut Writer<'_>) -> Result<(), RestoreError> {
        if row.kind() == RowKind::Main {
            let base = found.iter().find(|found| found.age == Age::Base);
            self.base_beside = base.map_or(Beside::NONE, |found| found.stored.header.beside.clone());
            self.main = self.join(row, found);
            return Ok(());
        }
        if let Some(actor) = row.actor() {
            let summed = self.main.settled_tick().max(self.level.memory.compacted);
            if actor.expires <= summed {
                // It stands in the main row's sum; what a reset saw of it is the main row's.
                self.take_settled(found, summed);
                return Ok(());
            }
        }
        let joined = self.join(row, found);
        let mut stored = StoredRow { row: joined, ..StoredRow::default() };
        if self.is_nothing(row, &mut stored) {
            return Ok(());
        }
        self.note(row, &stored.row);
        write(writer, row, stored, self.config)
    }

    /// The last row has come: writes the main row.
    pub fn end(mut self, writer: &mut Writer<'_>) -> Result<(), RestoreError> {
        let mut stored = StoredRow { row: std::mem::take(&mut self.main), ..StoredRow::default() };
        stored.header.beside = std::mem::replace(&mut self.beside, Beside::NONE);
        let key = self.key.clone();
        if self.is_nothing(&key, &mut stored) && stored.header.beside.is_empty() {
            return Ok(());
        }
        write(writer, &key, stored, self.config)
    }

    /// Merges what the backups hold of a row, those first that are settled furthest.
    fn join(&self, row: &RowKey, found: Vec<Found>) -> Row {
        let (tick, lease) = (self.config.tick, self.config.actor_lease_ticks);
        let folded = self.level.folded();
        let mut through = self.level.base.map_or(Tick(0), |base| base.compacted);
        let beside = if row.kind() == RowKind::Main { &self.base_beside } else { &Beside::NONE };
        let mut ours = Row::default();
        for Found { mut stored, memory, is_owner, age } in found {
            if normal::retire(row, &mut stored, &memory, self.config) == Normal::Absent {
                continue;
            }
            let StoredRow { header, row: mut theirs } = stored;
            if age == Age::Older && !mutation::is_off(Mutation::ForgottenKept) {
                theirs.give_up(&ours, folded, tick, lease, &header.beside);
            }
            if age != Age::Base {
                theirs.ignore_settled(&ours, through, folded);
                theirs.ignore_retired(&ours, folded, tick, lease, beside);
            }
            ours.merge(&theirs);
            if is_owner {
                through = through.max(memory.compacted);
            }
        }
        ours
    }

    /// A session's row whose increments stand in the main row's sum.
    fn take_settled(&mut self, found: Vec<Found>, summed: Tick) {
        let (tick, lease) = (self.config.tick, self.config.actor_lease_ticks);
        let folded = self.level.folded();
        for Found { stored, .. } in found {
            let mut theirs = stored.row;
            theirs.ignore_settled(&self.main, summed, folded);
            theirs.ignore_retired(&self.main, folded, tick, lease, &self.base_beside);
            self.main.merge(&theirs);
        }
    }

    /// Settles a row as far as the new cluster is settled; whether nothing is left of it.
    fn is_nothing(&self, row: &RowKey, stored: &mut StoredRow) -> bool {
        normal::retire(row, stored, &self.level.memory, self.config) == Normal::Absent || stored.row.is_empty()
    }

    /// Tells the main row of a row beside it.
    fn note(&mut self, row: &RowKey, state: &Row) {
        match row.kind() {
            RowKind::Main => {}
            RowKind::Session => {
                if let Some(actor) = row.actor() {
                    self.beside.replace_session(None, Some(state), actor);
                }
            }
            RowKind::Element(kind) => {
                self.beside.replace_element(kind, false, state.is_live_element(kind), false, true);
            }
        }
    }
}

fn write(writer: &mut Writer<'_>, row: &RowKey, stored: StoredRow, config: &ShardConfig) -> Result<(), RestoreError> {
    if !stored.row.is_within_limits() {
        return Err(RestoreError::RowTooLarge { row: row.to_string() });
    }
    let expires = stored.row.actors().map(|(ActorId { expires, .. }, _)| expires).max().unwrap_or_default();
    let retires = normal::retires_at(&stored, config).unwrap_or_default();
    writer.row(row, stored, expires.max(retires))
}
