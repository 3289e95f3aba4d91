//! The tally: pure counting of answers against a quorum. (The shape is that of Riak's `riak_kv_put_core`.)
//!
//! Every node counts once, whatever it is sent and however often it answers.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::NodeId;
use crate::ring::ZoneIndex;

/// Whether a quorum is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More answers may come.
    NotYet,
    /// Enough answers that count.
    Met,
    /// Not even the answers to come, and those of nodes still to be asked, would be enough.
    Impossible,
}

/// What a quorum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// So many nodes.
    pub nodes: usize,
    /// Of so many zones.
    pub zones: usize,
}

impl Need {
    fn is_met(self, nodes: &[NodeId], zone_of: impl Fn(NodeId) -> Option<ZoneIndex>) -> bool {
        nodes.len() >= self.nodes && zones(nodes, zone_of) >= self.zones
    }
}

/// In how many zones these nodes are.
pub fn zones(nodes: &[NodeId], zone_of: impl Fn(NodeId) -> Option<ZoneIndex>) -> usize {
    nodes.iter().filter_map(|node| zone_of(*node)).collect::<BTreeSet<ZoneIndex>>().len()
}

/// Who was asked, and what they said.
#[derive(Clone, Debug)]
pub struct Tally<A> {
    asked: BTreeMap<NodeId, Slot<A>>,
    last_refusal: String,
}

#[derive(Clone, Debug)]
enum Slot<A> {
    Waiting,
    Answered(A),
    Failed,
    /// It refused for want of a newer layout here; when that is there, it will be asked again.
    Deferred,
}

impl<A> Default for Tally<A> {
    fn default() -> Self {
        Tally { asked: BTreeMap::new(), last_refusal: "none refused".into() }
    }
}

impl<A> Tally<A> {
    /// A node is asked.
    pub fn ask(&mut self, node: NodeId) {
        self.asked.entry(node).or_insert(Slot::Waiting);
    }

    /// A node answers; a node that was given up may still do so, one that was never asked may not.
    pub fn answer(&mut self, node: NodeId, answer: A) {
        if let Some(slot) = self.asked.get_mut(&node)
            && !matches!(slot, Slot::Answered(_))
        {
            *slot = Slot::Answered(answer);
        }
    }

    /// A node refuses or is lost. True if it was still awaited.
    pub fn fail(&mut self, node: NodeId, why: impl FnOnce() -> String) -> bool {
        match self.asked.get_mut(&node) {
            Some(slot @ Slot::Waiting) => {
                *slot = Slot::Failed;
                self.last_refusal = why();
                true
            }
            Some(Slot::Answered(_) | Slot::Failed | Slot::Deferred) | None => false,
        }
    }

    /// A node refuses until this one has taken up a newer layout. True if it was still awaited.
    pub fn defer(&mut self, node: NodeId, why: impl FnOnce() -> String) -> bool {
        let was_awaited = self.fail(node, why);
        if was_awaited && let Some(slot) = self.asked.get_mut(&node) {
            *slot = Slot::Deferred;
        }
        was_awaited
    }

    /// A node may be asked again. True if it was still awaited.
    pub fn forget(&mut self, node: NodeId) -> bool {
        let was_awaited = matches!(self.asked.get(&node), Some(Slot::Waiting));
        if was_awaited {
            self.asked.remove(&node);
        }
        was_awaited
    }

    /// Another layout is taken up: who refused or was lost may be asked again.
    pub fn forget_failures(&mut self) {
        self.asked.retain(|_, slot| matches!(slot, Slot::Waiting | Slot::Answered(_)));
    }

    /// Whether nobody was asked yet.
    pub fn is_unused(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether a node was asked.
    pub fn has_asked(&self, node: NodeId) -> bool {
        self.asked.contains_key(&node)
    }

    /// Nodes that were asked and have neither answered nor failed.
    pub fn waiting(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.asked.iter().filter(|(_, slot)| matches!(slot, Slot::Waiting)).map(|(node, _)| *node)
    }

    /// Nodes that answered, with what they said.
    pub fn answers(&self) -> impl Iterator<Item = (NodeId, &A)> + '_ {
        self.asked.iter().filter_map(|(node, slot)| match slot {
            Slot::Answered(answer) => Some((*node, answer)),
            Slot::Waiting | Slot::Failed | Slot::Deferred => None,
        })
    }

    /// Whether a node answered.
    pub fn has_answered(&self, node: NodeId) -> bool {
        matches!(self.asked.get(&node), Some(Slot::Answered(_)))
    }

    /// Nodes that have answered or may still do so.
    pub fn hopeful(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.asked.iter().filter(|(_, slot)| !matches!(slot, Slot::Failed)).map(|(node, _)| *node)
    }

    /// How many answers `counts`.
    pub fn counted(&self, counts: impl Fn(NodeId, &A) -> bool) -> usize {
        self.answers().filter(|(node, answer)| counts(*node, answer)).count()
    }

