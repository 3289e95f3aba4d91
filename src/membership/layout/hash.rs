//! The hash of a layout's content: what makes two layouts of one number the same decision, or a fault.
//!
//! A layout that has nothing but what founding gives it is hashed as ever. What later versions added is hashed in a second
//! step, over the first hash and one tagged section per part that is set: so the hashes of all earlier layouts stay, and
//! no bytes of one form can be read as the other.

use super::{Before, Fallbacks, Fenced, Layout, Member, Phase};
use crate::ids::NodeId;

impl Layout {
    /// xxh3 over every field but the epoch's own hash, in a fixed big-endian form.
    pub(super) fn content_hash(&self) -> u64 {
        let founded = self.hash_of_founded_part();
        let mut bytes = founded.to_be_bytes().to_vec();
        let plain = bytes.len();
        self.add_what_is_set(&mut bytes);
        if bytes.len() == plain { founded } else { xxhash_rust::xxh3::xxh3_64(&bytes) }
    }

    fn hash_of_founded_part(&self) -> u64 {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.cluster.0);
        add_text(&mut bytes, &self.name);
        bytes.extend_from_slice(&self.epoch.number.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.parent.to_be_bytes());
        bytes.extend_from_slice(&[self.replicas, self.read_quorum, self.write_quorum, self.placement]);
        bytes.extend_from_slice(&self.partitions.to_be_bytes());
        add_fallbacks(&mut bytes, self.fallbacks);
        add_members(&mut bytes, &self.members);
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    fn add_what_is_set(&self, bytes: &mut Vec<u8>) {
        add_places(bytes, b'p', &self.members);
        let leaving: Vec<NodeId> =
            self.members.iter().filter(|member| member.leaving).map(|member| member.id).collect();
        add_nodes(bytes, b'l', &leaving);
        match self.phase {
            Phase::Steady => {}
            Phase::Moving => bytes.extend_from_slice(b"h1"),
            Phase::Switched => bytes.extend_from_slice(b"h2"),
            Phase::Closing => bytes.extend_from_slice(b"h3"),
        }
        if let Some(Before { since, members, fallbacks, owners }) = self.before.as_deref() {
            bytes.push(b'b');
            bytes.extend_from_slice(&since.to_be_bytes());
            add_fallbacks(bytes, *fallbacks);
            add_count(bytes, members.len());
            add_members(bytes, members);
            add_places(bytes, b'q', members);
            if let Some(owners) = owners {
                bytes.push(b'u');
                owners.add_to(bytes);
            }
        }
        if let Some(owners) = &self.owners {
            bytes.push(b't');
            owners.add_to(bytes);
        }
        add_nodes(bytes, b'v', &self.voters);
        if !self.fenced.is_empty() {
            bytes.push(b'f');
            add_count(bytes, self.fenced.len());
        }
        for Fenced { node, since, declared_lost } in &self.fenced {
            bytes.extend_from_slice(&node.0.to_be_bytes());
            bytes.extend_from_slice(&since.to_be_bytes());
            add_count(bytes, declared_lost.len());
            for run in declared_lost {
                bytes.extend_from_slice(&run.first.0.to_be_bytes());
                bytes.extend_from_slice(&run.last.0.to_be_bytes());
            }
        }
        if let Some(forced) = &self.forced {
            bytes.push(b'x');
            bytes.extend_from_slice(&forced.at.0.to_be_bytes());
            add_nodes(bytes, b's', &forced.survivors);
            add_nodes(bytes, b'g', &forced.fenced);
        }
    }
}

fn add_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as u64).to_be_bytes());
}

fn add_text(bytes: &mut Vec<u8>, text: &str) {
    add_count(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn add_fallbacks(bytes: &mut Vec<u8>, fallbacks: Fallbacks) {
    let fallbacks = match fallbacks {
        Fallbacks::Next(count) => u16::from(count),
        Fallbacks::All => u16::MAX,
    };
    bytes.extend_from_slice(&fallbacks.to_be_bytes());
}

fn add_members(bytes: &mut Vec<u8>, members: &[Member]) {
    for member in members {
        bytes.extend_from_slice(&member.id.0.to_be_bytes());
        bytes.extend_from_slice(&member.weight.to_be_bytes());
        add_text(bytes, &member.name);
        add_text(bytes, &member.address);
        add_text(bytes, &member.zone);
    }
}

/// Nothing if the list is empty.
fn add_nodes(bytes: &mut Vec<u8>, tag: u8, nodes: &[NodeId]) {
    if nodes.is_empty() {
        return;
    }
    bytes.push(tag);
    add_count(bytes, nodes.len());
    nodes.iter().for_each(|node| bytes.extend_from_slice(&node.0.to_be_bytes()));
}

/// Who stands in the place of another one. Nothing if nobody does.
fn add_places(bytes: &mut Vec<u8>, tag: u8, members: &[Member]) {
    let placed = members.iter().filter_map(|member| member.place.map(|place| [member.id, place]));
    add_nodes(bytes, tag, &placed.flatten().collect::<Vec<NodeId>>());
}
