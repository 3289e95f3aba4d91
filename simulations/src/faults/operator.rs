//! What operators do beside letting members come and go, drawn: several members drained at once and filled again, other zones,
//! other addresses, and once in some runs the loss of a zone or of a majority.
//!
//! Drawn from a stream of its own, so that what else a seed draws stays the same without it.

use std::time::Duration;

use starling::time::Timestamp;

use super::losses::Loss;
use super::members::Wish;
use super::{Action, Schedule};
use crate::world::chance::{Chance, Use};
use crate::world::options::WorldOptions;

/// Wishes from some moments between 0 and `end` on.
pub fn draw(options: &WorldOptions, end: Timestamp, schedule: &mut Schedule) {
    let mut chance = Chance::new(options.seed, Use::Operator);
    let mean = Duration::from_micros(end.0 / *chance.pick(&[3, 6]).unwrap_or(&3));
    let mut at = Timestamp(3_000_000);
    let loses_some = chance.happens(500);
    if loses_some {
        lose(&mut chance, options.zones > 0, end, schedule);
    }
    loop {
        at = at.after(chance.exponential(mean));
        if at >= end {
            return;
        }
        let zones = options.zones as u64;
        let wish = match chance.below(8) {
            0..3 => Wish::Drain(chance.between(2, 3) as usize),
            3 => Wish::Fill,
            4 | 5 => Wish::Zone(chance.happens(800).then(|| chance.below(zones.max(2) + 1) as usize)),
            _ => Wish::Address(chance.between(2, 9) as u16),
        };
        schedule.at(at, Action::Members(wish, chance.number()));
        if let Wish::Drain(_) = wish {
            let lasts = chance.span(Duration::from_secs(2), Duration::from_secs(20));
            schedule.at(at.after(lasts), Action::Members(Wish::Fill, chance.number()));
        }
    }
}

/// Several die at a moment of the first two thirds, and are declared lost a few seconds later; the operator asks three times,
/// for who should decide on it may be cut off.
fn lose(chance: &mut Chance, has_zones: bool, end: Timestamp, schedule: &mut Schedule) {
    let dies_at = Timestamp(chance.between(end.0 / 5, end.0 * 2 / 3));
    let (loss, declared) = match has_zones && chance.happens(600) {
        true => (Loss::Zone, Loss::DeclareZone { accepts_loss: chance.happens(500) }),
        false => (Loss::Majority, Loss::Recover),
    };
    schedule.at(dies_at, Action::Loss(loss, chance.number()));
    let mut asks_at = dies_at;
    for _ in 0..3 {
        asks_at = asks_at.after(chance.span(Duration::from_secs(2), Duration::from_secs(8)));
        schedule.at(asks_at, Action::Loss(declared, chance.number()));
        asks_at = asks_at.after(Duration::from_secs(12));
    }
}
