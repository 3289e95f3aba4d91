//! What sets, maps and sorted sets have in common on the command line: pages, and how elements are shown.

use bytes::Bytes;
use clap::Args;
use serde_json::{Map, Value, json};
use starling::ids::Key;

use super::{output, read};

/// How much of a collection is shown.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct PageArgs {
    /// Stop after so many elements [default: all of them]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Elements of one request.
const PAGE: u16 = 256;

impl PageArgs {
    /// Elements to ask for at a time.
    pub(crate) fn page(&self) -> u16 {
        self.limit.map_or(PAGE, |limit| u16::try_from(limit).unwrap_or(PAGE).min(PAGE))
    }
}

/// Prints elements as they come: one line each, or at the end one JSON document.
pub(crate) struct Listing {
    json: bool,
    limit: u64,
    shown: u64,
    elements: Vec<Value>,
}

impl Listing {
    pub(crate) fn new(json: bool, page: PageArgs) -> Listing {
        Listing { json, limit: page.limit.unwrap_or(u64::MAX), shown: 0, elements: Vec::new() }
    }

    /// Shows one element. `false`: that is enough.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> Vec<u8>, json: impl FnOnce() -> Value) -> bool {
        if self.shown >= self.limit {
            return false;
        }
        self.shown += 1;
        if self.json {
            self.elements.push(json());
        } else {
            let mut line = line();
            line.push(b'\n');
            output::bytes(&line);
        }
        self.shown < self.limit
    }

    /// Ends the list.
    pub(crate) fn end(self, key: &Key, is_partial: bool) {
        if self.json {
            output::json(&json!({ "key": output::key_json(key), "elements": self.elements, "partial": is_partial }));
        } else if is_partial {
            output::remark(read::PARTIAL);
        }
    }
}

/// Prints a number about a key: its size.
pub(crate) fn show_size(json: bool, key: &Key, size: u64) {
    if json {
        output::json(&json!({ "key": output::key_json(key), "size": size }));
    } else {
        output::line(&size.to_string());
    }
}

/// An element in JSON: as text under its name if it is UTF-8, else hexadecimal under the name with `_hex`.
pub(crate) fn element_json(name: &str, element: &Bytes) -> Map<String, Value> {
    let mut map = Map::new();
    match std::str::from_utf8(element) {
        Ok(text) => map.insert(name.to_owned(), json!(text)),
        Err(_) => map.insert(format!("{name}_hex"), json!(output::hex(element))),
    };
    map
}
