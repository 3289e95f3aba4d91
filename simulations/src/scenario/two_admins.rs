//! Two operators change the members at the same moment, each through a node of its own and from the same layout: one of them
//! wins, the other is told that the layout has changed, and nobody ever acts by a third thing.
//!
//! Five times, each time with other nodes. In two of them the node through which one operator works dies amid the decision:
//! what it had begun is either finished by the others or never happens, and the next change finds the cluster as it left it.

use std::time::Duration;

use bytes::Bytes;
use starling::membership::{Change, Phase};
use starling::message::client::ClusterCall;
use starling::storage::{Space, keyspace};

use super::crowd::{Crowd, outcome};
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "two_admins",
    story: "two operators commit different changes from one layout, and a proposing node dies: one layout is decided at a time",
    play,
};

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 16;
    });
    let mut crowd = Crowd::on(stage, 20);
    crowd.run_ms(2_000);
    let mut won = 0;
    for round in 0..5_usize {
        let (one, other) = (round, (round + 2) % 5);
        let weigh = |node: usize, weight| vec![Change::Weight { node: WorldOptions::id(node), weight }];
        let weight = if round % 2 == 0 { 2 } else { 1 };
        let world = &mut crowd.stage.world;
        let began = world.now();
        let operations = [
            world.change_through(one, weigh((round + 1) % 5, weight + 1), false),
            world.change_through(other, weigh((round + 3) % 5, weight + 2), false),
        ];
        let dies = round % 2 == 1;
        if dies {
            crowd.stage.wait_until("the plan is being decided on", |world| {
                world.calls().iter().any(|call| call.node == one && call.at >= began && is_commit(&call.call))
            });
            // Some voters have promised, or accepted; hardly anybody has been told.
            let votes_before = votes(&crowd.stage.world, one);
            let give_up = crowd.stage.world.after(Duration::from_secs(1));
            while votes(&crowd.stage.world, one) == votes_before && crowd.stage.world.now() < give_up {
                crowd.stage.world.run_for(Duration::from_micros(50));
            }
            let is_amid = votes(&crowd.stage.world, one) != votes_before;
            crowd.stage.must(is_amid, || "a voter should have written down what it promised".into());
            crowd.stage.world.run_for(Duration::from_micros(200 * round as u64));
            crowd.stage.world.crash(one, Damage::UnsyncedTail);
            crowd.run_ms(2_000);
            crowd.stage.world.start(one);
        }
        crowd.run_until("both operators are answered", |world| {
            operations.iter().all(|number| outcome(world, *number).is_some())
        });
        let committed: Vec<u64> = operations
            .iter()
            .filter_map(|number| outcome(&crowd.stage.world, *number)?.as_ref().ok().map(|epoch| epoch.number))
            .collect();
        let told: Vec<String> =
            operations.iter().map(|number| format!("{:?}", outcome(&crowd.stage.world, *number))).collect();
        crowd
            .stage
            .must(committed.len() <= 1, || format!("both operators were told that theirs was decided: {told:?}"));
        crowd.stage.must(dies || committed.len() == 1, || format!("one of the operators must win, but: {told:?}"));
        won += committed.len();
        crowd.run_until_all_are(Phase::Steady);
        crowd.run_ms(1_000);
    }
    let rivals = crowd.stage.world.rival_layouts().to_vec();
    crowd.stage.must(rivals.is_empty(), || format!("layouts of a number that was decided already: {rivals:?}"));
    crowd.stage.note(format!("{won} changes were committed in 5 rounds"));
    crowd.go(2)
}

/// What the voters but one have written down of their votes.
fn votes(world: &World, but: usize) -> Vec<Option<Bytes>> {
    let others = (0..5).filter(|node| *node != but);
    let vote = |node| {
        let entries = world.entries_of(WorldOptions::id(node), Space::Meta);
        entries.into_iter().find(|(key, _)| *key == keyspace::acceptor_key()).map(|(_, vote)| vote)
    };
    others.map(vote).collect()
}

fn is_commit(call: &ClusterCall) -> bool {
    matches!(call, ClusterCall::Commit { .. })
}
