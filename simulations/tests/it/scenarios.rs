//! Every scenario by name.

use starling_sim::scenario::{self, Setting};

fn check(name: &str) {
    let scenario = scenario::named(name).expect("a scenario has this name");
    let outcome = scenario.run(Setting::default());
    assert!(outcome.violations.is_empty(), "{name} ({}): {:#?}", scenario.story, outcome.violations);
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_scenario_is_tested() {
            let tested = [$(stringify!($name)),*];
            for scenario in scenario::ALL {
                assert!(tested.contains(&scenario.name), "{} has no test", scenario.name);
            }
        }
    };
}

scenarios![
    acknowledged_then_lost,
    big_set,
    bridge_partition,
    changing_signs,
    cloned_directory,
    compared_twice,
    doomstone,
    down_node_growth,
    down_node_growth_wide,
    expire_during_split,
    fallback_twice,
    flapping_link,
    growing_debt,
    hint_overflow,
    hot_key_sessions,
    join_leave_under_load,
    late_acknowledgement,
    leave_and_return,
    long_absence,
    lost_majority,
    lost_third_message,
    lost_wal_tail,
    lost_while_moving,
    missed_tombstone,
    old_delete_returns,
    owners_away,
    quiet_day,
    replace_dead_node,
    reset_retried,
    restored_backup,
    restored_elsewhere,
    retargeted_hint,
    rolling_actors,
    rolling_restart,
    session_failover,
    slow_reads,
    split_and_heal,
    split_during_join,
    stale_session,
    steady_load,
    steady_load_lossy,
    steady_resets,
    two_admins,
    two_live_claimants,
    type_conflict,
    wiped_disk,
    bit_rot,
    zone_lost,
    zombie_node,
];
