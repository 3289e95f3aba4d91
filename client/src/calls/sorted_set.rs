//! Sorted sets: each member has a score, and the last score wins.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionKind, ElementChange, ElementWrite, Options, Reason, Visible, WriteReply};

use super::collection::{Collection, Pages};
use crate::Client;
use crate::error::Error;

/// A sorted set: each member has a score; the last score wins.
#[derive(Clone)]
pub struct SortedSet(Collection);

/// The members of a sorted set with their scores, in the order of their bytes, page by page. See [`crate::SetPages`].
pub struct SortedSetPages(Pages);

impl Client {
    /// The sorted set at a key; all its calls have these options.
    pub fn sorted_set(&self, key: &Key, options: &Options) -> SortedSet {
        SortedSet(self.collection(key, CollectionKind::SortedSet, options))
    }
}

impl SortedSet {
    /// Gives members their scores, all or none. A score must be finite.
    pub async fn add(&self, members: impl IntoIterator<Item = (Bytes, f64)>) -> Result<WriteReply, Error> {
        let change =
            |(element, score): (Bytes, f64)| Ok(ElementWrite { element, change: ElementChange::Score(finite(score)?) });
        self.0.write(members.into_iter().map(change).collect::<Result<_, Error>>()?).await
    }

    /// Adds to a member's score, as a write of the sum that is seen: of two at the same time the last one wins. It is
    /// never sent again by itself.
    pub async fn increment(&self, member: Bytes, by: f64) -> Result<WriteReply, Error> {
        let change = ElementChange::AddToScore(finite(by)?);
        self.0.write(vec![ElementWrite { element: member, change }]).await
    }

    /// Removes members, all or none.
    pub async fn remove(&self, members: impl IntoIterator<Item = Bytes>) -> Result<WriteReply, Error> {
        self.0.change_all(members, ElementChange::Remove).await
    }

    /// The score of a member; `None`: it is not one.
    pub async fn score(&self, member: Bytes) -> Result<Option<f64>, Error> {
        Ok(self.0.read(vec![member]).await?.elements.first().and_then(|(_, value)| score_of(value)))
    }

    /// How many members there are: an estimate while writes are on their way.
    pub async fn size(&self) -> Result<u64, Error> {
        self.0.size().await
    }

    /// The members with their scores, at most so many per page.
    pub fn pages(&self, count: u16) -> SortedSetPages {
        SortedSetPages(self.0.pages(count))
    }
}

impl SortedSetPages {
    /// Whether some page came from fewer than R owners: this side of a split may lack writes of the other.
    pub fn is_partial(&self) -> bool {
        self.0.is_partial
    }

    /// The next members; `None`: that was all. After an error it may be asked again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Bytes, f64)>>, Error> {
        let page = self.0.next_page().await?;
        let scored = |(member, value): (Bytes, Visible)| Some((member, score_of(&value)?));
        Ok(page.map(|page| page.elements.into_iter().filter_map(scored).collect()))
    }
}

/// The bits of a finite number.
fn finite(number: f64) -> Result<u64, Error> {
    if number.is_finite() { Ok(number.to_bits()) } else { Err(Error::invalid(Reason::NotFinite)) }
}

fn score_of(value: &Visible) -> Option<f64> {
    match value {
        Visible::Score(score) => Some(score.value()),
        _ => None,
    }
}
