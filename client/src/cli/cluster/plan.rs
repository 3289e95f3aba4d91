//! `starling cluster plan`: a preview, computed here; of what is named, or of what is staged.

use clap::Args;
use starling::membership::Plan as Staged;
use starling::ring::RingView;
use starling::ring::change::Preview;
use starling_client::Client;

use super::changes::{Changes, Newcomers, with_names};
use super::{headline, keeper, preview};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Preview a change of the members: what would move, and how even it would be. Changes nothing.
///
/// With changes named, previews these; without any, what is staged. Asks one node for its layout
/// (with --node, that one) and computes the placement of before and after.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster plan                          what is staged
  starling cluster plan --join f:berlin:2        f joins in zone berlin with weight 2
  starling cluster plan --leave b --weight c=2   together: one change, one move
  starling cluster plan --weight b=0             drains b, which stays a member
  starling cluster plan --replace b=g            g takes exactly what b has
  starling cluster plan --zone-lost berlin       every member there is given up

Which partitions a new member gets depends on its id. The preview takes the next free one; with another id other
partitions move, about as many.

score    copies that move, in units of what would move between two placements that are exactly even. 1 is as little as
         one can ask for
balance  the heaviest load afterwards, in units of its fair share
bytes    what nodes say their rows take on disk, shared out evenly over their partitions: about")]
pub(crate) struct Plan {
    #[command(flatten)]
    changes: Changes,
    /// Preview also what loses the last owner of a partition, or a quorum
    #[arg(long)]
    accept_loss: bool,
}

impl Plan {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        if self.changes.is_empty() {
            let (keeper, view) = keeper::plan(client, global).await?;
            return preview::staged(client, global, keeper, &view).await;
        }
        let (teller, ring) = client.present_ring(&global.options()).await?;
        let layout = ring.layout();
        let changes = self.changes.read(layout, &mut Newcomers::invented(layout))?;
        let plan = Staged { base: layout.epoch, changes, accepts_loss: self.accept_loss };
        let found = preview(&ring, &plan)?;
        let bytes = preview::bytes(client, global, &found.moves).await;
        if global.json {
            output::json(&preview::as_json(&found, &ring, client.name_of(teller), bytes));
        } else {
            output::line(&headline(client, teller, &ring));
            output::line("PREVIEW: nothing was staged or changed");
            preview::show(&found, &ring, bytes);
        }
        Ok(())
    }
}

fn preview(ring: &RingView, plan: &Staged) -> Result<Preview, Failure> {
    Preview::of(ring, plan).map_err(|refused| {
        let text = with_names(&refused.to_string(), ring.layout());
        Failure::Usage(format!("{text}; this was a preview, nothing was changed"))
    })
}
