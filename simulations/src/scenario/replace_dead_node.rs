//! A node dies for ever and another takes its place, under load: exactly its partitions move, nothing that two nodes had
//! acknowledged is lost, and should the dead one wake up, nobody lets it in.

use std::collections::BTreeSet;

use starling::ids::PartitionId;
use starling::membership::{Change, Phase};

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replace_dead_node",
    story: "a node dies for ever and a new one takes its place, under load",
    play,
};

const DEAD: usize = 1;
const NEW: usize = 5;

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 32;
        options.spares = 1;
    });
    let mut crowd = Crowd::on(stage, 60);
    crowd.run_ms(6_000);
    crowd.stage.world.crash(DEAD, Damage::None);
    crowd.run_ms(6_000);
    let had = owned(&crowd.stage.world, DEAD);
    let new = crowd.stage.world.options.member(NEW);
    crowd.change(2, vec![Change::Replace { old: WorldOptions::id(DEAD), new, is_dead: true }]);
    crowd.run_until_all_are(Phase::Steady);
    let has = owned(&crowd.stage.world, NEW);
    crowd
        .stage
        .must(has == had && !has.is_empty(), || format!("{has:?} came to the new node, {had:?} were the old one's"));
    crowd.stage.world.start(DEAD);
    crowd.stage.must(!crowd.stage.world.node(DEAD).is_up(), || "a node that was declared lost runs again".into());
    crowd.run_ms(6_000);
    crowd.go(3)
}

fn owned(world: &World, node: usize) -> BTreeSet<PartitionId> {
    let ring = world.ring();
    ring.partitions().filter(|partition| ring.is_owner(*partition, WorldOptions::id(node))).collect()
}
