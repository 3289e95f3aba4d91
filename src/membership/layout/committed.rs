//! A layout that was decided, with the decisions that led to it.
//!
//! The lineage tells a layout that follows the own one from one that a part of the cluster decided without the rest: who
//! takes another layout up looks for its own among the ancestors.

use serde::{Deserialize, Serialize};

use super::{Layout, LayoutEpoch, LayoutError};
use crate::limits;

/// A decided layout and its ancestors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// What was decided.
    pub layout: Layout,
    /// Number and content of the layouts before it, oldest first; the last [`limits::LINEAGE_MAX`] of them.
    pub lineage: Vec<(u64, u64)>,
}

/// How a layout stands to the one that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It follows: to be taken up.
    Newer,
    /// The same, or one of the own one's past.
    Known,
    /// Both cannot have been decided by a majority.
    Rival,
}

impl Committed {
    /// The first layout of a node's memory: a founding one, or one whose past is not known.
    pub fn first(layout: Layout) -> Committed {
        Committed { layout, lineage: Vec::new() }
    }

    /// What was decided after this.
    pub fn followed_by(&self, layout: Layout) -> Committed {
        let mut lineage = self.lineage.clone();
        lineage.push((self.layout.epoch.number, self.layout.epoch.content));
        let surplus = lineage.len().saturating_sub(limits::LINEAGE_MAX);
        lineage.drain(..surplus);
        Committed { layout, lineage }
    }

    /// Checks what came from a file or a peer: the layout itself, and that the lineage is one.
    pub fn validate(&self) -> Result<(), LayoutError> {
        self.layout.validate()?;
        let LayoutEpoch { number, parent, .. } = self.layout.epoch;
        let is_growing = self.lineage.is_sorted_by(|(before, _), (after, _)| before < after);
        let ends_before = self.lineage.last().is_none_or(|(last, _)| *last < number);
        let knows_parent = self.lineage.last().is_none_or(|(last, content)| last + 1 < number || *content == parent);
        if self.lineage.len() > limits::LINEAGE_MAX || !is_growing || !ends_before || !knows_parent {
            return Err(LayoutError("the layouts before it do not lead to it".into()));
        }
        Ok(())
    }

    /// How another decided layout stands to this one.
    pub fn descent_of(&self, other: &Committed) -> Descent {
        let (own, theirs) = (self.layout.epoch, other.layout.epoch);
        if own.number == theirs.number {
            return if own.content == theirs.content { Descent::Known } else { Descent::Rival };
        }
        if own.number > theirs.number {
            return if self.descends_from(theirs) { Descent::Known } else { Descent::Rival };
        }
        if other.descends_from(own) { Descent::Newer } else { Descent::Rival }
    }

    /// Whether a layout is an ancestor. What lies further back than the lineage is taken for one.
    pub fn descends_from(&self, epoch: LayoutEpoch) -> bool {
        match self.lineage.binary_search_by_key(&epoch.number, |(number, _)| *number) {
            Ok(position) => self.lineage.get(position).is_some_and(|(_, content)| *content == epoch.content),
            // Before the first that is known; a number in between was left out by a recovery, and nobody may have it.
            Err(position) => position == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::layout::samples::founded;

    fn next(committed: &Committed, name: &str) -> Committed {
        let mut layout = committed.layout.successor();
        layout.name = name.into();
        committed.followed_by(layout.seal().unwrap())
    }

    #[test]
    fn a_layout_follows_those_of_its_lineage_and_rivals_all_others() {
        let first = Committed::first(founded(3, 8));
        let second = next(&first, "b");
        let third = next(&second, "c");
        for (own, other, descent) in [
            (&first, &first, Descent::Known),
            (&first, &second, Descent::Newer),
            (&first, &third, Descent::Newer),
            (&third, &first, Descent::Known),
            (&second, &next(&first, "x"), Descent::Rival),
            (&second, &next(&next(&first, "x"), "y"), Descent::Rival),
            (&third, &next(&first, "x"), Descent::Rival),
        ] {
            assert_eq!(own.descent_of(other), descent);
            other.validate().unwrap();
        }
    }

    #[test]
    fn a_lineage_that_does_not_lead_to_its_layout_is_refused() {
        let second = next(&Committed::first(founded(3, 8)), "b");
        for lineage in [vec![(1, 0)], vec![(2, 5)], vec![(0, 1), (0, 1)], vec![(0, 1); limits::LINEAGE_MAX + 1]] {
            assert!(Committed { lineage, ..second.clone() }.validate().is_err());
        }
    }

    #[test]
    fn the_lineage_forgets_the_oldest() {
        let mut committed = Committed::first(founded(1, 1));
        committed.lineage = (0..limits::LINEAGE_MAX as u64).map(|number| (number, 7)).collect();
        committed.layout.epoch.number = limits::LINEAGE_MAX as u64;
        let next = next(&committed, "b");
        assert_eq!((next.lineage.len(), next.lineage[0].0), (limits::LINEAGE_MAX, 1));
    }
}
