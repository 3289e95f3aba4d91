//! A counter goes up and down through several coordinators whose messages overtake each other.
//!
//! What counts is the larger event of an actor, never the larger sum.

use starling::message::client::{Command, Options};

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Delays;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "changing_signs",
    story: "increments and decrements of many coordinators overtake each other on a slow network",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        options.network.delays = Delays::HeavyTail;
        options.network.duplicate_per_mille = 100;
    });
    let key = stage.key_of(&[0, 1, 2]);
    for round in 0..200_i64 {
        let by = if round % 2 == 0 { 1 << (round % 40) } else { -(1 << (round % 37)) };
        stage.ask(round as usize % 5, &key, Command::Increment { by }, Options::default());
        stage.run_ms(3);
        if round == 100 {
            stage.ask(0, &key, Command::Delete, Options::default());
        }
    }
    stage.run_ms(5_000);
    stage
}
