//! Half of all rows have left memory, and the same few keys are written all the time.
//!
//! A row that was asked from the disk is stale when it comes if the key was written meanwhile; minting on it would
//! repeat a number.

use starling::message::client::{Command, Options};

use super::stage::Stage;
use super::{Scenario, Setting};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow_reads",
    story: "rows are read from disk while the same keys are written: no read may bring back the past",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        options.disk.not_in_memory_per_mille = 500;
        options.config.row_cache_bytes = 0;
    });
    let keys = [stage.key_of(&[0, 1, 2]), stage.key_of(&[2, 3, 4])];
    for round in 0..300_u64 {
        for (place, key) in keys.iter().enumerate() {
            let node = (round as usize + place) % 5;
            let by = 1 << (round % 40);
            stage.ask(node, key, Command::Increment { by }, Options::default());
            stage.world.run_for(std::time::Duration::from_micros(150));
        }
    }
    stage.run_ms(5_000);
    stage
}
