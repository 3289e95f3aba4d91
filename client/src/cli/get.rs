//! `starling get KEY`.

use clap::Args;
use serde_json::{Value, json};
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::output;

/// Show the merged value of a key.
///
/// A text is printed byte for byte; a key without a value prints "(nothing)" on
/// stderr and nothing on stdout.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling get likes:42
  starling --r 1 get likes:42       one replica is enough: faster, perhaps older
  starling --node a get likes:42    ask through node a
  starling --json get likes:42      says who answered, and whether the view is partial")]
pub(crate) struct Get {
    #[command(flatten)]
    key: KeyArg,
}

impl Get {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let reply = client.get(&self.key.key()?, &global.options()).await?;
        if global.json {
            let mut shown = output::value_json(&reply.value);
            shown.insert("key".into(), output::key_json(&self.key.key()?));
            shown.insert("partial".into(), json!(reply.partial));
            shown.insert("conflict".into(), json!(reply.conflict));
            let answered = reply.answered.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>();
            shown.insert("answered".into(), json!(answered));
            output::json(&Value::Object(shown));
            return Ok(());
        }
        output::value(&reply.value);
        if reply.partial {
            output::remark("partial: fewer owners than R answered; this side of a split may lack writes of the other");
        }
        if reply.conflict {
            output::remark("conflict: a split left a live counter beside this text; the next put covers it");
        }
        Ok(())
    }
}
