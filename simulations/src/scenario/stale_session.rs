//! A session writes on one side of a split and reads on the other.
//!
//! Without a token it is shown the past, with a bound that says how old the past may be. With one it is told so, and after
//! the heal it sees its write through any node.

use bytes::Bytes;
use starling::message::client::{Command, Options, Outcome, Reason, Response};

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale_session",
    story: "a session reads on the other side of a split: stale, until the heal shows it what it wrote",
    play,
};

/// How long the split lasts before the reads.
const APART_MS: u64 = 20_000;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    stage.add(1, &key, 1, 3);
    // Bounds of age are known from exchanges, which go round by themselves.
    let exchanges = stage.world.options.config.exchange_interval * 2;
    stage.run_ms(exchanges.as_millis() as u64);
    stage.world.isolate(0, Cut::Loses);
    stage.run_ms(3_000);

    let one = Options { r: Some(1), w: Some(1), ..Options::default() };
    let begun = Options { token: Some(Bytes::new()), ..one.clone() };
    let token = match stage.ask_and_wait(0, &key, Command::Increment { by: 5 }, begun) {
        Some(Response::Written(reply)) => reply.token,
        _ => None,
    };
    stage.must(token.as_ref().is_some_and(|token| !token.is_empty()), || "the write must bring a token".into());
    stage.run_ms(APART_MS);

    let past = stage.read(1, &key);
    stage.must(past.as_ref().is_some_and(|reply| reply.stale_ms.is_some_and(|bound| bound >= APART_MS)), || {
        format!("a read without a token must say how old what it lacks may be: {past:?}")
    });
    let with_token = Options { token, ..one };
    let answer = stage.ask_and_wait(1, &key, Command::Get, with_token.clone());
    let is_stale = matches!(&answer, Some(Response::Failed(error))
        if error.reason == Reason::Stale && error.outcome == Outcome::NotApplied);
    stage.must(is_stale, || format!("a read that cannot show what its session wrote must say so: {answer:?}"));

    stage.world.heal_all();
    for node in [3, 1, 2, 0] {
        let patient = Options { deadline_ms: Some(15_000), ..with_token.clone() };
        let answer = stage.ask_and_wait(node, &key, Command::Get, patient);
        let shows = matches!(&answer, Some(Response::Value(reply)) if reply.value == (starling::value::Visible::Integer { value: 6, saturated: false }));
        stage.must(shows, || format!("after the heal the session must see 6 through node {node}: {answer:?}"));
    }
    stage
}
