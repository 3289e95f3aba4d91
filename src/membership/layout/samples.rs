//! Members and layouts that tests begin with.

use super::{Layout, Member};
use crate::ids::{ClusterId, NodeId};

/// Named after its number, of weight 1, in no zone.
pub(crate) fn member(number: u64) -> Member {
    Member::new(NodeId(number), format!("m{number}"), format!("host{number}:7000"))
}

/// The founding layout of the members 1 to `members`.
pub(crate) fn founded(members: u64, partitions: u16) -> Layout {
    let mut layout = Layout::founding(ClusterId([5; 16]), "test", (1..=members).map(member).collect());
    layout.partitions = partitions;
    layout.seal().unwrap()
}
