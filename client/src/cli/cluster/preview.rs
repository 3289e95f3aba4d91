//! What a change would move, for people and for programs.

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::membership::{Layout, Member};
use starling::message::client::PlanView;
use starling::ring::RingView;
use starling::ring::change::{Load, Moves, Preview};
use starling_client::Client;

use super::changes::with_names;
use super::{headline, zone_text};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::{everyone, output};

/// About how many bytes move, by what the nodes say their rows take now; `None`: nobody says.
pub(super) async fn bytes(client: &Client, global: &Global, moves: &Moves) -> Option<u64> {
    let nodes = everyone::members(client);
    let options = global.options();
    let answers = everyone::ask(&nodes, |node| {
        let (client, options) = (client.clone(), options.clone());
        async move { client.status(node, &options).await }
    })
    .await;
    let told = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let (bytes, partitions) = told.fold((0_u64, 0_u64), |(bytes, partitions), status| {
        (bytes.saturating_add(status.rows_bytes), partitions + u64::from(status.shards.owned_partitions))
    });
    let each = bytes.checked_div(partitions)?;
    Some(each.saturating_mul(moves.replicas_moved))
}

/// What is staged, with what would come of it. An error if nothing can come of it any more.
pub(super) async fn staged(client: &Client, global: &Global, keeper: NodeId, view: &PlanView) -> Result<(), Failure> {
    let malformed =
        |error: starling::membership::LayoutError| Failure::Usage(format!("the layout that was told: {error}"));
    let ring = RingView::new(view.present.clone()).map_err(malformed)?;
    let preview = Preview::of(&ring, &view.plan).map_err(|refused| {
        let text = with_names(&refused.to_string(), &view.present);
        Failure::Usage(format!("what is staged cannot be committed: {text}. `starling cluster unstage` forgets it"))
    })?;
    let bytes = bytes(client, global, &preview.moves).await;
    let name = client.name_of(keeper);
    if global.json {
        let mut shown = as_json(&preview, &ring, name, bytes);
        if let Value::Object(fields) = &mut shown {
            fields.insert("preview".into(), json!(false));
            fields.insert("staged".into(), json!(view.plan.changes.len()));
            fields.insert("content".into(), json!(format!("{:016x}", preview.next.epoch.content)));
        }
        output::json(&shown);
        return Ok(());
    }
    output::line(&headline(client, keeper, &ring));
    output::line(&format!(
        "STAGED at {name}: {}; `starling cluster commit` decides on it, `starling cluster unstage` forgets it",
        output::count(view.plan.changes.len() as u64, "change")
    ));
    show(&preview, &ring, bytes);
    Ok(())
}

/// The table, and the lines below it.
pub(super) fn show(preview: &Preview, ring: &RingView, bytes: Option<u64>) {
    let now = Moves::between(ring, ring);
    output::line(&table(preview));
    summary(preview, &now, ring.layout(), bytes).iter().for_each(|line| output::line(line));
}

/// Every member of before and after.
fn members(preview: &Preview) -> impl Iterator<Item = (&Member, Load, &'static str)> {
    let before = preview.next.before.as_ref().map_or(preview.next.members.as_slice(), |before| &before.members);
    preview.next.members.iter().map(move |member| {
        let is_new = before.iter().all(|other| other.id != member.id);
        let what = match (preview.next.is_fenced(member.id), member.leaving, is_new) {
            (true, ..) => "is given up",
            (_, true, _) => "leaves",
            (_, _, true) => "joins",
            _ => "",
        };
        (member, preview.moves.members.get(&member.id).copied().unwrap_or_default(), what)
    })
}

fn table(preview: &Preview) -> String {
    let header = ["member", "", "id", "zone", "weight", "now", "takes", "gives", "then", "fair share", "load"];
    let mut table = output::table(header);
    for (member, load, what) in members(preview) {
        table.add_row(vec![
            member.name.clone(),
            what.to_owned(),
            member.id.to_string(),
            zone_text(&member.zone).to_owned(),
            member.weight.to_string(),
            load.before.to_string(),
            load.comes.to_string(),
            load.goes.to_string(),
            load.after.to_string(),
            format!("{:.1}", load.fair()),
            if load.fair_parts == 0 { "—".into() } else { format!("{:.3}", load.balance()) },
        ]);
    }
    table.to_string()
}

fn summary(preview: &Preview, now: &Moves, layout: &Layout, bytes: Option<u64>) -> Vec<String> {
    let moves = &preview.moves;
    let copies = u64::from(layout.partitions) * u64::from(layout.replicas);
    let share = moves.replicas_moved as f64 * 100.0 / copies.max(1) as f64;
    let mut lines = vec![format!(
        "moves    {} of {} partitions, {} of {copies} copies ({share:.1} %), {}",
        moves.partitions.len(),
        layout.partitions,
        moves.replicas_moved,
        match bytes {
            Some(bytes) => format!("about {}", output::bytes_text(bytes)),
            None => "nobody told how many bytes".to_owned(),
        },
    )];
    lines.push(match moves.score() {
        Some(score) => {
            let fair = moves.fair_parts as f64 / Moves::PARTS as f64;
            format!(
                "score    {score:.3}: {} copies move; between exactly even placements {fair:.1} would",
                moves.replicas_moved
            )
        }
        None => "score    none: nobody's share of the data changes".into(),
    });
    if let (Some(before), Some(after)) = (now.balance(), moves.balance()) {
        lines.push(format!("balance  {after:.3}, now {before:.3}"));
    }
    let lost = declared_lost(preview, layout);
    if lost > 0 {
        lines.push(format!("LOST     {}: all their owners are given up", output::count(lost, "partition")));
    }
    lines
}

/// Partitions that lose their last owner by this plan.
pub(super) fn declared_lost(preview: &Preview, layout: &Layout) -> u64 {
    let new = preview.next.fenced.iter().find(|fenced| !layout.is_fenced(fenced.node));
    let runs = new.map_or(&[][..], |fenced| &fenced.declared_lost);
    runs.iter().map(|run| u64::from(run.last.0 - run.first.0) + 1).sum()
}

pub(super) fn as_json(preview: &Preview, ring: &RingView, teller: String, bytes: Option<u64>) -> Value {
    let (layout, now) = (ring.layout(), Moves::between(ring, ring));
    let moves = &preview.moves;
    let member = |(member, load, what): (&Member, Load, &'static str)| {
        json!({
            "name": member.name,
            "id": member.id.0,
            "what": what,
            "zone": member.zone,
            "weight": member.weight,
            "partitions_now": load.before,
            "takes": load.comes,
            "gives": load.goes,
            "partitions_then": load.after,
            "fair_share": load.fair(),
        })
    };
    json!({
        "preview": true,
        "committed": false,
        "cluster": layout.name,
        "told_by": teller,
        "base": layout.epoch.number,
        "next": { "number": preview.next.epoch.number, "phase": preview.next.phase.to_string() },
        "members": members(preview).map(member).collect::<Vec<_>>(),
        "partitions": layout.partitions,
        "partitions_moved": moves.partitions.len(),
        "copies": u64::from(layout.partitions) * u64::from(layout.replicas),
        "copies_moved": moves.replicas_moved,
        "bytes_about": bytes,
        "partitions_lost": declared_lost(preview, layout),
        "score": moves.score(),
        "balance_now": now.balance(),
        "balance": moves.balance(),
    })
}
