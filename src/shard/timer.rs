//! The timers of a shard, named by what they mean.

use crate::ids::{ConnectionId, NodeId, OpId, RequestId};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// Ping silent peers, suspect those that stay silent.
    Liveness,
    /// A client's deadline on a command that waits for an earlier one of its connection on its key.
    Waiting(ConnectionId, RequestId),
    /// A client's deadline on a read, a write or a forward.
    OpDeadline(OpId),
    /// No quorum yet: ask more nodes.
    OpWiden(OpId),
    /// The oldest entry of the ledger becomes a debt.
    Ledger,
    /// Deliver what is owed to a node.
    Delivery(NodeId),
    /// Look for exchanges that are due.
    ExchangeSchedule,
    /// The next page of an exchange may be read, here or for a co-owner.
    Pace(OpId),
    /// An exchange got no answer.
    ExchangeTimeout(OpId),
    /// A comparison by trees got no answer, or its pause is over.
    Walk(OpId),
    /// The next round of questions about newborn partitions.
    Newborn,
    /// The next round of questions about what can be settled.
    Stability,
    /// The pause after a page of a survey or a sweep is over.
    ScanPage(OpId),
    /// What the keeper of the layout does from time to time.
    Council,
    /// An attempt to have a layout decided has not come to an end.
    Proposal,
    /// Who asked how far a change is has waited long enough.
    Progress,
    /// The time for the answers that a recovery waits for is over.
    Recovery,
    /// The pause after a page of a tree that is being built is over.
    TreePage(OpId),
}
