//! Sets of ten members to a million: what one more costs.
//!
//! Each member that is added is new, and falls anywhere between those that are there; it stays. Small sets are many, so that
//! none grows by more than a tenth. With a small cache of rows each addition reads what it needs from the store.

use bytes::Bytes;
use starling::config::ShardConfig;
use starling::ids::{CollectionKind, Key};
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite};

use super::{Bus, Cost, time_of};
use crate::world::chance::{Chance, Use};

/// Members that one command adds while a set is filled.
const FILL: usize = 512;

/// Members are numbers below this, so that two are hardly ever the same.
const SPACE: u64 = 1 << 60;

/// Additions that are timed together.
const ADDED: usize = 500;

/// Sets of 10, 100, … members, up to `largest`: the time of adding one more, in so many rounds. The shards keep so many
/// bytes of rows in memory.
pub fn elements(largest: usize, rounds: usize, row_cache_bytes: usize) -> Vec<Cost> {
    let mut bus = Bus::with(ShardConfig { row_cache_bytes, ..ShardConfig::default() }, 256);
    let mut chance = Chance::new(1, Use::Workload);
    let sizes: Vec<usize> =
        std::iter::successors(Some(10), |size| Some(size * 10)).take_while(|s| *s <= largest).collect();
    let filled = |size: &usize| {
        let many = (ADDED * rounds * 10).div_ceil(*size).max(1);
        (0..many).map(|number| filled(&mut bus, &mut chance, *size, number)).collect()
    };
    let sets: Vec<Vec<Key>> = sizes.iter().map(filled).collect();
    let name = |size| format!("a set of {size}: one more");
    let mut costs: Vec<Cost> = sizes.iter().map(|size| Cost { name: name(size), rounds: vec![] }).collect();
    let mut added = 0;
    for _ in 0..rounds {
        for (sets, cost) in sets.iter().zip(&mut costs) {
            let adds: Vec<(Key, Command)> = (0..ADDED)
                .map(|number| (sets[(added + number) % sets.len()].clone(), add(&[chance.below(SPACE)])))
                .collect();
            cost.rounds.push(time_of(ADDED, || adds.into_iter().for_each(|one| bus.run([one]))));
        }
        added += ADDED;
    }
    costs
}

/// A set of so many members.
fn filled(bus: &mut Bus, chance: &mut Chance, size: usize, number: usize) -> Key {
    let key = Key::new(format!("set {number} of {size}")).expect("a short key");
    let mut left = size;
    while left > 0 {
        let mut members: Vec<u64> = (0..left.min(FILL)).map(|_| chance.below(SPACE)).collect();
        members.sort_unstable();
        members.dedup();
        left -= members.len();
        bus.run([(key.clone(), add(&members))]);
    }
    key
}

fn add(members: &[u64]) -> Command {
    let add =
        |member: &u64| ElementWrite { element: Bytes::from(format!("{member:016x}")), change: ElementChange::Add };
    let changes = members.iter().map(add).collect();
    Command::Collection { kind: CollectionKind::Set, command: CollectionCommand::Write { changes } }
}
