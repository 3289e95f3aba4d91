//! Facts that a shard reports as they happen: logs, metrics, the dashboard and the checkers all read these.

use crate::causality::{ActorId, Dot, Tenure, Tick};
use crate::ids::{NodeId, PartitionId, RowVersion};
use crate::membership::Phase;
use crate::message::peer::Marks;
use crate::storage::RowKey;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A new dot was minted, for this delta. The log of these proves that no dot is minted twice.
    Minted {
        /// Where.
        row: RowKey,
        /// Which.
        dot: Dot,
        /// Hash of the delta: two different writes under one dot differ in it.
        delta_hash: u64,
    },
    /// An own entry came back that this node does not remember: the tenure was burnt.
    Amnesia {
        /// Where.
        row: RowKey,
        /// The entry's actor.
        actor: ActorId,
        /// The entry's event.
        event: u64,
        /// The tenure from now on.
        tenure: Tenure,
    },
    /// A peer stopped answering.
    PeerSuspected {
        /// Who.
        node: NodeId,
    },
    /// A peer answers (again).
    PeerReachable {
        /// Who.
        node: NodeId,
    },
    /// A row is owed to an owner.
    DebtRecorded {
        /// To whom.
        owner: NodeId,
        /// Which row.
        row: RowKey,
        /// Its version.
        version: RowVersion,
    },
    /// An owner acknowledged what was owed.
    DebtStruck {
        /// Who.
        owner: NodeId,
        /// Which row.
        row: RowKey,
    },
    /// A row that belongs to others was delivered to all of them and deleted here.
    HintDropped {
        /// Which row.
        row: RowKey,
    },
    /// Debts to an owner are at their bound: this partition waits for an exchange.
    NeedsRepair {
        /// Whom it is owed.
        owner: NodeId,
        /// Where.
        partition: PartitionId,
    },
    /// What stands on disk cannot be read any more, and never will be. Nobody takes it for absent; the node begins anew with an
    /// empty directory as soon as the other owners can bring the data back.
    Damaged {
        /// What the store said.
        detail: String,
    },
    /// An exchange that began after that is complete: nothing of it is left.
    RepairProved {
        /// Who lacked something.
        owner: NodeId,
        /// Where.
        partition: PartitionId,
    },
    /// A newborn owner took over its data, or all owners founded the partition together.
    Established {
        /// Which.
        partition: PartitionId,
        /// All owners were newborn: a new cluster, or the loss of every disk.
        is_founding: bool,
    },
    /// From now on this node refuses clients' events up to this tick, and as a fallback holds none.
    Sealed {
        /// Where.
        partition: PartitionId,
        /// Up to here.
        tick: Tick,
    },
    /// From now on ticks up to this one change only by exchange.
    Frozen {
        /// Where.
        partition: PartitionId,
        /// Up to here.
        tick: Tick,
    },
    /// All owners hold the same up to this tick: entries are replaced by their sums.
    Compacted {
        /// Where.
        partition: PartitionId,
        /// Up to here.
        tick: Tick,
    },
    /// The same of baselines; tombstones are forgotten.
    Folded {
        /// Where.
        partition: PartitionId,
        /// Up to here.
        tick: Tick,
    },
    /// A node of the accept set has settled further than this directory ever was, although it rests on what this directory
    /// said: it was replaced by an earlier copy, or lost what it had synced. An owner takes its data over anew, and gives up
    /// what was deleted and forgotten meanwhile; a fallback refuses what it had sealed.
    MemoryLost {
        /// Where.
        partition: PartitionId,
        /// Who proves it.
        peer: NodeId,
        /// How far the peer is settled.
        theirs: Marks,
        /// How far this directory remembers.
        own: Marks,
    },
    /// A row held what the others have forgotten: that part is given up.
    GivenUp {
        /// Which row.
        row: RowKey,
    },
    /// A hint of what this node had sealed once, which the owner refuses: it was delivered before this directory was replaced
    /// by an earlier copy, or taken after that by this node alone, and is lost.
    HintLost {
        /// Which row.
        row: RowKey,
        /// Whom it was owed.
        owner: NodeId,
    },
    /// A read found that this owner lacked something, and it has it now.
    Repaired {
        /// Which row.
        row: RowKey,
        /// The coordinator of the read.
        from: NodeId,
    },
    /// A message was refused, for it would have changed what is frozen, or brought what is sealed.
    FrozenRefused {
        /// Where.
        row: RowKey,
        /// From whom.
        from: NodeId,
    },
    /// An exchange with a co-owner ended.
    ExchangeDone {
        /// Which partition.
        partition: PartitionId,
        /// With whom.
        peer: NodeId,
        /// Rows that came.
        received: u64,
        /// Rows that went.
        sent: u64,
    },
    /// The tree of a partition is whole: all of its rows were looked through.
    TreeBuilt {
        /// Which partition.
        partition: PartitionId,
        /// The tree that was kept up until now says something else: rows were lost or changed beneath the shard.
        differs: bool,
    },
    /// A write or a merge left two types live, a text beside increments that it did not see, or increments that a put or a
    /// delete did not see. Told when a key or a field comes into this state.
    Conflict {
        /// Where.
        row: RowKey,
    },
    /// A row on disk or from a peer could not be read.
    Malformed {
        /// Where.
        row: RowKey,
        /// What was wrong.
        detail: String,
    },
    /// The own clock is ahead of the peers' median by more than the bound, or no longer.
    ClockAhead {
        /// Unit: milliseconds.
        ahead_ms: u64,
        /// Whether register writes are refused now.
        is_refusing: bool,
    },
    /// Two live processes claim one member id, or no longer. If it is this node's, it refuses writes meanwhile.
    TwoClaimants {
        /// The member.
        node: NodeId,
        /// It began; else it ended.
        is_contested: bool,
    },
    /// This shard acts by another layout.
    LayoutAdopted {
        /// Its number.
        number: u64,
    },
    /// An owner to come, or one that stays, has all that the owners of before had.
    PartitionSynced {
        /// Which.
        partition: PartitionId,
        /// Rows that came for that, in this start.
        rows: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// All owners have what this node had, which is none any more: it holds nothing of the partition.
    PartitionCleared {
        /// Which.
        partition: PartitionId,
        /// Rows that went for that, in this start.
        rows: u64,
        /// Their bytes.
        bytes: u64,
        /// Number of the layout.
        number: u64,
    },
    /// A layout was decided, and is taken up as soon as its view is built.
    LayoutDecided {
        /// Its number.
        number: u64,
        /// How far the change is with it.
        phase: Phase,
    },
    /// Two layouts of one number are about, or one that does not follow the own: neither is taken over the other.
    RivalLayout {
        /// Who acts by the other one.
        from: NodeId,
        /// Its number.
        number: u64,
    },
    /// A record of the layout is larger than any can be, and was not written.
    LayoutUnkept {
        /// What was wrong.
        detail: String,
    },
    /// A message of another layout epoch.
    ForeignLayout {
        /// Who sent it.
        from: NodeId,
        /// Number of its epoch.
        number: u64,
    },
}
