//! `starling flag raise|lower|get KEY`.

use clap::{Args, Subcommand};
use serde_json::json;
use starling::message::client::Visible;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::{output, read, write};

/// A flag: raised or not. Raising wins over a lowering that did not see it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling flag raise maintenance
  starling flag lower maintenance
  starling flag get maintenance        prints raised or lowered")]
pub(crate) struct Flag {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Raise it
    #[command(alias = "set", alias = "on")]
    Raise(KeyArg),
    /// Lower it, as far as its raisings are seen
    #[command(alias = "clear", alias = "off")]
    Lower(KeyArg),
    /// Print whether it is raised
    Get(KeyArg),
}

impl Flag {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        match &self.action {
            Action::Raise(key) => set(client, global, key, true).await,
            Action::Lower(key) => set(client, global, key, false).await,
            Action::Get(key) => {
                let shown = |value: &Visible| match value {
                    Visible::Flag => Some((json!(true), "raised".to_owned())),
                    Visible::Nothing => Some((json!(false), "lowered".to_owned())),
                    _ => None,
                };
                read::one(client, global, key, "raised", shown).await
            }
        }
    }
}

async fn set(client: &Client, global: &Global, key: &KeyArg, is_raised: bool) -> Result<(), Failure> {
    let key = key.key()?;
    let reply = client.set_flag(&key, is_raised, &global.options()).await?;
    if reply.value == Visible::Nothing && !global.json {
        output::line("lowered");
        write::show_acks(client, &reply);
        return Ok(());
    }
    write::show(client, global, &key, &reply);
    Ok(())
}
