//! `starling sketch add KEY ITEM…` and `starling sketch count KEY`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::message::client::Visible;
use starling_client::Client;

use super::args::{BytesArg, Global, KeyArg, bytes_of};
use super::exit::Failure;
use super::{output, read, write};

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
    Add {
        #[command(flatten)]
        key: KeyArg,
        /// The items: at most 512
        #[arg(value_name = "ITEM", required = true)]
        items: Vec<BytesArg>,
    },
    /// Print about how many different items were added
    #[command(alias = "get")]
    Count(KeyArg),
}

impl Sketch {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        match &self.action {
            Action::Add { key, items } => {
                let key = key.key()?;
                let reply = client.add_to_sketch(&key, bytes_of(items), &options).await?;
                write::show(client, global, &key, &reply);
            }
            Action::Count(key) => {
                let key = key.key()?;
                let reply = client.get(&key, &options).await?;
                let count = match &reply.value {
                    Visible::Estimate(count) => *count,
                    Visible::Nothing => 0,
                    other => return Err(read::other_type(other)),
                };
                if global.json {
                    let mut shown = read::facts(client, &reply);
                    shown.insert("key".into(), output::key_json(&key));
                    shown.insert("count".into(), json!(count));
                    output::json(&Value::Object(shown));
                } else {
                    output::line(&count.to_string());
                    read::remarks(&reply);
                }
            }
        }
        Ok(())
    }
}
