//! `starling ring KEY`.

use clap::Args;
use serde_json::json;
use starling::ids::NodeId;
use starling::message::client::Location;
use starling::ring::slot;
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::output;

/// Show where a key lies: hash slot, partition, owners, fallbacks.
///
/// Computed from the bundle's layout, without asking
/// anybody; with --node, asked of that node.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling ring likes:42
  starling ring 'cart:{user7}'      the part in braces alone decides the slot
  starling --node a ring likes:42   as node a sees it")]
pub(crate) struct Ring {
    #[command(flatten)]
    key: KeyArg,
}

impl Ring {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = &self.key.key()?;
        global.refresh(client).await;
        let location = match global.pinned(client)? {
            Some(_) => client.locate(key, &global.options()).await?,
            None => {
                let ring = client.ring();
                let partition = ring.partition_of(key);
                let list = ring.preference_list(partition);
                Location {
                    slot: slot::of_key(key.as_bytes()).0,
                    partition,
                    owners: list.owners().to_vec(),
                    fallbacks: list.fallbacks().to_vec(),
                }
            }
        };
        let names = |nodes: &[NodeId]| nodes.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>();
        let (owners, fallbacks) = (names(&location.owners), names(&location.fallbacks));
        if global.json {
            output::json(&json!({
                "key": output::key_json(key),
                "slot": location.slot,
                "partition": location.partition.0,
                "owners": owners,
                "fallbacks": fallbacks,
            }));
            return Ok(());
        }
        let ring = client.ring();
        let layout = ring.layout();
        output::line(&format!("key        {key}"));
        output::line(&format!("slot       {} of {}", location.slot, starling::limits::SLOTS));
        output::line(&format!("partition  {} of {}", location.partition.0, layout.partitions));
        output::line(&format!("owners     {}", list(&owners)));
        output::line(&format!("fallbacks  {}", list(&fallbacks)));
        Ok(())
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "(none)".into() } else { names.join(", ") }
}
