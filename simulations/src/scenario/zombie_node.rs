//! A node is away past everything that the others do in the meantime, and comes back with its old data.
//!
//! It takes writes alone: what was deleted meanwhile stays deleted, and what it wrote is kept. Collection waits for it,
//! since it may accept writes, so the deletes are remembered until it has seen them, and forgotten then. (A directory that
//! is *replaced* by an old copy once the deletes are forgotten everywhere is not told from a slow owner: whoever restores
//! a backup wipes the node instead.)

use std::time::Duration;

use starling::ids::CollectionKind;
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Visible};

use super::stage::{Stage, quorum, short_leases, text};
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "zombie_node",
    story: "a node comes back with old data after the others have deleted: nothing rises, its writes are kept, then the delete is forgotten",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, short_leases);
    let [deleted, kept, members] = [0, 1, 2].map(|number| stage.another_key_of(&[0, 1, 2], number));
    let zombie = 2;
    let change = |element: &str, change: ElementChange| Command::Collection {
        kind: CollectionKind::Set,
        command: CollectionCommand::Write { changes: vec![ElementWrite { element: text(element), change }] },
    };
    stage.write_with(0, &deleted, Command::Put { value: text("old") }, quorum(3));
    stage.write_with(0, &members, change("old", ElementChange::Add), quorum(3));
    stage.write_with(0, &members, change("stays", ElementChange::Add), quorum(3));

    // Cut off, it takes a write alone; the others delete.
    stage.world.isolate(zombie, Cut::Loses);
    stage.run_ms(2_500);
    stage.write_with(zombie, &kept, Command::Increment { by: 5 }, quorum(1));
    stage.write(0, &deleted, Command::Delete);
    stage.write(1, &members, change("old", ElementChange::Remove));
    stage.run_ms(20_000);
    let rows = Stage::rows_of(&stage.world, &deleted);
    stage.must(rows >= 3, || {
        format!("a delete must be remembered while an owner has not seen it, {rows} rows are left")
    });
    stage.world.heal_all();
    let all = [deleted.clone()];
    stage.wait_long("the delete is forgotten once everybody knows it", Duration::from_secs(60), |world| {
        all.iter().all(|key| Stage::rows_of(world, key) == 0)
    });
    for node in [0, 1, zombie] {
        stage.must_show(node, &deleted, &Visible::Nothing, "after the node is back");
        stage.must_show(node, &kept, &super::stage::integer(5), "after the node is back");
    }
    let found = stage.members(zombie, &members);
    stage.must(found == [text("stays")], || format!("the set holds {found:?} after the node is back"));
    stage
}
