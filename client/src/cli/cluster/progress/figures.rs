//! What is read off an answer: shares, rates, how long it takes still. Pure; shown by `text` and `json`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use starling::message::client::Progress;
use starling::message::peer::MoveState;

/// Looks that a rate is taken from, at most.
const LOOKS_MAX: usize = 10;

/// Shortest time that a rate is taken from.
const SPAN_MIN: Duration = Duration::from_millis(500);

/// Partitions that a member, or all, have to be through with in the present phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Through {
    pub(super) done: u64,
    pub(super) of: u64,
}

/// What moves, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) through: Through,
    /// Rows that came to those who take over, with their bytes.
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// About so much is still to come; `None`: nobody knows yet.
    pub(super) rows_to_come: Option<u64>,
    pub(super) bytes_to_come: Option<u64>,
    /// What leavers gave.
    pub(super) bytes_given: u64,
}

/// Bytes that had moved at some moments, of one layout.
#[derive(Debug, Default)]
pub(super) struct Looks {
    layout: u64,
    seen: VecDeque<(Instant, u64)>,
}

impl Through {
    pub(super) fn of(state: &MoveState) -> Through {
        let of = u64::from(state.asked);
        Through { done: of.saturating_sub(u64::from(state.unsynced) + u64::from(state.uncleared)), of }
    }

    /// From 0 to 1; `None`: there is nothing to do.
    pub(super) fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.done as f64 / self.of as f64)
    }
}

impl Sum {
    pub(super) fn of(progress: &Progress) -> Sum {
        let mut sum = Sum::default();
        for member in progress.members.iter().filter(|member| !member.is_fenced) {
            let (state, through) = (&member.state, Through::of(&member.state));
            sum.through = Through { done: sum.through.done + through.done, of: sum.through.of + through.of };
            sum.rows = sum.rows.saturating_add(state.rows);
            sum.bytes = sum.bytes.saturating_add(state.bytes);
            sum.bytes_given = sum.bytes_given.saturating_add(state.bytes_given);
            for (sum, more) in
                [(&mut sum.rows_to_come, state.rows_to_come), (&mut sum.bytes_to_come, state.bytes_to_come)]
            {
                *sum = more.map_or(*sum, |more| Some(sum.unwrap_or(0).saturating_add(more)));
            }
        }
        sum
    }

    /// Of the bytes that are to come to those who take over, the share that is there; `None`: not known.
    pub(super) fn share_of_bytes(&self) -> Option<f64> {
        let of = self.bytes.saturating_add(self.bytes_to_come?);
        (of > 0).then(|| self.bytes as f64 / of as f64)
    }
}

impl Looks {
    /// Another look.
    pub(super) fn add(&mut self, at: Instant, progress: &Progress) {
        let sum = Sum::of(progress);
        let moved = sum.bytes.saturating_add(sum.bytes_given);
        // Less than before: a node began anew, and counts from zero.
        let is_other = self.layout != progress.layout.number || self.seen.back().is_some_and(|(_, last)| *last > moved);
        if is_other {
            self.seen.clear();
        }
        self.layout = progress.layout.number;
        self.seen.push_back((at, moved));
        if self.seen.len() > LOOKS_MAX {
            self.seen.pop_front();
        }
    }

    /// Bytes per second over the last looks; `None`: too few of them.
    pub(super) fn rate(&self) -> Option<f64> {
        let ((since, first), (until, last)) = (self.seen.front()?, self.seen.back()?);
        let span = until.duration_since(*since);
        (span >= SPAN_MIN).then(|| last.saturating_sub(*first) as f64 / span.as_secs_f64())
    }

    /// How long what is to come takes at that rate; `None`: not known, or for ever.
    pub(super) fn rest(&self, sum: &Sum) -> Option<Duration> {
        let (rate, left) = (self.rate()?, sum.bytes_to_come?);
        (rate >= 1.0).then(|| Duration::from_secs_f64((left as f64 / rate).min(1e9)))
    }
}

#[cfg(test)]
mod tests {
    use starling::ids::NodeId;
    use starling::membership::{LayoutEpoch, Phase};
    use starling::message::client::MemberProgress;

    use super::*;

    fn progress(number: u64, states: Vec<MoveState>) -> Progress {
        let members = states.into_iter().zip(1..).map(|(state, id)| MemberProgress {
            node: NodeId(id),
            adopted: Some(number),
            is_fenced: id == 3,
            state,
            wait: None,
        });
        Progress {
            layout: LayoutEpoch { number, content: 0, parent: 0 },
            phase: Phase::Moving,
            is_paused: false,
            driver: None,
            members: members.collect(),
            rival: None,
            lacks_majority: false,
        }
    }

    fn state(bytes: u64, to_come: Option<u64>) -> MoveState {
        MoveState { asked: 8, unsynced: 6, bytes, bytes_to_come: to_come, ..MoveState::default() }
    }

    #[test]
    fn what_is_known_of_some_members_is_summed_up_and_who_was_declared_lost_does_not_count() {
        let sum = Sum::of(&progress(2, vec![state(30, Some(70)), state(0, None), state(999, Some(999))]));
        assert_eq!((sum.through, sum.bytes, sum.bytes_to_come), (Through { done: 4, of: 16 }, 30, Some(70)));
        assert_eq!((sum.through.share(), sum.share_of_bytes()), (Some(0.25), Some(0.3)));
        let unknown = Sum::of(&progress(2, vec![state(30, None)]));
        assert_eq!((unknown.bytes_to_come, unknown.share_of_bytes()), (None, None));
        assert_eq!(Sum::of(&progress(2, vec![])).through.share(), None);
    }

    #[test]
    fn a_rate_is_that_of_the_last_looks_at_one_layout() {
        let began = Instant::now();
        let at = |tenths: u64| began + Duration::from_millis(tenths * 100);
        let mut looks = Looks::default();
        looks.add(at(0), &progress(2, vec![state(0, Some(1000))]));
        assert_eq!(looks.rate(), None);
        let now = progress(2, vec![state(200, Some(800))]);
        looks.add(at(20), &now);
        assert_eq!(looks.rate(), Some(100.0));
        assert_eq!(looks.rest(&Sum::of(&now)), Some(Duration::from_secs(8)));
        looks.add(at(30), &progress(3, vec![state(200, None)]));
        assert_eq!(looks.rate(), None, "another layout is another phase");
        looks.add(at(40), &progress(3, vec![state(200, Some(5))]));
        assert_eq!((looks.rate(), looks.rest(&Sum::of(&now))), (Some(0.0), None), "nothing came: for ever");
        for look in 5..30 {
            looks.add(at(look * 10), &progress(3, vec![state(200 + look, None)]));
        }
        assert_eq!(looks.rate().map(f64::round), Some(1.0), "what was long ago is forgotten");
        looks.add(at(400), &progress(3, vec![state(1, None)]));
        assert_eq!(looks.rate(), None, "a node began anew");
    }
}
