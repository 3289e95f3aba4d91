//! The owners of every partition, written down: from the first change of a cluster of placement version 2 on, a placement is
//! what was before and what the change moved, which no function of the members alone could say.
//!
//! Two bytes per copy: 98 KiB for 16,384 partitions of three. In files that people read it is hexadecimal text.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Layout, LayoutError, Member};
use crate::ids::{NodeId, PartitionId};

/// N owners per partition, in the order of the partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerTable {
    /// Everyone that owns something.
    nodes: Vec<NodeId>,
    /// Positions in `nodes`, two bytes each, big-endian.
    #[serde(with = "hex_in_text")]
    owners: Bytes,
}

impl OwnerTable {
    /// From the owners of each partition, by their positions in the list of nodes.
    pub(crate) fn new(nodes: Vec<NodeId>, owners: &[Vec<usize>]) -> OwnerTable {
        let positions = owners.iter().flatten().map(|position| *position as u16);
        let owners = positions.flat_map(u16::to_be_bytes).collect::<Vec<u8>>().into();
        OwnerTable { nodes, owners }
    }

    /// The owners of a partition, of `replicas` each.
    pub fn owners(&self, partition: PartitionId, replicas: u8) -> impl Iterator<Item = NodeId> + '_ {
        let width = 2 * usize::from(replicas);
        let start = usize::from(partition.0) * width;
        let row = self.owners.get(start..start + width).unwrap_or_default();
        let (positions, _) = row.as_chunks::<2>();
        positions.iter().filter_map(|position| self.nodes.get(usize::from(u16::from_be_bytes(*position))).copied())
    }

    /// Unit: bytes, about.
    pub fn bytes(&self) -> usize {
        self.owners.len() + self.nodes.len() * size_of::<NodeId>()
    }

    pub(super) fn add_to(&self, hashed: &mut Vec<u8>) {
        hashed.extend_from_slice(&(self.nodes.len() as u64).to_be_bytes());
        self.nodes.iter().for_each(|node| hashed.extend_from_slice(&node.0.to_be_bytes()));
        hashed.extend_from_slice(&(self.owners.len() as u64).to_be_bytes());
        hashed.extend_from_slice(&self.owners);
    }

    /// N distinct owners per partition, all of which carry something.
    pub(super) fn check(&self, layout: &Layout, members: &[Member]) -> Result<(), LayoutError> {
        let refuse = |text: String| Err(LayoutError(text));
        let replicas = layout.replicas;
        if self.owners.len() != usize::from(layout.partitions) * usize::from(replicas) * 2 {
            return refuse(format!("its table of owners has {} bytes", self.owners.len()));
        }
        let carries: BTreeSet<NodeId> =
            members.iter().filter(|member| member.carries()).map(|member| member.id).collect();
        if let Some(node) = self.nodes.iter().find(|node| !carries.contains(node)) {
            return refuse(format!("{node} stands in its table of owners and carries nothing"));
        }
        for partition in (0..layout.partitions).map(PartitionId) {
            let owners: BTreeSet<NodeId> = self.owners(partition, replicas).collect();
            if owners.len() != usize::from(replicas) {
                return refuse(format!("partition {partition} has {} owners in its table", owners.len()));
            }
        }
        Ok(())
    }
}

/// Bytes as hexadecimal text where people read them.
mod hex_in_text {
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return bytes.serialize(serializer);
        }
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect();
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        if !deserializer.is_human_readable() {
            return Bytes::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        let bytes = bytes.filter(|_| rest.is_empty());
        bytes.map(Bytes::from).ok_or_else(|| D::Error::custom("the table of owners is no hexadecimal text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_text_and_as_bytes() {
        let table = OwnerTable::new([4, 700, 9].map(NodeId).to_vec(), &[vec![0, 1], vec![2, 0]]);
        let owners = |partition| table.owners(PartitionId(partition), 2).map(|node| node.0).collect::<Vec<_>>();
        assert_eq!([owners(0), owners(1), owners(2)], [vec![4, 700], vec![9, 4], vec![]]);
        let bytes = rmp_serde::to_vec_named(&table).unwrap();
        assert_eq!(rmp_serde::from_slice::<OwnerTable>(&bytes).unwrap(), table);
        let mut text = Vec::new();
        table.serialize(&mut rmp_serde::Serializer::new(&mut text).with_human_readable()).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("0000000100020000"));
        let read = |text: &[u8]| OwnerTable::deserialize(&mut rmp_serde::Deserializer::new(text).with_human_readable());
        assert_eq!(read(&text).unwrap(), table);
        let last = text.len() - 1;
        text[last] = b'x';
        assert!(read(&text).is_err());
    }
}
