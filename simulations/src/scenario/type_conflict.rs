//! A split makes two types live under one key.
//!
//! After the heal every owner shows the type that was touched last, says that there is a conflict, and refuses writes of
//! other types; a delete covers both.

use starling::ids::CollectionKind;
use starling::message::client::{
    CollectionCommand, Command, ElementChange, ElementWrite, Options, Reason, Response, Visible,
};

use super::stage::{Stage, quorum, text};
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "type_conflict",
    story: "a split makes a set and a string under one key: the last touched is shown, the conflict is told, a delete covers both",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    let alone = 2;
    stage.world.isolate(alone, Cut::Loses);
    stage.run_ms(2_500);
    let add = |element: &str| Command::Collection {
        kind: CollectionKind::Set,
        command: CollectionCommand::Write {
            changes: vec![ElementWrite { element: text(element), change: ElementChange::Add }],
        },
    };
    stage.write_with(alone, &key, add("one"), quorum(1));
    stage.run_ms(1_000);
    stage.write(0, &key, Command::Put { value: text("a string") });
    stage.world.heal_all();
    stage.run_ms(5_000);
    for node in [0, 1, alone] {
        let reply = stage.read(node, &key);
        let is_shown = reply.as_ref().is_some_and(|reply| reply.value == Visible::Text(text("a string")));
        stage.must(is_shown, || format!("the string was touched last, but {reply:?} is shown"));
        let is_told = reply.as_ref().is_some_and(|reply| reply.conflict);
        stage.must(is_told, || format!("the conflict is not told: {reply:?}"));
        let answer = stage.ask_and_wait(node, &key, add("two"), Options::default());
        let is_refused =
            matches!(&answer, Some(Response::Failed(error)) if matches!(error.reason, Reason::WrongType { .. }));
        stage.must(is_refused, || format!("a string has no members, but: {answer:?}"));
    }
    let told = stage.world.facts.count("conflict");
    stage.must(told > 0, || "the conflict should have been counted".into());
    stage.write(1, &key, Command::Delete);
    stage.run_ms(1_000);
    for node in [0, 1, alone] {
        stage.must_show(node, &key, &Visible::Nothing, "after the delete");
        let members = stage.members(node, &key);
        stage.must(members.is_empty(), || format!("the delete covers both types, but {members:?} are left"));
    }
    stage
}
