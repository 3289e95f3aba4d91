//! A reset is sent, its answer is lost, and it is sent again much later through another node, when more was counted.
//!
//! Both copies carry the context of what was seen, so the second takes nothing more away. A set-to-value likewise; and a
//! copy that was on its way all the time changes nothing when it arrives at last.

use starling::message::client::{Command, Options, Visible};

use super::stage::{Stage, integer, quorum, step};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::{CrashPoint, Damage};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "reset_retried",
    story: "a reset whose answer was lost is sent again after more was counted, and takes away only what it had seen",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&key);
    let (Some(first), Some(second), Some(third)) = (set.first().copied(), set.get(1).copied(), set.get(2).copied())
    else {
        panic!("three owners are needed");
    };
    let session = stage.session(5, 5);
    stage.add(first, &key, 5, 2);
    stage.write(second, &key, step(session, 1, 30));
    let Some(seen) = stage.observe(first, &key, Command::Observe) else { return stage };
    stage.must(seen.value == integer(35), || format!("35 were counted, {:?} is seen", seen.value));

    // Not seen by the reset: it must survive.
    stage.add(second, &key, 100, 2);
    stage.write(third, &key, step(session, 2, 30 + 1_000));
    let reset = Command::Overwrite { context: seen.context, to: None };
    stage.world.arm(first, CrashPoint::AfterWrite, Damage::None);
    stage.ask(first, &key, reset.clone(), Options::default());
    stage.run_ms(300);
    stage.write(second, &key, reset.clone());
    stage.must_show(second, &key, &integer(1_100), "after the second copy of the reset");
    stage.add(third, &key, 10_000, 2);
    stage.world.start(first);
    stage.run_ms(2_000);
    stage.write(first, &key, reset.clone());
    stage.must_show(third, &key, &integer(11_100), "after the third copy of the reset");

    // Set to a value; a copy of it is on its way to the third owner all the while.
    let Some(seen) = stage.observe(second, &key, Command::Observe) else { return stage };
    let set_to = Command::Overwrite { context: seen.context, to: Some(7) };
    stage.world.cut(first, third, Cut::Jams);
    stage.write_with(first, &key, set_to.clone(), quorum(2));
    stage.must_show(second, &key, &integer(7), "after the set-to-value");
    stage.add(second, &key, 100_000, 2);
    stage.write(second, &key, set_to);
    stage.must_show(second, &key, &integer(100_007), "after the second copy of the set-to-value");
    let Some(seen) = stage.observe(second, &key, Command::Observe) else { return stage };
    stage.write(second, &key, Command::Overwrite { context: seen.context, to: None });
    stage.world.heal_all();
    stage.run_ms(2_000);
    // A late copy of an old reset.
    stage.write(third, &key, reset);
    let shown = stage.read(third, &key).map(|reply| reply.value);
    let is_zero = matches!(shown, Some(Visible::Nothing)) || shown == Some(integer(0));
    stage.must(is_zero, || format!("nothing is left to count at the end, but {shown:?} is shown"));
    stage
}
