//! `starling expire KEY TIME` and `starling persist KEY`.

use std::time::Duration;

use clap::Args;
use starling_client::Client;

use super::args::{Global, KeyArg, NoSpan, parse_span};
use super::exit::Failure;
use super::write;

/// Longest time to live. Unit: seconds; ten years.
const SPAN_S_MAX: u64 = 10 * 365 * 86_400;

/// Let a key go after a while.
///
/// By the clock of this machine. The last expire or persist decides; a put lets the key stay. An increment that had not
/// seen the deadline may go with the key.
///
/// What one side of a split has let go is gone, also if the other moved the deadline or took it away in time. A key that
/// was emptied before its deadline (reset, flag lower, the last element removed) begins anew with the next write, and
/// stays; unless that goes through a node that has not heard of the emptying yet: then it goes with the old deadline.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling expire cart:7 30m
  starling expire session:x 10s
  starling expire offer:3 14d")]
pub(crate) struct Expire {
    #[command(flatten)]
    key: KeyArg,
    /// How long from now: 500ms, 10s, 30m, 12h, 14d
    #[arg(value_name = "TIME", value_parser = parse_after)]
    after: Duration,
}

/// Let a key stay for good.
///
/// Takes back an expire, if no side of a split has let the key go by then.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling persist cart:7")]
pub(crate) struct Persist {
    #[command(flatten)]
    key: KeyArg,
}

impl Expire {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        let reply = client.expire_in(&key, self.after, &global.options()).await?;
        write::show(client, global, &key, &reply);
        Ok(())
    }
}

impl Persist {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        let reply = client.persist(&key, &global.options()).await?;
        write::show(client, global, &key, &reply);
        Ok(())
    }
}

/// `500ms`, `10s`, `30m`, `12h`, `14d`. Longer than zero, at most ten years.
fn parse_after(text: &str) -> Result<Duration, String> {
    parse_span(text, Duration::from_secs(SPAN_S_MAX)).map_err(|wrong| match wrong {
        NoSpan::Form => "a whole number and a unit are needed: 500ms, 10s, 30m, 12h, 14d".to_owned(),
        NoSpan::Zero => "it must be longer than zero; del deletes at once".to_owned(),
        NoSpan::TooLong => "it can be at most ten years".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_unit_and_a_bound() {
        assert_eq!(parse_after("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_after("14d"), Ok(Duration::from_secs(14 * 86_400)));
        for text in ["", "5", "0s", "-1s", "1.5h", "4000d", "1w", "18446744073709551615d"] {
            assert!(parse_after(text).is_err(), "{text}");
        }
    }
}
