//! Printing: one write per result, tables, and the JSON and text forms of what the messages carry.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};
use starling::config::Durability;
use starling::message::client::{Visible, WriteAck};
use starling_client::Client;
pub(crate) use starling_client::hex::encode as hex;

use super::exit::Failure;

/// Of a text in a table. Unit: bytes.
const TEXT_SHOWN_BYTES: usize = 32;

/// The first write to stdout that failed.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Whether all that was printed has been taken. A reader that went away is no error of ours.
pub(crate) fn written() -> Result<(), Failure> {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.map_or(Ok(()), |error| Err(Failure::Unprinted(error)))
}

/// Writes a line to stdout; [`written`] says whether it could be.
pub(crate) fn line(text: &str) {
    bytes(format!("{text}\n").as_bytes());
}

/// Writes bytes to stdout as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Writes a line to stderr.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a result as JSON.
pub(crate) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// An empty table with a header. No colours under `NO_COLOR` or when stdout is no terminal.
pub(crate) fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.into_iter().map(str::to_owned));
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table
}

/// A table cell that must not be overlooked.
pub(crate) fn alarm(text: &str) -> Cell {
    Cell::new(text).fg(Color::Red).add_attribute(Attribute::Bold)
}

/// Prints a value: numbers and text on stdout, text byte for byte; what scripts must not take for a value on stderr.
pub(crate) fn value(value: &Visible) {
    match value {
        Visible::Nothing => remark("(nothing)"),
        Visible::Text(text) => bytes(&[text, b"\n".as_slice()].concat()),
        Visible::Integer { value, saturated } => {
            line(&value.to_string());
            if *saturated {
                remark("saturated: the true sum lies beyond 64 bits");
            }
        }
        Visible::Siblings(values) => values.iter().for_each(|value| bytes(&[value, b"\n".as_slice()].concat())),
        Visible::Flag | Visible::Member | Visible::Estimate(_) | Visible::Collection { .. } | Visible::Score(_) => {
            line(&value_text(value));
        }
    }
}

/// A value for people, on one line; a long text only by its beginning.
pub(crate) fn value_text(value: &Visible) -> String {
    match value {
        Visible::Nothing => "(nothing)".into(),
        Visible::Integer { value, saturated: false } => value.to_string(),
        Visible::Integer { value, saturated: true } => format!("{value} (the true sum does not fit)"),
        Visible::Text(text) => match text.get(..TEXT_SHOWN_BYTES) {
            Some(start) if text.len() > TEXT_SHOWN_BYTES => {
                format!("{}… ({} bytes)", start.escape_ascii(), text.len())
            }
            _ => text.escape_ascii().to_string(),
        },
        Visible::Siblings(values) => {
            let values: Vec<String> = values.iter().map(|value| value_text(&Visible::Text(value.clone()))).collect();
            format!("{} siblings: {}", values.len(), values.join(", "))
        }
        Visible::Flag => "raised".into(),
        Visible::Member => "member".into(),
        Visible::Estimate(count) => format!("{count}"),
        Visible::Collection { size, .. } => count(*size, "element"),
        Visible::Score(score) => score.value().to_string(),
    }
}

/// A value in JSON: `value` is a number, a string or null; bytes that are no UTF-8 stand in `value_hex`.
pub(crate) fn value_json(value: &Visible) -> Map<String, Value> {
    let mut map = Map::new();
    let shown = match value {
        Visible::Nothing => Value::Null,
        Visible::Integer { value, saturated } => {
            if *saturated {
                map.insert("saturated".into(), json!(true));
            }
            json!(value)
        }
        Visible::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => json!(text),
            Err(_) => {
                map.insert("value_hex".into(), json!(hex(text)));
                Value::Null
            }
        },
        Visible::Siblings(values) => values
            .iter()
            .map(|value| match std::str::from_utf8(value) {
                Ok(text) => json!({ "value": text }),
                Err(_) => json!({ "value_hex": hex(value) }),
            })
            .collect(),
        Visible::Flag | Visible::Member => json!(true),
        Visible::Estimate(count) => {
            map.insert("estimated".into(), json!(true));
            json!(count)
        }
        Visible::Collection { size, .. } => json!({ "size": size }),
        Visible::Score(score) => json!(score.value()),
    };
    map.insert("value".into(), shown);
    map
}

/// A key in JSON: as text if it is UTF-8, else with escapes.
pub(crate) fn key_json(key: &starling::ids::Key) -> Value {
    match std::str::from_utf8(key.as_bytes()) {
        Ok(text) => json!(text),
        Err(_) => json!(key.to_string()),
    }
}

/// Who holds a write, for people: `a (fsync), d (fallback, fsync)`.
pub(crate) fn acks_text(client: &Client, acks: &[WriteAck]) -> String {
    let one = |ack: &WriteAck| {
        let role = if ack.is_owner { "" } else { "fallback, " };
        format!("{} ({role}{})", client.name_of(ack.node), durability(ack.durability))
    };
    acks.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Who holds a write, in JSON.
pub(crate) fn acks_json(client: &Client, acks: &[WriteAck]) -> Value {
    acks.iter()
        .map(|ack| {
            json!({
                "node": client.name_of(ack.node),
                "is_owner": ack.is_owner,
                "durability": durability(ack.durability),
            })
        })
        .collect()
}

pub(crate) fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Wal => "wal",
        Durability::Fsync => "fsync",
    }
}

/// A time for people, in the unit that fits.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// Bytes for people: `17 KiB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut text = format!("{bytes} B");
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        text = format!("{value:.1} {unit}");
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use starling::message::client::CollectionKind;

    use super::*;

    #[test]
    fn a_table_shows_the_beginning_of_a_long_text() {
        assert_eq!(value_text(&Visible::Text("x".repeat(32).into())), "x".repeat(32));
        assert_eq!(value_text(&Visible::Text("x".repeat(33).into())), format!("{}… (33 bytes)", "x".repeat(32)));
    }

    #[test]
    fn one_element_is_not_many() {
        let text = |size| value_text(&Visible::Collection { kind: CollectionKind::Set, size });
        assert_eq!([text(0), text(1), text(2)], ["0 elements", "1 element", "2 elements"]);
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        let shown = [0, 1023, 1024, 1536, 5 << 30].map(bytes_text);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"]);
    }

    #[test]
    fn values_have_one_json_form() {
        let shown = |value| Value::Object(value_json(&value));
        assert_eq!(shown(Visible::Nothing), json!({ "value": null }));
        assert_eq!(shown(Visible::Integer { value: -3, saturated: false }), json!({ "value": -3 }));
        assert_eq!(shown(Visible::Text("x".into())), json!({ "value": "x" }));
        assert_eq!(
            shown(Visible::Text(bytes::Bytes::from_static(b"\xff\x00"))),
            json!({ "value": null, "value_hex": "ff00" })
        );
    }
}
