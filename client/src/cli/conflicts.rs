//! What `starling status` says of conflicts: how many a node has met, and in which keys and fields they stand.

use serde_json::{Value, json};
use starling::message::client::{ConflictKind, ConflictStatus, NodeStatus};

use super::elements::element_json;
use super::output;

/// A line for people, if there is a conflict that nobody has covered yet.
pub(crate) fn remark(name: &str, status: &NodeStatus) -> Option<String> {
    let newest = status.shards.conflicting.first()?;
    let others = match status.shards.conflicting.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more (--json lists them)"),
    };
    let met = output::count(status.shards.conflicts, "conflict");
    let place = match &newest.field {
        None => newest.key.to_string(),
        Some(field) => format!("field {} of {}", field.escape_ascii(), newest.key),
    };
    let covers = match (newest.kind, newest.field.is_some()) {
        (ConflictKind::Together, false) => {
            "two types are live there, or a text beside increments; del covers all of it"
        }
        (ConflictKind::Together, true) => "a text stands beside increments there; map put or map rem covers them",
        (ConflictKind::Missed, _) => "increments count there that a put or a delete did not see; one more covers them",
    };
    Some(format!("{name}: {met} since its start, last in {place}{others}: {covers}"))
}

/// The list, newest first.
pub(crate) fn list_json(conflicts: &[ConflictStatus]) -> Value {
    let one = |conflict: &ConflictStatus| {
        let mut shown = conflict.field.as_ref().map(|field| element_json("field", field)).unwrap_or_default();
        shown.insert("key".into(), output::key_json(&conflict.key));
        shown.insert("kind".into(), json!(conflict.kind));
        shown.insert("ms_ago".into(), json!(conflict.ms_ago));
        Value::Object(shown)
    };
    conflicts.iter().map(one).collect()
}
