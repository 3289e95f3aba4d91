//! Minting: the one place where a new dot is made.
//!
//! ```text
//! header names an actor of this start, not expired, of no sealed tick
//!      ─→ continue it: event + 1 (at the end of time, an expired one too)
//! else ─→ start (lease end, this start's epoch, the partition's tenure): event 1
//! ```
//!
//! Choosing the event and putting it into the batch is one step that nothing can interrupt. Only the header decides
//! what may be continued: an own entry that came back from a peer is a foreign entry (Riak issue 679).

use std::collections::BTreeMap;

use super::writing::Pen;
use super::{Minting, Replica, Standing, debts};
use crate::causality::{ActorId, Tick};
use crate::message::client::Reason;
use crate::mutation::{self, Mutation};
use crate::shard::{Env, FreshWrite, Local, Mint, Minted, NotMinted, Observation, Turn, not_applied};
use crate::storage::RowKey;

impl Replica {
    /// Mints, or says why not; either way the coordinator is told in this turn.
    pub(super) fn mint(&mut self, env: &Env<'_>, turn: &mut Turn, row: &RowKey, mint: &Mint) {
        let outcome = self.mint_in_turn(env, turn, row, mint);
        turn.out.tell(Local::Minted(Minted { op: mint.op, outcome }));
    }

    fn mint_in_turn(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        main: &RowKey,
        mint: &Mint,
    ) -> Result<FreshWrite, NotMinted> {
        let partition = main.partition(env.ring.layout().partitions);
        let standing = Standing::of(env, turn, partition);
        check(env, turn, main, mint, standing)?;
        if let Some(observed) = &mint.observed {
            self.check_memory(env, turn, main, &observed.row);
            for (element, row) in &observed.elements {
                self.check_memory(env, turn, element, row);
            }
        }
        let owed = if standing == Standing::Fallback { env.ring.owners(partition) } else { &[] };
        // What was observed may have been settled here since.
        let memory = turn.memory(partition);
        let mut observed = mint.observed.clone();
        if let Some(observed) = &mut observed {
            let knows = |actor: ActorId, event: u64| {
                let row = if actor.is_session() { main.session(actor) } else { main.clone() };
                turn.row(&row).is_some_and(|stored| {
                    stored.row.actors().any(|(known, reached)| known == actor && reached >= event)
                })
            };
            // A fallback must not come to hold what it has sealed.
            let through = if standing == Standing::Fallback { memory.refused() } else { memory.frozen };
            observed.row.leave_out(memory.compacted, through, knows);
            observed.row.compact(memory.compacted);
        }
        let mut pen = Pen { env, turn, clock: &mut self.clock, main, owed, parts: BTreeMap::new() };
        pen.write(&mint.command, observed.as_ref(), standing)?;
        let parts = pen.parts;
        let (value, has_conflict) = turn.row(main).map_or_else(Default::default, |stored| {
            let beside = &stored.header.beside;
            (stored.row.visible(beside, env.now.wall), stored.row.has_conflict(beside))
        });
        if self.conflicts.note(main, has_conflict, env.now.mono) {
            turn.out.observe(Observation::Conflict { row: main.clone() });
        }
        Ok(FreshWrite { parts, value })
    }
}

/// What can refuse any mint, before anything is changed.
fn check(env: &Env<'_>, turn: &Turn, main: &RowKey, mint: &Mint, standing: Standing) -> Result<(), NotMinted> {
    if env.now.mono >= mint.deadline {
        return Err(not_applied(Reason::DeadlineExceeded { answered: 0, needed: 1 }).into());
    }
    match standing {
        Standing::Owner | Standing::Fallback => {}
        Standing::Newborn => return Err(not_applied(Reason::NotEstablished).into()),
        Standing::Outside => {
            return Err(not_applied(Reason::StaleLayout { have: env.ring.epoch().number }).into());
        }
    }
    if env.has_rival {
        return Err(not_applied(Reason::TwoClaimants { node: env.me }).into());
    }
    if env.is_below_reserve && !mint.command.only_removes() {
        return Err(not_applied(Reason::DiskReserve { node: env.me }).into());
    }
    if mint.command.writes_a_stamp()
        && let Some(ahead_ms) = env.clock_ahead_ms
    {
        return Err(not_applied(Reason::ClockAhead { node: env.me, ahead_ms }).into());
    }
    if standing == Standing::Fallback {
        let partition = main.partition(env.ring.layout().partitions);
        debts::check_room(env, turn, main, env.ring.owners(partition))
            .map_err(|_| not_applied(Reason::Busy { queue: format!("the hints that node {} holds", env.me) }))?;
    }
    Ok(())
}

/// The actor and event of the next mint on a row.
pub(super) fn next_event(env: &Env<'_>, turn: &Turn, row: &RowKey) -> Minting {
    let partition = row.partition(env.ring.layout().partitions);
    // A clock that went back must not lead to what is sealed.
    let tick = Tick::at(env.now.wall, env.config.tick).max(turn.refused(partition));
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
