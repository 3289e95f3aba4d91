//! Comparing a partition with a co-owner by trees: down from the root to the leaves that differ, twice.
//!
//! ```text
//! root ──equal──────────────────────────────────────────────────────────────────→ complete: both have the same
//!   └differs──→ its children that differ … ──→ leaves ──pause──→ the leaves once more ──equal──→ complete
//!                                                                       └differ──→ ranges for the exchange of rows
//! the trees say nothing of each other (not swept, not settled equally far) ──→ the exchange of all rows
//! one of them is still being built ──→ later, but for what is known to be lacking there: rows
//! ```
//!
//! What is being written stands on one owner a moment before it stands on the other: so only what differs both times, with
//! [`DRIFT_PAUSE`] between, is exchanged. Equal sums are equal rows at the moment of the comparison, which was after the
//! walk began: so a walk that finds all equal proves as much as an exchange, and one that finds ranges proves it of the
//! rest. Questions are numbered, and only the answer to the one that is open counts: taken for the answer to another one, a
//! repeated frame would prove what nobody has compared. Equal replicas cost one message each way, k differences at most [`limits::TREE_NODES_MAX`]-fold messages of
//! k·log(n) sums. Bounded: [`WALKS_MAX`] at once; one walk holds some sums and the leaves that it found.
//! Called by the shard's routes. Source: Dynamo 2007 §4.7.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::exchange::SILENCE_MAX;
use super::exchanged::Began;
use super::plan::{Aim, By, Outcome, Plan};
use super::respond;
use super::tree::Node;
use crate::causality::Epoch;
use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::message::peer::{Marks, PeerMessage, Refusal, TreeAnswer, TreeFindings, TreeNode, TreeOffer};
use crate::mutation::{self, Mutation};
use crate::replica::{Standing, marks};
use crate::shard::{Env, Outbox, TimerKey, Turn};

/// Pause between the two comparisons.
pub const DRIFT_PAUSE: Duration = Duration::from_millis(500);

/// Walks of one shard at once.
pub const WALKS_MAX: usize = 32;

/// More ranges than this are exchanged as one, the whole partition.
const RANGES_MAX: usize = 1024;

/// The walks that this shard has begun.
#[derive(Debug, Default)]
pub struct Walks {
    open: BTreeMap<OpId, Walk>,
}

#[derive(Debug)]
struct Walk {
    peer: NodeId,
    partition: PartitionId,
    began: Began,
    /// What the other side said of itself in its first answer and in its last.
    marks: Option<(Marks, Marks)>,
    /// How many bits name a leaf there.
    leaf_bits: u8,
    /// Nodes that an answer is awaited for; none in the pause.
    asked: Vec<Node>,
    /// Nodes to be asked about.
    ahead: VecDeque<Node>,
    /// Leaves that differ.
    found: Vec<Node>,
    is_second: bool,
    /// How many questions were asked.
    step: u32,
    /// All that the other side said was said under the own layout.
    is_current: bool,
}

/// What came of a walk.
#[derive(Clone, Debug)]
pub enum Walked {
    /// Both have the same, or it could not be brought to its end.
    Ended(Outcome),
    /// These ranges differ.
    Differs(Plan),
    /// Trees do not help now: all rows must be compared.
    SaysNothing(Plan),
}

