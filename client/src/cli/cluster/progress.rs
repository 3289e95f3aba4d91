//! `starling cluster progress`, `pause`, `resume`: a change under way.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::{ClusterAnswer, ClusterCall, MemberProgress, MoveWait, Progress};
use starling::message::peer::MoveStep;
use starling_client::Client;

use super::misfit;
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Width of a bar. Unit: characters.
const BAR: usize = 24;

/// Partitions that wait, of a member, that are named.
const NAMED_MAX: usize = 3;

/// Show how far the change is, member by member, and whom it waits for
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster progress
  starling cluster progress --watch              until the cluster is steady
  starling --json cluster progress | jq '.waits_for'

A change goes through phases: moving (new owners take over what the old ones have), switched (the new ones are read),
closing (the old ones hand over what is left), steady. Each begins when every member that is not declared lost is through
with the one before; a member that is down holds it up, and no request.")]
pub(crate) struct ProgressOf {
    /// Look again every second, until the cluster is steady
    #[arg(long)]
    watch: bool,
}

/// Halt the moving of data, until `resume` or a restart of the nodes
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster pause")]
pub(crate) struct Pause {}

/// Let the moving of data go on
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster resume")]
pub(crate) struct Resume {}

/// Bytes that had come, and when that was told.
type Sample = (Instant, u64);

