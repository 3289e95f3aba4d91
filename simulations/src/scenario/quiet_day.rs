//! Nothing goes wrong, so nothing may be refused, late or missed.
//!
//! Faults make every checker lenient; here they have nothing to be lenient about. With R + W > N and all owners
//! reachable, every read must show every increment that was acknowledged before it began.

use std::collections::BTreeMap;
use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Command, Reason, Response, Visible};

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::workload::{Topics, Workload, WorkloadOptions};
use crate::world::history::{Known, Op};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "quiet_day",
    story: "no faults: every request is served at once, and every read shows all that was acknowledged before",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let mut workload = Workload::new(1, WorkloadOptions::plain(200, Topics::SERVED));
    let end = stage.world.after(Duration::from_secs(60));
    while stage.world.now() < end {
        workload.ask(&mut stage.world);
        let gap = workload.gap();
        stage.world.run_for(gap);
    }
    stage.run_ms(2_500);
    let ops = stage.world.history.ops().to_vec();
    for op in &ops {
        let is_served = op.known() == Known::Applied || is_refused_for_its_value(op);
        let took = op.ended_at().map(|ended| ended.since(op.invoked_at));
        let is_quick = took.is_some_and(|took| took < Duration::from_millis(50));
        stage.must(is_served && is_quick, || format!("nothing was wrong, but after {took:?}: {op:?}"));
    }
    for text in missed_increments(&ops) {
        stage.must(false, || text);
    }
    stage
}

/// An increment of a text or beyond what an integer holds, a write of another type, too many siblings, or a reset whose
/// context was settled meanwhile.
fn is_refused_for_its_value(op: &Op) -> bool {
    matches!(&op.answer, Some((_, Response::Failed(error)))
        if matches!(error.reason, Reason::NotANumber | Reason::Overflow | Reason::WrongType { .. }
            | Reason::TooMany { .. } | Reason::ContextSettled))
}

/// Reads of keys that only grow which show less than was acknowledged before they began.
fn missed_increments(ops: &[Op]) -> Vec<String> {
    let mut by_key: BTreeMap<&Key, Vec<&Op>> = BTreeMap::new();
    for op in ops.iter().filter(|op| op.request.key.as_bytes().starts_with(b"up/")) {
        by_key.entry(&op.request.key).or_default().push(op);
    }
    let mut missed = Vec::new();
    for ops in by_key.values() {
        for read in ops {
            let Some((_, Response::Value(reply))) = &read.answer else { continue };
            let shown = match reply.value {
                Visible::Integer { value, .. } => i128::from(value),
                _ => 0,
            };
            let before = ops.iter().filter(|op| op.ended_at().is_some_and(|ended| ended < read.invoked_at));
            let acknowledged: i128 = before
                .filter_map(|op| match op.request.command {
                    Command::Increment { by } if op.known() == Known::Applied => Some(i128::from(by)),
                    _ => None,
                })
                .sum();
            if shown < acknowledged {
                missed.push(format!("{acknowledged} were acknowledged, {shown} are shown: {read:?}"));
            }
        }
    }
    missed
}