impl Walks {
    /// Walks under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the own tree of a partition says what rows it holds, in a form that a co-owner's can have too.
    pub fn may_begin(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> bool {
        let memory = turn.memory(partition);
        let is_whole = turn.trees.whole(partition).is_some();
        env.config.trees && is_whole && memory.is_established && !memory.is_unswept
    }

    /// Begins a walk, if the own tree may be compared.
    pub fn start(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, with: (NodeId, PartitionId)) -> Option<Walked> {
        let (peer, partition) = with;
        let walk = Walk {
            peer,
            partition,
            began: Began::now(env, peer, true),
            marks: None,
            leaf_bits: u8::MAX,
            asked: Vec::new(),
            ahead: VecDeque::from([Node::ROOT]),
            found: Vec::new(),
            is_second: false,
            step: 0,
            is_current: true,
        };
        self.open.insert(op, walk);
        self.go_on(env, turn, op)
    }

    /// A node told which nodes of a tree differ. Changes nothing if it was not asked just that.
    pub fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        (from, layout): ((NodeId, PartitionId), u64),
        answer: TreeAnswer,
    ) -> Option<Walked> {
        let op = answer.op;
        let walk = self.open.get_mut(&op)?;
        if from != (walk.peer, walk.partition) || !is_step(answer.step, walk.step) {
            return None;
        }
        walk.is_current &= layout == env.ring.epoch().number;
        let asked = std::mem::take(&mut walk.asked);
        if asked.is_empty() {
            return None;
        }
        let findings = match answer.outcome {
            Ok(findings) if marks::is_known(env, turn, walk.peer, &findings.marks) => findings,
            Ok(_) | Err(_) => return self.end(&mut turn.out, op, false),
        };
        let TreeFindings { differing, is_building, leaf_bits, marks } = findings;
        let first = walk.marks.map_or(marks, |(first, _)| first);
        if first.incarnation != marks.incarnation {
            return self.end(&mut turn.out, op, false);
        }
        walk.marks = Some((first, marks));
        walk.leaf_bits = walk.leaf_bits.min(leaf_bits);
        let (Some(differing), Some(tree)) = (differing, turn.trees.whole(walk.partition)) else {
            return match is_building && !turn.needs_repair(walk.partition, walk.peer) {
                true => self.end(&mut turn.out, op, false),
                false => self.give_up(env, &mut turn.out, op),
            };
        };
        let mut least = 0;
        for place in differing {
            // Each place once: a repeated one would have its children asked about again and again.
            let node = asked.get(usize::from(place)).copied().filter(|_| usize::from(place) >= least);
            let Some(node) = node else { return self.end(&mut turn.out, op, false) };
            least = usize::from(place) + 1;
            let before = walk.ahead.len();
            walk.ahead.extend(tree.children(node, walk.leaf_bits));
            if walk.ahead.len() == before {
                walk.found.push(node);
            }
        }
        self.go_on(env, turn, op)
    }

    /// The pause is over, or nothing was heard for too long.
    pub fn on_timer(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) -> Option<Walked> {
        let is_pausing = self.open.get(&op)?.asked.is_empty();
        if is_pausing { self.go_on(env, turn, op) } else { self.end(&mut turn.out, op, false) }
    }

    /// A peer is lost: its walks end.
    pub fn on_lost(&mut self, out: &mut Outbox, node: NodeId) -> Vec<Outcome> {
        self.abandon_those(out, |walk| walk.peer == node)
    }

    /// What this owner holds of a partition is in doubt: its walks end.
    pub fn abandon(&mut self, out: &mut Outbox, partition: PartitionId) -> Vec<Outcome> {
        self.abandon_those(out, |walk| walk.partition == partition)
    }

    /// Another layout is taken up: what was compared so far is of before.
    pub fn abandon_all(&mut self, out: &mut Outbox) {
        self.abandon_those(out, |_| true);
    }

    fn abandon_those(&mut self, out: &mut Outbox, which: impl Fn(&Walk) -> bool) -> Vec<Outcome> {
        let ops: Vec<OpId> = self.open.iter().filter(|(_, walk)| which(walk)).map(|(op, _)| *op).collect();
        let ended = ops.into_iter().filter_map(|op| self.end(out, op, false));
        ended.filter_map(|walked| if let Walked::Ended(outcome) = walked { Some(outcome) } else { None }).collect()
    }

    /// Asks about the next nodes, or comes to the end of this comparison.
    fn go_on(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) -> Option<Walked> {
        let walk = self.open.get_mut(&op)?;
        if !walk.ahead.is_empty() {
            let tree = turn.trees.whole(walk.partition).filter(|_| Walks::may_begin(env, turn, walk.partition));
            let Some(tree) = tree else { return self.give_up(env, &mut turn.out, op) };
            walk.asked = walk.ahead.drain(..walk.ahead.len().min(limits::TREE_NODES_MAX)).collect();
            let sums = walk.asked.iter().map(|node| (*node, tree.sum(*node).unwrap_or_default()));
            let named = |(Node { bits, prefix }, sum): (Node, super::tree::Sum)| TreeNode {
                bits,
                prefix,
                rows: sum.rows,
                hash: sum.hash,
            };
            walk.step = walk.step.saturating_add(1);
            let (step, nodes) = (walk.step, sums.map(named).collect());
            let offer = TreeOffer { op, step, nodes, marks: marks::marks(env, turn, walk.partition) };
            // The sums show rows of every turn sealed so far.
            let ticket = turn.out.sealed_ticket();
            turn.out.send_after(ticket, walk.peer, walk.partition, PeerMessage::TreeOffer(offer));
            turn.out.set_timer(TimerKey::Walk(op), env.now.mono.after(SILENCE_MAX));
            return None;
        }
        if walk.found.is_empty() {
            return self.end(&mut turn.out, op, true);
        }
        if !walk.is_second && !mutation::is_off(Mutation::ComparedOnce) {
            walk.is_second = true;
            walk.ahead = std::mem::take(&mut walk.found).into();
            turn.out.set_timer(TimerKey::Walk(op), env.now.mono.after(DRIFT_PAUSE));
            return None;
        }
        let found = std::mem::take(&mut walk.found);
        let ranges = turn.trees.whole(walk.partition).map(|tree| tree.ranges(found)).unwrap_or_default();
        if ranges.is_empty() || ranges.len() > RANGES_MAX {
            return self.give_up(env, &mut turn.out, op);
        }
        turn.out.cancel_timer(&TimerKey::Walk(op));
        let Walk { peer, partition, began, marks, is_current, .. } = self.open.remove(&op)?;
        let (aim, by, ranges) = (Aim::Both, By::Hashes, ranges.into());
        Some(Walked::Differs(Plan { peer, partition, aim, ranges, by, began, marks, is_current }))
    }

