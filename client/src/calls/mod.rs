//! The calls about keys, type by type.
//!
//! ```text
//! value       get, put, delete, expire, siblings, flags, sketches; where a key lies
//! counter     increments that count once, reset and set-to
//! collection  what sets, maps and sorted sets share
//! ```

mod collection;
mod counter;
mod map;
mod set;
mod sorted_set;
mod value;

pub use map::{Map, MapPages};
pub use set::{Set, SetPages};
pub use sorted_set::{SortedSet, SortedSetPages};

use starling::ids::Key;
use starling::message::client::{Command, ObservedReply, Options, Response, WriteReply};

use crate::caller::Caller;
use crate::error::Error;

impl Caller {
    async fn write(&self, key: &Key, command: Command, options: &Options) -> Result<WriteReply, Error> {
        match self.key_call(key, command, options).await? {
            (_, Response::Written(reply)) => Ok(reply),
            (node, other) => Err(self.mismatch_of_write(node, &other)),
        }
    }

    async fn observe(&self, key: &Key, command: Command, options: &Options) -> Result<ObservedReply, Error> {
        match self.key_call(key, command, options).await? {
            (_, Response::Observed(reply)) => Ok(reply),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }
}
