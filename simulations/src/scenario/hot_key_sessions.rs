//! A thousand sessions on one key come and go; then so many that the bound on their rows is met.
//!
//! Every increment counts once, and once the leases have ended no row of a session is left. At the bound a new session's
//! first write is refused as "not applied"; sessions that are known and increments without a session go on.

use std::time::Duration;

use starling::ids::Key;
use starling::limits;
use starling::message::client::{Command, Options, Outcome, Reason, Response, SessionWrite};

use super::stage::{Stage, integer, short_leases, step};
use super::{Scenario, Setting};
use crate::world::history::OpNumber;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "hot_key_sessions",
    story: "a thousand sessions on one key come and go, and their rows with them; a bound refuses only new ones",
    play,
};

const SESSIONS: u64 = 1_000;

/// Longest time until the rows of ended sessions are gone.
const FORGETS_WITHIN: Duration = Duration::from_secs(60);

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.config.actor_lease_ticks = 12;
    });
    let key = stage.key_of(&[0, 1, 2]);
    come_and_go(&mut stage, &key);
    let crowded = stage.another_key_of(&[0, 1, 2], 1);
    meet_the_bound(&mut stage, &crowded);
    stage
}

fn come_and_go(stage: &mut Stage, key: &Key) {
    let nodes = stage.world.nodes().len();
    let mut asked = Vec::new();
    let actors: Vec<_> = (1..=SESSIONS).map(|number| stage.session(number, 11)).collect();
    for event in 1..=3_u64 {
        for (place, actor) in actors.iter().enumerate() {
            let write = step(*actor, event, event as i64);
            asked.push(stage.ask((place + event as usize) % nodes, key, write, Options::default()));
            // Four hundred a second, so that all of them live at once.
            stage.world.run_for(Duration::from_micros(2_500));
        }
        if event == 1 {
            let rows = stage.world.session_rows();
            stage.must(rows >= 3 * SESSIONS as usize, || {
                format!("{SESSIONS} sessions should be there, {rows} rows are")
            });
            stage.note(format!("{SESSIONS} live sessions: {rows} rows on all nodes"));
        }
    }
    stage.run_ms(2_500);
    must_be_written(stage, &asked);
    stage.must_show(4, key, &integer(3 * SESSIONS as i64), "after three steps of each session");
    stage.wait_long("the rows of the sessions go", FORGETS_WITHIN, |world| world.session_rows() == 0);
    stage.must_show(3, key, &integer(3 * SESSIONS as i64), "once the rows are gone");
}

fn meet_the_bound(stage: &mut Stage, key: &Key) {
    // Large totals of both signs make large rows.
    let fat = |actor, event: u64| {
        Command::IncrementAs(SessionWrite { actor, event, p: (1 << 95) + u128::from(event), n: 1 << 95 })
    };
    let known = stage.session(1_000_000, 11);
    stage.write(0, key, fat(known, 1));
    let rows_at_most = limits::SESSION_BYTES_PER_KEY_MAX / 20;
    let mut asked: Vec<OpNumber> = Vec::new();
    for number in 0..rows_at_most {
        let actor = stage.session(2_000_000 + number, 11);
        asked.push(stage.ask(0, key, fat(actor, 1), Options::default()));
        stage.world.run_for(Duration::from_micros(250));
        let is_refused = |number: &OpNumber| matches!(stage.world.answer(*number), Some(Response::Failed(_)));
        if asked.len().checked_sub(200).and_then(|place| asked.get(place)).is_some_and(is_refused) {
            break;
        }
    }
    stage.run_ms(2_500);
    let refused = asked.iter().position(|number| matches!(stage.world.answer(*number), Some(Response::Failed(_))));
    stage.note(match refused {
        Some(count) => format!("the bound on the rows of one key was met after {count} sessions"),
        None => format!("{} sessions did not meet the bound on the rows of one key", asked.len()),
    });
    let answer = refused.and_then(|place| asked.get(place)).and_then(|number| stage.world.answer(*number)).cloned();
    let is_told = matches!(&answer, Some(Response::Failed(error))
        if error.outcome == Outcome::NotApplied && error.reason == Reason::TooManySessions);
    stage.must(is_told, || format!("a session beyond the bound must be refused, but: {answer:?}"));
    stage.write(1, key, fat(known, 2));
    stage.write(2, key, Command::Increment { by: 5 });
    stage.wait_long("the rows of the sessions go", FORGETS_WITHIN, |world| world.session_rows() == 0);
    let actor = stage.session(3_000_000, 11);
    stage.write(0, key, fat(actor, 1));
}

fn must_be_written(stage: &mut Stage, asked: &[OpNumber]) {
    let failed: Vec<String> = asked
        .iter()
        .filter(|number| !matches!(stage.world.answer(**number), Some(Response::Written(_))))
        .map(|number| format!("{:?}", stage.world.history.op(*number)))
        .collect();
    stage.must(failed.is_empty(), || format!("{} increments failed, such as {:?}", failed.len(), failed.first()));
}
