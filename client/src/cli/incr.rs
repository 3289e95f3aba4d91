//! `starling incr KEY [BY]` and `starling decr KEY [BY]`: exactly once, by a session that is kept between two runs.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use starling::message::client::Outcome;
use starling_client::{Client, ClientConfig, Error, Resumed};
use tokio::time::Instant;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::state::StateArgs;
use super::{output, write};

/// The session keeps one name at least so long. A program that is started once leaves its rows in the cluster no longer.
const LEASE: Duration = Duration::from_secs(60);

/// What an earlier run left is waited for at least so long.
const PATIENCE_MIN: Duration = Duration::from_millis(100);

/// Add to a number, exactly once.
///
/// Prints the new value as the coordinating node sees it: while other writes are on their way, it is an estimate. Who
/// holds the write stands on stderr.
///
/// A session kept in the state directory makes the increment count once, through whichever node it is sent and however
/// often. If it ends as "unknown" (exit code 3), or the program is killed, do not send it again: the next incr or decr
/// asks for the same increment once more, and says what became of it. A copy of the directory goes on under a session of
/// its own; not so a machine that is resumed twice from one snapshot of its memory.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling incr likes:42            add 1
  starling incr likes:42 10         add 10
  starling incr likes:42 -5         subtract 5
  starling incr -- -odd-key- 1      a key that begins with a dash
  starling --strict --w 2 incr likes:42
  starling incr --no-session likes:42    no session: one that ends as unknown may or may not count")]
pub(crate) struct Incr {
    #[command(flatten)]
    key: KeyArg,
    /// How much; may be negative
    #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
    #[command(flatten)]
    state: StateArgs,
}

/// Subtract from a number, exactly once.
///
/// Prints the new value as the coordinating node sees it. `starling incr --help` tells about sessions.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling decr stock:7             subtract 1
  starling decr stock:7 12          subtract 12")]
pub(crate) struct Decr {
    #[command(flatten)]
    key: KeyArg,
    /// How much; may be negative
    #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
    #[command(flatten)]
    state: StateArgs,
}

impl Incr {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        add(client, global, &self.key, self.by, &self.state).await
    }
}

impl Decr {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let by = self.by.checked_neg().ok_or_else(|| {
            Failure::Usage(format!("{} cannot be subtracted in one step: its negative does not fit 64 bits", self.by))
        })?;
        add(client, global, &self.key, by, &self.state).await
    }
}

async fn add(client: &Client, global: &Global, key: &KeyArg, by: i64, state: &StateArgs) -> Result<(), Failure> {
    let (key, options) = (key.key()?, global.options());
    if state.no_session {
        let reply = client.increment_untagged(&key, by, &options).await?;
        write::show(client, global, &key, &reply);
        return Ok(());
    }
    let deadline = Instant::now() + global.deadline().unwrap_or(ClientConfig::default().deadline);
    let patience = deadline.saturating_duration_since(Instant::now());
    let kept = client.kept_session(&state.directory(client)?, LEASE, patience).await?;
    // The others only resume what earlier runs left; they live until that is known.
    let (session, _others, resumed) = kept;
    let outcome = session.increment(&key, by, &options).await;
    let mut told = Vec::new();
    for one in resumed {
        let patience = deadline.saturating_duration_since(Instant::now()).max(PATIENCE_MIN);
        told.push(tell(one, patience, global.json).await);
    }
    match outcome {
        Ok(reply) => {
            write::show_with(client, global, &key, &reply, told);
            Ok(())
        }
        Err(error) => Err(Failure::Increment { error, resumed: told }),
    }
}

/// Says what became of an increment that an earlier run left without an answer.
async fn tell(resumed: Resumed, patience: Duration, json: bool) -> Value {
    let (key, by) = (resumed.key.clone(), amount(&resumed));
    let outcome = resumed.outcome(patience).await;
    let (word, text) = match &outcome {
        Ok(_) => ("applied", "is now known to count".to_owned()),
        Err(error @ Error::SessionOver { .. }) => ("unknown", error.to_string()),
        Err(error) => match error.outcome() {
            Outcome::Unknown => ("unanswered", "still has no answer; the next incr or decr asks again".to_owned()),
            Outcome::NotApplied => ("not_applied", error.to_string()),
        },
    };
    if !json {
        output::remark(&format!("an earlier increment of {key} by {by}, whose answer was lost, {text}"));
    }
    json!({ "key": output::key_json(&key), "by": by, "outcome": word })
}

fn amount(resumed: &Resumed) -> String {
    match (resumed.added, resumed.subtracted) {
        (added, 0) => added.to_string(),
        (0, subtracted) => format!("-{subtracted}"),
        (added, subtracted) => format!("{added} - {subtracted}"),
    }
}
