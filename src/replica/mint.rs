//! Minting: the one place where a new dot is made.
//!
//! ```text
//! header names an actor of this start, not expired ─→ continue it: event + 1 (at the end of time, an expired one too)
//! else ─→ start (lease end, this start's epoch, the partition's tenure): event 1
//! ```
//!
//! Choosing the event and putting it into the batch is one step that nothing can interrupt. Only the header decides
//! what may be continued: an own entry that came back from a peer is a foreign entry (Riak issue 679).

use super::{Minting, Replica, Standing};
use crate::causality::{ActorId, Dot, Tick};
use crate::message::client::{Reason, RequestError};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, FreshWrite, Local, Mint, MintCommand, Minted, Observation, Turn, not_applied};
use crate::storage::RowKey;
use crate::value::{Beside, Row, ValueError};

impl Replica {
    /// Mints, or says why not; either way the coordinator is told in this turn.
    pub(super) fn mint(&mut self, env: &Env<'_>, turn: &mut Turn, row: RowKey, mint: Mint) {
        let outcome = self.mint_in_turn(env, turn, &row, &mint);
        turn.out.tell(Local::Minted(Minted { op: mint.op, outcome }));
    }

    fn mint_in_turn(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        row: &RowKey,
        mint: &Mint,
    ) -> Result<FreshWrite, RequestError> {
        let partition = row.partition(env.ring.layout().partitions);
        let standing = Standing::of(env, turn, partition);
        self.check(env, turn, row, mint, standing)?;

        if let MintCommand::Put { observed: Some(observed), .. } | MintCommand::Delete { observed: Some(observed) } =
            &mint.command
        {
            self.check_memory(env, turn, row, observed);
        }
        let minting = next_event(env, turn, row);
        let dot = Dot { actor: minting.actor, event: minting.event };
        let version = turn.next_version();
        let stored = turn.row_mut(row);
        let seen = stored.row.latest_stamp().max(mint.command.latest_stamp());
        let stamp = self.clock.stamp(env.now.wall, seen);
        let delta = match &mint.command {
            MintCommand::Increment(by) => stored
                .row
                .increment(dot, stamp, *by, &Beside::NONE)
                .expect("checked above: an increment that can be made is made"),
            MintCommand::Put { value, observed } => {
                let observed = observed.clone().unwrap_or_else(|| stored.row.clone());
                stored.row.put(dot, stamp, value.clone(), &observed)
            }
            MintCommand::Delete { observed } => {
                let observed = observed.clone().unwrap_or_else(|| stored.row.clone());
                stored.row.delete(dot, stamp, &observed)
            }
        };
        stored.header.minting = Some(minting);
        stored.header.version = version;
        if standing == Standing::Fallback {
            for owner in env.ring.owners(partition) {
                stored.header.owe(*owner, version);
            }
        }
        let value = stored.row.visible(&Beside::NONE, env.now.wall);
        if stored.row.has_conflict(&Beside::NONE) {
            turn.out.observe(Observation::Conflict { row: row.clone() });
        }
        let delta_hash = delta.state_hash() as u64;
        turn.out.observe(Observation::Minted { row: row.clone(), dot, delta_hash });
        turn.count_bytes(delta.encoded_bytes_max());
        Ok(FreshWrite { delta, version, value })
    }

    /// Everything that can refuse a mint, before anything is changed.
    fn check(
        &self,
        env: &Env<'_>,
        turn: &Turn,
        row: &RowKey,
        mint: &Mint,
        standing: Standing,
    ) -> Result<(), RequestError> {
        if env.now.mono >= mint.deadline {
            return Err(not_applied(Reason::DeadlineExceeded { answered: 0, needed: 1 }));
        }
        match standing {
            Standing::Owner | Standing::Fallback => {}
            Standing::Newborn => return Err(not_applied(Reason::NotEstablished)),
            Standing::Outside => {
                return Err(not_applied(Reason::StaleLayout { have: env.ring.epoch().number }));
            }
        }
        let existing = turn.row(row);
        let is_delete = matches!(mint.command, MintCommand::Delete { .. });
        if env.has_rival {
            return Err(not_applied(Reason::TwoClaimants { node: env.me }));
        }
        if env.is_below_reserve && !is_delete {
            return Err(not_applied(Reason::DiskReserve { node: env.me }));
        }
        match &mint.command {
            MintCommand::Increment(by) => {
                let nothing = Row::default();
                existing.map_or(&nothing, |stored| &stored.row).can_increment(*by, &Beside::NONE).map_err(|error| {
                    not_applied(match error {
                        ValueError::NotANumber => Reason::NotANumber,
                        ValueError::Overflow => Reason::Overflow,
                        // Only of sessions, which are not served yet.
                        ValueError::EventReused { .. } | ValueError::TotalsShrank { .. } => {
                            Reason::Forbidden(error.to_string())
                        }
                    })
                })?;
            }
            MintCommand::Put { .. } | MintCommand::Delete { .. } => {
                if let Some(ahead_ms) = env.clock_ahead_ms {
                    return Err(not_applied(Reason::ClockAhead { node: env.me, ahead_ms }));
                }
                let covers_own_row = matches!(
                    mint.command,
                    MintCommand::Put { observed: None, .. } | MintCommand::Delete { observed: None }
                );
                let is_live = existing.is_some_and(|stored| stored.row.has_live_counter(&Beside::NONE));
                if standing == Standing::Fallback && covers_own_row && is_live {
                    // What a fallback holds of a counter is a part of it.
                    return Err(not_applied(Reason::NoOwner));
                }
            }
        }
        if standing == Standing::Fallback {
            let partition = row.partition(env.ring.layout().partitions);
            super::debts::check_room(env, turn, row, env.ring.owners(partition))
                .map_err(|_| not_applied(Reason::Busy { queue: format!("the hints that node {} holds", env.me) }))?;
        }
        Ok(())
    }
}

/// The actor and event of the next mint on a row.
fn next_event(env: &Env<'_>, turn: &Turn, row: &RowKey) -> Minting {
    let partition = row.partition(env.ring.layout().partitions);
    let tick = Tick::at(env.now.wall, env.config.tick);
    let stored = turn.row(row);
    let header = stored.and_then(|stored| stored.header.minting);
    if let Some(minting) = header
        && minting.actor.epoch == env.epoch
        && minting.actor.expires > tick
    {
        return Minting { event: minting.event + 1, ..minting };
    }
    if mutation::is_off(Mutation::LearnedEntryContinued)
        && let Some((actor, event)) =
            stored.and_then(|stored| stored.row.actors().filter(|(actor, _)| actor.epoch == env.epoch).max())
    {
        return Minting { actor, event: event + 1 };
    }
    let actor = ActorId {
        expires: tick.lease_end(env.config.actor_lease_ticks),
        epoch: env.epoch,
        tenure: turn.memory(partition).tenure,
    };
    match header {
        // The last tick of all: the lease cannot end later, so the actor is the same, and goes on.
        Some(minting) if minting.actor == actor => Minting { event: minting.event + 1, ..minting },
        Some(_) | None => Minting { actor, event: 1 },
    }
}
