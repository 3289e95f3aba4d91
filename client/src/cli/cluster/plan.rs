//! `starling cluster plan`: a preview, computed here.

use clap::Args;
use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::membership::{Change, Layout, Member, Plan as Staged};
use starling::ring::RingView;
use starling::ring::change::{Load, Moves, Preview};
use starling_client::Client;

use super::{headline, zone_text};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Preview a change of the members: what would move, and how even it would be. Changes nothing.
///
/// Asks one node for its layout (with --node, that one) and computes the
/// placement of before and after. Committing such a change is not there yet: nothing
/// is sent to the nodes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster plan --join f:berlin:2        f joins in zone berlin with weight 2
  starling cluster plan --leave b --weight c=2   together: one change, one move
  starling cluster plan --weight b=0             drains b, which stays a member
  starling cluster plan --replace b=g            g takes exactly what b has
  starling cluster plan --zone-lost berlin       every member there is given up

Which partitions a new member gets depends on its id. The preview takes the next free one; with another id other
partitions move, about as many.

score    copies that move, in units of what would move between two placements that are exactly even. 1 is as little as
         one can ask for
balance  the heaviest load afterwards, in units of its fair share")]
pub(crate) struct Plan {
    /// A new member: its name, zone and weight
    #[arg(long, value_name = "NAME[:ZONE[:WEIGHT]]")]
    join: Vec<String>,
    /// This member goes, after it has handed over
    #[arg(long, value_name = "NAME")]
    leave: Vec<String>,
    /// Another share of the data; 0 drains the member
    #[arg(long, value_name = "NAME=WEIGHT")]
    weight: Vec<String>,
    /// Another zone; nothing after the = is a zone of its own
    #[arg(long, value_name = "NAME=ZONE")]
    zone: Vec<String>,
    /// A new member takes the place of another one
    #[arg(long, value_name = "OLD=NEW")]
    replace: Vec<String>,
    /// This member is dead for ever: what only it had is given up
    #[arg(long, value_name = "NAME")]
    fence: Vec<String>,
    /// Every member of this zone is dead for ever
    #[arg(long, value_name = "ZONE")]
    zone_lost: Vec<String>,
    /// Preview also what loses the last owner of a partition, or a quorum
    #[arg(long)]
    accept_loss: bool,
}

impl Plan {
    pub(crate) fn run(&self, client: &Client, global: &Global, teller: NodeId, ring: &RingView) -> Result<(), Failure> {
        let layout = ring.layout();
        let changes = self.changes(layout)?;
        let plan = Staged { base: layout.epoch, changes, accepts_loss: self.accept_loss };
        let named = |text: String| with_names(text, layout);
        let preview = Preview::of(ring, &plan).map_err(|refused| {
            Failure::Usage(format!("{}; this was a preview, nothing was changed", named(refused.to_string())))
        })?;
        let now = Moves::between(ring, ring);
        if global.json {
            output::json(&as_json(&preview, &now, client.name_of(teller), layout));
        } else {
            output::line(&headline(client, teller, ring));
            output::line("PREVIEW: nothing was staged or changed; this version cannot commit a change of the members");
            output::line(&table(&preview));
            summary(&preview, &now, layout).iter().for_each(|line| output::line(line));
        }
        Ok(())
    }

    fn changes(&self, layout: &Layout) -> Result<Vec<Change>, Failure> {
        let mut newcomers = Newcomers::of(layout);
        let mut changes = Vec::new();
        for text in &self.join {
            changes.push(Change::Join(newcomers.join(text)?));
        }
        for name in &self.leave {
            changes.push(Change::Leave(id_of(layout, name)?));
        }
        for text in &self.weight {
            let (name, weight) = pair("--weight", text)?;
            changes.push(Change::Weight { node: id_of(layout, name)?, weight: weight_of(weight)? });
        }
        for text in &self.zone {
            let (name, zone) = pair("--zone", text)?;
            changes.push(Change::Zone { node: id_of(layout, name)?, zone: zone.to_owned() });
        }
        for text in &self.replace {
            let (old, new) = pair("--replace", text)?;
            let old = id_of(layout, old)?;
            changes.push(Change::Replace { old, new: newcomers.member(new), is_dead: false });
        }
        for name in &self.fence {
            changes.push(Change::Fence(id_of(layout, name)?));
        }
        changes.extend(self.zone_lost.iter().cloned().map(Change::ZoneLost));
        match changes.is_empty() {
            true => Err(Failure::Usage("what is to change? Name it with --join, --leave, --weight, …".into())),
            false => Ok(changes),
        }
    }
}

