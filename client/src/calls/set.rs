//! Sets: adding wins over a removal that did not see it.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionKind, ElementChange, Options, WriteReply};

use super::collection::{Collection, Pages};
use crate::Client;
use crate::error::Error;

/// A set. Adding wins over a removal that did not see it.
#[derive(Clone)]
pub struct Set(Collection);

/// The members of a set, page by page. An iteration shows what is in the set all the while; what comes or goes meanwhile
/// may be shown or not.
pub struct SetPages(Pages);

impl Client {
    /// The set at a key; all its calls have these options.
    pub fn set(&self, key: &Key, options: &Options) -> Set {
        Set(self.collection(key, CollectionKind::Set, options))
    }
}

impl Set {
    /// Adds members, all or none.
    pub async fn add(&self, members: impl IntoIterator<Item = Bytes>) -> Result<WriteReply, Error> {
        self.0.change_all(members, ElementChange::Add).await
    }

    /// Removes members, all or none.
    pub async fn remove(&self, members: impl IntoIterator<Item = Bytes>) -> Result<WriteReply, Error> {
        self.0.change_all(members, ElementChange::Remove).await
    }

    /// Whether it is a member.
    pub async fn contains(&self, member: Bytes) -> Result<bool, Error> {
        Ok(!self.0.read(vec![member]).await?.elements.is_empty())
    }

    /// How many members there are: an estimate while writes are on their way.
    pub async fn size(&self) -> Result<u64, Error> {
        self.0.size().await
    }

    /// The members, at most so many per page.
    pub fn pages(&self, count: u16) -> SetPages {
        SetPages(self.0.pages(count))
    }
}

impl SetPages {
    /// Whether some page came from fewer than R owners: this side of a split may lack writes of the other.
    pub fn is_partial(&self) -> bool {
        self.0.is_partial
    }

    /// The next members; `None`: that was all. After an error it may be asked again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        let page = self.0.next_page().await?;
        Ok(page.map(|page| page.elements.into_iter().map(|(member, _)| member).collect()))
    }
}
