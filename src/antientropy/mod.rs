//! Anti-entropy: co-owners compare their rows and each takes what it lacks.
//!
//! ```text
//! schedule.rs  which partition with whom: at start, at reconnect, on a timer; a newborn owner's first
//! plan.rs      what is exchanged with whom, and how it ended
//! exchange.rs  the exchanges that this node has begun
//! dialogue.rs  one of them, page by page
//! page.rs      what of a page travels
//! sums.rs      a page by sums of its parts: only those that differ are named row by row
//! exchanged.rs up to when this replica knows what its co-owners have
//! compared.rs  which of its partitions were equal to the co-owners' copies
//! respond.rs   the other side
//! newborn.rs   an owner with an empty directory: founding, or the first exchange
//! pace.rs      how fast rows may be read and given
//! tree.rs      the sums of a partition, by ranges of keys
//! trees.rs     keeping them up, and building them
//! kept.rs      taking them over from the stop before a start
//! walk.rs      comparing them, down to the ranges that differ
//! ```
//!
//! Two established owners compare trees first, and exchange rows only of the ranges that differ. Where trees say nothing (one
//! side is newborn, has not swept, is settled less far, or is still building its tree) all rows are compared.
//!
//! The exchange ships (row, hash of its state) for every row of a range, or, of a whole partition that should be equal, a sum for some
//! together first; differing rows travel whole, in both directions, and are merged. It finds what no debt knows of: a coordinator that died between the W-th and the last
//! acknowledgement, a lost replica message, a wiped directory. Costs one sum
//! per partition, co-owner and interval while all is equal; else one hash per row of a range, or a sum for every 32 rows.
//! Called by the shard. Source: Dynamo 2007 §4.7.

mod compared;
mod dialogue;
mod exchange;
mod exchanged;
pub(crate) mod kept;
mod newborn;
mod pace;
mod page;
mod plan;
mod respond;
mod schedule;
mod sums;
pub mod tree;
mod trees;
mod walk;

pub use compared::Compared;
pub use exchange::Exchanges;
pub use exchanged::{Began, Exchanged};
pub use newborn::{Finding, Newborns};
pub use pace::{Haste, Pace};
pub use plan::{Aim, Outcome, Plan};
pub use respond::Responders;
pub use schedule::{Kind, Schedule};
pub use trees::{Built, Trees};
pub use walk::{WALKS_MAX, Walked, Walks, answer as answer_tree};
