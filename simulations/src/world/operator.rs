//! The operator: asks members to change who belongs to the cluster, as `starling cluster` does, one change at a time.
//!
//! ```text
//! change ──→ spares that join are started ──→ Stage, Stage, … ──→ Commit what was shown ──→ committed │ refused │ unknown
//! ```
//!
//! Calls are answered whenever the node can; a call that stays without an answer for a quarter of a minute is given up, and with it
//! the change. What became of each change stands in [`World::operations`].

use std::time::Duration;

use starling::ids::{ConnectionId, RequestId};
use starling::membership::{Change, LayoutEpoch};
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling::shard::Input;
use starling::time::Timestamp;

use super::options::WorldOptions;
use super::{Event, World};

/// The connection of the operator; clients have other ones.
const CONNECTION: ConnectionId = ConnectionId(u64::MAX);

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often the operator looks for an answer.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// One call to a node.
#[derive(Clone, Debug)]
pub struct Call {
    /// To which node.
    pub node: usize,
    /// What.
    pub call: ClusterCall,
    /// When.
    pub at: Timestamp,
    /// The answer, if it has come.
    pub answer: Option<ClusterAnswer>,
}

/// Which call of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallNumber(pub usize);

/// A change of the members that was asked for.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Through which node.
    pub node: usize,
    /// What is still to be staged, the next one last.
    changes: Vec<Change>,
    accepts_loss: bool,
    waits_for: CallNumber,
    /// What came of it; `None`: it is under way.
    pub outcome: Option<Result<LayoutEpoch, String>>,
}

impl World {
    /// A call to a node about the cluster. The answer stands in [`World::call_of`] when it has come.
    pub fn call(&mut self, node: usize, call: ClusterCall) -> CallNumber {
        let number = CallNumber(self.calls.len());
        let (now, request_id) = (self.now, RequestId(number.0 as u64));
        self.trace.line(now, || format!("operator → node {node}: {call:?}"));
        self.calls.push(Call { node, call: call.clone(), at: now, answer: None });
        if let Some(slot) = self.slot(node, 0) {
            slot.clients.push_back(Input::Admin { connection: CONNECTION, request_id, call });
            self.schedule_turn(node, 0, now);
        }
        number
    }

    /// All calls that were made, the first ones first.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// A call that was made.
    pub fn call_of(&self, number: CallNumber) -> &Call {
        self.calls.get(number.0).expect("numbers of calls come from this world")
    }

    pub(super) fn on_cluster_answer(&mut self, request_id: RequestId, answer: ClusterAnswer) {
        self.trace.line(self.now, || format!("the operator hears {answer:?}"));
        let call = usize::try_from(request_id.0).ok().and_then(|place| self.calls.get_mut(place));
        if let Some(call) = call {
            call.answer.get_or_insert(answer);
        }
    }

    /// If a member says that the moving of data is halted, it is told to go on.
    pub fn let_data_move(&mut self) {
        let is_halted = |node: &&usize| self.status(**node).iter().any(|status| status.is_move_paused);
        let halted = self.doors().iter().find(is_halted).copied();
        if let Some(node) = halted {
            self.call(node, ClusterCall::PauseMoves(false));
        }
    }

    /// If the last recovery that was asked for came to nothing, it may have taken votes: it is made again, with all members as
    /// survivors, as long as too few can vote. Not more often than answers may take.
    pub fn recover_again(&mut self) {
        let recoveries = self.calls.iter().rev().filter(|call| matches!(call.call, ClusterCall::Recover { .. }));
        let last = recoveries.into_iter().next().map(|call| (call.at, call.answer.clone()));
        let Some((at, answer)) = last else { return };
        let is_decided = self.ring().layout().phase.is_steady() || self.layouts().last().is_some_and(|it| it.at > at);
        if is_decided || self.now.since(at) < PATIENCE || matches!(answer, Some(ClusterAnswer::Committed(_))) {
            return;
        }
        let (doors, cluster) = (self.doors().to_vec(), self.ring().layout().name.clone());
        let survivors = doors.iter().map(|node| WorldOptions::id(*node)).collect();
        if let Some(node) = doors.first() {
            self.call(*node, ClusterCall::Recover { survivors, cluster });
        }
    }

    /// Changes of the members that were asked for, the first ones first.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Asks a node to have the members changed. Which spares join is decided here: they are started.
    pub fn change_through(&mut self, node: usize, mut changes: Vec<Change>, accepts_loss: bool) -> usize {
        for change in &changes {
            if let Change::Join(member) | Change::Replace { new: member, .. } = change {
                self.start_candidate(self.number_of(member.id));
            }
        }
        changes.reverse();
        // What somebody staged there and never committed is none of this plan.
        let waits_for = self.call(node, ClusterCall::DropPlan);
        let place = self.operations.len();
        self.operations.push(Operation { node, changes, accepts_loss, waits_for, outcome: None });
        self.queue.push(self.now.after(LOOKS_EVERY), Event::Operate { operation: place });
        place
    }

    /// The operator goes on with a change, if the answer for which it waits has come.
    pub(super) fn operate(&mut self, place: usize) {
        let Some(mut operation) = self.operations.get(place).cloned() else { return };
        let call = self.call_of(operation.waits_for).clone();
        let is_late = self.now.since(call.at) > PATIENCE;
        let next = match (call.call, call.answer) {
            (_, None) if is_late => Err("no answer".to_owned()),
            (_, None) => return self.queue.push(self.now.after(LOOKS_EVERY), Event::Operate { operation: place }),
            (ClusterCall::Commit { .. } | ClusterCall::Revert, Some(ClusterAnswer::Committed(epoch))) => {
                operation.outcome = Some(Ok(epoch));
                Ok(None)
            }
            (ClusterCall::DropPlan, Some(ClusterAnswer::PlanDropped)) => Ok(operation.stage()),
            (ClusterCall::Stage { .. }, Some(ClusterAnswer::Plan(Some(view)))) => match (operation.stage(), &view.next)
            {
                (Some(stage), _) => Ok(Some(stage)),
                (None, Ok(next)) => Ok(Some(ClusterCall::Commit { base: view.plan.base, content: next.epoch.content })),
                (None, Err(error)) => Err(error.to_string()),
            },
            (_, Some(answer)) => Err(format!("{answer:?}")),
        };
        match next {
            Ok(Some(call)) => {
                operation.waits_for = self.call(operation.node, call);
                self.queue.push(self.now.after(LOOKS_EVERY), Event::Operate { operation: place });
            }
            Ok(None) => {}
            Err(reason) => operation.outcome = Some(Err(reason)),
        }
        if let Some(kept) = self.operations.get_mut(place) {
            *kept = operation;
        }
    }
}

impl Operation {
    fn stage(&mut self) -> Option<ClusterCall> {
        let accepts_loss = self.accepts_loss;
        self.changes.pop().map(|change| ClusterCall::Stage { change, accepts_loss })
    }
}
