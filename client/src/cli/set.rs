//! `starling set add|rem|has|list|size`.

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::ids::Key;
use starling::message::client::WriteReply;
use starling_client::{Client, Error, SetPages};

use super::args::{Global, KeyArg};
use super::elements::{Collection, ElementArg, ElementsArg, ListArgs, element_json, pages};
use super::exit::Failure;
use super::{elements, output, write};

/// A set. Adding wins over a removal that did not see it.
///
/// Each member is a row of its own: adding to a set of a million costs the same as to a set of ten.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling set add tags:42 red green
  starling set rem tags:42 red
  starling set has tags:42 green           prints true or false
  starling set list tags:42                one member on each line
  starling set list tags:42 --limit 10
  starling set size tags:42")]
pub(crate) struct Set {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add members, all or none
    #[command(mut_arg("elements", |arg| arg.value_name("MEMBER")))]
    Add(ElementsArg),
    /// Remove members, all or none
    #[command(alias = "remove", alias = "rm", alias = "del", mut_arg("elements", |arg| arg.value_name("MEMBER")))]
    Rem(ElementsArg),
    /// Print whether it is a member: true or false
    #[command(alias = "contains", mut_arg("element", |arg| arg.value_name("MEMBER")))]
    Has(ElementArg),
    /// Print the members, in the order of their bytes
    #[command(alias = "members", alias = "ls")]
    List(ListArgs),
    /// Print how many members there are: an estimate while writes are on their way
    #[command(alias = "count")]
    Size(KeyArg),
}

impl Set {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        let set = |key: &Key| client.set(key, &options);
        match &self.action {
            Action::Add(arguments) => {
                let (key, members) = arguments.key_and_elements()?;
                write::show(client, global, &key, &set(&key).add(members).await?);
            }
            Action::Rem(arguments) => elements::remove(client, global, arguments, set).await?,
            Action::Has(arguments) => {
                let (key, member) = arguments.key_and_element()?;
                let is_member = set(&key).contains(member).await?;
                if global.json {
                    output::json(&json!({ "key": output::key_json(&key), "has": is_member }));
                } else {
                    output::line(if is_member { "true" } else { "false" });
                }
            }
            Action::List(arguments) => elements::list(global, arguments, set).await?,
            Action::Size(key) => elements::size(global, key, set).await?,
        }
        Ok(())
    }
}

pages!(SetPages, Bytes);

impl Collection for starling_client::Set {
    type Element = Bytes;
    type Pages = SetPages;

    async fn remove(&self, elements: Vec<Bytes>) -> Result<WriteReply, Error> {
        self.remove(elements).await
    }

    async fn size(&self) -> Result<u64, Error> {
        self.size().await
    }

    fn pages(&self, count: u16) -> SetPages {
        self.pages(count)
    }

    fn line(member: &Bytes) -> Vec<u8> {
        member.to_vec()
    }

    fn json(member: &Bytes) -> Value {
        Value::Object(element_json("member", member))
    }
}
