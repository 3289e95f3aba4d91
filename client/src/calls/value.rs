//! Calls about a key as a whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use starling::ids::{Key, NodeId};
use starling::limits;
use starling::message::client::{
    AnswerBody, CallBody, Command, Location, ObservedReply, Options, Reason, ReplicaView, Request, Response,
    ValueReply, WriteReply,
};
use starling::time::{WallTime, micros};

use crate::Client;
use crate::error::Error;

impl Client {
    /// The merged value of a key: a number, a text, a flag, the count of a sketch.
    pub async fn get(&self, key: &Key, options: &Options) -> Result<ValueReply, Error> {
        match self.caller.key_call(key, Command::Get, options).await? {
            (_, Response::Value(reply)) => Ok(reply),
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Writes a value and covers the counter that was seen. At most [`limits::VALUE_BYTES_MAX`] bytes.
    pub async fn put(&self, key: &Key, value: Bytes, options: &Options) -> Result<WriteReply, Error> {
        check_value(&value)?;
        self.caller.write(key, Command::Put { value }, options).await
    }

    /// Deletes what was seen of a key.
    pub async fn delete(&self, key: &Key, options: &Options) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::Delete, options).await
    }

    /// Lets the key go this long from now, by this machine's clock.
    pub async fn expire_in(&self, key: &Key, after: Duration, options: &Options) -> Result<WriteReply, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.expire_at(key, WallTime(micros(now.saturating_add(after))), options).await
    }

    /// Lets the key go at a moment. Increments that had not seen the deadline may go with it.
    pub async fn expire_at(&self, key: &Key, deadline: WallTime, options: &Options) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::Expire { deadline: Some(deadline) }, options).await
    }

    /// Lets the key stay for good.
    pub async fn persist(&self, key: &Key, options: &Options) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::Expire { deadline: None }, options).await
    }

    /// All concurrent values of a key, and the context that [`Client::put_sibling`] needs to replace them.
    pub async fn siblings(&self, key: &Key, options: &Options) -> Result<ObservedReply, Error> {
        self.caller.observe(key, Command::Siblings, options).await
    }

    /// Writes a value in place of those that the context has seen; what it has not seen stays beside it. Without a
    /// context it has seen nothing.
    pub async fn put_sibling(
        &self,
        key: &Key,
        value: Bytes,
        context: Option<Bytes>,
        options: &Options,
    ) -> Result<WriteReply, Error> {
        check_value(&value)?;
        self.caller.write(key, Command::PutSibling { value, context }, options).await
    }

    /// Raises or lowers a flag. Raising wins over a lowering that did not see it.
    pub async fn set_flag(&self, key: &Key, on: bool, options: &Options) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::SetFlag { on }, options).await
    }

    /// Adds items to a sketch that counts distinct ones; [`Client::get`] shows the count, with an error of about 1 %.
    pub async fn add_to_sketch(&self, key: &Key, items: Vec<Bytes>, options: &Options) -> Result<WriteReply, Error> {
        check_count("items", items.len())?;
        self.caller.write(key, Command::AddToSketch { items }, options).await
    }

    /// The own, unmerged view that one node has of a key.
    pub async fn inspect(&self, node: NodeId, key: &Key, options: &Options) -> Result<ReplicaView, Error> {
        self.caller.engine.nodes().check(node)?;
        let request = Request { key: key.clone(), command: Command::Inspect, options: options.clone() };
        match self.caller.carry_out(&[node], CallBody::Key(request), options, false).await? {
            (_, AnswerBody::Key(Response::Inspected(view))) => Ok(view),
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Where a key lies, as the cluster sees it. [`Client::ring`] answers the same from the bundle.
    pub async fn locate(&self, key: &Key, options: &Options) -> Result<Location, Error> {
        match self.caller.key_call(key, Command::Locate, options).await? {
            (_, Response::Located(location)) => Ok(location),
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }
}

/// Refuses a value that every node would refuse.
fn check_value(value: &Bytes) -> Result<(), Error> {
    if value.len() <= limits::VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(Reason::ValueTooLarge { bytes: value.len() as u64, bytes_max: limits::VALUE_BYTES_MAX as u64 }))
}

/// Refuses more elements than one command may name.
pub(super) fn check_count(what: &str, count: usize) -> Result<(), Error> {
    if count <= limits::ELEMENTS_PER_COMMAND_MAX {
        return Ok(());
    }
    Err(Error::invalid(Reason::TooMany {
        what: what.to_owned(),
        count: count as u64,
        count_max: limits::ELEMENTS_PER_COMMAND_MAX as u64,
    }))
}
