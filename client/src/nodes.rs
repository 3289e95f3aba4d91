//! The members and the links to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use starling::ids::{Key, NodeId};
use starling::ring::RingView;
use tokio::sync::watch;

use crate::ClientConfig;
use crate::dial::Dialer;
use crate::error::{DialError, Error, Unreached};
use crate::link::{Link, LinkState};

pub(crate) struct Nodes {
    ring: Arc<RingView>,
    links: BTreeMap<NodeId, Arc<Links>>,
}

/// The links to one node, used in turn.
struct Links {
    address: String,
    links: Vec<Arc<Link>>,
    next: AtomicUsize,
}

impl Nodes {
    /// The members of a layout. Those that stand at the same address in `before` keep their links.
    pub(crate) fn new(
        ring: Arc<RingView>,
        before: Option<&Nodes>,
        dialer: &Arc<Dialer>,
        config: &ClientConfig,
        changed: &watch::Sender<()>,
    ) -> Nodes {
        let link =
            |member: &starling::membership::Member| Link::new(member.clone(), dialer.clone(), config, changed.clone());
        let links = |member: &starling::membership::Member| {
            let known = before.and_then(|before| before.links.get(&member.id));
            let new = || Links {
                address: member.address.clone(),
                links: (0..config.connections_per_node).map(|_| link(member)).collect(),
                next: AtomicUsize::new(0),
            };
            known.filter(|known| known.address == member.address).cloned().unwrap_or_else(|| Arc::new(new()))
        };
        let layout = ring.layout();
        let members = layout.members.iter().filter(|member| !layout.is_fenced(member.id));
        let links = members.map(|member| (member.id, links(member))).collect();
        Nodes { ring, links }
    }

    /// The placement by which calls go.
    pub(crate) fn ring(&self) -> &Arc<RingView> {
        &self.ring
    }

    /// The state of the node's next link; starts a dial if one is due. `None`: no such member.
    pub(crate) fn want(&self, node: NodeId) -> Option<LinkState> {
        let node = self.links.get(&node)?;
        let turn = node.next.fetch_add(1, Ordering::Relaxed);
        let link = node.links.get(turn % node.links.len().max(1))?;
        Some(link.want())
    }

    /// Every member, in the order in which it should be asked about the key: owners, fallbacks, the rest.
    pub(crate) fn candidates(&self, key: &Key) -> Vec<NodeId> {
        let mut candidates = self.ring.accept_set(self.ring.partition_of(key)).to_vec();
        let rest = self.links.keys().filter(|node| !candidates.contains(node)).copied().collect::<Vec<_>>();
        candidates.extend(rest);
        candidates
    }

    /// Every member.
    pub(crate) fn all(&self) -> Vec<NodeId> {
        self.links.keys().copied().collect()
    }

    /// What people call the node.
    pub(crate) fn name(&self, node: NodeId) -> String {
        self.ring.layout().member(node).map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    pub(crate) fn unreached(&self, node: NodeId, error: DialError) -> Option<Unreached> {
        let member = self.ring.layout().member(node)?;
        Some(Unreached { node, name: member.name.clone(), address: member.address.clone(), error })
    }

    /// Refuses a node that is no member.
    pub(crate) fn check(&self, node: NodeId) -> Result<(), Error> {
        if self.links.contains_key(&node) { Ok(()) } else { Err(self.unknown(&node.to_string())) }
    }

    /// The member that people call so.
    pub(crate) fn named(&self, name: &str) -> Result<NodeId, Error> {
        self.ring.layout().member_named(name).map(|member| member.id).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let members = self.ring.layout().members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
        Error::UnknownNode { name: name.to_owned(), members: members.join(", ") }
    }
}