    /// The state of a quorum of the answers that `counts`, among the nodes of `list`, with `unasked` ones of it still to be
    /// asked.
    pub fn verdict(
        &self,
        need: Need,
        list: &[NodeId],
        counts: impl Fn(NodeId, &A) -> bool,
        unasked: &[NodeId],
        zone_of: impl Fn(NodeId) -> Option<ZoneIndex>,
    ) -> Verdict {
        let is_listed = |node: &NodeId| list.contains(node);
        let counted = self.answers().filter(|(node, answer)| is_listed(node) && counts(*node, answer));
        let counted: Vec<NodeId> = counted.map(|(node, _)| node).collect();
        if need.is_met(&counted, &zone_of) {
            return Verdict::Met;
        }
        let open = self.hopeful().filter(|node| is_listed(node) && !self.has_answered(*node));
        let possible: Vec<NodeId> = counted.iter().copied().chain(open).chain(unasked.iter().copied()).collect();
        if need.is_met(&possible, &zone_of) { Verdict::NotYet } else { Verdict::Impossible }
    }

    /// What the node that refused last said.
    pub fn last_refusal(&self) -> &str {
        &self.last_refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [NodeId; 6] = [NodeId(0), NodeId(1), NodeId(2), NodeId(3), NodeId(4), NodeId(5)];

    /// Two nodes each in zones 0, 1 and 2.
    fn zone_of(node: NodeId) -> Option<ZoneIndex> {
        Some(ZoneIndex((node.0 / 2) as u16))
    }

    fn verdict(tally: &Tally<()>, nodes: usize, unasked: &[NodeId]) -> Verdict {
        tally.verdict(Need { nodes, zones: 0 }, &ALL, |_, ()| true, unasked, zone_of)
    }

    /// Every sequence of answers and failures of up to five nodes, for every quorum.
    #[test]
    fn a_quorum_is_met_exactly_when_enough_distinct_nodes_answered() {
        for nodes in 1..=5_u64 {
            for needed in 1..=nodes as usize {
                for answers in 0..(3_u32.pow(nodes as u32)) {
                    let mut tally = Tally::default();
                    let (mut yes, mut no, mut code) = (0, 0, answers);
                    for node in 0..nodes {
                        tally.ask(NodeId(node));
                        match code % 3 {
                            0 => {}
                            1 => {
                                tally.answer(NodeId(node), ());
                                tally.answer(NodeId(node), ());
                                yes += 1;
                            }
                            _ => {
                                assert!(tally.fail(NodeId(node), || "no".into()));
                                no += 1;
                            }
                        }
                        code /= 3;
                    }
                    let expected = if yes >= needed {
                        Verdict::Met
                    } else if nodes as usize - no < needed {
                        Verdict::Impossible
                    } else {
                        Verdict::NotYet
                    };
                    assert_eq!(verdict(&tally, needed, &[]), expected);
                }
            }
        }
    }

    #[test]
    fn a_node_that_was_never_asked_does_not_count() {
        let mut tally = Tally::default();
        tally.ask(NodeId(1));
        tally.answer(NodeId(2), ());
        assert_eq!(verdict(&tally, 1, &[]), Verdict::NotYet);
    }

    #[test]
    fn a_node_that_was_given_up_still_counts_when_it_answers() {
        let mut tally = Tally::default();
        tally.ask(NodeId(1));
        assert!(tally.fail(NodeId(1), || "lost".into()));
        assert_eq!(verdict(&tally, 1, &[]), Verdict::Impossible);
        tally.answer(NodeId(1), ());
        assert_eq!(verdict(&tally, 1, &[]), Verdict::Met);
    }

    #[test]
    fn a_node_that_waits_for_a_newer_layout_here_is_hoped_for_and_asked_again_when_it_is_there() {
        let mut tally = Tally::default();
        tally.ask(NodeId(1));
        assert!(tally.defer(NodeId(1), || "the layout has changed".into()));
        assert!(!tally.defer(NodeId(1), String::new), "it is awaited no longer");
        assert_eq!((verdict(&tally, 1, &[]), tally.waiting().count()), (Verdict::NotYet, 0));
        tally.forget_failures();
        assert!(!tally.has_asked(NodeId(1)));
    }

    #[test]
    fn answers_of_too_few_zones_are_no_quorum() {
        let verdict = |tally: &Tally<()>, list: &[NodeId], unasked: &[NodeId]| {
            tally.verdict(Need { nodes: 2, zones: 2 }, list, |_, ()| true, unasked, zone_of)
        };
        let mut tally = Tally::default();
        for node in [NodeId(0), NodeId(1)] {
            tally.ask(node);
            tally.answer(node, ());
        }
        assert_eq!(verdict(&tally, &ALL, &[NodeId(2)]), Verdict::NotYet, "two nodes of one zone");
        assert_eq!(verdict(&tally, &ALL, &[]), Verdict::Impossible);
        tally.ask(NodeId(2));
        assert_eq!(verdict(&tally, &ALL, &[]), Verdict::NotYet);
        tally.answer(NodeId(2), ());
        assert_eq!(verdict(&tally, &ALL, &[]), Verdict::Met);
        assert_eq!(verdict(&tally, &ALL[..2], &[]), Verdict::Impossible, "the third is not of this list");
    }
}