    /// Trees do not help: all rows are exchanged.
    fn give_up(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Option<Walked> {
        out.cancel_timer(&TimerKey::Walk(op));
        let Walk { peer, partition, .. } = self.open.remove(&op)?;
        Some(Walked::SaysNothing(Plan::whole(env, peer, partition, Aim::Both)))
    }

    fn end(&mut self, out: &mut Outbox, op: OpId, is_complete: bool) -> Option<Walked> {
        out.cancel_timer(&TimerKey::Walk(op));
        let Walk { partition, peer, began, marks, is_current, .. } = self.open.remove(&op)?;
        let (has_taken, is_full) = (is_complete, false);
        let (aim, received, sent, bytes, rows_there) = (Aim::Both, 0, 0, 0, None);
        Some(Walked::Ended(Outcome {
            partition,
            peer,
            aim,
            is_complete,
            has_taken,
            is_full,
            is_current,
            began,
            marks,
            received,
            sent,
            bytes,
            rows_there,
        }))
    }
}

/// A co-owner asks which nodes of the own tree add up to something else.
pub fn answer(
    env: &Env<'_>,
    turn: &mut Turn,
    standing: Standing,
    from: ((NodeId, Epoch), PartitionId),
    offer: TreeOffer,
) {
    let ((node, epoch), partition) = from;
    let refusal = respond::refusal(env, turn, standing, (node, partition), &offer.marks);
    let outcome = match refusal {
        Some(refusal) => Err(refusal),
        None if offer.nodes.len() > limits::TREE_NODES_MAX || !is_bounded(turn, partition, &offer) => {
            Err(Refusal::Failed("more sums than one message may name".into()))
        }
        None => Ok(findings(env, turn, partition, &offer)),
    };
    let answer = PeerMessage::TreeAnswer(TreeAnswer { op: offer.op, step: offer.step, epoch, outcome });
    // The sums show rows of every turn sealed so far.
    turn.out.send_after(turn.out.sealed_ticket(), node, partition, answer);
}

/// Whether an answer is to the question that is open. Programs that do not number them say 0.
pub(super) fn is_step(answered: u32, asked: u32) -> bool {
    answered == asked || answered == 0 || mutation::is_off(Mutation::AnyAnswerTaken)
}

/// Whether the nodes of an offer have no more leaves than the tree: each place is asked about once.
fn is_bounded(turn: &Turn, partition: PartitionId, offer: &TreeOffer) -> bool {
    let Some(tree) = turn.trees.whole(partition) else { return true };
    let leaves = |node: &TreeNode| 1_u64 << tree.leaf_bits().saturating_sub(node.bits);
    offer.nodes.iter().map(leaves).sum::<u64>() <= 1 << tree.leaf_bits()
}

fn findings(env: &Env<'_>, turn: &Turn, partition: PartitionId, offer: &TreeOffer) -> TreeFindings {
    let marks = marks::marks(env, turn, partition);
    let is_level = (marks.compacted, marks.folded) == (offer.marks.compacted, offer.marks.folded);
    let tree = turn.trees.whole(partition).filter(|_| is_level && Walks::may_begin(env, turn, partition));
    let differs = |node: &TreeNode| {
        let sum = tree?.sum(Node { bits: node.bits, prefix: node.prefix })?;
        Some((sum.rows, sum.hash) != (node.rows, node.hash))
    };
    let all: Option<Vec<bool>> = offer.nodes.iter().map(differs).collect();
    let is_building = turn.trees.is_awaited(env, partition);
    let places = |all: Vec<bool>| (0_u16..).zip(all).filter(|(_, differs)| *differs).map(|(place, _)| place).collect();
    TreeFindings { differing: all.map(places), is_building, leaf_bits: tree.map_or(0, |tree| tree.leaf_bits()), marks }
}
