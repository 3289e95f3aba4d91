//! While one node joins another dies; the operator declares it lost, and then takes the joining back, all under load. That
//! the dead one is lost cannot be taken back: those of before take over what it owned, so no partition has an owner less.

use starling::membership::{Change, Phase};
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling::ring::RingView;

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lost_while_moving",
    story: "a node is declared lost while another joins, and the joining is taken back: the others take its places",
    play,
};

const DEAD: usize = 3;
const JOINER: usize = 5;
const ADMIN: usize = 2;

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 16;
        options.spares = 1;
    });
    let mut crowd = Crowd::on(stage, 40);
    crowd.run_ms(3_000);
    crowd.stage.world.crash(DEAD, Damage::None);
    crowd.run_ms(3_000);
    let join = Change::Join(crowd.stage.world.options.member(JOINER));
    crowd.change(ADMIN, vec![join]);
    // The change must not be through before it is taken back.
    call(&mut crowd, ClusterCall::PauseMoves(true), |answer| *answer == ClusterAnswer::Paused(true));
    crowd.change(ADMIN, vec![Change::Fence(WorldOptions::id(DEAD))]);
    crowd.run_until_all_are(Phase::Moving);
    call(&mut crowd, ClusterCall::Revert, |answer| matches!(answer, ClusterAnswer::Committed(_)));
    call(&mut crowd, ClusterCall::PauseMoves(false), |answer| *answer == ClusterAnswer::Paused(false));
    crowd.run_until_all_are(Phase::Steady);
    let ring = crowd.stage.world.ring().clone();
    let members: Vec<u64> = ring.layout().members.iter().map(|member| member.id.0).collect();
    let expected: Vec<u64> = (0..JOINER).filter(|node| *node != DEAD).map(|node| WorldOptions::id(node).0).collect();
    crowd.stage.must(members == expected, || format!("the members are {members:?}, not {expected:?}"));
    // Not even for a moment: whoever takes the change back gives the lost one's places to the others in the same act.
    let is_short = |ring: &RingView| {
        let replicas = usize::from(ring.layout().replicas);
        ring.layout().phase.is_steady() && ring.partitions().any(|partition| ring.owners(partition).len() < replicas)
    };
    let short = crowd.stage.world.layouts().iter().find(|it| is_short(&it.ring)).map(|it| it.ring.epoch().number);
    crowd.stage.must(short.is_none(), || format!("by layout {short:?} some partition has an owner less"));
    crowd.run_ms(3_000);
    crowd.go(19)
}

/// A call of the operator, which must be answered so.
fn call(crowd: &mut Crowd, call: ClusterCall, is_right: impl Fn(&ClusterAnswer) -> bool) {
    let number = crowd.stage.world.call(ADMIN, call.clone());
    crowd.run_until("the operator is answered", |world| world.call_of(number).answer.is_some());
    let answer = crowd.stage.world.call_of(number).answer.clone();
    crowd.stage.must(answer.as_ref().is_some_and(is_right), || format!("{call:?} came to {answer:?}"));
}
