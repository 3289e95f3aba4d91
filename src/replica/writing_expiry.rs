//! What a key's deadline asks of a write: what has expired goes before anything new stands in its place, and a deadline
//! that outlived its key goes with it.

use super::StoredRow;
use super::writing::{Pen, refused};
use crate::message::client::{CollectionCommand, Command, ElementChange};
use crate::mutation::{self, Mutation};
use crate::shard::{NotMinted, Observed};
use crate::value::{Beside, Row};

impl Pen<'_> {
    /// Covers what has expired before anything new stands in its place.
    pub(super) fn sweep_first(&mut self, command: &Command, observed: Option<&Observed>) -> Result<(), NotMinted> {
        let has_expired = |observed: &Observed| observed.row.is_expired(self.env.now.wall);
        if (self.is_expired() || observed.is_some_and(has_expired)) && adds_to_what_stands(command) {
            let observed = observed.ok_or(NotMinted::MustObserve)?;
            if let Command::IncrementAs(write) = command {
                self.check_session(write)?;
            }
            self.cover(observed.row.clone(), |row, dot, stamp, seen| row.begin_anew(dot, stamp, seen))?;
        }
        Ok(())
    }

    /// Takes away a deadline that has outlived what it was set for: a key that was emptied before it passed begins anew with
    /// the next write. A quorum must show it empty, or the deadline is still somebody's. A fallback does not know.
    pub(super) fn outlive(&mut self, command: &Command, observed: Option<&Observed>) -> Result<(), NotMinted> {
        let nothing = StoredRow::default();
        let StoredRow { row, header } = self.turn.row(self.main).unwrap_or(&nothing);
        let is_hollow = |row: &Row, beside: &Beside| row.deadline().is_some() && !row.has_anything(beside);
        if !self.owed.is_empty() || !begins(command) || !is_hollow(row, &header.beside) {
            return Ok(());
        }
        if mutation::is_off(Mutation::DeadlineOutlivesKey) {
            return Ok(());
        }
        if let Command::IncrementAs(write) = command
            && let Some(known) = self.turn.row(&self.main.session(write.actor))
            && known.row.actors().any(|(actor, event)| actor == write.actor && event >= write.event)
        {
            // It counted already, and was taken away since.
            return Ok(());
        }
        let Some(Observed { row: seen, beside: seen_beside, .. }) = observed else {
            return Err(NotMinted::MustObserve);
        };
        let (mut whole, mut beside) = (row.clone(), seen_beside.clone());
        whole.merge(seen);
        beside.take_counts(&header.beside);
        if !is_hollow(&whole, &beside) {
            return Ok(());
        }
        let (main, latest) = (self.main, whole.latest_stamp());
        self.mint(main, latest, |row, dot, stamp, _| Ok(row.set_expiry(dot, stamp, None))).map_err(refused)
    }

    pub(super) fn is_expired(&self) -> bool {
        self.turn.row(self.main).is_some_and(|stored| stored.row.is_expired(self.env.now.wall))
    }

    /// Covers a key whose deadline has passed; the deadline stays, so that what comes late stays hidden.
    pub(super) fn sweep(&mut self, observed: Option<&Observed>) -> Result<(), NotMinted> {
        let stands = |stored: &StoredRow| stored.row.has_anything(&stored.header.beside);
        if !self.is_expired() || !self.turn.row(self.main).is_some_and(stands) {
            return Ok(());
        }
        let observed = observed.ok_or(NotMinted::MustObserve)?;
        if observed.row.is_expired(self.env.now.wall) {
            return self.cover(observed.row.clone(), |row, dot, stamp, seen| row.sweep(dot, stamp, seen));
        }
        Ok(())
    }
}

/// Whether a command leaves something of what stands, so that of an expired key all must be covered first. A write from a
/// context does that by itself, under its own stamp.
fn adds_to_what_stands(command: &Command) -> bool {
    !matches!(command, Command::Overwrite { .. } | Command::Delete | Command::Expire { .. })
}

/// Whether a command makes something where nothing was. A put and a number that is set end a deadline by themselves.
fn begins(command: &Command) -> bool {
    match command {
        Command::Increment { .. }
        | Command::IncrementAs(_)
        | Command::PutSibling { .. }
        | Command::SetFlag { on: true }
        | Command::AddToSketch { .. } => true,
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => {
            changes.iter().any(|write| write.change != ElementChange::Remove)
        }
        _ => false,
    }
}
