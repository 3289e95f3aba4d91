//! How a run comes to its end: everything is made well, dialogues end, the cluster comes to rest, and forgets what need
//! not be remembered.

use std::time::Duration;

use starling::config::ShardConfig;

use crate::workload::Workload;
use crate::world::World;

/// Leases up to this are waited for: only then may nothing be left of what was deleted. Unit: ticks.
const SHORT_LEASE: u32 = 12;

/// Makes everything well and waits until the cluster is at rest: what keeps it from that (nothing, if it is), and how
/// long it took.
pub fn settle(world: &mut World, within: Duration) -> (Vec<String>, Duration) {
    const STEP: Duration = Duration::from_millis(500);
    world.make_well();
    let began = world.now();
    loop {
        world.let_data_move();
        world.recover_again();
        world.run_for(STEP);
        let passed = world.now().since(began);
        let differences = world.unrest(5);
        if differences.is_empty() || passed >= within {
            return (differences.iter().map(|difference| format!("{difference:?}")).collect(), passed);
        }
    }
}

/// Makes everything well and waits for the clients that have a dialogue under way.
pub fn end_dialogues(world: &mut World, workload: &mut Workload) {
    world.make_well();
    let give_up = world.after(Duration::from_secs(60));
    while !workload.is_quiet() && world.now() < give_up {
        world.run_for(Duration::from_millis(100));
        workload.go_on(world);
    }
}

/// Waits until no row of a session is left, or for as long as that may take.
pub fn forget(world: &mut World) {
    let give_up = world.after(forgets_within(world));
    while world.now() < give_up && (world.session_rows() > 0 || remembers_for_short(&world.options.config)) {
        world.run_for(Duration::from_secs(1));
    }
    // A step of settling may be half done: some owners have summed up, and others will.
    let give_up = world.after(forgets_within(world));
    while world.now() < give_up && !world.unrest(1).is_empty() {
        world.run_for(Duration::from_millis(500));
    }
}

/// How long after the last write nothing unneeded is left: leases end, clocks may have been ahead, seals wait for the
/// bound on clocks, and then a few rounds pass.
pub fn forgets_within(world: &World) -> Duration {
    let config = &world.options.config;
    let lease = if remembers_for_short(config) { config.actor_lease_ticks * 4 } else { 12 };
    let rounds = Duration::from_secs(20) + config.exchange_interval + config.stability_interval * 10;
    config.tick * (lease + 4) + config.clock_ahead_max + world.skew_bound() * 2 + rounds
}

/// Whether the actors of the nodes expire so soon that a run can wait for it.
pub fn remembers_for_short(config: &ShardConfig) -> bool {
    config.actor_lease_ticks <= SHORT_LEASE
}
