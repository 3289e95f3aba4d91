//! Restoring: the directories of a cluster that is no more become those of a new one.
//!
//! ```text
//! backups of several nodes (each true to its own log, none of the same moment)
//!   copies    a partition's rows of every backup, row by row, those that are settled furthest first
//!   family    the rows of one key are merged, and brought into their normal form
//!   writer    the owners of the new layout get equal rows, and memory that says how far these are settled
//! ```
//!
//! Called by the shell's `restore`, offline, and by simulations. Always into a cluster with another id: no node, client,
//! certificate, context or token of the old one is heard there, so nothing that was under way can meddle. The directories
//! get no record of a start: the first one makes a new incarnation and a new epoch, so no dot of the past is minted again.
//!
//! Backups of different moments are merged as co-owners merge. One that is older than something that the furthest of them,
//! the *base*, has settled is joined as a directory is that was replaced by an earlier copy: of what the base has forgotten
//! it keeps nothing that the base does not show (`value/giving_up`); everything younger is merged. Sums of expired actors are functions of their tick, so counters stay exact. What fallbacks hold for owners is
//! merged last, and owed to nobody any more.
//!
//! What holds afterwards: every write is there that an owner or fallback with a backup held when its backup was made, or what has
//! taken its place in another backup; so what was acknowledged by W before the first backup is there, unless W owners or more have
//! no backup, which is refused. What was written since may be there or not, and takes with it what it had seen. A hint
//! that was delivered, and dropped, between the backup of its owner and that of its holder is in neither: two backups of
//! every node, one round after the other, hold that too, for there may be several of a node. What
//! was deleted and forgotten does not come back; how far ticks are sealed is kept, so an increment of a session that is sent
//! again counts once, or is refused as expired.
//!
//! Costs one pass over all backups. Memory: a page of rows for each backup, the main row of one key and one batch.

mod checks;
mod copies;
mod family;
mod writer;

use std::sync::Arc;

use crate::causality::Tick;
use crate::config::ShardConfig;
use crate::ids::{ClusterId, NodeId, PartitionId};
use crate::membership::{Layout, LayoutError};
use crate::replica::{OpenError, PartitionMemory};
use crate::ring::RingView;
use crate::storage::{Store, StoreError};

/// A backup: the directory of one node as it was.
#[derive(Clone, Debug)]
pub struct Source {
    /// What errors call it.
    pub name: String,
    /// The layout under which its node acted.
    pub layout: Layout,
    /// Whose it is.
    pub node: NodeId,
    /// What stands in it. Only read.
    pub store: Arc<dyn Store>,
}

/// An empty directory of a member of the new cluster.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose it will be.
    pub node: NodeId,
    /// Where to write.
    pub store: Arc<dyn Store>,
}

/// A partition of which some owners have no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub partition: PartitionId,
    /// Owners without a backup, or whose backup had not taken the partition over.
    pub owners: Vec<NodeId>,
    /// Owners with one, each counted once.
    pub present: usize,
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rows that were read, over all backups.
    pub rows_read: u64,
    /// Rows that the new cluster begins with, each counted once.
    pub rows: u64,
    /// Of these, the main rows: keys.
    pub keys: u64,
    /// Partitions of which some owners have no backup: what only these held is not there.
    pub missing: Vec<Missing>,
}

