//! The worlds that are searched: a large one at random, small ones in every interleaving.

use super::machine::rules::Rules;
use super::machine::world::{Budget, Instance};

/// Nothing may happen but the steps towards a settlement.
const NOTHING: Budget = Budget {
    requests: 0,
    increments: 0,
    resets: 0,
    observed: 0,
    adds: 0,
    removals: 0,
    sets: 0,
    deletes: 0,
    deliveries: 0,
    exchanges: 0,
    ships: 0,
    snapshots: 0,
    crashes: 0,
    wipes: 0,
    restores: 0,
};

/// Three owners and a fallback, every kind of write and of trouble: for random histories.
pub fn large(keys: u8) -> Instance {
    let budget = Budget {
        requests: 250,
        increments: 4,
        resets: 3,
        observed: 1,
        adds: 4,
        removals: 3,
        sets: 3,
        deletes: 2,
        deliveries: 250,
        exchanges: 250,
        ships: 3,
        snapshots: 3,
        crashes: 2,
        wipes: 1,
        restores: 1,
    };
    Instance {
        name: "3 owners and a fallback, every kind of write and of trouble",
        owners: 3,
        has_fallback: true,
        keys,
        sessions: vec![(1, vec![true, true]), (2, vec![true, false]), (1, vec![true]), (3, vec![true, true])],
        ticks: 4,
        lease: 2,
        is_durable: false,
        forgets: true,
        budget,
        rules: Rules::ALL,
    }
}

/// Two owners that exchange, with resets, folds and sweeps and nothing lost: walks far into forgetting.
pub fn forgetful(keys: u8) -> Instance {
    let large = large(keys);
    let budget = Budget { requests: 3, deliveries: 6, crashes: 0, wipes: 0, restores: 0, snapshots: 0, ..large.budget };
    Instance {
        name: "2 owners, no faults, far into forgetting",
        owners: 2,
        has_fallback: false,
        sessions: vec![(1, vec![true]), (2, vec![true])],
        ticks: 5,
        budget,
        ..large
    }
}

/// The same world in which no reset observes another owner.
pub fn without_observed(world: &Instance) -> Instance {
    Instance { budget: Budget { observed: 0, ..world.budget }, ..world.clone() }
}

fn small(name: &'static str, budget: Budget) -> Instance {
    Instance {
        name,
        owners: 2,
        has_fallback: false,
        keys: 1,
        sessions: vec![(1, vec![true])],
        ticks: 1,
        lease: 1,
        is_durable: true,
        forgets: false,
        budget,
        rules: Rules::ALL,
    }
}

/// Small worlds, each searched whole: every interleaving within its budget.
pub fn complete() -> Vec<Instance> {
    let none = NOTHING;
    vec![
        Instance {
            sessions: vec![(1, vec![true, true])],
            forgets: true,
            ..small(
                "2 owners, a session of 2 events, 1 reset, folds",
                Budget { requests: 2, resets: 1, deliveries: 1, exchanges: 1, ..none },
            )
        },
        Instance {
            has_fallback: true,
            ..small("2 owners and a fallback, 1 session", Budget { requests: 2, deliveries: 1, exchanges: 1, ..none })
        },
        Instance {
            is_durable: false,
            ..small(
                "2 owners, 1 untagged increment, 1 crash with a lost tail",
                Budget { increments: 1, deliveries: 1, exchanges: 1, crashes: 1, ..none },
            )
        },
        small(
            "2 owners, 1 session, 1 wipe, an exchange in flight",
            Budget { requests: 1, deliveries: 1, ships: 1, wipes: 1, ..none },
        ),
        Instance {
            sessions: vec![],
            forgets: true,
            ..small(
                "2 owners, 1 add and 1 removal of a dot, forgetting",
                Budget { adds: 1, removals: 1, deliveries: 2, exchanges: 1, ..none },
            )
        },
        Instance {
            sessions: vec![],
            has_fallback: true,
            ..small(
                "2 owners and a fallback, 1 add of a dot, 1 wipe or crash",
                Budget { adds: 1, deliveries: 1, wipes: 1, ..none },
            )
        },
        Instance {
            sessions: vec![],
            ticks: 2,
            lease: 2,
            forgets: true,
            ..small(
                "2 owners, a register written and deleted, leases of 2 ticks, forgetting",
                Budget { sets: 1, deletes: 1, deliveries: 1, exchanges: 1, ..none },
            )
        },
    ]
}
