//! A node is away past everything that the others do in the meantime, and comes back with its old data.
//!
//! It takes writes alone: what was deleted meanwhile stays deleted, and what it wrote is kept. Collection waits for it,
//! since it may accept writes, so the deletes are remembered until it has seen them, and forgotten then.
//!
//! Then its directory is *replaced* by a copy from before the deletes, which nobody remembers any more. It takes a write
//! alone once more. How far the others are settled proves to it that it has lost its memory: it says so, gives up what they
//! have forgotten, and keeps the write (see `stability/loss.rs`).

use std::time::Duration;

use starling::ids::CollectionKind;
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Visible};

use super::stage::{Stage, quorum, short_leases, text};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "zombie_node",
    story: "a node comes back with old data, then on an older copy, after the others have deleted: nothing rises, its writes are kept",
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
    stage.world.copy_directory(zombie);

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

    // Nobody remembers the delete when the old copy starts.
    stage.world.isolate(zombie, Cut::Loses);
    stage.world.crash(zombie, Damage::Restored);
    stage.world.start(zombie);
    stage.run_ms(2_500);
    stage.write_with(zombie, &kept, Command::Increment { by: 70 }, quorum(1));
    stage.world.heal_all();
    let newborn = |world: &World| world.status(zombie).iter().map(|status| status.newborn_partitions).sum::<u32>();
    stage.wait_until("the old copy learns that it is one", |world| {
        world.status(zombie).iter().any(|status| status.amnesia_alarms > 0)
    });
    stage.wait_until("it takes its data over anew", |world| newborn(world) == 0);
    stage.run_ms(10_000);
    for node in [0, 1, zombie] {
        stage.must_show(node, &deleted, &Visible::Nothing, "after the directory was replaced");
        stage.must_show(node, &kept, &super::stage::integer(75), "after the directory was replaced");
        let found = stage.members(node, &members);
        stage.must(found == [text("stays")], || format!("the set holds {found:?} after the directory was replaced"));
    }
    let rows = Stage::rows_of(&stage.world, &deleted);
    stage.must(rows == 0, || format!("{rows} rows of the deleted key are back"));
    stage
}
