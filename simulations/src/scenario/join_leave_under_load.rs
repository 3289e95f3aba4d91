//! Two nodes join and two leave, in one change, under load on every type: the plan by which a public store of this kind lost
//! replicas and brought deleted values back (riak_kv 1754).
//!
//! Amid the move a node that joins loses power, and so does one from which it takes over. Nothing that was acknowledged may
//! be lost, nothing may come back, clients are served throughout, and at the end the leaving nodes' disks hold nothing.

use starling::membership::{Change, Phase};

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "join_leave_under_load",
    story: "two nodes join and two leave under load on every type, while a joining and a teaching node lose power",
    play,
};

/// The nodes that come, and those that go.
const COME: [usize; 2] = [5, 6];
const GO: [usize; 2] = [0, 1];

/// A node that teaches and stays.
const TEACHES: usize = 2;

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 32;
        options.spares = 2;
    });
    let mut crowd = Crowd::on(stage, 60);
    crowd.run_ms(8_000);
    let joins = COME.map(|node| Change::Join(crowd.stage.world.options.member(node)));
    let leaves = GO.map(|node| Change::Leave(WorldOptions::id(node)));
    crowd.change(3, joins.into_iter().chain(leaves).collect());
    let began = crowd.stage.world.now();
    let [joiner, _] = COME;
    crowd.run_until("the joining nodes run", |world| COME.iter().all(|node| world.node(*node).is_up()));
    crowd.run_ms(700);
    for (node, away_ms) in [(joiner, 3_000), (TEACHES, 3_000)] {
        crowd.stage.world.crash(node, Damage::UnsyncedTail);
        crowd.run_ms(away_ms);
        crowd.stage.world.start(node);
        crowd.run_ms(1_000);
    }
    crowd.run_until_all_are(Phase::Steady);
    let took = crowd.stage.world.now().since(began);
    crowd.run_ms(8_000);
    let mut stage = crowd.go(4);
    for node in GO {
        let rows = stage.world.entries_of(WorldOptions::id(node), starling::storage::Space::Rows).len();
        stage.must(rows == 0 && !stage.world.node(node).is_up(), || format!("node {node} has left with {rows} rows"));
    }
    let phases = stage.world.layouts().len();
    stage.must(phases == 5, || format!("{phases} layouts instead of the five of one change"));
    stage.note(format!("the change took {took:?}"));
    stage
}
