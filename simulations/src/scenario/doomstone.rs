//! A delete is late: it reaches an owner when the key was deleted everywhere, forgotten, and written anew.
//!
//! Riak's "doomstone": an old tombstone wiped a key that had been created again. Here the late delete is older than
//! everything that was settled, so it is refused whole, or covers nothing that it had not seen: for a register, a counter,
//! a session's counter and a set.

use std::time::Duration;

use starling::ids::{CollectionKind, Key};
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Visible};

use super::stage::{Stage, integer, quorum, short_leases, step, text};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "doomstone",
    story: "a delete arrives when its key was deleted, forgotten and written anew: the new value stays",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, short_leases);
    let keys: Vec<Key> = (0..4).map(|number| stage.another_key_of(&[0, 1, 2], number)).collect();
    let [register, counter, counted, set] = keys.as_slice() else { panic!("four keys were asked for") };
    let accept = stage.accept_set(register);
    let (Some(first), Some(second), Some(third)) =
        (accept.first().copied(), accept.get(1).copied(), accept.get(2).copied())
    else {
        panic!("three owners are needed");
    };
    let add = |element: &str| Command::Collection {
        kind: CollectionKind::Set,
        command: CollectionCommand::Write {
            changes: vec![ElementWrite { element: text(element), change: ElementChange::Add }],
        },
    };
    let session = stage.session(9, 2);
    stage.write(second, register, Command::Put { value: text("old") });
    stage.add(second, counter, 5, 3);
    stage.write(second, counted, step(session, 1, 5));
    stage.write(second, set, add("old"));

    // The deletes reach the second owner at once, and the third only at the very end.
    stage.world.cut(first, third, Cut::Jams);
    for key in &keys {
        stage.write_with(first, key, Command::Delete, quorum(2));
    }
    stage.world.set_jammed_aside(first, third);
    let nothing_left = |world: &World| keys.iter().all(|key| Stage::rows_of(world, key) == 0);
    stage.wait_long("all that was deleted is forgotten", Duration::from_secs(60), nothing_left);

    let session = stage.session(10, 2);
    stage.write(second, register, Command::Put { value: text("new") });
    stage.add(second, counter, 7, 3);
    stage.write(second, counted, step(session, 1, 7));
    stage.write(second, set, add("new"));
    stage.world.release_set_aside(first, third);
    stage.run_ms(10_000);
    for node in [first, second, third] {
        stage.must_show(node, register, &Visible::Text(text("new")), "after the old delete arrived");
        stage.must_show(node, counter, &integer(7), "after the old delete arrived");
        stage.must_show(node, counted, &integer(7), "after the old delete arrived");
        let members = stage.members(node, set);
        stage.must(members == [text("new")], || format!("the set holds {members:?} after the old delete arrived"));
    }
    stage
}
