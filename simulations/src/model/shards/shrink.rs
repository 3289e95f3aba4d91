//! Makes a failing history short: leaves out steps while the same promise is broken, large pieces first.

use super::instance::Instance;
use super::search::replay;
use super::step::Step;
use super::trace::Failure;

/// Replays at most; what is left then is short enough, or is left.
const REPLAYS_MAX: usize = 600;

/// The shortest history that was found, with what is wrong in it.
pub fn shrink(instance: &Instance, mut failure: Failure) -> Failure {
    let mut replays = 0;
    let mut piece = failure.steps.len().div_ceil(2);
    while piece > 0 {
        let mut has_shrunk = false;
        let mut end = failure.steps.len();
        while end > 0 {
            let begin = end.saturating_sub(piece);
            let shorter: Vec<Step> =
                failure.steps.iter().take(begin).chain(failure.steps.iter().skip(end)).copied().collect();
            replays += 1;
            if replays > REPLAYS_MAX {
                return failure;
            }
            if let (steps, Some(found)) = replay(instance, failure.seed, &shorter)
                && found.promise == failure.found.promise
            {
                end = begin.min(steps.len());
                failure = Failure { steps, found, ..failure };
                has_shrunk = true;
            } else {
                end = begin;
            }
        }
        if !has_shrunk || piece > 1 {
            piece /= 2;
        }
    }
    failure
}
