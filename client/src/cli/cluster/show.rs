//! `starling cluster show`.

use clap::Args;
use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::membership::{Layout, Member};
use starling::ring::RingView;
use starling::ring::change::{Load, Moves};
use starling_client::Client;

use super::losses::Losses;
use super::{headline, zone_text};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Show the members: zones, weights, and how many partitions each one owns.
///
/// Asks one node for its layout (with --node, that one) and
/// computes the placement from it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster show
  starling --json cluster show | jq '.members[] | {name, partitions}'
  starling cluster show --toml >shop/client/layout.toml    a bundle whose members have mostly gone

Columns:
  zone        replicas of a partition stand in distinct zones while there are enough
  weight      share of the data relative to the others; 0 carries none
  partitions  partitions that the member owns
  fair share  partitions that its weight gives it, within what zones allow
  load        the first in units of the second; placement keeps it at 1.10 or below, or within one partition")]
pub(crate) struct Show {
    /// Print the layout as the layout.toml of a bundle, and nothing else
    #[arg(long)]
    toml: bool,
}

impl Show {
    pub(crate) fn run(&self, client: &Client, global: &Global, teller: NodeId, ring: &RingView) -> Result<(), Failure> {
        if self.toml {
            let text = toml::to_string_pretty(&**ring.layout());
            let text = text.map_err(|error| Failure::Usage(format!("the layout has no form as TOML: {error}")))?;
            output::bytes(text.as_bytes());
            return Ok(());
        }
        let moves = Moves::between(ring, ring);
        let load = |member: &Member| moves.members.get(&member.id).copied().unwrap_or_default();
        let layout = ring.layout();
        if global.json {
            let members: Vec<Value> =
                layout.members.iter().map(|member| as_json(layout, member, load(member))).collect();
            let mut shown = json!({
                "cluster": layout.name,
                "told_by": client.name_of(teller),
                "layout": layout.epoch.number,
                "phase": layout.phase.to_string(),
                "replicas": layout.replicas,
                "partitions": layout.partitions,
                "members": members,
                "balance": moves.balance(),
            });
            if let Some(shown) = shown.as_object_mut() {
                shown.extend(Losses::of(ring).fields());
            }
            output::json(&shown);
            return Ok(());
        }
        output::line(&headline(client, teller, ring));
        let header = ["member", "id", "address", "zone", "weight", "partitions", "fair share", "load"];
        let mut table = output::table(header);
        for member in &layout.members {
            let load = load(member);
            table.add_row(vec![
                member.name.clone(),
                member.id.to_string(),
                member.address.clone(),
                zone_text(&member.zone).to_owned(),
                weight_text(layout, member),
                load.after.to_string(),
                format!("{:.1}", load.fair()),
                load_text(load),
            ]);
        }
        output::line(&table.to_string());
        if let Some(balance) = moves.balance() {
            output::line(&format!("balance  {balance:.3}: the heaviest load in units of its fair share"));
        }
        Losses::of(ring).lines().iter().for_each(|line| output::line(line));
        if let Ok(bundle) = global.bundle()
            && layout.epoch != bundle.ring().epoch()
        {
            let (theirs, ours) = (layout.epoch.number, bundle.ring().epoch().number);
            output::line(&format!("this bundle has layout {ours}, {} has {theirs}", client.name_of(teller)));
        }
        Ok(())
    }
}

fn as_json(layout: &Layout, member: &Member, load: Load) -> Value {
    json!({
        "name": member.name,
        "id": member.id.0,
        "address": member.address,
        "zone": member.zone,
        "weight": member.weight,
        "leaving": member.leaving,
        "declared_lost": layout.is_fenced(member.id),
        "partitions": load.after,
        "fair_share": load.fair(),
    })
}

fn weight_text(layout: &Layout, member: &Member) -> String {
    let what = match (layout.is_fenced(member.id), member.leaving) {
        (true, _) => " (declared lost)",
        (false, true) => " (leaving)",
        (false, false) => "",
    };
    format!("{}{what}", member.weight)
}

fn load_text(load: Load) -> String {
    if load.fair_parts == 0 { "—".into() } else { format!("{:.3}", load.balance()) }
}
