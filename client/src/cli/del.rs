//! `starling del KEY`.

use clap::Args;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::write;

/// Delete what is seen of a key.
///
/// An increment that it did not see survives, so a value may come back after a split.
///
/// The elements of a set, map or sorted set go page by page, about 20,000 in a second: a large one needs a longer
/// --deadline (at most 1m), or several runs. One that ends as "unknown" has removed a part; run it again.
/// Different nodes may hold different pages; the answer tells how many elements it removed and how many nodes hold each.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling del likes:42
  starling --deadline 1m del tags:42      a set of a million
  starling --observe local del likes:42   delete only what one node sees: faster")]
pub(crate) struct Del {
    #[command(flatten)]
    key: KeyArg,
}

impl Del {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let reply = client.delete(&self.key.key()?, &global.options()).await?;
        write::show(client, global, &self.key.key()?, &reply);
        Ok(())
    }
}
