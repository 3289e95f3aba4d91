//! The progress of a change for people: bars, what came of about how much, from whom, and who is waited for.

use std::time::Duration;

use starling::ids::NodeId;
use starling::message::client::{MemberProgress, MoveWait, Progress};
use starling::message::peer::{MoveState, MoveStep, PartitionMove, Passed};
use starling_client::Client;

use super::figures::{Looks, Sum, Through};
use crate::cli::output;

/// Width of a bar. Unit: characters.
const BAR: usize = 20;

/// Partitions under way, or that wait for something, that are listed.
const LISTED_MAX: usize = 12;

/// Peers of a member that are named.
const PEERS_MAX: usize = 4;

pub(super) fn lines(client: &Client, node: NodeId, progress: &Progress, looks: &Looks) -> Vec<String> {
    let mut lines = vec![headline(client, node, progress)];
    if !progress.phase.is_steady() {
        lines.extend(in_sum(progress, looks));
        let mut table = output::table(["member", "layout", "partitions through", "came", "from", "gave"]);
        for member in &progress.members {
            table.add_row(vec![
                client.name_of(member.node),
                member.adopted.map_or_else(|| "?".to_owned(), |number| number.to_string()),
                through(member),
                came(&member.state),
                peers(client, &member.state.taken_from),
                peers(client, &member.state.given_to),
            ]);
        }
        lines.push(table.to_string());
        lines.extend(under_way(client, progress));
    }
    if progress.is_paused {
        lines.push("PAUSED: no data moves before `starling cluster resume`, or a restart of the nodes".to_owned());
    }
    if progress.lacks_majority {
        lines.push("a majority of the voters does not answer: nothing can be decided before they are back".to_owned());
    }
    if let Some(rival) = &progress.rival {
        lines.push(format!(
            "ALARM: two layouts of number {} are about ({} has the other one): nothing is decided any more; wipe the nodes of one \
             side, and let them join anew",
            rival.own.number,
            client.name_of(rival.from)
        ));
    }
    lines.extend(progress.waits_for().map(|(member, wait)| wait_line(client, member, wait)));
    lines
}

fn headline(client: &Client, node: NodeId, progress: &Progress) -> String {
    format!(
        "layout {}, {}{}, as {} tells it{}",
        progress.layout.number,
        progress.phase,
        if progress.is_paused { ", PAUSED" } else { "" },
        client.name_of(node),
        match progress.driver {
            Some(driver) if !progress.phase.is_steady() => format!("; {} drives the change", client.name_of(driver)),
            _ => String::new(),
        },
    )
}

/// `all  ████░░░░  41 %  44 of 108 partitions are through; 12 MiB of about 30 MiB came; 4 MiB/s, about 5 s to go`.
fn in_sum(progress: &Progress, looks: &Looks) -> Option<String> {
    let sum = Sum::of(progress);
    let mut text = format!(
        "all  {}; {}",
        bar(sum.through)?,
        amount("came", (sum.rows, sum.bytes), (sum.rows_to_come, sum.bytes_to_come))
    );
    if sum.bytes_given > 0 {
        text.push_str(&format!("; {} handed over", output::bytes_text(sum.bytes_given)));
    }
    let is_moving = !progress.is_paused && sum.through.done < sum.through.of;
    if let Some(rate) = looks.rate().filter(|_| is_moving) {
        text.push_str(&format!("; {}/s", output::bytes_text(rate as u64)));
        match (looks.rest(&sum), sum.bytes_to_come) {
            (Some(rest), Some(1..)) => text.push_str(&format!(", about {} to go", duration(rest))),
            // All of it is there; the other owners of before are still compared with.
            (_, Some(0)) => text.push_str(", comparing"),
            _ => {}
        }
    }
    Some(text)
}

fn through(member: &MemberProgress) -> String {
    match member.is_fenced {
        true => "declared lost".into(),
        false => bar(Through::of(&member.state)).unwrap_or_else(|| "—".into()),
    }
}

/// `██████░░░░  60 %  6 of 10`.
fn bar(through: Through) -> Option<String> {
    let share = through.share()?;
    Some(format!("{} {:3.0} %  {} of {}", blocks(share), share * 100.0, through.done, through.of))
}

