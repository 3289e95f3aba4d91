//! `starling sketch add KEY ITEM…` and `starling sketch count KEY`.

use clap::{Args, Subcommand};
use serde_json::json;
use starling::message::client::Visible;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::elements::ElementsArg;
use super::exit::Failure;
use super::{read, write};

/// A sketch that counts distinct items (HyperLogLog), with an error of about 1 %.
///
/// Adding an item twice, anywhere, counts once. An item cannot be taken out again.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling sketch add visitors:today alice bob
  starling sketch count visitors:today")]
pub(crate) struct Sketch {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add items
    #[command(mut_arg("elements", |arg| arg.value_name("ITEM")))]
    Add(ElementsArg),
    /// Print about how many different items were added
    #[command(alias = "get")]
    Count(KeyArg),
}

impl Sketch {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        match &self.action {
            Action::Add(arguments) => {
                let (key, items) = arguments.key_and_elements()?;
                let reply = client.add_to_sketch(&key, items, &global.options()).await?;
                write::show(client, global, &key, &reply);
                Ok(())
            }
            Action::Count(key) => {
                let count = |value: &Visible| match value {
                    Visible::Estimate(count) => Some(*count),
                    Visible::Nothing => Some(0),
                    _ => None,
                };
                let shown = |value: &Visible| count(value).map(|count| (json!(count), count.to_string()));
                read::one(client, global, key, "count", shown).await
            }
        }
    }
}
