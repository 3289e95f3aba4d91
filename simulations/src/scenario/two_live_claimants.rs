//! A member's bundle and directory are copied to a second machine, and both run.
//!
//! Peers dial one address, so only one of the two is ever answered; the other can still dial, count with its own clients
//! and be counted in the member's name. Each takes an epoch of its own, so no dot is minted twice. But what one of them
//! acknowledges binds the other, which does not have it. So both refuse, until one of them is gone.

use starling::message::client::{Command, Outcome, Reason, Response};

use super::stage::{Stage, quorum};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::network::{Cut, NetworkOptions};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "two_live_claimants",
    story: "a member runs twice, on a copy of its directory: both refuse writes until one of them is gone",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.twin_of = Some(0));
    let twin = stage.world.twin();
    let key = stage.key_of(&[0, 1, 2]);
    stage.add(0, &key, 1, 3);

    // A restart, on a network that repeats what the earlier start has said, is no alarm.
    stage.world.network.options = NetworkOptions { replay_per_mille: 300, ..NetworkOptions::CALM };
    stage.world.crash(0, Damage::None);
    stage.run_ms(200);
    stage.world.start(0);
    stage.run_ms(8_000);
    let alarms = stage.world.facts.count("two claimants");
    stage.must(alarms == 0, || format!("{alarms} alarms after a restart"));

    // The second machine starts on a copy. Peers that hear both find out and tell both, whatever is lost on the way.
    stage.world.network.options =
        NetworkOptions { replay_per_mille: 100, loss_per_mille: 100, duplicate_per_mille: 100, ..NetworkOptions::CALM };
    stage.world.copy_to_twin();
    stage.world.start(twin);
    stage.wait_until("both know of each other, and so do their peers", |world| {
        [0, twin].iter().all(|claimant| has_rival(world, *claimant)) && (1..5).all(|peer| sees_two(world, peer))
    });
    stage.world.network.options = NetworkOptions::CALM;
    for claimant in [0, twin] {
        refuses(&mut stage, claimant, &key);
    }
    // Who asks another node is served, by the other two owners.
    stage.add(1, &key, 10, 2);

    // The copy ends: the member is alone again.
    stage.world.crash(twin, Damage::None);
    stage.wait_until("the first is alone again, and its peers see one", |world| {
        !has_rival(world, 0) && (1..5).all(|peer| !sees_two(world, peer))
    });
    stage.add(0, &key, 100, 3);

    // The copy comes back while the first cannot be heard, so nobody can know; then the split heals.
    stage.world.isolate(0, Cut::Loses);
    stage.world.start(twin);
    stage.run_ms(3_000);
    let nobody_knows = !has_rival(&stage.world, 0) && !has_rival(&stage.world, twin);
    stage.must(nobody_knows, || "a claimant knows what nobody can have told it".into());
    stage.world.heal_all();
    stage.wait_until("both know again", |world| [0, twin].iter().all(|claimant| has_rival(world, *claimant)));

    // This time the first one ends, and the copy takes its place and its address.
    stage.world.crash(0, Damage::None);
    stage.world.move_address(true);
    stage.wait_until("the copy is alone, and answered", |world| {
        !has_rival(world, twin)
            && world.status(twin).iter().all(|status| status.peers.iter().all(|peer| peer.is_reachable))
    });
    stage.add(twin, &key, 1_000, 3);
    stage
}

fn has_rival(world: &World, place: usize) -> bool {
    world.status(place).iter().any(|status| status.rival.is_some())
}

fn sees_two(world: &World, peer: usize) -> bool {
    let claimed = WorldOptions::id(0);
    world.status(peer).iter().flat_map(|status| &status.peers).any(|peer| peer.node == claimed && peer.is_contested)
}

/// Everybody who writes through a claimant is told that nothing was done, and why; who reads is answered.
fn refuses(stage: &mut Stage, claimant: usize, key: &starling::ids::Key) {
    for command in [Command::Increment { by: 7 }, Command::Put { value: "7".into() }, Command::Delete] {
        let answer = stage.ask_and_wait(claimant, key, command.clone(), quorum(1));
        let is_refused = matches!(&answer, Some(Response::Failed(error))
            if error.outcome == Outcome::NotApplied && matches!(error.reason, Reason::TwoClaimants { .. }));
        stage.must(is_refused, || format!("place {claimant} must refuse {command:?}, but: {answer:?}"));
    }
    let read = starling::message::client::Options { r: Some(1), ..Default::default() };
    let answer = stage.ask_and_wait(claimant, key, Command::Get, read);
    let is_shown = matches!(answer, Some(Response::Value(_)));
    stage.must(is_shown, || format!("place {claimant} must go on showing what it has, but: {answer:?}"));
}
