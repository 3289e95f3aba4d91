//! What co-owners compare before they exchange rows ([`crate::antientropy::tree`]).

use serde::{Deserialize, Serialize};

use super::{Marks, Refusal};
use crate::causality::Epoch;
use crate::ids::OpId;

/// What some nodes of the initiator's tree of a partition add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeOffer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// Numbers the questions of the dialogue, from 1. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// At most [`crate::limits::TREE_NODES_MAX`].
    pub nodes: Vec<TreeNode>,
    /// The initiator's directory, and how far the partition is settled there.
    pub marks: Marks,
}

/// A node of a tree and its sum. Travels without the names of its parts: there are many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u8, u32, u32, u128)", into = "(u8, u32, u32, u128)")]
pub struct TreeNode {
    /// How many bits of a row's place in the partition are given.
    pub bits: u8,
    /// These.
    pub prefix: u32,
    /// Rows below it.
    pub rows: u32,
    /// What they add up to.
    pub hash: u128,
}

impl From<(u8, u32, u32, u128)> for TreeNode {
    fn from((bits, prefix, rows, hash): (u8, u32, u32, u128)) -> TreeNode {
        TreeNode { bits, prefix, rows, hash }
    }
}

impl From<TreeNode> for (u8, u32, u32, u128) {
    fn from(TreeNode { bits, prefix, rows, hash }: TreeNode) -> (u8, u32, u32, u128) {
        (bits, prefix, rows, hash)
    }
}

/// Answer to [`TreeOffer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeAnswer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// The start of the initiator.
    pub epoch: Epoch,
    /// Which question is answered. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// What was found, or why it cannot go on.
    pub outcome: Result<TreeFindings, Refusal>,
}

/// What a responder found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeFindings {
    /// Places, in the offer, of the nodes that add up to something else here. `None`: the two trees say nothing of each
    /// other now, so rows must be compared.
    pub differing: Option<Vec<u16>>,
    /// The responder is still looking through the partition for its tree: asked again later, it may say more.
    #[serde(default)]
    pub is_building: bool,
    /// How many bits name a leaf of the responder's tree.
    pub leaf_bits: u8,
    /// The responder's directory, and how far the partition is settled there.
    pub marks: Marks,
}
