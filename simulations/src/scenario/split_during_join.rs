//! The network splits in the middle of a change of the members: once in each of its phases, when some have taken the new
//! layout up and others have not.
//!
//! Both sides go on taking writes and answering reads by the layout that each node has; no phase is left while the split
//! lasts; after it the change comes to its end, and nothing is lost.

use starling::membership::{Change, Phase};
use starling::message::client::{Command, Options, Response};

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::workload;
use crate::world::network::Cut;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "split_during_join",
    story: "the network splits in each phase of a change of the members: both sides serve, and the change comes to its end",
    play,
};

/// The phase that is being taken up when the split comes, by change.
const PHASES: [Phase; 4] = [Phase::Moving, Phase::Switched, Phase::Closing, Phase::Steady];

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 16;
        options.nodes = 6;
        options.spares = PHASES.len();
        options.fallbacks = starling::membership::Fallbacks::All;
    });
    let mut crowd = Crowd::on(stage, 40);
    crowd.run_ms(3_000);
    for (leaver, phase) in PHASES.into_iter().enumerate() {
        let joiner = 6 + leaver;
        let join = Change::Join(crowd.stage.world.options.member(joiner));
        crowd.change(5, vec![join, Change::Leave(WorldOptions::id(leaver))]);
        crowd.run_until("the layout comes whose spreading is cut off", |world| {
            let layout = world.ring().epoch().number;
            let has_it = |node: &usize| world.node(*node).ring.epoch().number == layout;
            world.ring().layout().phase == phase && world.doors().iter().any(has_it)
        });
        split(&mut crowd, joiner);
        crowd.run_until_all_are(Phase::Steady);
        crowd.run_ms(2_000);
    }
    crowd.go(21)
}

/// Three members against all others; each side must serve as soon as it has noticed. Of no partition more than one member of
/// a side hands over what it has, and takes nothing new: two are left.
fn split(crowd: &mut Crowd, joiner: usize) {
    let members = crowd.stage.world.doors().to_vec();
    let (small, large): (Vec<usize>, Vec<usize>) =
        members.iter().partition(|node| **node + 3 >= joiner && **node != joiner);
    let gone = |node: &usize| !members.contains(node);
    let rest: Vec<usize> = (0..crowd.stage.world.places().len()).filter(gone).collect();
    crowd.stage.world.split(&[small.clone(), [large.clone(), rest].concat()], Cut::Loses);
    let before = crowd.stage.world.layouts().len();
    crowd.run_ms(4_000);
    for (side, nodes) in [&small, &large].into_iter().enumerate() {
        for number in 0..8 {
            let key = workload::key(&format!("split/{joiner}/{side}/{number}"));
            let Some(node) = nodes.get(number % nodes.len().max(1)) else { continue };
            for command in [Command::Increment { by: 1 }, Command::Get] {
                let answer = crowd.stage.ask_and_wait(*node, &key, command, Options::default());
                let is_served = matches!(answer, Some(Response::Written(_) | Response::Value(_)));
                crowd.stage.must(is_served, || format!("node {node} must serve {key} while split, but: {answer:?}"));
            }
        }
    }
    let after = crowd.stage.world.layouts().len();
    crowd.stage.must(after <= before + 1, || format!("{} phases were left during a split", after - before));
    crowd.stage.world.heal_all();
}
