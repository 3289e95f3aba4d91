//! Minting: the one place where a new dot is made.
//!
//! ```text
//! header names an actor of this start, not expired, of no sealed tick, which ends within two leases
//!      ─→ continue it: event + 1 (at the end of time, an expired one too)
//! else ─→ start (lease end, this start's epoch, the partition's tenure): event 1
//! ```
//!
//! Choosing the event and putting it into the batch is one step that nothing can interrupt. Only the header decides
//! what may be continued: an own entry that came back from a peer is a foreign entry (Riak issue 679).

use std::collections::BTreeMap;

use super::apply::is_impossible;
use super::writing::Pen;
use super::{Minting, Replica, Standing, debts};
use crate::causality::{ActorId, Tick};
use crate::ids::{CollectionKind, NodeId};
use crate::message::client::{CollectionCommand, Command, ElementChange, Reason};
use crate::message::contexts::{self, CounterContext};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, FreshWrite, Local, Mint, Minted, NotMinted, Turn, not_applied};
use crate::storage::{RowKey, RowKind};
use crate::value::Missed;

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
        self.check_shown(env, turn, main, mint)?;
        let owed = if standing == Standing::Fallback { env.ring.owners(partition) } else { &[] };
        // What was observed may have been settled here since.
        let memory = turn.memory(partition);
        let mut observed = mint.observed.clone();
        let mut lacks_frozen = false;
        if let Some(observed) = &mut observed {
            let knows = |actor: ActorId, event: u64| {
                let row = if actor.is_session() { main.session(actor) } else { main.clone() };
                turn.row(&row).is_some_and(|stored| {
                    stored.row.actors().any(|(known, reached)| known == actor && reached >= event)
                })
            };
            // A fallback must not come to hold what it has sealed.
            let through = if standing == Standing::Fallback { memory.refused() } else { memory.frozen };
            lacks_frozen = observed.row.leave_out(memory.compacted, through, knows);
            observed.row.compact(memory.compacted);
        }
        let is_there = |owner: &&NodeId| **owner == env.me || env.liveness.is_reachable(**owner);
        let sets = env.ring.write_sets(partition).iter();
        let needs_fallbacks = sets.map(|set| set.owners().iter().filter(is_there).count()).any(|there| there < mint.w);
        let clock = &mut self.clock;
        let mut pen = Pen { env, turn, clock, main, owed, lacks_frozen, needs_fallbacks, parts: BTreeMap::new() };
        pen.write(&mint.command, observed.as_ref(), standing)?;
        let parts = pen.parts;
        if matches!(mint.command, Command::IncrementAs(_)) {
            self.conflicts.count(main);
        }
        let fields = parts.keys().filter(|row| row.kind() == RowKind::Element(CollectionKind::Map));
        for row in fields.chain([main]) {
            self.note_conflict(env, turn, row, missed_by(&mint.command, row));
        }
        let value = turn.row(main).map(|stored| stored.row.visible(&stored.header.beside, env.now.wall));
        let value = value.unwrap_or_default();
        Ok(FreshWrite { parts, value })
    }

    /// Looks through what other members have shown, which the write builds on: it may hold own entries that this start
    /// does not remember, and must not say that the write itself is settled or seen.
    fn check_shown(&mut self, env: &Env<'_>, turn: &mut Turn, main: &RowKey, mint: &Mint) -> Result<(), NotMinted> {
        let key = &env.config.seal_key;
        let partition = main.partition(env.ring.layout().partitions);
        let mut check = |row: &RowKey, settled: Tick, actors: &mut dyn Iterator<Item = (ActorId, u64)>| {
            if is_impossible(&turn.memory(partition), settled) {
                let detail = "what was read is settled further than it is sealed here: a member shows what none can hold, or \
                              this directory is an earlier copy, and will find that out; read again";
                return Err(not_applied(Reason::StorageFailed { node: env.me, detail: detail.into() }).into());
            }
            self.check_memory(env, turn, row, actors);
            Ok(())
        };
        if let Some(observed) = &mint.observed {
            check(main, observed.row.settled_until(), &mut observed.row.actors())?;
            for (element, row) in &observed.elements {
                check(element, row.settled_until(), &mut row.actors())?;
            }
        }
        // A context that does not open is refused when the command is carried out.
        match &mint.command {
            Command::Overwrite { context, .. } => match CounterContext::open(key, main, context) {
                Ok(context) => check(main, context.seen.settled_until(), &mut context.seen.actors()),
                Err(_) => Ok(()),
            },
            Command::PutSibling { context: Some(context), .. } => match contexts::open_siblings(key, main, context) {
                Ok(seen) => check(main, seen.floor(), &mut seen.seen().dots()),
                Err(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Whether what still counts in a row after this write is what the write should have covered, and did not see: it looked
/// elsewhere before that came here.
fn missed_by(command: &Command, row: &RowKey) -> Missed {
    let covers = match command {
        Command::Put { .. } | Command::Delete => row.kind() == RowKind::Main,
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => changes.iter().any(|write| {
            let covers = matches!(write.change, ElementChange::Put(_) | ElementChange::Remove);
            covers && row.kind() != RowKind::Main && row.sub_key() == write.element
        }),
        _ => false,
    };
    if covers { Missed::Surely } else { Missed::No }
}

/// What can refuse any mint, before anything is changed.
fn check(env: &Env<'_>, turn: &Turn, main: &RowKey, mint: &Mint, standing: Standing) -> Result<(), NotMinted> {
    if env.now.mono >= mint.deadline {
        return Err(not_applied(Reason::DeadlineExceeded { answered: 0, needed: 1 }).into());
    }
    match standing {
        // Whoever stands in keeps a row as owed to owners; with none, nobody would ever take it over.
        Standing::Fallback if env.ring.owners(main.partition(env.ring.layout().partitions)).is_empty() => {
            return Err(not_applied(Reason::NoOwner).into());
        }
        Standing::Owner | Standing::Fallback => {}
        Standing::Newborn | Standing::Joining => return Err(not_applied(Reason::NotEstablished).into()),
        Standing::Leaving | Standing::Outside => {
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
pub(super) fn next_event(env: &Env<'_>, turn: &mut Turn, row: &RowKey) -> Minting {
    let partition = row.partition(env.ring.layout().partitions);
    // A clock that went back must not lead to what is sealed.
    let tick = Tick::at(env.now.wall, env.config.tick).max(turn.refused(partition));
    let header = turn.row(row).and_then(|stored| stored.header.minting);
    // An actor lives for two leases. What expires later was begun while the clock was ahead, and would not settle for so long.
    let latest = tick.0.saturating_add(env.config.actor_lease_ticks.max(1).saturating_mul(2));
    let is_of_the_future = |actor: ActorId| actor.expires.0 > latest && !mutation::is_off(Mutation::FutureContinued);
    if let Some(minting) = header
        && minting.actor.epoch == env.epoch
        && minting.actor.expires > tick
    {
        if !is_of_the_future(minting.actor) {
            return Minting { event: minting.event + 1, ..minting };
        }
        // The row will not remember it: it belongs to an earlier tenure.
        if minting.actor.tenure >= turn.memory(partition).tenure {
            turn.advance_tenure(partition);
        }
    }
    if mutation::is_off(Mutation::LearnedEntryContinued)
        && let Some((actor, event)) =
            turn.row(row).and_then(|stored| stored.row.actors().filter(|(actor, _)| actor.epoch == env.epoch).max())
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
