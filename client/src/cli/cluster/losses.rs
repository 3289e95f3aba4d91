//! What a layout says of losses: partitions that went with members that were declared lost, places that are empty since,
//! and a decision that no majority made.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::ring::RingView;

use crate::cli::output;

/// What is lost in a layout.
pub(super) struct Losses {
    /// Partitions of which no owner was left.
    lost: usize,
    /// Partitions that have fewer than N owners.
    thin: usize,
    /// Who decided without a majority, by name.
    forced: Option<Vec<String>>,
}

impl Losses {
    pub(super) fn of(ring: &RingView) -> Losses {
        let layout = ring.layout();
        let runs = layout.fenced.iter().flat_map(|fenced| &fenced.declared_lost);
        let lost: BTreeSet<u16> = runs.flat_map(|run| run.first.0..=run.last.0).collect();
        let owners = |partition| ring.owners(partition).iter().filter(|owner| !layout.is_fenced(**owner)).count();
        let thin = ring.partitions().filter(|partition| owners(*partition) < usize::from(layout.replicas)).count();
        let forced = layout.forced.as_ref();
        let forced = forced.map(|forced| forced.survivors.iter().map(|node| name(layout, *node)).collect());
        Losses { lost: lost.len(), thin, forced }
    }

    /// A line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.lost > 0 {
            let lost = output::count(self.lost as u64, "partition");
            lines.push(format!("declared lost  {lost} of which no owner was left: what they held before is gone"));
        }
        if self.thin > 0 {
            let thin = output::count(self.thin as u64, "partition");
            lines.push(format!("thin  {thin} with fewer owners than N, until enough members carry data"));
        }
        if let Some(survivors) = &self.forced {
            lines.push(format!("forced  decided without a majority of the voters, by {}", survivors.join(", ")));
        }
        lines
    }

    /// The same, as fields.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let fields = [
            ("partitions_lost", json!(self.lost)),
            ("partitions_thin", json!(self.thin)),
            ("forced_by", json!(self.forced)),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn name(layout: &Layout, node: NodeId) -> String {
    layout.member(node).map_or_else(|| node.to_string(), |member| member.name.clone())
}

#[cfg(test)]
mod tests {
    use starling::ids::{ClusterId, PartitionId};
    use starling::membership::{Fenced, Member, PartitionRun};

    use super::*;

    #[test]
    fn what_was_lost_and_what_is_thin_is_counted_and_named() {
        let members = (1..=4).map(|id| Member::new(NodeId(id), format!("m{id}"), format!("h:{id}"))).collect();
        let mut layout = Layout::founding(ClusterId([1; 16]), "shop", members);
        let whole = Losses::of(&RingView::new(layout.clone().seal().unwrap()).unwrap());
        assert!(whole.lines().is_empty(), "{:?}", whole.lines());
        let declared_lost = PartitionRun::of([3, 4, 9].map(PartitionId));
        layout.fenced = vec![Fenced { node: NodeId(4), since: 1, declared_lost }];
        let losses = Losses::of(&RingView::new(layout.seal().unwrap()).unwrap());
        assert_eq!((losses.lost, losses.fields()["partitions_lost"].clone()), (3, json!(3)));
        assert!(losses.thin > 0 && losses.lines().len() == 2, "{:?}", losses.lines());
    }
}
