//! The fields of newer programs: kept, merged, hashed and passed on by their kind alone.

use super::error::DecodeError;
use super::field::{Field, MergeKind};
use crate::causality::{ActorId, Tick};
use crate::time::Hlc;

/// Fields that this program does not know, by ascending tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(Vec<(u32, Field)>);

impl Unknown {
    /// No fields. Takes no memory.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tags and fields, by ascending tag.
    pub fn iter(&self) -> std::slice::Iter<'_, (u32, Field)> {
        self.0.iter()
    }

    /// Merges tag by tag; then what lies below a floor goes. Returns whether anything changed.
    pub fn merge(&mut self, other: &Unknown) -> bool {
        if other.is_empty() {
            return false;
        }
        let before = (self.has_floor() || other.has_floor()).then(|| self.clone());
        let mut changed = false;
        for (tag, theirs) in &other.0 {
            match self.0.binary_search_by_key(tag, |(tag, _)| *tag) {
                Ok(place) => changed |= self.0.get_mut(place).is_some_and(|(_, ours)| ours.merge(theirs)),
                Err(place) => {
                    self.0.insert(place, (*tag, theirs.clone()));
                    changed = true;
                }
            }
        }
        match before {
            None => changed,
            Some(before) => {
                self.apply_floors();
                *self != before
            }
        }
    }

    /// Whether a merge of `incoming` would bring anything of ticks up to `frozen` that was never seen here, or a floor up to
    /// `compacted` that is not here: as of the fields that this program knows, see [`super::Row::touches`].
    pub fn is_touched_by(&self, incoming: &Unknown, frozen: Tick, compacted: Tick) -> bool {
        incoming.iter().any(|(tag, theirs)| {
            let place = self.0.binary_search_by_key(tag, |(tag, _)| *tag).ok();
            let ours = place.and_then(|place| self.0.get(place)).map(|(_, field)| field);
            let floor = self.0.iter().filter_map(|(_, field)| field.floor()).find(|(of, _)| of == tag);
            theirs.touches(ours, floor.map_or(Tick(0), |(_, tick)| tick), frozen, compacted)
        })
    }

    /// Appends a field that was read; tags come in ascending order.
    pub fn push(&mut self, tag: u32, kind: MergeKind, payload: &[u8]) -> Result<(), DecodeError> {
        self.0.push((tag, Field::decode(kind, payload)?));
        Ok(())
    }

    /// Refuses fields of which something lies below a floor: no merge leaves that.
    pub fn check_floors(&self) -> Result<(), DecodeError> {
        if self.has_floor() {
            let mut applied = self.clone();
            applied.apply_floors();
            if applied != *self {
                return Err(DecodeError::Malformed("records below their floor"));
            }
        }
        Ok(())
    }

    fn has_floor(&self) -> bool {
        self.0.iter().any(|(_, field)| field.floor().is_some())
    }

    fn apply_floors(&mut self) {
        let floors: Vec<(u32, Tick)> = self.0.iter().filter_map(|(_, field)| field.floor()).collect();
        for (of, tick) in floors {
            self.0.retain_mut(|(tag, field)| *tag != of || field.forget(tick));
        }
    }

    /// Whether the fields could be read back.
    pub fn is_within_limits(&self) -> bool {
        self.0.iter().all(|(_, field)| field.is_within_limits())
    }

    /// Every actor with an event that a field names; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.0.iter().flat_map(|(_, field)| field.actors())
    }

    /// The largest clock reading that a field names.
    pub fn latest_stamp(&self) -> Hlc {
        self.0.iter().map(|(_, field)| field.hlc()).max().unwrap_or_default()
    }
}
