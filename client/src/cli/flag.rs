//! `starling flag raise|lower|get KEY`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
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
        let options = global.options();
        match &self.action {
            Action::Raise(key) => {
                let key = key.key()?;
                write::show(client, global, &key, &client.set_flag(&key, true, &options).await?);
            }
            Action::Lower(key) => {
                let key = key.key()?;
                write::show(client, global, &key, &client.set_flag(&key, false, &options).await?);
            }
            Action::Get(key) => {
                let key = key.key()?;
                let reply = client.get(&key, &options).await?;
                let is_raised = match &reply.value {
                    Visible::Flag => true,
                    Visible::Nothing => false,
                    other => return Err(read::other_type(other)),
                };
                if global.json {
                    let mut shown = read::facts(client, &reply);
                    shown.insert("key".into(), output::key_json(&key));
                    shown.insert("raised".into(), json!(is_raised));
                    output::json(&Value::Object(shown));
                } else {
                    output::line(if is_raised { "raised" } else { "lowered" });
                    read::remarks(&reply);
                }
            }
        }
        Ok(())
    }
}
