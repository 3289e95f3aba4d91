//! A whole zone dies for ever: two nodes of six. Every partition has owners in the two other zones, so all that an owner there
//! had acknowledged stays; the zone is declared lost, and those who are left take over its share.

use starling::membership::{Change, Phase};

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "zone_lost",
    story: "one of three zones dies for ever and is declared lost, under load: nothing is lost, and its share is taken over",
    play,
};

const ZONES: usize = 3;

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 32;
        options.nodes = 2 * ZONES;
        options.zones = ZONES;
    });
    let mut crowd = Crowd::on(stage, 60);
    let ring = crowd.stage.world.ring().clone();
    let spreads = ring.partitions().all(|partition| {
        let zones: std::collections::BTreeSet<_> =
            ring.owners(partition).iter().map(|node| ring.zone_of(*node)).collect();
        zones.len() == ZONES
    });
    crowd.stage.must(spreads, || "every partition must have an owner in each zone".into());
    crowd.run_ms(6_000);
    let lost: Vec<usize> = (0..crowd.stage.world.options.nodes).filter(|node| node % ZONES == 0).collect();
    for node in &lost {
        crowd.stage.world.crash(*node, Damage::None);
    }
    crowd.run_ms(6_000);
    crowd.change(1, vec![Change::ZoneLost(WorldOptions::zone(0))]);
    let declared = crowd.stage.world.ring().layout().fenced.clone();
    crowd
        .stage
        .must(declared.len() == lost.len() && declared.iter().all(|fenced| fenced.declared_lost.is_empty()), || {
            format!("two nodes and no partition are lost, but: {declared:?}")
        });
    crowd.run_until_all_are(Phase::Steady);
    let ring = crowd.stage.world.ring().clone();
    let is_whole =
        ring.partitions().all(|partition| ring.owners(partition).len() == usize::from(ring.layout().replicas));
    crowd.stage.must(is_whole, || "every partition must have all of its owners again".into());
    crowd.run_ms(6_000);
    crowd.go(7)
}
