//! `starling incr KEY [BY]` and `starling decr KEY [BY]`.

use clap::Args;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::write;

/// Add to a number.
///
/// Prints the new value as the coordinating node sees it: while other writes are on their way, it is an estimate. Who
/// holds the write stands on stderr.
///
/// An increment that ends as "unknown" (exit code 3) may count twice if it is sent again.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling incr likes:42            add 1
  starling incr likes:42 10         add 10
  starling incr likes:42 -5         subtract 5
  starling incr -- -odd-key- 1      a key that begins with a dash
  starling --strict --w 2 incr likes:42")]
pub(crate) struct Incr {
    #[command(flatten)]
    key: KeyArg,
    /// How much; may be negative
    #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
}

/// Subtract from a number.
///
/// Prints the new value as the coordinating node sees it.
///
/// A decrement that ends as "unknown" (exit code 3) may count twice if it is sent again.
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
}

impl Incr {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        add(client, global, &self.key, self.by).await
    }
}

impl Decr {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let by = self.by.checked_neg().ok_or_else(|| {
            Failure::Usage(format!("{} cannot be subtracted in one step: its negative does not fit 64 bits", self.by))
        })?;
        add(client, global, &self.key, by).await
    }
}

async fn add(client: &Client, global: &Global, key: &KeyArg, by: i64) -> Result<(), Failure> {
    let reply = client.increment(&key.key()?, by, &global.options()).await?;
    write::show(client, global, &key.key()?, &reply);
    Ok(())
}
