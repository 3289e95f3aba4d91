//! Placement: which nodes own which partition.
use super::PreferenceList;
use crate::membership::Layout;

pub(super) fn place(layout: &Layout) -> Vec<PreferenceList> {
    let ids: Vec<_> = layout.members.iter().map(|m| m.id).collect();
    (0..usize::from(layout.partitions))
        .map(|p| {
            let walk: Vec<_> = (0..ids.len()).map(|i| ids[(p + i) % ids.len()]).collect();
            let n = usize::from(layout.replicas);
            PreferenceList::new(walk[..n].to_vec(), walk[n..].iter().take(2).copied().collect())
        })
        .collect()
}
