//! What the reading commands print beside the value: how complete and how old it may be.

use serde_json::{Map, Value, json};
use starling::message::client::{CollectionKind, ValueReply, Visible};
use starling_client::Client;

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::output;

/// Said of every answer of fewer than R owners.
pub(crate) const PARTIAL: &str =
    "partial: fewer owners than R answered; this side of a split may lack writes of the other";

/// Said where two types are live, or a text stands beside increments that it did not see.
const CONFLICT: &str = "conflict: a split or a slow replica left values that did not see each other; del covers all of them, \
                        put covers increments beside a text and nothing else";

/// What a read says about itself, in JSON.
pub(crate) fn facts(client: &Client, reply: &ValueReply) -> Map<String, Value> {
    let answered = reply.answered.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>();
    let facts = [
        ("partial", json!(reply.partial)),
        ("conflict", json!(reply.conflict)),
        ("stale_ms", json!(reply.stale_ms)),
        ("answered", json!(answered)),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a read says about itself, on stderr.
pub(crate) fn remarks(reply: &ValueReply) {
    if reply.partial {
        output::remark(PARTIAL);
    }
    if reply.conflict {
        output::remark(CONFLICT);
    }
    output::remark(&match reply.stale_ms {
        Some(0) => "staleness: no owner is known to lack a write".to_owned(),
        Some(ms) => {
            let age = output::micros(ms.saturating_mul(1000));
            format!(
                "staleness: a write that was taken while owners were away, or is in doubt, may be missing; as far as is known it is \
                 at most {age} old"
            )
        }
        None => "staleness: unknown".to_owned(),
    });
}

/// Reads a key of one type, and prints what is made of its value: in JSON under `name`, or as text; `None`: it is of another
/// type.
pub(crate) async fn one(
    client: &Client,
    global: &Global,
    key: &KeyArg,
    name: &str,
    shown: impl FnOnce(&Visible) -> Option<(Value, String)>,
) -> Result<(), Failure> {
    let key = key.key()?;
    let reply = client.get(&key, &global.options()).await?;
    let Some((value, text)) = shown(&reply.value) else { return Err(other_type(&reply.value)) };
    if global.json {
        let mut all = facts(client, &reply);
        all.insert("key".into(), output::key_json(&key));
        all.insert(name.into(), value);
        output::json(&Value::Object(all));
    } else {
        output::line(&text);
        remarks(&reply);
    }
    Ok(())
}

/// The key shows a value of another type than the command reads.
pub(crate) fn other_type(value: &Visible) -> Failure {
    let (held, reads) = match value {
        Visible::Nothing => ("nothing", "get"),
        Visible::Integer { .. } => ("a number", "get"),
        Visible::Text(_) => ("a text", "get"),
        Visible::Siblings(_) => ("siblings", "get --siblings"),
        Visible::Flag => ("a flag", "flag get"),
        Visible::Estimate(_) => ("a sketch", "sketch count"),
        Visible::Collection { kind: CollectionKind::Set, .. } | Visible::Member => ("a set", "set list"),
        Visible::Collection { kind: CollectionKind::Map, .. } => ("a map", "map list"),
        Visible::Collection { kind: CollectionKind::SortedSet, .. } | Visible::Score(_) => {
            ("a sorted set", "zset list")
        }
    };
    Failure::OtherType { held, reads }
}
