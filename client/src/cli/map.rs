//! `starling map put|get|incr|rem|list|size`.

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::ids::Key;
use starling::message::client::{PageReply, Visible, WriteReply};
use starling_client::{Client, Error, MapPages};

use super::args::{BytesArg, Global, KeyArg, pairs_of};
use super::elements::{Collection, ElementsArg, ListArgs, Pages, element_json};
use super::exit::Failure;
use super::{elements, output, write};

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
    #[command(mut_arg("elements", |arg| arg.value_name("FIELD")))]
    Get(ElementsArg),
    /// Add to the number in a field, and print it. Not tagged: one that ends as unknown may or may not count
    Incr {
        #[command(flatten)]
        key: KeyArg,
        /// The field
        #[arg(value_name = "FIELD", allow_negative_numbers = true)]
        field: BytesArg,
        /// How much; may be negative
        #[arg(value_name = "BY", default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Remove fields, all or none
    #[command(alias = "remove", alias = "rm", alias = "del", mut_arg("elements", |arg| arg.value_name("FIELD")))]
    Rem(ElementsArg),
    /// Print the fields with what they hold, in the order of their bytes
    #[command(alias = "ls")]
    List(ListArgs),
    /// Print how many fields there are: an estimate while writes are on their way
    #[command(alias = "count")]
    Size(KeyArg),
}

impl Map {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        let map = |key: &Key| client.map(key, &options);
        match &self.action {
            Action::Put { key, fields } => {
                let (key, fields) = (key.key()?, pairs_of(fields).map_err(Failure::Usage)?);
                write::show(client, global, &key, &map(&key).put(fields).await?);
            }
            Action::Get(arguments) => {
                let (key, fields) = arguments.key_and_elements()?;
                let is_one = fields.len() == 1;
                let asked = fields.clone();
                let PageReply { elements: found, conflicts, .. } = map(&key).read(fields).await?;
                match (global.json, found.as_slice()) {
                    (true, found) => {
                        let json = |field| elements::json_among::<starling_client::Map>(field, &conflicts);
                        let fields = found.iter().map(json).collect::<Vec<_>>();
                        output::json(&json!({ "key": output::key_json(&key), "elements": fields }));
                    }
                    (false, []) if is_one => output::value(&Visible::Nothing),
                    (false, [(_, value)]) if is_one => output::value(value),
                    (false, found) => {
                        for field in found {
                            output::bytes(&[starling_client::Map::line(field), b"\n".to_vec()].concat());
                        }
                        for field in asked.iter().filter(|asked| found.iter().all(|(field, _)| field != *asked)) {
                            output::remark(&format!("{}: (nothing)", field.escape_ascii()));
                        }
                    }
                }
                for field in conflicts.iter().filter(|_| !global.json) {
                    output::remark(&elements::field_conflict(field));
                }
            }
            Action::Incr { key, field, by } => {
                let key = key.key()?;
                let reply = map(&key).increment(field.bytes(), *by).await?;
                elements::show_increment(client, global, &key, reply, map(&key).get(field.bytes()).await);
            }
            Action::Rem(arguments) => elements::remove(client, global, arguments, map).await?,
            Action::List(arguments) => elements::list(global, arguments, map).await?,
            Action::Size(key) => elements::size(global, key, map).await?,
        }
        Ok(())
    }
}

impl Pages for MapPages {
    type Element = (Bytes, Visible);

    async fn next_page(&mut self) -> Result<Option<Vec<(Bytes, Visible)>>, Error> {
        MapPages::next_page(self).await
    }

    fn is_partial(&self) -> bool {
        MapPages::is_partial(self)
    }

    fn conflicts(&self) -> &[Bytes] {
        MapPages::conflicts(self)
    }
}

impl Collection for starling_client::Map {
    type Element = (Bytes, Visible);
    type Pages = MapPages;

    async fn remove(&self, elements: Vec<Bytes>) -> Result<WriteReply, Error> {
        self.remove(elements).await
    }

    async fn size(&self) -> Result<u64, Error> {
        self.size().await
    }

    fn pages(&self, count: u16) -> MapPages {
        self.pages(count)
    }

    /// `field⇥value`, the bytes as they are.
    fn line((field, value): &(Bytes, Visible)) -> Vec<u8> {
        let value = match value {
            Visible::Text(text) => text.to_vec(),
            other => output::value_text(other).into_bytes(),
        };
        [field.as_ref(), b"\t", &value].concat()
    }

    fn json((field, value): &(Bytes, Visible)) -> Value {
        let mut shown = element_json("field", field);
        shown.extend(output::value_json(value));
        Value::Object(shown)
    }

    fn is_among((field, _): &(Bytes, Visible), fields: &[Bytes]) -> bool {
        fields.contains(field)
    }
}
