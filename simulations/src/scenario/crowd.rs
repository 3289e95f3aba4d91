//! A crowd of clients around a story: they ask all the time while the story goes on, and must be served.

use std::time::Duration;

use starling::membership::{Change, LayoutEpoch, Phase};
use starling::message::client::{Reason, Response};

use super::stage::Stage;
use crate::swarm::rest;
use crate::workload::{Topics, Workload, WorkloadOptions};
use crate::world::World;
use crate::world::history::{Known, Op};

/// The longest that a change of the members may take in a story.
const CHANGE_WITHIN: Duration = Duration::from_secs(120);

/// A stage with clients on it.
pub(super) struct Crowd {
    pub(super) stage: Stage,
    clients: Workload,
}

impl Crowd {
    /// Clients that ask for everything, so many times a second.
    pub(super) fn on(stage: Stage, rate: u32) -> Crowd {
        let seed = stage.world.options.seed;
        Crowd { stage, clients: Workload::new(seed, WorkloadOptions::plain(rate, Topics::SERVED)) }
    }

    /// The clients ask for a while.
    pub(super) fn run_ms(&mut self, ms: u64) {
        let end = self.stage.world.after(Duration::from_millis(ms));
        while self.stage.world.now() < end {
            self.clients.ask(&mut self.stage.world);
            let gap = self.clients.gap();
            let next = self.stage.world.after(gap).min(end);
            self.stage.world.run_until(next);
        }
    }

    /// The clients ask until something holds; it must within a while.
    pub(super) fn run_until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let give_up = self.stage.world.after(CHANGE_WITHIN);
        while !holds(&self.stage.world) {
            if self.stage.world.now() >= give_up {
                return self.stage.must(false, || format!("{what} should have happened within {CHANGE_WITHIN:?}"));
            }
            self.run_ms(50);
        }
    }

    /// A change of the members is asked for through a node, and must be committed.
    pub(super) fn change(&mut self, through: usize, changes: Vec<Change>) {
        let operation = self.stage.world.change_through(through, changes, false);
        self.run_until("the change is decided on", |world| outcome(world, operation).is_some());
        let outcome = outcome(&self.stage.world, operation).cloned();
        self.stage.must(matches!(outcome, Some(Ok(_))), || format!("the change must be committed, but: {outcome:?}"));
    }

    /// The clients ask until every member acts by a layout of this phase.
    pub(super) fn run_until_all_are(&mut self, phase: Phase) {
        self.run_until(&format!("every member is {phase}"), |world| {
            let last = world.layouts().last();
            last.is_some_and(|last| last.ring.layout().phase == phase && last.everywhere_at.is_some())
        });
    }

    /// The clients go. Of all that they asked, at most so many in a thousand may not have been done although the node ran.
    pub(super) fn go(mut self, failed_per_mille: usize) -> Stage {
        rest::end_dialogues(&mut self.stage.world, &mut self.clients);
        let mut stage = self.stage;
        let asked: Vec<&Op> = stage.world.history.ops().iter().filter(|op| is_asked(op)).collect();
        let failed: Vec<String> =
            asked.iter().filter(|op| op.known() != Known::Applied).map(|op| format!("{op:?}")).collect();
        let (all, bad) = (asked.len(), failed.len());
        stage.must(bad * 1000 <= all * failed_per_mille, || {
            format!("{bad} of {all} requests failed, such as {:?}", failed.first())
        });
        stage.note(format!("{bad} of {all} requests failed"));
        stage
    }
}

/// A request that reached a node which stayed, and whose answer does not depend on what the key holds.
fn is_asked(op: &Op) -> bool {
    let is_about_its_value = matches!(&op.answer, Some((_, Response::Failed(error)))
        if matches!(error.reason, Reason::NotANumber | Reason::Overflow | Reason::WrongType { .. }
            | Reason::TooMany { .. } | Reason::SessionExpired | Reason::ContextSettled));
    !op.is_refused && op.broken_at.is_none() && !is_about_its_value
}

/// What came of a change that was asked for.
pub(super) fn outcome(world: &World, operation: usize) -> Option<&Result<LayoutEpoch, String>> {
    world.operations().get(operation)?.outcome.as_ref()
}