impl ProgressOf {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let mut first: Option<(u64, Sample)> = None;
        loop {
            let (node, progress) = ask(client, global).await?;
            let come: u64 = progress.members.iter().map(|member| member.state.bytes).sum();
            let number = progress.layout.number;
            let since = match first {
                Some((of, sample)) if of == number => sample,
                _ => {
                    first = Some((number, (Instant::now(), come)));
                    (Instant::now(), come)
                }
            };
            if global.json {
                output::json(&as_json(client, node, &progress));
            } else {
                if self.watch && std::io::stdout().is_terminal() {
                    output::bytes(b"\x1b[2J\x1b[H");
                }
                lines(client, node, &progress, since).iter().for_each(|line| output::line(line));
            }
            let is_through = progress.phase.is_steady() && progress.waits_for().next().is_none();
            if !self.watch || is_through {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Pause {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        pause(client, global, true).await
    }
}

impl Resume {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        pause(client, global, false).await
    }
}

async fn pause(client: &Client, global: &Global, is_paused: bool) -> Result<(), Failure> {
    let (node, _) = ask(client, global).await?;
    match client.cluster(node, ClusterCall::PauseMoves(is_paused), &global.options()).await? {
        ClusterAnswer::Paused(is_paused) => {
            output::line(if is_paused { "no data moves now; requests go on" } else { "data moves" });
            Ok(())
        }
        _ => Err(misfit(client, node)),
    }
}

/// What the member knows that drives the change: it asks the others.
async fn ask(client: &Client, global: &Global) -> Result<(NodeId, Progress), Failure> {
    let options = global.options();
    let (node, progress) = match client.any_cluster(ClusterCall::Progress, &options).await? {
        (node, ClusterAnswer::Progress(progress)) => (node, *progress),
        (node, _) => return Err(misfit(client, node)),
    };
    let elsewhere = progress.driver.filter(|driver| *driver != node && global.node.is_none());
    let Some(driver) = elsewhere else { return Ok((node, progress)) };
    match client.cluster(driver, ClusterCall::Progress, &options).await {
        Ok(ClusterAnswer::Progress(theirs)) if theirs.layout.number >= progress.layout.number => Ok((driver, *theirs)),
        _ => Ok((node, progress)),
    }
}

fn lines(client: &Client, node: NodeId, progress: &Progress, since: Sample) -> Vec<String> {
    let mut lines = vec![format!(
        "layout {}, {}{}, as {} tells it{}",
        progress.layout.number,
        progress.phase,
        if progress.is_paused { ", PAUSED" } else { "" },
        client.name_of(node),
        match progress.driver {
            Some(driver) if !progress.phase.is_steady() => format!("; {} drives the change", client.name_of(driver)),
            _ => String::new(),
        },
    )];
    if !progress.phase.is_steady() {
        let mut table = output::table(["member", "layout", "moves", "", "taken", "waits for"]);
        for member in &progress.members {
            table.add_row(vec![
                client.name_of(member.node),
                member.adopted.map_or_else(|| "?".to_owned(), |number| number.to_string()),
                member.state.moved.to_string(),
                bar(member),
                taken(member),
                waits_for(client, member),
            ]);
        }
        lines.push(table.to_string());
        lines.extend(rate(progress, since));
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
    for (member, wait) in progress.waits_for() {
        lines.push(format!("waits for {} {}", client.name_of(member.node), wait_text(wait)));
    }
    lines
}

/// `██████░░░░ 60 %`: partitions that are through.
fn bar(member: &MemberProgress) -> String {
    let moved = u64::from(member.state.moved);
    if moved == 0 {
        return "—".into();
    }
    let left = u64::from(member.state.unsynced + member.state.uncleared).min(moved);
    let share = (moved - left) as f64 / moved as f64;
    let full = (share * BAR as f64).round() as usize;
    format!("{}{} {:3.0} %", "█".repeat(full), "░".repeat(BAR.saturating_sub(full)), share * 100.0)
}

fn taken(member: &MemberProgress) -> String {
    match (member.state.rows, member.state.bytes) {
        (0, 0) => "—".into(),
        (rows, bytes) => format!("{}, {}", output::count(rows, "row"), output::bytes_text(bytes)),
    }
}

fn waits_for(client: &Client, member: &MemberProgress) -> String {
    if member.is_fenced {
        return "declared lost".into();
    }
    let named = member.state.waiting.iter().take(NAMED_MAX);
    let named: Vec<String> =
        named.map(|waiting| format!("p{} {}", waiting.partition.0, step_text(client, waiting.step))).collect();
    let left = u64::from(member.state.unsynced + member.state.uncleared);
    let more = left.saturating_sub(named.len() as u64);
    let mut text = named.join("; ");
    if more > 0 && !text.is_empty() {
        text.push_str(&format!("; {more} more"));
    }
    if member.state.stray_rows > 0 {
        let rows = output::count(member.state.stray_rows, "row");
        text.push_str(&format!("{}{rows} to hand on", if text.is_empty() { "" } else { "; " }));
    }
    text
}

fn step_text(client: &Client, step: MoveStep) -> String {
    match step {
        MoveStep::Queued => "has not begun".into(),
        MoveStep::Sealing => "asks what is sealed".into(),
        MoveStep::Loading { done, of } => format!("loads, {done} of {of} owners done"),
        MoveStep::Clearing => "hands over".into(),
        MoveStep::WaitsFor(node) => format!("waits for {}", client.name_of(node)),
        MoveStep::WaitsForDisk => "waits for room on the disk".into(),
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

/// Bytes per second since the watch began, and how long the rest takes at that.
fn rate(progress: &Progress, (since, before): Sample) -> Option<String> {
    let seconds = since.elapsed().as_secs_f64();
    let come: u64 = progress.members.iter().map(|member| member.state.bytes).sum();
    let left: u64 = progress.members.iter().filter_map(|member| member.state.bytes_to_come).sum();
    if seconds < 1.0 || come <= before {
        return (left > 0).then(|| format!("about {} to come", output::bytes_text(left)));
    }
    let rate = come.saturating_sub(before) as f64 / seconds;
    Some(format!(
        "{} per second; about {} to come, {:.0} s at this rate",
        output::bytes_text(rate as u64),
        output::bytes_text(left),
        left as f64 / rate
    ))
}

fn as_json(client: &Client, node: NodeId, progress: &Progress) -> Value {
    let member = |member: &MemberProgress| {
        let waiting = member.state.waiting.iter().map(|waiting| {
            json!({
                "partition": waiting.partition.0,
                "step": step_text(client, waiting.step),
                "rows": waiting.rows,
                "bytes": waiting.bytes,
            })
        });
        json!({
            "name": client.name_of(member.node),
            "layout": member.adopted,
            "is_fenced": member.is_fenced,
            "moved": member.state.moved,
            "unsynced": member.state.unsynced,
            "uncleared": member.state.uncleared,
            "stray_rows": member.state.stray_rows,
            "rows": member.state.rows,
            "bytes": member.state.bytes,
            "bytes_to_come": member.state.bytes_to_come,
            "waiting": waiting.collect::<Vec<_>>(),
            "wait": member.wait,
        })
    };
    let waits = progress.waits_for().map(|(member, _)| client.name_of(member.node));
    json!({
        "told_by": client.name_of(node),
        "layout": progress.layout.number,
        "phase": progress.phase.to_string(),
        "is_steady": progress.phase.is_steady(),
        "is_paused": progress.is_paused,
        "lacks_majority": progress.lacks_majority,
        "rival": progress.rival.map(|rival| rival.other.number),
        "driver": progress.driver.map(|driver| client.name_of(driver)),
        "waits_for": waits.collect::<Vec<_>>(),
        "members": progress.members.iter().map(member).collect::<Vec<_>>(),
    })
}
