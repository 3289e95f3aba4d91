//! Writes that are safe to retry: see what there is, then write with the context of what was seen, until it is answered.
//!
//! One client for each key, and one write at a time: the next one looks only when the last is answered. So the sums at
//! the end follow from what each saw.

use std::collections::BTreeMap;
use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Command, Options, Request, Response};
use starling::time::Timestamp;

use super::resend::{Progress, Resend};
use crate::world::World;
use crate::world::chance::Chance;

/// Nothing of a second step may stay unknown while the run lasts: its client never gives up.
const NEVER: Timestamp = Timestamp(u64::MAX);

/// The clients of resets and set-to-value, by key.
#[derive(Debug, Default)]
pub struct TwoSteps {
    open: BTreeMap<Key, Step>,
}

#[derive(Debug)]
enum Step {
    Looks(Resend, Option<i64>),
    Writes(Resend),
}

impl TwoSteps {
    /// Begins a reset (`None`) or a set-to-value, unless the last on this key is unanswered.
    pub fn begin(&mut self, world: &mut World, chance: &mut Chance, key: &Key, to: Option<i64>) {
        if self.open.contains_key(key) {
            return;
        }
        let gives_up_at = world.after(Duration::from_secs(5));
        let request = Request { key: key.clone(), command: Command::Observe, options: Options::default() };
        let looks = Resend::begin(world, chance, 0, request, gives_up_at);
        self.open.insert(key.clone(), Step::Looks(looks, to));
    }

    /// Looks for answers and goes on.
    pub fn go_on(&mut self, world: &mut World, chance: &mut Chance) {
        let keys: Vec<Key> = self.open.keys().cloned().collect();
        for key in keys {
            let next = match self.open.get_mut(&key) {
                Some(Step::Looks(looks, to)) => match looks.go_on(world, chance) {
                    Progress::Open => continue,
                    Progress::GivenUp => None,
                    Progress::Answered(response) => match *response {
                        Response::Observed(reply) => {
                            let command = Command::Overwrite { context: reply.context, to: *to };
                            let request = Request { key: key.clone(), command, options: Options::default() };
                            Some(Step::Writes(Resend::begin(world, chance, 0, request, NEVER)))
                        }
                        _ => None,
                    },
                },
                Some(Step::Writes(writes)) => match writes.go_on(world, chance) {
                    Progress::Open => continue,
                    Progress::GivenUp | Progress::Answered(_) => None,
                },
                None => None,
            };
            match next {
                Some(step) => self.open.insert(key, step),
                None => self.open.remove(&key),
            };
        }
    }

    /// Whether nothing is unanswered.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }
}
