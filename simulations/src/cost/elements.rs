//! Sets of ten members to a million: what one more costs.

use bytes::Bytes;
use starling::ids::{CollectionKind, Key};
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite};

use super::{Bus, Cost, time_of};

/// Members that one command adds while a set is filled.
const FILL: usize = 512;

/// Additions that are timed together.
const ADDED: usize = 500;

/// Sets of 10, 100, … members, up to `largest`: the time of adding one more, in so many rounds.
pub fn elements(largest: usize, rounds: usize) -> Vec<Cost> {
    let mut bus = Bus::new();
    let sizes: Vec<usize> =
        std::iter::successors(Some(10), |size| Some(size * 10)).take_while(|s| *s <= largest).collect();
    let mut sets: Vec<Set> = sizes.iter().map(|size| Set::filled(&mut bus, *size)).collect();
    let mut costs: Vec<Cost> = sizes
        .iter()
        .map(|size| Cost { name: format!("a set of {size}: one more, and away again"), rounds: vec![] })
        .collect();
    for _ in 0..rounds {
        for (set, cost) in sets.iter_mut().zip(&mut costs) {
            cost.rounds.push(time_of(ADDED, || (0..ADDED).for_each(|_| set.add_and_remove(&mut bus))));
        }
    }
    costs
}

struct Set {
    key: Key,
    size: usize,
}

impl Set {
    fn filled(bus: &mut Bus, size: usize) -> Set {
        let key = Key::new(format!("set of {size}")).expect("a short key");
        let members: Vec<usize> = (0..size).collect();
        for chunk in members.chunks(FILL) {
            bus.run([(key.clone(), write(chunk, &ElementChange::Add))]);
        }
        Set { key, size }
    }

    /// The size of the set stays what it is.
    fn add_and_remove(&mut self, bus: &mut Bus) {
        bus.run([(self.key.clone(), write(&[self.size], &ElementChange::Add))]);
        bus.run([(self.key.clone(), write(&[self.size], &ElementChange::Remove))]);
    }
}

fn write(members: &[usize], change: &ElementChange) -> Command {
    let change = |member: &usize| ElementWrite { element: Bytes::from(format!("{member:08}")), change: change.clone() };
    let changes = members.iter().map(change).collect();
    Command::Collection { kind: CollectionKind::Set, command: CollectionCommand::Write { changes } }
}
