//! Increments of sessions: what a session did is the session's own dot, so nothing is minted for it here.
//!
//! A session's row stands beside the main row, under the session's name. Together the rows of a key's sessions are bounded,
//! [`limits::SESSION_BYTES_PER_KEY_MAX`]: beyond it a new session is refused, and those that are known go on.

use super::writing::{Pen, refused};
use crate::causality::Tick;
use crate::limits;
use crate::message::client::{Reason, SessionWrite};
use crate::shard::{NotMinted, not_applied, unknown};
use crate::value::{Beside, Row, Totals, ValueType};

impl Pen<'_> {
    /// Takes over what a session did. Sent again it changes nothing, and is replicated again: who asks wants W copies.
    pub(super) fn increment_as(&mut self, write: &SessionWrite) -> Result<(), NotMinted> {
        self.check_session(write)?;
        let SessionWrite { actor, event, p, n } = *write;
        let totals = Totals { p, n };
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
            let taken = beside.sessions().bytes_with_keys(session.as_bytes().len());
            if known.is_none() && taken >= limits::SESSION_BYTES_PER_KEY_MAX {
                return Err(not_applied(Reason::TooManySessions).into());
            }
        }
        let mut state = row.clone();
        let delta = state.increment_as(actor, event, totals).map_err(refused)?;
        self.take(&session, state, delta);
        self.touch(ValueType::String)
    }

    /// Refuses a session whose lease is too long, or over.
    pub(super) fn check_session(&self, write: &SessionWrite) -> Result<(), NotMinted> {
        let expires = write.actor.expires;
        let tick = Tick::at(self.env.now.wall, self.env.config.tick);
        let ticks = u64::from(expires.0.saturating_sub(tick.0));
        let ticks_max = u64::from(self.env.config.actor_lease_ticks);
        if ticks > ticks_max {
            return Err(not_applied(Reason::LeaseTooLong { ticks, ticks_max }).into());
        }
        if expires <= self.refused() {
            return Err(unknown(Reason::SessionExpired).into());
        }
        Ok(())
    }
}
