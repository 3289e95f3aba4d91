//! Maps: each field holds a value or a number.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionKind, ElementChange, ElementWrite, Options, PageReply, Visible, WriteReply};

use super::collection::{Collection, Pages};
use crate::Client;
use crate::error::Error;

/// A map: each field holds a value or a number.
#[derive(Clone)]
pub struct Map(Collection);

/// The fields of a map, page by page. See [`crate::SetPages`].
pub struct MapPages(Pages);

impl Client {
    /// The map at a key; all its calls have these options.
    pub fn map(&self, key: &Key, options: &Options) -> Map {
        Map(self.collection(key, CollectionKind::Map, options))
    }
}

impl Map {
    /// Writes fields, all or none.
    pub async fn put(&self, fields: impl IntoIterator<Item = (Bytes, Bytes)>) -> Result<WriteReply, Error> {
        let change = |(element, value)| ElementWrite { element, change: ElementChange::Put(value) };
        self.0.write(fields.into_iter().map(change).collect()).await
    }

    /// Adds to the number in a field. It is not tagged: never sent again by itself.
    pub async fn increment(&self, field: Bytes, by: i64) -> Result<WriteReply, Error> {
        self.0.write(vec![ElementWrite { element: field, change: ElementChange::Increment(by) }]).await
    }

    /// What a field holds; `None`: there is no such field.
    pub async fn get(&self, field: Bytes) -> Result<Option<Visible>, Error> {
        Ok(self.0.read(vec![field]).await?.elements.into_iter().next().map(|(_, value)| value))
    }

    /// What fields hold; those that are not there are left out.
    pub async fn get_all(&self, fields: impl IntoIterator<Item = Bytes>) -> Result<Vec<(Bytes, Visible)>, Error> {
        Ok(self.0.read(fields.into_iter().collect()).await?.elements)
    }

    /// As [`Map::get_all`], with what else the answer says: whether it is partial, and which of the fields are in conflict.
    pub async fn read(&self, fields: impl IntoIterator<Item = Bytes>) -> Result<PageReply, Error> {
        self.0.read(fields.into_iter().collect()).await
    }

    /// Removes fields, all or none.
    pub async fn remove(&self, fields: impl IntoIterator<Item = Bytes>) -> Result<WriteReply, Error> {
        self.0.change_all(fields, ElementChange::Remove).await
    }

    /// How many fields there are: an estimate while writes are on their way.
    pub async fn size(&self) -> Result<u64, Error> {
        self.0.size().await
    }

    /// The fields with what they hold, at most so many per page.
    pub fn pages(&self, count: u16) -> MapPages {
        MapPages(self.0.pages(count))
    }
}

impl MapPages {
    /// Whether some page came from fewer than R owners: this side of a split may lack writes of the other.
    pub fn is_partial(&self) -> bool {
        self.0.is_partial
    }

    /// Of the last page, the fields in which a text stands beside increments that it did not see: a put or a removal covers
    /// these.
    pub fn conflicts(&self) -> &[Bytes] {
        &self.0.conflicts
    }

    /// The next fields; `None`: that was all. After an error it may be asked again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Bytes, Visible)>>, Error> {
        Ok(self.0.next_page().await?.map(|page| page.elements))
    }
}
