//! What must hold before the first row is read: one old cluster, another new one, the same partitions, an owner for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{Missing, RestoreError, Source, Target};
use crate::ids::{NodeId, PartitionId};
use crate::membership::Layout;
use crate::mutation::{self, Mutation};
use crate::replica::{self, PartitionMemory, Partitions};
use crate::ring::RingView;
use crate::storage::{PageLimit, Range, Space};

/// Partitions that an error names.
const NAMED_MAX: usize = 8;

/// A backup that was looked at.
#[derive(Debug)]
pub(super) struct Checked {
    pub source: Source,
    pub ring: Arc<RingView>,
    pub memories: BTreeMap<PartitionId, PartitionMemory>,
}

impl Checked {
    /// Whether this backup holds the partition's data: its node owned it, and had taken it over.
    pub fn is_owner(&self, partition: PartitionId) -> bool {
        self.ring.is_owner(partition, self.source.node)
            && self.memories.get(&partition).is_some_and(|memory| memory.is_established)
    }
}

/// Whether the backups can be restored together, into this layout.
pub(super) fn sources(sources: &[Source], layout: &Layout) -> Result<Vec<Checked>, RestoreError> {
    let expected = sources.first().ok_or(RestoreError::NoBackup)?.layout.cluster;
    if layout.cluster == expected && !mutation::is_off(Mutation::RestoredUnderOldCluster) {
        return Err(RestoreError::OldCluster(expected));
    }
    let mut checked: Vec<Checked> = Vec::with_capacity(sources.len());
    for source in sources {
        let Source { name, layout: old, node, store } = source;
        if old.cluster != expected {
            return Err(RestoreError::OtherCluster { name: name.clone(), found: old.cluster, expected });
        }
        if old.partitions != layout.partitions {
            let (found, expected) = (layout.partitions, old.partitions);
            return Err(RestoreError::Partitions { name: name.clone(), found, expected });
        }
        let wrong = |source| RestoreError::Backup { name: name.clone(), source };
        replica::check_owner(store.as_ref(), old, *node).map_err(wrong)?;
        let same = checked.iter().find(|other| other.source.layout == *old).map(|other| other.ring.clone());
        let ring = match same {
            Some(ring) => ring,
            None => Arc::new(RingView::new(old.clone())?),
        };
        let memories = Partitions::open(store.as_ref(), &ring, |_| true).map_err(wrong)?.iter().collect();
        checked.push(Checked { source: source.clone(), ring, memories });
    }
    Ok(checked)
}

/// Whether every owner of the new layout has an empty directory.
pub(super) fn targets(ring: &RingView, targets: &[Target]) -> Result<(), RestoreError> {
    for partition in ring.partitions() {
        let has = |owner: &NodeId| targets.iter().any(|target| target.node == *owner);
        if let Some(owner) = ring.owners(partition).iter().find(|owner| !has(owner)) {
            return Err(RestoreError::NoTarget(*owner));
        }
    }
    let anything = Range { start: Bytes::new(), end: None };
    for target in targets {
        for space in Space::ALL {
            let page = target.store.scan(space, &anything, PageLimit { rows: 1, bytes: 1 })?;
            if !page.entries.is_empty() {
                return Err(RestoreError::NotEmpty(target.node));
            }
        }
    }
    Ok(())
}

/// The partitions of which owners are missing: those from which the newest layout among the backups reads.
pub(super) fn missing(sources: &[Checked], accepts_loss: bool) -> Result<Vec<Missing>, RestoreError> {
    let Some(newest) = sources.iter().max_by_key(|source| source.ring.epoch()) else { return Ok(Vec::new()) };
    let mut missing = Vec::new();
    for partition in newest.ring.partitions() {
        let present: BTreeSet<NodeId> =
            sources.iter().filter(|one| one.is_owner(partition)).map(|one| one.source.node).collect();
        let readers = newest.ring.readers(partition).iter().copied();
        let owners: Vec<NodeId> = readers.filter(|owner| !present.contains(owner)).collect();
        if !owners.is_empty() {
            missing.push(Missing { partition, owners, present: present.len() });
        }
    }
    let those = |is_lost: &dyn Fn(&Missing) -> bool| -> Vec<PartitionId> {
        missing.iter().filter(|missing| is_lost(missing)).map(|missing| missing.partition).collect()
    };
    let first = |lost: &[PartitionId]| lost.iter().copied().take(NAMED_MAX).collect();
    let lost = those(&|missing| missing.present == 0);
    if !lost.is_empty() && !accepts_loss {
        return Err(RestoreError::OwnersMissing { count: lost.len(), first: first(&lost) });
    }
    // Any W owners may be the only ones that hold a write.
    let needed = newest.source.layout.write_quorum;
    let lost = those(&|missing| missing.owners.len() >= usize::from(needed));
    if !lost.is_empty() && !accepts_loss && !mutation::is_off(Mutation::RestoredWithoutQuorum) {
        let (count, first) = (lost.len(), first(&lost));
        let owners = missing.iter().map(|missing| missing.owners.len()).max().unwrap_or(0);
        let of = missing.iter().map(|missing| missing.owners.len() + missing.present).max().unwrap_or(0);
        return Err(RestoreError::WritesMissing { count, first, owners, of, needed });
    }
    Ok(missing)
}
