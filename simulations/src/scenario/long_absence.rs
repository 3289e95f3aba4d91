//! An owner is away for many ticks while clients write and remove every type, and comes back with its old disk.
//!
//! Nothing that it owns is summed up or forgotten meanwhile: every owner must have taken part. How far it is behind is told, in
//! writes and in seconds, and by whom it is waited for. When it is back, all of it is paid, compared and settled within a bound,
//! nothing that was removed comes back, and every copy of every partition is equal.

use std::time::Duration;

use starling::ids::NodeId;

use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::swarm::rest;
use crate::workload::{Topics, Workload, WorkloadOptions};
use crate::world::World;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "long_absence",
    story: "an owner is away for forty ticks of writes and removals: it is waited for, told how far behind, and catches up",
    play,
};

const AWAY: usize = 1;

/// How long it is away: forty ticks, twenty leases.
const LASTS: Duration = Duration::from_secs(40);

/// Requests per second.
const RATE: u32 = 40;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 8;
    });
    let mut workload = Workload::new(1, WorkloadOptions::plain(RATE, Topics::all()));
    write_for(&mut stage, &mut workload, Duration::from_secs(5));
    stage.world.crash(AWAY, Damage::None);
    write_for(&mut stage, &mut workload, LASTS);
    let id = WorldOptions::id(AWAY);
    let (operations, oldest_ms) = lag_of(&stage.world, id);
    stage.must(operations > 0 && oldest_ms >= 35_000, || {
        format!("the absent node is {LASTS:?} behind, but {operations} writes are not confirmed, the oldest {oldest_ms} ms old")
    });
    let waits = stage
        .world
        .status(0)
        .iter()
        .flat_map(|status| &status.settling)
        .any(|partition| partition.waiting.iter().any(|waiting| waiting.node == id));
    stage.must(waits, || "an owner must say that it waits for the absent one".into());
    let back = stage.world.now();
    // It comes back, and clients that have a dialogue under way end it.
    rest::end_dialogues(&mut stage.world, &mut workload);
    let config = &stage.world.options.config;
    let within = Duration::from_secs(10) + config.exchange_interval * 3 + config.stability_interval * 4;
    stage.wait_long("everything is confirmed", within, |world| lag_of(world, id) == (0, 0));
    let paid = stage.world.now().since(back);
    let settles = within + stage.world.options.config.tick * 6 + stage.world.options.config.clock_ahead_max;
    stage.wait_long("every copy of every partition is equal", settles, |world| {
        (0..world.nodes().len())
            .all(|node| world.status(node).iter().all(|status| status.equal_partitions == status.owned_partitions))
    });
    let equal = stage.world.now().since(back);
    stage.note(format!("{operations} writes behind; all paid after {paid:?}, all copies equal after {equal:?}"));
    stage
}

fn write_for(stage: &mut Stage, workload: &mut Workload, span: Duration) {
    let end = stage.world.after(span);
    while stage.world.now() < end {
        workload.ask(&mut stage.world);
        let gap = workload.gap();
        stage.world.run_for(gap);
    }
}

/// What a node has not confirmed to all others together, and the age of the oldest (0: nothing).
fn lag_of(world: &World, peer: NodeId) -> (u64, u64) {
    let others = (0..world.nodes().len()).filter(|node| WorldOptions::id(*node) != peer);
    let lags =
        others.flat_map(|node| world.status(node)).flat_map(|status| status.peers).filter(|one| one.node == peer);
    lags.fold((0, 0), |(operations, oldest), one| {
        (operations + one.lag.operations, oldest.max(one.lag.oldest_ms.unwrap_or(0)))
    })
}
