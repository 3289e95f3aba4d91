//! A node's directory is replaced by an earlier copy of itself: a backup is restored, or a snapshot of a volume.
//!
//! The copy remembers less than the peers, and cannot know it. Owner or fallback, whether anything happened since or not:
//! what it forgot must come back to it, what it remembers to owe must be paid only once, and nothing that it minted
//! since may be minted again (Riak 679, "backup and restore").

use starling::ids::Key;
use starling::message::client::{Command, Response};

use super::stage::{Stage, quorum, short_leases};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "restored_backup",
    story: "an owner and a fallback start on earlier copies of their directories, with and without traffic in between",
    play,
};

fn play(setting: Setting) -> Stage {
    // Actors expire and are settled while the story goes on.
    let mut stage = Stage::open(setting, short_leases);
    // Those that may stand in have learned what is sealed.
    stage.run_ms(3_000);
    let counter = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&counter);
    let (owner, other, owners, fallback) = match set.as_slice() {
        [owner, other, third, fallback, ..] => (*owner, *other, [*owner, *other, *third], *fallback),
        short => panic!("three owners and a fallback are needed, not {short:?}"),
    };

    // An owner; nothing happens in between.
    stage.add(owner, &counter, 1, 3);
    stage.world.copy_directory(owner);
    restore(&mut stage, owner);
    stage.run_ms(1_000);
    stage.add(owner, &counter, 10, 2);
    counts(&mut stage, &owners, &counter, 11);

    // An owner; its copy has seen less than half of what it and the others did.
    stage.world.copy_directory(owner);
    for by in [100, 1_000] {
        stage.add(owner, &counter, by, 3);
        stage.add(other, &counter, 3 * by, 3);
    }
    restore(&mut stage, owner);
    // At once, before it has learned anything.
    stage.add(owner, &counter, 10_000, 1);
    counts(&mut stage, &owners, &counter, 14_411);

    // A fallback that holds hints; nothing happens in between.
    let removed = beside(&stage, &counter, &set);
    alone(&mut stage, fallback);
    stage.add(fallback, &counter, 100_000, 1);
    stage.add(fallback, &removed, 7, 1);
    stage.world.copy_directory(fallback);
    restore(&mut stage, fallback);
    stage.world.heal_all();
    stage.wait_until("the fallback delivers and forgets", |world| {
        !Stage::has_row(world, fallback, &counter) && !Stage::has_row(world, fallback, &removed)
    });
    counts(&mut stage, &owners, &counter, 114_411);

    // The same copy again: it was delivered long ago, one key was deleted since, and the fallback stood in once more.
    let answer = stage.ask_and_wait(other, &removed, Command::Delete, quorum(3));
    stage.must(matches!(answer, Some(Response::Written(_))), || format!("the delete must succeed, but: {answer:?}"));
    alone(&mut stage, fallback);
    stage.add(fallback, &counter, 1_000_000, 1);
    stage.world.heal_all();
    stage.wait_until("the fallback delivers again", |world| !Stage::has_row(world, fallback, &counter));
    // Long enough for the actors of all of this to expire, and a little more.
    stage.run_ms(30_000);
    restore(&mut stage, fallback);
    stage.wait_until("the old hints are paid once more", |world| {
        !Stage::has_row(world, fallback, &counter) && !Stage::has_row(world, fallback, &removed)
    });
    counts(&mut stage, &owners, &counter, 1_114_411);
    alone(&mut stage, fallback);
    stage.add(fallback, &counter, 10_000_000, 1);
    stage.world.heal_all();
    counts(&mut stage, &owners, &counter, 11_114_411);
    counts(&mut stage, &owners, &removed, 0);
    stage
}

/// The directory becomes the copy, and the node starts on it.
fn restore(stage: &mut Stage, node: usize) {
    stage.world.crash(node, Damage::Restored);
    stage.world.start(node);
    stage.run_ms(50);
}

/// Cuts a node off until everybody has noticed.
fn alone(stage: &mut Stage, node: usize) {
    stage.world.isolate(node, Cut::Loses);
    stage.run_ms(2_500);
}

/// All owners must come to count this.
fn counts(stage: &mut Stage, owners: &[usize], key: &Key, expected: i128) {
    let owners = owners.to_vec();
    stage.wait_until(&format!("all owners of {key} count {expected}"), move |world| {
        owners.iter().all(|owner| Stage::count_on(world, *owner, key) == expected)
    });
}

/// Another key with the same accept set.
fn beside(stage: &Stage, key: &Key, set: &[usize]) -> Key {
    let candidates = (0..10_000).map(|number| crate::workload::key(&format!("beside/{number}")));
    let mut fitting = candidates.filter(|other| other != key && stage.accept_set(other) == set);
    fitting.next().expect("some partition of a small cluster has this accept set")
}
