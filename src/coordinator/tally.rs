//! The tally: pure counting of answers against a quorum. (The shape is that of Riak's `riak_kv_put_core`.)
//!
//! Every node counts once, whatever it is sent and however often it answers.

use std::collections::BTreeMap;

use crate::ids::NodeId;

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
            Some(Slot::Answered(_) | Slot::Failed) | None => false,
        }
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
            Slot::Waiting | Slot::Failed => None,
        })
    }

    /// Whether a node answered.
    pub fn has_answered(&self, node: NodeId) -> bool {
        matches!(self.asked.get(&node), Some(Slot::Answered(_)))
    }

    /// How many answers `counts`.
    pub fn counted(&self, counts: impl Fn(NodeId, &A) -> bool) -> usize {
        self.answers().filter(|(node, answer)| counts(*node, answer)).count()
    }

    /// The state of a quorum of `needed` answers that `counts`, with `unasked` nodes still to be asked.
    pub fn verdict(&self, needed: usize, counts: impl Fn(NodeId, &A) -> bool, unasked: usize) -> Verdict {
        let counted = self.counted(counts);
        if counted >= needed {
            Verdict::Met
        } else if counted + self.waiting().count() + unasked < needed {
            Verdict::Impossible
        } else {
            Verdict::NotYet
        }
    }

    /// What the node that refused last said.
    pub fn last_refusal(&self) -> &str {
        &self.last_refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    assert_eq!(tally.verdict(needed, |_, ()| true, 0), expected);
                }
            }
        }
    }

    #[test]
    fn a_node_that_was_never_asked_does_not_count() {
        let mut tally = Tally::default();
        tally.ask(NodeId(1));
        tally.answer(NodeId(2), ());
        assert_eq!(tally.verdict(1, |_, ()| true, 0), Verdict::NotYet);
    }

    #[test]
    fn a_node_that_was_given_up_still_counts_when_it_answers() {
        let mut tally = Tally::default();
        tally.ask(NodeId(1));
        assert!(tally.fail(NodeId(1), || "lost".into()));
        assert_eq!(tally.verdict(1, |_, ()| true, 0), Verdict::Impossible);
        tally.answer(NodeId(1), ());
        assert_eq!(tally.verdict(1, |_, ()| true, 0), Verdict::Met);
    }
}
