//! A deadline passes while the cluster is split.
//!
//! One side lets the key expire, the other writes it anew, moves its deadline, or takes the deadline away. After the heal a
//! value written after the deadline is there, and what one side has let go is gone: its sweep has covered the value, and
//! what the other side said of the deadline meanwhile, in time but unseen, does not bring that back. A key that was emptied
//! before its deadline, and written again, stays.

use starling::message::client::{Command, Options, Response, Visible};

use super::stage::{Stage, quorum, text};
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "expire_during_split",
    story: "a deadline passes on one side of a split while the other writes, moves it, or takes it away",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.config.tick = std::time::Duration::from_secs(1));
    let emptied = stage.another_key_of(&[0, 1, 2], 4);
    let deadline = Some(stage.moment(6_000));
    let flag = |on| Command::SetFlag { on };
    for command in [flag(true), Command::Expire { deadline }, flag(false), flag(true)] {
        stage.write_with(0, &emptied, command, quorum(3));
    }
    let keys = [0, 1, 2, 3].map(|number| stage.another_key_of(&[0, 1, 2], number));
    let [gone, written, moved, persisted] = &keys;
    for key in &keys {
        stage.write_with(0, key, Command::Put { value: text("first") }, quorum(3));
        let deadline = Some(stage.moment(6_000));
        stage.write_with(0, key, Command::Expire { deadline }, quorum(3));
    }
    let alone = 2;
    stage.world.isolate(alone, Cut::Loses);
    stage.run_ms(3_000);
    let later = Some(stage.moment(60_000_000));
    stage.write_with(alone, moved, Command::Expire { deadline: later }, quorum(1));
    stage.write_with(alone, persisted, Command::Expire { deadline: None }, quorum(1));
    stage.run_ms(4_000);
    // The deadline has passed: the majority hides all four, and sweeps.
    for key in &keys {
        stage.must_show(0, key, &Visible::Nothing, "after the deadline");
    }
    for key in [moved, persisted] {
        let shown = stage.ask_and_wait(alone, key, Command::Get, Options { r: Some(1), ..Options::default() });
        let is_there = matches!(&shown, Some(Response::Value(reply)) if reply.value == Visible::Text(text("first")));
        stage.must(is_there, || format!("{key} shows {shown:?} where its deadline was moved in time"));
    }
    stage.write_with(alone, written, Command::Put { value: text("second") }, quorum(1));
    stage.run_ms(3_000);
    stage.world.heal_all();
    stage.run_ms(8_000);
    for node in [0, 1, alone] {
        stage.must_show(node, gone, &Visible::Nothing, "after the heal");
        stage.must_show(node, written, &Visible::Text(text("second")), "after the heal");
        for key in [moved, persisted] {
            stage.must_show(node, key, &Visible::Nothing, "after the heal");
        }
        stage.must_show(node, &emptied, &Visible::Flag, "after its old deadline");
    }
    stage
}
