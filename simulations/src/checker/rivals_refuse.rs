//! Two live starts of one member take no writes: from the moment at which one has learned of the other until it learns
//! that it is alone again, it answers no write as applied; and while both know, nothing is acknowledged in their name.

use super::{Evidence, Violation, written};
use crate::world::facts::Contest;
use crate::world::history::Op;

/// Checks every acknowledged write against what the processes knew of rivals.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let world = evidence.world;
    let contests = &world.facts.contests;
    if contests.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for op in world.history.ops() {
        let Some((_, reply)) = written(op) else { continue };
        evidence.judges("rivals_refuse");
        let knows = |place: usize| contests.iter().any(|contest| contest.place == place && is_within(op, contest));
        if knows(op.node) {
            found.push(format!("place {} knew of a rival and answered {op:?}", op.node));
        }
        for ack in &reply.acks {
            let claimants = || world.places().iter().enumerate().filter(|(_, place)| place.id == ack.node);
            if claimants().count() > 1 && claimants().all(|(place, _)| knows(place)) {
                found.push(format!("both claimants of {} knew, and one acknowledged {op:?}", ack.node));
            }
        }
    }
    found.into_iter().take(3).map(|text| Violation { checker: "rivals_refuse", text }).collect()
}

fn is_within(op: &Op, contest: &Contest) -> bool {
    let has_ended_before = |ended| contest.ended_at.is_none_or(|end| ended < end);
    op.invoked_at > contest.began_at && op.ended_at().is_some_and(has_ended_before)
}
