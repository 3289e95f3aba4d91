//! `starling set add|rem|has|list|size`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling_client::Client;

use super::args::{BytesArg, Global, KeyArg, bytes_of};
use super::elements::{Listing, PageArgs, element_json, show_size};
use super::exit::Failure;
use super::{output, write};

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
    Add {
        #[command(flatten)]
        key: KeyArg,
        /// The members: at most 512
        #[arg(value_name = "MEMBER", required = true)]
        members: Vec<BytesArg>,
    },
    /// Remove members, all or none
    #[command(alias = "remove", alias = "rm", alias = "del")]
    Rem {
        #[command(flatten)]
        key: KeyArg,
        /// The members: at most 512
        #[arg(value_name = "MEMBER", required = true)]
        members: Vec<BytesArg>,
    },
    /// Print whether it is a member: true or false
    #[command(alias = "contains")]
    Has {
        #[command(flatten)]
        key: KeyArg,
        /// The member
        #[arg(value_name = "MEMBER")]
        member: BytesArg,
    },
    /// Print the members, in the order of their bytes
    #[command(alias = "members", alias = "ls")]
    List {
        #[command(flatten)]
        key: KeyArg,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Print how many members there are: an estimate while writes are on their way
    #[command(alias = "count")]
    Size(KeyArg),
}

impl Set {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        match &self.action {
            Action::Add { key, members } => {
                let key = key.key()?;
                write::show(client, global, &key, &client.set(&key, &options).add(bytes_of(members)).await?);
            }
            Action::Rem { key, members } => {
                let key = key.key()?;
                write::show(client, global, &key, &client.set(&key, &options).remove(bytes_of(members)).await?);
            }
            Action::Has { key, member } => {
                let key = key.key()?;
                let is_member = client.set(&key, &options).contains(member.bytes()).await?;
                if global.json {
                    output::json(&json!({ "key": output::key_json(&key), "has": is_member }));
                } else {
                    output::line(if is_member { "true" } else { "false" });
                }
            }
            Action::List { key, page } => {
                let key = key.key()?;
                let mut pages = client.set(&key, &options).pages(page.page());
                let mut listing = Listing::new(global.json, *page);
                'pages: while let Some(members) = pages.next_page().await? {
                    for member in members {
                        let shown = || Value::Object(element_json("member", &member));
                        if !listing.show(|| member.to_vec(), shown) {
                            break 'pages;
                        }
                    }
                }
                listing.end(&key, pages.is_partial());
            }
            Action::Size(key) => {
                let key = key.key()?;
                show_size(global.json, &key, client.set(&key, &options).size().await?);
            }
        }
        Ok(())
    }
}
