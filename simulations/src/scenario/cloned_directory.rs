//! A node is started on a copy of its own directory from before its last writes: a restored backup, or a clone.
//!
//! The copy remembers less than the peers do, and cannot know. A new epoch at every start keeps it from continuing the
//! numbers that it forgot.

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "cloned_directory",
    story: "a node is started on an old copy of its directory, twice, and counts on",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    stage.add(0, &key, 1, 3);
    stage.world.copy_directory(0);
    for by in [10, 100] {
        stage.world.crash(0, Damage::Restored);
        stage.world.start(0);
        stage.run_ms(3_000);
        stage.add(0, &key, by, 3);
        stage.add(0, &key, 3 * by, 3);
    }
    stage
}