fn blocks(share: f64) -> String {
    let full = ((share * BAR as f64).round() as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn came(state: &MoveState) -> String {
    match (state.rows, state.rows_to_come) {
        (0, None | Some(0)) => "—".into(),
        _ => amount("", (state.rows, state.bytes), (state.rows_to_come, state.bytes_to_come)),
    }
}

/// `1200 rows, 2.0 MiB of about 5.0 MiB came`.
fn amount(verb: &str, (rows, bytes): (u64, u64), (rows_left, bytes_left): (Option<u64>, Option<u64>)) -> String {
    let space = if verb.is_empty() { "" } else { " " };
    match (rows_left, bytes_left) {
        (_, Some(left @ 1..)) => format!(
            "{}, {} of about {}{space}{verb}",
            output::count(rows, "row"),
            output::bytes_text(bytes),
            output::bytes_text(bytes.saturating_add(left))
        ),
        (Some(left @ 1..), None) => {
            format!("{rows} of about {}{space}{verb}", output::count(rows.saturating_add(left), "row"))
        }
        _ => format!("{}, {}{space}{verb}", output::count(rows, "row"), output::bytes_text(bytes)),
    }
}

/// `a 5.0 MiB, b 7.3 MiB`.
fn peers(client: &Client, peers: &[Passed]) -> String {
    let named = peers.iter().take(PEERS_MAX);
    let mut named: Vec<String> =
        named.map(|peer| format!("{} {}", client.name_of(peer.node), output::bytes_text(peer.bytes))).collect();
    if peers.len() > PEERS_MAX {
        named.push("…".to_owned());
    }
    if named.is_empty() { "—".into() } else { named.join(", ") }
}

/// Partitions with which something happens, or that wait for something; the rest is counted.
fn under_way(client: &Client, progress: &Progress) -> Vec<String> {
    let of_member = |member: &MemberProgress| {
        let is_listed = |waiting: &&PartitionMove| waiting.step != MoveStep::Queued;
        let node = member.node;
        member.state.waiting.clone().into_iter().filter(move |waiting| is_listed(&waiting)).map(move |it| (node, it))
    };
    let mut all: Vec<(NodeId, PartitionMove)> = progress.members.iter().flat_map(of_member).collect();
    // Those of all members that are exchanged now come first.
    all.sort_by_key(|(_, waiting)| waiting.peer.is_none());
    let mut lines: Vec<String> =
        all.iter().take(LISTED_MAX).map(|(node, waiting)| partition_line(client, *node, waiting)).collect();
    if all.len() > LISTED_MAX {
        lines.push(format!("  … and {} more partitions", all.len() - LISTED_MAX));
    }
    lines
}

/// `  p17  f ← a  ████░░░  45 %  550 rows, 1.1 MiB; 1 of 3 owners done`.
fn partition_line(client: &Client, node: NodeId, waiting: &PartitionMove) -> String {
    let arrow = if waiting.step == MoveStep::Clearing { "→" } else { "←" };
    let peer = waiting.peer.map_or_else(String::new, |peer| format!(" {arrow} {}", client.name_of(peer)));
    let share = waiting.rows_of.filter(|of| *of > 0).map(|of| (waiting.rows as f64 / of as f64).min(1.0));
    let bar = share.map_or_else(String::new, |share| format!("  {} {:3.0} %", blocks(share), share * 100.0));
    let amount = match (waiting.rows, waiting.rows_of) {
        (0, None) => String::new(),
        (rows, Some(of)) if of > rows => {
            format!("  {rows} of about {}, {};", output::count(of, "row"), output::bytes_text(waiting.bytes))
        }
        (rows, _) => format!("  {}, {};", output::count(rows, "row"), output::bytes_text(waiting.bytes)),
    };
    let partition = format!("p{}", waiting.partition.0);
    format!("  {partition:<6} {}{peer}{bar}{amount} {}", client.name_of(node), step_text(client, waiting.step))
}

pub(super) fn step_text(client: &Client, step: MoveStep) -> String {
    match step {
        MoveStep::Queued => "waits its turn".into(),
        MoveStep::Sealing => "asks an owner of before what it has sealed".into(),
        MoveStep::Loading { done, of } => format!("{done} of {of} owners done"),
        MoveStep::Clearing => "hands over".into(),
        MoveStep::WaitsFor(node) => format!("waits for {}, which does not answer", client.name_of(node)),
        MoveStep::WaitsForDisk => "waits: its disk is below the reserve".into(),
    }
}

/// `waits for f to take over its data: 24 of 36 partitions are left; its disk is below the reserve, make room`.
pub(super) fn wait_line(client: &Client, member: &MemberProgress, wait: MoveWait) -> String {
    let mut text = format!("waits for {} {}", client.name_of(member.node), wait_text(wait));
    let state = &member.state;
    let left = u64::from(state.unsynced) + u64::from(state.uncleared);
    if matches!(wait, MoveWait::Takes | MoveWait::HandsOver) && left > 0 {
        text.push_str(&format!(": {} left", output::count(left, "partition")));
    }
    if state.stray_rows > 0 && wait == MoveWait::HandsOver {
        text.push_str(&format!("; at least {} for others to take", output::count(state.stray_rows, "row")));
    }
    if state.waiting.iter().any(|waiting| waiting.step == MoveStep::WaitsForDisk) {
        text.push_str("; its disk is below the reserve: make room there, or lower --disk-reserve");
    }
    let mut silent: Vec<NodeId> = state.waiting.iter().filter_map(|waiting| silent(waiting.step)).collect();
    silent.sort_unstable();
    silent.dedup();
    if !silent.is_empty() {
        let names: Vec<String> = silent.into_iter().map(|node| client.name_of(node)).collect();
        text.push_str(&format!("; no answer to it from {}", names.join(", ")));
    }
    let mut full: Vec<NodeId> = state.waiting.iter().filter_map(|waiting| waiting.full).collect();
    full.sort_unstable();
    full.dedup();
    full.retain(|node| *node != member.node);
    if !full.is_empty() {
        let names: Vec<String> = full.into_iter().map(|node| client.name_of(node)).collect();
        text.push_str(&format!("; no room on the disk of {}: make room there", names.join(", ")));
    }
    text
}

fn silent(step: MoveStep) -> Option<NodeId> {
    match step {
        MoveStep::WaitsFor(node) => Some(node),
        MoveStep::Queued
        | MoveStep::Sealing
        | MoveStep::Loading { .. }
        | MoveStep::Clearing
        | MoveStep::WaitsForDisk => None,
    }
}

fn wait_text(wait: MoveWait) -> &'static str {
    match wait {
        MoveWait::Silent => "to answer: start it, or declare it lost (`starling cluster fence`, `replace --dead`)",
        MoveWait::Adopts => "to act by this layout",
        MoveWait::Takes => "to take over its data",
        MoveWait::HandsOver => "to hand over what it still has",
    }
}

/// `45 s`, `3 min`, `2.5 h`.
fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{} s", time.as_secs().max(1)),
        100..6_000 => format!("{:.0} min", time.as_secs_f64() / 60.0),
        _ => format!("{:.1} h", time.as_secs_f64() / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_say_of_about_how_much_as_far_as_it_is_known() {
        let shown = [
            amount("came", (1, 1024), (Some(3), Some(3072))),
            amount("came", (0, 0), (Some(3), None)),
            amount("", (2, 10), (Some(0), Some(0))),
            amount("", (2, 10), (None, None)),
        ];
        let expected =
            ["1 row, 1.0 KiB of about 4.0 KiB came", "0 of about 3 rows came", "2 rows, 10 B", "2 rows, 10 B"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn bars_are_full_only_at_the_end_and_times_are_short() {
        assert_eq!(
            bar(Through { done: 1, of: 4 }).unwrap(),
            format!("{}{}  25 %  1 of 4", "█".repeat(5), "░".repeat(15))
        );
        assert_eq!(bar(Through::default()), None);
        assert_eq!([0, 99, 130, 7_200].map(|s| duration(Duration::from_secs(s))), ["1 s", "99 s", "2 min", "2.0 h"]);
    }
}
