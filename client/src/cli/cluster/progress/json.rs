//! The progress of a change for programs.

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::{MemberProgress, Progress};
use starling::message::peer::{PartitionMove, Passed};
use starling_client::Client;

use super::figures::{Looks, Sum, Through};
use super::text::{step_text, wait_line};

pub(super) fn value(client: &Client, node: NodeId, progress: &Progress, looks: &Looks) -> Value {
    let sum = Sum::of(progress);
    let waits = progress.waits_for().map(|(member, _)| client.name_of(member.node));
    let waits_text = progress.waits_for().map(|(member, wait)| wait_line(client, member, wait));
    json!({
        "told_by": client.name_of(node),
        "layout": progress.layout.number,
        "phase": progress.phase.to_string(),
        "is_steady": progress.phase.is_steady(),
        "is_paused": progress.is_paused,
        "lacks_majority": progress.lacks_majority,
        "rival": progress.rival.map(|rival| rival.other.number),
        "driver": progress.driver.map(|driver| client.name_of(driver)),
        "partitions": sum.through.of,
        "partitions_through": sum.through.done,
        "share": sum.through.share(),
        "rows": sum.rows,
        "rows_to_come": sum.rows_to_come,
        "bytes": sum.bytes,
        "bytes_to_come": sum.bytes_to_come,
        "share_of_bytes": sum.share_of_bytes(),
        "bytes_given": sum.bytes_given,
        "bytes_per_second": looks.rate().map(f64::round),
        "seconds_to_go": looks.rest(&sum).map(|rest| rest.as_secs_f64().round()),
        "waits_for": waits.collect::<Vec<_>>(),
        "waits": waits_text.collect::<Vec<_>>(),
        "members": progress.members.iter().map(|member| of_member(client, member)).collect::<Vec<_>>(),
    })
}

fn of_member(client: &Client, member: &MemberProgress) -> Value {
    let (state, through) = (&member.state, Through::of(&member.state));
    json!({
        "name": client.name_of(member.node),
        "layout": member.adopted,
        "is_fenced": member.is_fenced,
        "moved": state.moved,
        "partitions": through.of,
        "partitions_through": through.done,
        "share": through.share(),
        "unsynced": state.unsynced,
        "uncleared": state.uncleared,
        "stray_rows": state.stray_rows,
        "rows": state.rows,
        "rows_to_come": state.rows_to_come,
        "bytes": state.bytes,
        "bytes_to_come": state.bytes_to_come,
        "from": passed(client, &state.taken_from),
        "rows_given": state.rows_given,
        "bytes_given": state.bytes_given,
        "to": passed(client, &state.given_to),
        "waiting": state.waiting.iter().map(|waiting| of_partition(client, waiting)).collect::<Vec<_>>(),
        "wait": member.wait,
    })
}

fn passed(client: &Client, passed: &[Passed]) -> Vec<Value> {
    let one = |it: &Passed| json!({ "name": client.name_of(it.node), "rows": it.rows, "bytes": it.bytes });
    passed.iter().map(one).collect()
}

fn of_partition(client: &Client, waiting: &PartitionMove) -> Value {
    json!({
        "partition": waiting.partition.0,
        "step": step_text(client, waiting.step),
        "peer": waiting.peer.map(|peer| client.name_of(peer)),
        "rows": waiting.rows,
        "rows_of": waiting.rows_of,
        "full": waiting.full.map(|node| client.name_of(node)),
        "bytes": waiting.bytes,
    })
}
