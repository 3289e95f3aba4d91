//! What was shown at the end, when everything was at rest: to clients, and by every owner alone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use starling::ids::{CollectionKind, Key};
use starling::message::client::{Command, ReplicaView, Response, Visible};

use crate::world::World;

/// What the last reads of a key showed.
#[derive(Debug, Default)]
pub struct Finals<'a> {
    /// To `Get`.
    pub shown: Option<&'a Visible>,
    /// To `Siblings`.
    pub siblings: Option<&'a Visible>,
    /// By each owner alone.
    pub views: Vec<&'a ReplicaView>,
    /// All pages of each kind, one after the other, with the size that the last one told.
    pub elements: BTreeMap<CollectionKind, Elements<'a>>,
}

/// The elements of a collection.
#[derive(Debug, Default)]
pub struct Elements<'a> {
    /// In the order in which the pages brought them.
    pub listed: Vec<(&'a Bytes, &'a Visible)>,
    /// Those that were said to be in conflict.
    pub conflicts: BTreeSet<&'a Bytes>,
    /// As the answer told.
    pub size: u64,
}

/// The last reads of every key.
pub fn of(world: &World) -> BTreeMap<Key, Finals<'_>> {
    let mut finals: BTreeMap<Key, Finals<'_>> = BTreeMap::new();
    let Some(from) = world.history.rest_from else { return finals };
    for op in world.history.ops().get(from.0..).unwrap_or_default() {
        let Some((_, response)) = &op.answer else { continue };
        let of_key = finals.entry(op.request.key.clone()).or_default();
        match (&op.request.command, response) {
            (Command::Get, Response::Value(reply)) => of_key.shown = Some(&reply.value),
            (Command::Siblings, Response::Observed(reply)) => of_key.siblings = Some(&reply.value),
            (_, Response::Inspected(view)) => of_key.views.push(view),
            (Command::Collection { kind, .. }, Response::Page(page)) => {
                let elements = of_key.elements.entry(*kind).or_default();
                elements.listed.extend(page.elements.iter().map(|(element, value)| (element, value)));
                elements.conflicts.extend(&page.conflicts);
                elements.size = page.size;
            }
            _ => {}
        }
    }
    finals
}
