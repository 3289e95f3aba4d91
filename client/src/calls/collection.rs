//! What sets, maps and sorted sets share: writes, reads and pages of elements. Each element is a row of its own: a call
//! costs the same whatever the size.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{
    CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, Options, PageReply, Response, WriteReply,
};

use super::value::check_count;
use crate::Client;
use crate::caller::Caller;
use crate::error::Error;

/// A collection at a key, and how its calls are carried out.
#[derive(Clone)]
pub(super) struct Collection {
    caller: Caller,
    key: Key,
    kind: CollectionKind,
    options: Options,
}

/// The elements of a collection as they come.
pub(super) struct Pages {
    collection: Collection,
    after: Option<Bytes>,
    count: u16,
    is_done: bool,
    /// Some page came from fewer than R owners.
    pub(super) is_partial: bool,
    /// Of the last page.
    pub(super) conflicts: Vec<Bytes>,
}

impl Client {
    pub(super) fn collection(&self, key: &Key, kind: CollectionKind, options: &Options) -> Collection {
        Collection { caller: self.caller.clone(), key: key.clone(), kind, options: options.clone() }
    }
}

impl Collection {
    pub(super) async fn change_all(
        &self,
        elements: impl IntoIterator<Item = Bytes>,
        change: ElementChange,
    ) -> Result<WriteReply, Error> {
        let write = |element| ElementWrite { element, change: change.clone() };
        self.write(elements.into_iter().map(write).collect()).await
    }

    pub(super) async fn write(&self, changes: Vec<ElementWrite>) -> Result<WriteReply, Error> {
        check_count("elements", changes.len())?;
        let command = Command::Collection { kind: self.kind, command: CollectionCommand::Write { changes } };
        self.caller.write(&self.key, command, &self.options).await
    }

    pub(super) async fn read(&self, elements: Vec<Bytes>) -> Result<PageReply, Error> {
        check_count("elements", elements.len())?;
        self.page(CollectionCommand::Read { elements }).await
    }

    pub(super) async fn size(&self) -> Result<u64, Error> {
        Ok(self.page(CollectionCommand::Size).await?.size)
    }

    async fn page(&self, command: CollectionCommand) -> Result<PageReply, Error> {
        let command = Command::Collection { kind: self.kind, command };
        match self.caller.key_call(&self.key, command, &self.options).await? {
            (_, Response::Page(reply)) => Ok(reply),
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }

    pub(super) fn pages(&self, count: u16) -> Pages {
        Pages {
            collection: self.clone(),
            after: None,
            count: count.max(1),
            is_done: false,
            is_partial: false,
            conflicts: Vec::new(),
        }
    }
}

impl Pages {
    pub(super) async fn next_page(&mut self) -> Result<Option<PageReply>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let command = CollectionCommand::Page { after: self.after.clone(), count: self.count };
        let page = self.collection.page(command).await?;
        // A page that does not lead on would be asked for for ever.
        self.is_done = page.next.is_none() || page.next <= self.after;
        self.after = page.next.clone();
        self.is_partial |= page.partial;
        self.conflicts.clone_from(&page.conflicts);
        Ok(Some(page))
    }
}