/// Nothing was restored; what stands in the targets is of no use.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Nothing to restore.
    #[error("no backup is given; name at least one")]
    NoBackup,
    /// Backups of two clusters.
    #[error("{name} is of cluster {found}, the others are of {expected}; restore each cluster by itself")]
    OtherCluster {
        /// Which backup.
        name: String,
        /// Whose it is.
        found: ClusterId,
        /// Whose the others are.
        expected: ClusterId,
    },
    /// The new cluster is the old one.
    #[error(
        "the layout to restore into is of cluster {0}, from which the backups are; make a new one with init-cluster, so that \
         nothing of the old one can be taken for the new one's"
    )]
    OldCluster(ClusterId),
    /// Keys lie in other partitions.
    #[error(
        "the new cluster has {found} partitions, {name} has {expected}; make the new one with --partitions {expected}"
    )]
    Partitions {
        /// Which backup.
        name: String,
        /// Of the new layout.
        found: u16,
        /// Of the backup's.
        expected: u16,
    },
    /// A layout that cannot be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The directory in a backup is not what it should be.
    #[error("{name}: {source}")]
    Backup {
        /// Which backup.
        name: String,
        /// What is wrong.
        source: OpenError,
    },
    /// A row of a backup cannot be read. Never to be taken for absent.
    #[error("{name}: {detail}; take another backup of that node, or restore without this one")]
    Damaged {
        /// Which backup.
        name: String,
        /// Where and why.
        detail: String,
    },
    /// What the backups hold of a row does not fit together in one.
    #[error("what the backups hold of {row} takes more than a row may; restore from fewer of them")]
    RowTooLarge {
        /// Which.
        row: String,
    },
    /// A member that owns something has no directory.
    #[error("member {0} of the new layout has no directory to restore into")]
    NoTarget(NodeId),
    /// A directory that holds something.
    #[error("the directory of member {0} is not empty; restore into new ones only")]
    NotEmpty(NodeId),
    /// No owner at all.
    #[error(
        "of {count} partitions no owner has a backup (the first: {first:?}): all that stands in them is missing; name further \
         backups, or accept the loss of these partitions"
    )]
    OwnersMissing {
        /// How many.
        count: usize,
        /// The first ones.
        first: Vec<PartitionId>,
    },
    /// So many owners without a backup that they alone may hold what was acknowledged.
    #[error(
        "acknowledged writes may be missing: of {count} partitions up to {owners} of {of} owners have no backup, and a write is \
         acknowledged when {needed} hold it (the first: {first:?}); name further backups, or accept the loss of such writes"
    )]
    WritesMissing {
        /// Partitions.
        count: usize,
        /// The first ones.
        first: Vec<PartitionId>,
        /// Owners without a backup, in the partition with most of them.
        owners: usize,
        /// Owners of a partition.
        of: usize,
        /// W of the old cluster.
        needed: u8,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Restores into empty directories. `config` holds the old cluster's tick, and the longest lease of its actors.
/// `accepts_loss`: go on although of some partitions no owner has a backup, or so few that acknowledged writes may be missing. On an error the targets are of no use.
pub fn restore(
    sources: &[Source],
    layout: &Layout,
    targets: &[Target],
    config: &ShardConfig,
    accepts_loss: bool,
) -> Result<Restored, RestoreError> {
    let ring = RingView::new(layout.clone())?;
    let sources = checks::sources(sources, layout)?;
    checks::targets(&ring, targets)?;
    let missing = checks::missing(&sources, accepts_loss)?;
    let mut restored = Restored { missing, ..Restored::default() };
    for partition in ring.partitions() {
        let mut copies = copies::Copies::of(&sources, partition, layout.partitions);
        let level = copies.level();
        let mut writer = writer::Writer::to(ring.owners(partition), targets);
        let mut family: Option<family::Family<'_>> = None;
        while let Some((row, found)) = copies.next_row()? {
            restored.rows_read += found.len() as u64;
            let main = row.main_row();
            if family.as_ref().is_none_or(|family| *family.main() != main) {
                if let Some(family) = family.take() {
                    family.end(&mut writer)?;
                }
                family = Some(family::Family::new(main, level, config));
            }
            if let Some(family) = &mut family {
                family.take(&row, found, &mut writer)?;
            }
        }
        if let Some(family) = family {
            family.end(&mut writer)?;
        }
        let (rows, keys) = writer.end(partition, &level)?;
        restored.rows += rows;
        restored.keys += keys;
    }
    for target in targets {
        target.store.sync()?;
    }
    Ok(restored)
}

/// How far the backups of a partition are settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level {
    /// What the owner with a backup remembers that has forgotten most; nothing, if no owner has one.
    base: Option<PartitionMemory>,
    /// What the owners of the new cluster remember.
    memory: PartitionMemory,
}

impl Level {
    /// Of ticks up to here, what the base does not show is forgotten.
    fn folded(&self) -> Tick {
        self.base.map_or(Tick(0), |base| base.folded)
    }
}

#[cfg(test)]
mod tests;
