//! `starling expire KEY TIME` and `starling persist KEY`.

use std::time::Duration;

use clap::Args;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::write;

/// Longest time to live. Unit: seconds; ten years.
const SPAN_S_MAX: u64 = 10 * 365 * 86_400;

/// Let a key go after a while.
///
/// By the clock of this machine. The last expire or persist decides; a put lets the key stay. An increment that had not
/// seen the deadline may go with the key.
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
    #[arg(value_name = "TIME", value_parser = parse_span)]
    after: Duration,
}

/// Let a key stay for good.
///
/// Takes back an expire.
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
fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a number and a unit are needed: 500ms, 10s, 30m, 12h, 14d".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number and a unit are needed: 10s, 30m".to_owned())?;
    match number.checked_mul(unit_ms) {
        Some(0) => Err("it must be longer than zero; del deletes at once".into()),
        Some(ms) if ms <= SPAN_S_MAX * 1_000 => Ok(Duration::from_millis(ms)),
        _ => Err("it can be at most ten years".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_unit_and_a_bound() {
        assert_eq!(parse_span("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_span("14d"), Ok(Duration::from_secs(14 * 86_400)));
        for text in ["", "5", "0s", "-1s", "1.5h", "4000d", "1w", "18446744073709551615d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
