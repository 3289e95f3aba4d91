//! `starling put KEY VALUE`.

use std::ffi::OsString;
use std::io::Read;

use bytes::Bytes;
use clap::Args;
use starling::limits;
use starling_client::{Client, hex};

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::write;

/// Write a value: the last writer wins.
///
/// The text of an integer makes the value a number, which incr can change. A put
/// covers the counter that it saw; an increment that it did not see survives.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling put greeting 'good morning'
  starling put likes:42 0                    a number: incr goes on from here
  starling put page:1 - < page.html          the value from stdin, up to 1 MiB
  starling put -- temperature -5             after --, dashes are data
  starling --observe local put greeting hi   cover only what one node sees: faster
  starling put --sibling cart:7 milk         beside all other values
  starling put --context HEX cart:7 milk     in place of those that `get --siblings` showed with HEX")]
pub(crate) struct Put {
    #[command(flatten)]
    key: KeyArg,
    /// The value, or - for stdin; its bytes are taken as they are, at most 1 MiB
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: OsString,
    /// Replace just what `get --siblings` showed with this context; what it did not see stays beside the value
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    context: Option<Bytes>,
    /// Put the value beside all others: it has seen none of them
    #[arg(long, conflicts_with = "context")]
    sibling: bool,
}

impl Put {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (key, value, options) = (self.key.key()?, self.value()?, global.options());
        let reply = match self.sibling || self.context.is_some() {
            true => client.put_sibling(&key, value, self.context.clone(), &options).await?,
            false => client.put(&key, value, &options).await?,
        };
        write::show(client, global, &key, &reply);
        Ok(())
    }

    fn value(&self) -> Result<Bytes, Failure> {
        if self.value != "-" {
            return Ok(self.value.clone().into_encoded_bytes().into());
        }
        let mut value = Vec::new();
        let bound = limits::VALUE_BYTES_MAX as u64 + 1;
        std::io::stdin()
            .lock()
            .take(bound)
            .read_to_end(&mut value)
            .map_err(|error| Failure::Usage(format!("cannot read the value from stdin: {error}")))?;
        if value.len() > limits::VALUE_BYTES_MAX {
            return Err(Failure::Usage(format!(
                "the value on stdin has more than {} bytes; nothing was sent",
                limits::VALUE_BYTES_MAX
            )));
        }
        Ok(value.into())
    }
}

fn parse_context(text: &str) -> Result<Bytes, String> {
    let bytes = hex::decode(text).filter(|bytes| !bytes.is_empty());
    bytes.map(Bytes::from).ok_or_else(|| "a context is the hexadecimal text that `get --siblings` printed".to_owned())
}
