//! Three of five nodes are lost for ever, and with them the majority that decides on layouts. The two that are left go on
//! serving with quorums of one; an operator who takes the loss lets them go on alone. What they had is there; the lost
//! ones, should they come back with their disks, are not let in and end.

use starling::membership::Phase;
use starling::message::client::{ClusterAnswer, ClusterCall, ClusterError, Command, Options, Response};

use super::stage::{Stage, integer, quorum, short_leases};
use super::{Scenario, Setting};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lost_majority",
    story: "three of five nodes are lost for ever: the two that are left recover the cluster, and the lost ones come back fenced",
    play,
};

const LEFT: [usize; 2] = [0, 1];
const LOST: [usize; 3] = [2, 3, 4];

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 16;
        options.replicas = 2;
        options.fallbacks = starling::membership::Fallbacks::All;
    });
    let key = stage.key_of(&LEFT);
    stage.add(0, &key, 5, 2);
    stage.run_ms(2_000);
    for node in LOST {
        stage.world.crash(node, Damage::None);
    }
    stage.run_ms(3_000);
    stage.add(1, &key, 10, 1);
    let survivors = LEFT.map(WorldOptions::id).to_vec();
    let name = stage.world.ring().layout().name.clone();
    let refused = call(&mut stage, ClusterCall::Recover { survivors: survivors.clone(), cluster: "another".into() });
    stage.must(matches!(refused, Some(ClusterAnswer::Refused(ClusterError::NotAccepted { .. }))), || {
        format!("without the cluster's name the loss is not accepted, but: {refused:?}")
    });
    let recovered = call(&mut stage, ClusterCall::Recover { survivors, cluster: name });
    stage.must(matches!(recovered, Some(ClusterAnswer::Committed(_))), || {
        format!("the survivors must be able to go on alone, but: {recovered:?}")
    });
    stage.wait_long("the survivors are steady by themselves", std::time::Duration::from_secs(60), |world| {
        let last = world.layouts().last();
        last.is_some_and(|it| {
            it.ring.layout().phase == Phase::Steady && it.everywhere_at.is_some() && it.ring.epoch().number > 1
        })
    });
    let layout = stage.world.ring().layout().clone();
    stage.must(LOST.iter().all(|node| layout.is_fenced(WorldOptions::id(*node))), || {
        format!("the lost ones must be fenced: {layout:?}")
    });
    stage.must_show(0, &key, &integer(15), "what the survivors had is there");
    let answer = stage.ask_and_wait(1, &key, Command::Increment { by: 100 }, Options::default());
    stage.must(matches!(answer, Some(Response::Written(_))), || format!("the survivors must serve, but: {answer:?}"));
    for node in LOST {
        stage.world.start_though_gone(node);
        // It does not know yet, and nobody takes anything from it.
        let taken = stage.ask(node, &key, Command::Increment { by: 1_000 }, quorum(2));
        stage.wait_long("a node that was declared lost ends", std::time::Duration::from_secs(20), |world| {
            !world.node(node).is_up()
        });
        let answer = stage.world.answer(taken).cloned();
        stage.must(!matches!(answer, Some(Response::Written(_))), || {
            format!("a node that was declared lost wrote in the name of the cluster: {answer:?}")
        });
    }
    stage.must_show(1, &key, &integer(115), "the lost ones are not let in");
    stage
}

/// Asks the first survivor.
fn call(stage: &mut Stage, call: ClusterCall) -> Option<ClusterAnswer> {
    let number = stage.world.call(0, call);
    stage.wait_long("the call is answered", std::time::Duration::from_secs(30), |world| {
        world.call_of(number).answer.is_some()
    });
    stage.world.call_of(number).answer.clone()
}
