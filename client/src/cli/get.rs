//! `starling get KEY`.

use clap::Args;
use serde_json::{Value, json};
use starling::message::client::Visible;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::{output, read};

/// Show the merged value of a key.
///
/// A text is printed byte for byte; a key without a value prints "(nothing)" on
/// stderr and nothing on stdout. How old it may be stands on stderr, too.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling get likes:42
  starling --r 1 get likes:42       one replica is enough: faster, perhaps older
  starling --node a get likes:42    ask through node a
  starling --json get likes:42      says who answered, and whether the view is partial
  starling --session-token me get likes:42    nothing older than what runs with this file saw
  starling get --siblings cart:7    all concurrent values, and the context for put --context")]
pub(crate) struct Get {
    #[command(flatten)]
    key: KeyArg,
    /// Show all values that were put without seeing each other, each on a line, and on stderr the context that replaces
    /// them
    #[arg(long)]
    siblings: bool,
}

impl Get {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        if self.siblings {
            return self.siblings(client, global).await;
        }
        let reply = client.get(&key, &global.options()).await?;
        if global.json {
            let mut shown = output::value_json(&reply.value);
            shown.insert("key".into(), output::key_json(&key));
            shown.extend(read::facts(client, &reply));
            output::json(&Value::Object(shown));
            return Ok(());
        }
        output::value(&reply.value);
        read::remarks(&reply);
        Ok(())
    }

    async fn siblings(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = self.key.key()?;
        let reply = client.siblings(&key, &global.options()).await?;
        let values = match reply.value {
            Visible::Siblings(values) => values,
            Visible::Text(value) => vec![value],
            Visible::Nothing => Vec::new(),
            other => return Err(read::other_type(&other)),
        };
        let context = output::hex(&reply.context);
        if global.json {
            let shown = |value| Value::Object(output::value_json(&Visible::Text(value)));
            let values = values.into_iter().map(shown).collect::<Vec<_>>();
            output::json(&json!({
                "key": output::key_json(&key), "siblings": values, "context": context, "partial": reply.partial,
            }));
            return Ok(());
        }
        values.into_iter().for_each(|value| output::value(&Visible::Text(value)));
        if reply.partial {
            output::remark(read::PARTIAL);
        }
        output::remark(&format!("context {context}"));
        Ok(())
    }
}
