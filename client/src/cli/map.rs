//! `starling map put|get|incr|rem|list|size`.

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::message::client::Visible;
use starling_client::Client;

use super::args::{BytesArg, Global, KeyArg, bytes_of, pairs_of};
use super::elements::{Listing, PageArgs, element_json, show_size};
use super::exit::Failure;
use super::{output, write};

/// A map: fields that hold a value or a number.
///
/// Each field is a row of its own. Of two puts of a field the last one wins; increments of a field add up.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling map put user:7 name Ann city Oslo
  starling map get user:7 name
  starling map incr user:7 visits
  starling map incr user:7 credit -5
  starling map rem user:7 city
  starling map list user:7                 field, tab, value on each line
  starling map size user:7")]
pub(crate) struct Map {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write fields, all or none
    #[command(alias = "set")]
    Put {
        #[command(flatten)]
        key: KeyArg,
        /// Fields and values in turn: FIELD VALUE FIELD VALUE …
        #[arg(value_name = "FIELD VALUE", required = true, num_args = 2.., allow_negative_numbers = true)]
        fields: Vec<BytesArg>,
    },
    /// Print what a field holds; of several fields each on a line, with its name
    Get {
        #[command(flatten)]
        key: KeyArg,
        /// The fields: at most 512
        #[arg(value_name = "FIELD", required = true)]
        fields: Vec<BytesArg>,
    },
    /// Add to the number in a field. Not tagged: one that ends as unknown may or may not count
    Incr {
        #[command(flatten)]
        key: KeyArg,
        /// The field
        #[arg(value_name = "FIELD")]
        field: BytesArg,
        /// How much; may be negative
        #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Remove fields, all or none
    #[command(alias = "remove", alias = "rm", alias = "del")]
    Rem {
        #[command(flatten)]
        key: KeyArg,
        /// The fields: at most 512
        #[arg(value_name = "FIELD", required = true)]
        fields: Vec<BytesArg>,
    },
    /// Print the fields with what they hold, in the order of their bytes
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        key: KeyArg,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Print how many fields there are: an estimate while writes are on their way
    #[command(alias = "count")]
    Size(KeyArg),
}

impl Map {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        match &self.action {
            Action::Put { key, fields } => {
                let (key, fields) = (key.key()?, pairs_of(fields).map_err(Failure::Usage)?);
                write::show(client, global, &key, &client.map(&key, &options).put(fields).await?);
            }
            Action::Get { key, fields } => {
                let key = key.key()?;
                let found = client.map(&key, &options).get_all(bytes_of(fields)).await?;
                match (global.json, found.as_slice(), fields.as_slice()) {
                    (true, found, _) => {
                        let fields = found.iter().map(|(field, value)| field_json(field, value)).collect::<Vec<_>>();
                        output::json(&json!({ "key": output::key_json(&key), "elements": fields }));
                    }
                    (false, [], [_]) => output::value(&Visible::Nothing),
                    (false, [(_, value)], [_]) => output::value(value),
                    (false, found, _) => {
                        found.iter().for_each(|(field, value)| output::bytes(&line(field, value, true)))
                    }
                }
            }
            Action::Incr { key, field, by } => {
                let key = key.key()?;
                let reply = client.map(&key, &options).increment(field.bytes(), *by).await?;
                write::show(client, global, &key, &reply);
            }
            Action::Rem { key, fields } => {
                let key = key.key()?;
                write::show(client, global, &key, &client.map(&key, &options).remove(bytes_of(fields)).await?);
            }
            Action::List { key, page } => {
                let key = key.key()?;
                let mut pages = client.map(&key, &options).pages(page.page());
                let mut listing = Listing::new(global.json, *page);
                'pages: while let Some(fields) = pages.next_page().await? {
                    for (field, value) in fields {
                        if !listing.show(|| line(&field, &value, false), || field_json(&field, &value)) {
                            break 'pages;
                        }
                    }
                }
                listing.end(&key, pages.is_partial());
            }
            Action::Size(key) => {
                let key = key.key()?;
                show_size(global.json, &key, client.map(&key, &options).size().await?);
            }
        }
        Ok(())
    }
}

fn field_json(field: &Bytes, value: &Visible) -> Value {
    let mut shown = element_json("field", field);
    shown.extend(output::value_json(value));
    Value::Object(shown)
}

/// `field⇥value`, the bytes as they are.
fn line(field: &Bytes, value: &Visible, ends: bool) -> Vec<u8> {
    let value = match value {
        Visible::Text(text) => text.to_vec(),
        other => output::value_text(other).into_bytes(),
    };
    let end: &[u8] = if ends { b"\n" } else { b"" };
    [field.as_ref(), b"\t", &value, end].concat()
}
