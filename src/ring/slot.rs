//! Key → slot → partition.
//!
//! A key's slot is the hash slot of Redis Cluster: CRC16/XMODEM of the key, or of its `{hash tag}`, modulo 16384
//! (Redis Cluster specification, "Keys hash tags"), so keys that share a tag share a slot, here and in Redis clients.

use crc::{CRC_16_XMODEM, Crc, Table};
use serde::{Deserialize, Serialize};

use crate::ids::PartitionId;
use crate::limits;

/// One of the 16384 hash slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u16);

static CRC16: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_XMODEM);

/// The slot of a key.
pub fn of_key(key: &[u8]) -> Slot {
    Slot(CRC16.checksum(hash_tag(key)) % limits::SLOTS)
}

/// The partition that a slot lies in, of `partitions` equal ones.
pub fn partition_of(slot: Slot, partitions: u16) -> PartitionId {
    PartitionId(slot.0 / (limits::SLOTS / partitions.max(1)))
}

/// What is hashed: the bytes between the first `{` and the next `}`, if there are any; else the whole key.
fn hash_tag(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    tag.unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // From the Redis Cluster specification and `CLUSTER KEYSLOT`.
        assert_eq!(of_key(b"123456789"), Slot(0x31C3));
        assert_eq!(of_key(b"foo"), Slot(12182));
        assert_eq!(of_key(b"somekey"), Slot(11058));
        assert_eq!(of_key(b"foo{hash_tag}"), Slot(2515));
        assert_eq!(of_key(b"bar{hash_tag}"), Slot(2515));
    }

    #[test]
    fn an_empty_or_open_tag_is_no_tag() {
        assert_eq!(hash_tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hash_tag(b"foo{bar"), b"foo{bar");
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
    }

    #[test]
    fn partitions_are_equal_ranges_of_slots() {
        assert_eq!(partition_of(Slot(0), 256), PartitionId(0));
        assert_eq!(partition_of(Slot(63), 256), PartitionId(0));
        assert_eq!(partition_of(Slot(64), 256), PartitionId(1));
        assert_eq!(partition_of(Slot(16_383), 256), PartitionId(255));
        assert_eq!(partition_of(Slot(16_383), 16_384), PartitionId(16_383));
    }
}
