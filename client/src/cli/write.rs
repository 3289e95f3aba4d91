//! What the writing commands print.

use serde_json::{Value, json};
use starling::ids::Key;
use starling::message::client::{Visible, WriteReply};
use starling_client::Client;

use super::args::Global;
use super::output;

/// Prints an applied write: the value it left behind on stdout, and who holds it on stderr.
pub(crate) fn show(client: &Client, global: &Global, key: &Key, reply: &WriteReply) {
    show_with(client, global, key, reply, Vec::new());
}

/// As [`show`], with what became of earlier increments.
pub(crate) fn show_with(client: &Client, global: &Global, key: &Key, reply: &WriteReply, resumed: Vec<Value>) {
    if global.json {
        let mut shown = output::value_json(&reply.value);
        shown.insert("key".into(), output::key_json(key));
        shown.insert("applied".into(), json!(true));
        shown.insert("acks".into(), output::acks_json(client, &reply.acks));
        shown.insert("partial".into(), json!(reply.partial));
        if reply.removed > 0 {
            shown.insert("removed".into(), json!(reply.removed));
        }
        if !resumed.is_empty() {
            shown.insert("resumed".into(), json!(resumed));
        }
        output::json(&Value::Object(shown));
        return;
    }
    match &reply.value {
        // After some were added or removed, the bare size would read like how many.
        Visible::Collection { size, .. } => output::line(&format!("about {} now", output::count(*size, "element"))),
        value => output::value(value),
    }
    show_acks(client, reply);
}

/// Says who holds an applied write, on stderr.
pub(crate) fn show_acks(client: &Client, reply: &WriteReply) {
    output::remark(&match reply.acks.as_slice() {
        [] => "nothing had to be written".to_owned(),
        acks if reply.removed > 0 => {
            let (elements, holders) =
                (output::count(reply.removed, "element"), output::count(acks.len() as u64, "node"));
            let acks = output::acks_text(client, acks);
            format!("removed {elements}, page by page, each held by {holders} or more, such as {acks}")
        }
        acks => format!("held by {}", output::acks_text(client, acks)),
    });
    if reply.partial {
        output::remark("partial: fewer owners than R were seen; writes that only others hold were not covered");
    }
}
