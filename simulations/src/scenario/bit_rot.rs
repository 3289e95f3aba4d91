//! A row that rots on disk, and a whole range of them.
//!
//! It must never count as absent, the owner begins anew and gets everything back, and not while another owner is away: the rotten
//! directory still holds what may be nowhere else.

use std::time::Duration;

use starling::storage::{Range, RowKey, Space, keyspace};

use super::stage::{Stage, integer};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "bit_rot",
    story: "rows of an owner rot on disk, one and then a file of them; it begins anew and the others bring them back",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        // Nothing reads a row that nobody asks for but the look of the trees.
        options.config.tree_rebuild_interval = Duration::from_secs(3);
        options.config.row_cache_bytes = 1;
    });
    let key = |stage: &Stage, number| stage.another_key_of(&[0, 1, 2], number);
    let (first, second, last) = (key(&stage, 0), key(&stage, 1), key(&stage, 11));
    let keys: Vec<_> = (0..12).map(|number| key(&stage, number)).collect();
    for key in &keys {
        for by in [1, 10, 100] {
            stage.add(0, key, by, 3);
        }
    }
    let row = RowKey::main(&first);
    let one = Range { start: row.as_bytes().clone(), end: Some(keyspace::after(row.as_bytes())) };
    rot_and_heal(&mut stage, 0, &one, &first);

    let all = Range { start: bytes::Bytes::new(), end: None };
    // While another owner is away nothing is given up.
    stage.world.crash(2, Damage::None);
    stage.run_ms(3_000);
    let life = stage.world.node(1).life;
    let rotten = stage.world.node(1).store.rot(Space::Rows, &all, usize::MAX);
    stage.must(rotten > 0, || "there is nothing to rot".into());
    stage.run_ms(12_000);
    stage.must(stage.world.node(1).life == life, || "an owner gave its directory up while another one was away".into());
    stage.must_show(0, &second, &integer(111), "while an owner is away and another one is rotten");
    stage.world.start(2);
    stage.wait_until("the rotten owner begins anew", |world| world.node(1).life > life && world.node(1).is_up());
    stage.wait_until("it gets everything back", |world| is_whole(world, 1) && Stage::has_row(world, 1, &last));
    for key in &keys {
        let taken = Stage::count_on(&stage.world, 1, key);
        stage.must(taken == 111, || format!("the owner took over a count of {taken}, 111 were acknowledged"));
    }
    stage
}

fn rot_and_heal(stage: &mut Stage, node: usize, range: &Range, key: &starling::ids::Key) {
    let life = stage.world.node(node).life;
    let rotten = stage.world.node(node).store.rot(Space::Rows, range, 1);
    stage.must(rotten == 1, || format!("{rotten} rows rot"));
    for asked in 0..3 {
        stage.must_show(asked, key, &integer(111), "while an owner's row is rotten");
    }
    stage.wait_until("the owner begins anew", |world| world.node(node).life > life && world.node(node).is_up());
    stage.wait_until("it gets everything back", |world| is_whole(world, node) && Stage::has_row(world, node, key));
    let taken = Stage::count_on(&stage.world, node, key);
    stage.must(taken == 111, || format!("the owner took over a count of {taken}, 111 were acknowledged"));
}

fn is_whole(world: &World, node: usize) -> bool {
    world.status(node).iter().all(|status| status.newborn_partitions == 0)
}