/// Hands out ids that no member has.
struct Newcomers {
    next: u64,
}

impl Newcomers {
    fn of(layout: &Layout) -> Newcomers {
        let members = layout.members.iter().map(|member| member.id.0);
        let known = members.chain(layout.fenced.iter().map(|fenced| fenced.node.0));
        Newcomers { next: known.max().unwrap_or(0).saturating_add(1) }
    }

    /// `NAME[:ZONE[:WEIGHT]]`.
    fn join(&mut self, text: &str) -> Result<Member, Failure> {
        let mut parts = text.splitn(3, ':');
        let mut member = self.member(parts.next().unwrap_or_default());
        member.zone = parts.next().unwrap_or_default().to_owned();
        member.weight = parts.next().map_or(Ok(1), weight_of)?;
        Ok(member)
    }

    /// Where it will be found does not matter for a preview, only that nobody else is there.
    fn member(&mut self, name: &str) -> Member {
        let id = NodeId(self.next);
        self.next = self.next.saturating_add(1);
        Member::new(id, name, format!("{id}.invalid:1"))
    }
}

fn id_of(layout: &Layout, name: &str) -> Result<NodeId, Failure> {
    layout.member_named(name).map(|member| member.id).ok_or_else(|| {
        let names: Vec<&str> = layout.members.iter().map(|member| member.name.as_str()).collect();
        Failure::Usage(format!("there is no member {name:?}; there are {}", names.join(", ")))
    })
}

fn pair<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::Usage(format!("{option} {text:?} lacks a =, as in {option} a=b")))
}

fn weight_of(text: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| Failure::Usage(format!("{text:?} is no weight: a whole number from 0")))
}

/// A refusal names members by their ids; people know them by their names.
fn with_names(text: String, layout: &Layout) -> String {
    let name = |word: &str| layout.members.iter().find(|member| member.id.to_string() == word).map(|m| m.name.clone());
    text.split(' ').map(|word| name(word).unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>().join(" ")
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

fn summary(preview: &Preview, now: &Moves, layout: &Layout) -> Vec<String> {
    let moves = &preview.moves;
    let copies = u64::from(layout.partitions) * u64::from(layout.replicas);
    let share = moves.replicas_moved as f64 * 100.0 / copies.max(1) as f64;
    let mut lines = vec![format!(
        "moves    {} of {} partitions, {} of {copies} copies ({share:.1} %); how many bytes that is no layout tells",
        moves.partitions.len(),
        layout.partitions,
        moves.replicas_moved,
    )];
    lines.push(match moves.score() {
        Some(score) => {
            let fair = moves.fair_parts as f64 / Moves::PARTS as f64;
            format!("score    {score:.3}: between exactly even placements {fair:.1} copies would move")
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
fn declared_lost(preview: &Preview, layout: &Layout) -> u64 {
    let new = preview.next.fenced.iter().find(|fenced| !layout.is_fenced(fenced.node));
    let runs = new.map_or(&[][..], |fenced| &fenced.declared_lost);
    runs.iter().map(|run| u64::from(run.last.0 - run.first.0) + 1).sum()
}

fn as_json(preview: &Preview, now: &Moves, teller: String, layout: &Layout) -> Value {
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
        "partitions_lost": declared_lost(preview, layout),
        "score": moves.score(),
        "balance_now": now.balance(),
        "balance": moves.balance(),
    })
}
