//! Who answers, on a bad network: neither a lossy network nor a link that comes and goes may make nodes change their minds all the
//! time, and neither a dead node nor a healed split may stay unnoticed.
//!
//! Five nodes, and one frame of twenty is lost throughout. Bounds: nobody is suspected within a minute; a dead node is suspected by
//! all others within 3 s; a healed split is noticed by all within 5 s; a link that is cut and heals every 2.5 s for a minute is
//! believed lost, by its two ends together, at most [`LOSSES_MAX`] times; writes go on through both of them.

use std::time::Duration;

use starling::time::Timestamp;

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::network::Cut;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "flapping_link",
    story: "one frame of twenty is lost, a link comes and goes, a node dies, a split heals: it is noticed, and nothing else is",
    play,
};

/// Each end may believe three losses before it waits longer than the link holds, and one more as those grow old.
const LOSSES_MAX: u64 = 10;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.network.loss_per_mille = 50);
    stage.wait_until("everybody sees everybody", |world| sees(world, |_, _| true));
    let before = stage.world.facts.count("peer suspected");
    stage.run_ms(60_000);
    let suspected = stage.world.facts.count("peer suspected") - before;
    stage.must(suspected == 0, || format!("all were there, and {suspected} times one was suspected"));

    let key = stage.key_of(&[0, 1, 2]);
    let before = stage.world.facts.count("peer suspected");
    for round in 0..24 {
        for (from, to) in [(0, 1), (1, 0)] {
            stage.world.cut(from, to, Cut::Loses);
        }
        stage.run_ms(800);
        stage.add(round % 2, &key, 1, 2);
        stage.run_ms(800);
        for (from, to) in [(0, 1), (1, 0)] {
            stage.world.heal(from, to);
        }
        stage.run_ms(900);
    }
    let losses = stage.world.facts.count("peer suspected") - before;
    stage.must((2..=LOSSES_MAX).contains(&losses), || {
        format!("a link that came and went was believed lost {losses} times")
    });
    let began = stage.world.now();
    stage.wait_long("the link is trusted again", Duration::from_secs(5), |world| sees(world, |_, _| true));
    let trusted = since(&stage.world, began);

    stage.world.crash(4, Damage::None);
    let began = stage.world.now();
    stage.wait_long("the dead node is suspected by all", Duration::from_secs(3), |world| {
        (0..4).all(|node| !reaches(world, node, 4))
    });
    let dead = since(&stage.world, began);
    stage.must((0..4).all(|node| (0..4).all(|peer| node == peer || reaches(&stage.world, node, peer))), || {
        "only the dead node may be suspected".into()
    });
    stage.world.start(4);
    stage.wait_long("it is back", Duration::from_secs(5), |world| sees(world, |_, _| true));

    stage.world.split(&[vec![0, 1], vec![2, 3, 4]], Cut::Loses);
    stage.wait_long("the split is noticed", Duration::from_secs(3), |world| {
        sees(world, |node, peer| (node < 2) == (peer < 2))
    });
    stage.run_ms(2_000);
    stage.world.heal_all();
    let began = stage.world.now();
    stage.wait_long("the healed split is noticed", Duration::from_secs(5), |world| sees(world, |_, _| true));
    let healed = since(&stage.world, began);
    stage.note(format!(
        "{losses} losses of the flapping link, trusted after {trusted:?}; dead after {dead:?}; healed after {healed:?}"
    ));
    stage
}

/// Whether each node that is up reaches exactly those that it should.
pub(super) fn sees(world: &World, should: impl Fn(usize, usize) -> bool) -> bool {
    let nodes = 0..world.nodes().len();
    nodes.clone().all(|node| nodes.clone().all(|peer| node == peer || reaches(world, node, peer) == should(node, peer)))
}

/// Whether a node takes a peer for reachable.
pub(super) fn reaches(world: &World, node: usize, peer: usize) -> bool {
    let status = world.status(node);
    let mut peers = status.iter().flat_map(|status| &status.peers);
    peers.any(|one| one.node == WorldOptions::id(peer) && one.is_reachable)
}

fn since(world: &World, began: Timestamp) -> Duration {
    world.now().since(began)
}
