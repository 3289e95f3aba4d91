//! More is owed to an owner that is away than there is room for.
//!
//! Its partitions are marked as in need of repair: no debt tells of what was left out. The mark outlives a restart, and it goes when
//! exchanges have brought everything, not earlier and not never. All that was acknowledged counts, within three intervals of the
//! exchange after the owner is back.

use std::time::Duration;

use starling::ids::Key;

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::workload;
use crate::world::World;
use crate::world::network::Cut;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "hint_overflow",
    story: "more is owed to an absent owner than there is room for: its partitions are marked until exchanges have brought it",
    play,
};

/// Rows that may be owed to one owner.
const ROOM: u64 = 20;

/// Keys that are written while it is away.
const KEYS: usize = 120;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        options.config.debts_per_owner_max = ROOM;
        options.config.exchange_interval = Duration::from_secs(5);
    });
    let (writes, away) = (0, 2);
    let keys = keys_of(&stage, &[0, 1, 2]);
    stage.world.isolate(away, Cut::Loses);
    stage.run_ms(2_500);
    for key in &keys {
        stage.add(writes, key, 1, 2);
    }
    stage.run_ms(3_000);
    let marked = marks(&stage.world, writes);
    stage.must(marked > 0, || "partitions of which debts were left out must be marked".into());
    let lag = lag_of(&stage.world, writes, away);
    stage.must(lag.is_some_and(|(operations, oldest_ms)| operations >= ROOM && oldest_ms > Some(2_000)), || {
        format!("{ROOM} rows at least are not confirmed, for seconds, but: {lag:?}")
    });
    stage.world.crash(writes, Damage::None);
    stage.world.start(writes);
    let after = marks(&stage.world, writes);
    stage.must(after == marked, || format!("{marked} partitions were marked, {after} are after a restart"));
    stage.run_ms(20_000);
    let meanwhile = marks(&stage.world, writes);
    stage.must(meanwhile == marked, || format!("{marked} partitions were marked, {meanwhile} are while it is away"));
    stage.world.heal_all();
    let within = stage.world.options.config.exchange_interval * 3;
    let back = stage.world.now();
    stage.wait_long("every mark is taken away", within, |world| all_marks(world) == 0);
    let took = stage.world.now().since(back);
    let lacking = keys.iter().filter(|key| Stage::count_on(&stage.world, away, key) != 1).count();
    stage.must(lacking == 0, || format!("no partition is marked, and {lacking} keys are missing"));
    let lag = lag_of(&stage.world, writes, away);
    stage.must(lag == Some((0, None)), || format!("everything is confirmed, but: {lag:?}"));
    stage.note(format!("{marked} partitions marked, proved {took:?} after the owner was back"));
    stage
}

fn keys_of(stage: &Stage, owners: &[usize]) -> Vec<Key> {
    let wanted: Vec<_> = owners.iter().map(|node| WorldOptions::id(*node)).collect();
    let ring = stage.world.ring();
    let names = (0..).map(|number| workload::key(&format!("overflow/{number}")));
    names.filter(|key| wanted.iter().all(|node| ring.is_owner(ring.partition_of(key), *node))).take(KEYS).collect()
}

fn marks(world: &World, node: usize) -> u32 {
    world.status(node).iter().map(|status| status.needs_repair_partitions).sum()
}

fn all_marks(world: &World) -> u32 {
    (0..world.nodes().len()).map(|node| marks(world, node)).sum()
}

/// What a peer has not confirmed to a node: writes, and the age of the oldest.
fn lag_of(world: &World, node: usize, peer: usize) -> Option<(u64, Option<u64>)> {
    let status = world.status(node);
    let mut peers = status.iter().flat_map(|status| &status.peers);
    let lag = peers.find(|one| one.node == WorldOptions::id(peer))?.lag;
    Some((lag.operations, lag.oldest_ms))
}
