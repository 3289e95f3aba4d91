//! `starling reset KEY` and `starling set-to KEY NUMBER`: two steps, so that they can be retried.

use clap::Args;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::write;

/// Set a number to zero, which shows as nothing. A text is refused.
///
/// Covers the increments that are seen; one that is not seen survives and counts from zero on. Read first, then written
/// with what was read, so that it is safe to repeat: it is retried through every node until the deadline.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling reset visits:today
  starling --strict reset visits:today     only if owners can be asked")]
pub(crate) struct Reset {
    #[command(flatten)]
    key: KeyArg,
}

/// Set a number to a value.
///
/// Covers the increments that are seen; one that is not seen survives and counts on top. Safe to repeat, like reset.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling set-to stock:7 120
  starling set-to balance -5")]
pub(crate) struct SetTo {
    #[command(flatten)]
    key: KeyArg,
    /// The new number
    #[arg(value_name = "NUMBER", allow_negative_numbers = true)]
    to: i64,
}

impl Reset {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        let reply = client.reset(&key, &global.options()).await?;
        write::show(client, global, &key, &reply);
        Ok(())
    }
}

impl SetTo {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        let reply = client.set_to(&key, self.to, &global.options()).await?;
        write::show(client, global, &key, &reply);
        Ok(())
    }
}
