//! The timeline of a plan: faults at times, and what they mean for every link.
//!
//! A split or an isolation replaces the one before; one-way cuts and delays add up; a heal removes all of them. Killed
//! nodes come back only by a restart. [`Timeline::links_at`] is the one place that says which link is cut or slow, so
//! the virtual world and the drills cannot differ about it.

use std::time::Duration;

use super::NodeIndex;

/// Something goes wrong, or right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The network falls into groups that do not hear each other. Every node is in one of them.
    Split(Vec<Vec<NodeIndex>>),
    /// What `from` sends to `to` is lost; the other direction works.
    OneWay {
        /// Sender.
        from: NodeIndex,
        /// Receiver.
        to: NodeIndex,
    },
    /// Messages between two nodes take longer, both ways.
    Delay {
        /// The two ends.
        between: (NodeIndex, NodeIndex),
        /// Added to each message.
        by: Duration,
    },
    /// The process is killed without warning (SIGKILL; in the virtual world unsynced writes are lost).
    Kill(NodeIndex),
    /// The process starts again on the same directory.
    Restart(NodeIndex),
    /// Every link works again.
    Heal,
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the load began.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// State of one direction of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Nothing passes.
    pub is_cut: bool,
    /// Added delay.
    pub delay: Duration,
}

/// State of all links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    nodes: usize,
    links: Vec<Link>,
}

/// A span in which the links do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Since the load began.
    pub from: Duration,
    /// Not included.
    pub to: Duration,
    /// The groups of the split in force; one group of all nodes when there is none.
    pub sides: Vec<Vec<NodeIndex>>,
    /// Some link is cut or slow, or a node is down.
    pub is_faulty: bool,
    /// Nodes that are down.
    pub down: Vec<NodeIndex>,
}

/// Faults in growing order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    nodes: usize,
    events: Vec<Event>,
}

impl Links {
    /// All links work.
    pub fn whole(nodes: usize) -> Links {
        Links { nodes, links: vec![Link::default(); nodes * nodes] }
    }

    /// The direction from one node to another; whole for nodes that do not exist.
    pub fn link(&self, from: NodeIndex, to: NodeIndex) -> Link {
        if from >= self.nodes || to >= self.nodes {
            return Link::default();
        }
        self.links.get(from * self.nodes + to).copied().unwrap_or_default()
    }

    /// No link is cut or slow.
    pub fn is_whole(&self) -> bool {
        self.links.iter().all(|link| *link == Link::default())
    }

    fn change(&mut self, from: NodeIndex, to: NodeIndex, change: impl Fn(&mut Link)) {
        if from < self.nodes
            && to < self.nodes
            && let Some(link) = self.links.get_mut(from * self.nodes + to)
        {
            change(link);
        }
    }
}

impl Timeline {
    /// A timeline over this many nodes; events are put in order of time.
    pub fn new(nodes: usize, mut events: Vec<Event>) -> Timeline {
        events.sort_by_key(|event| event.at);
        Timeline { nodes, events }
    }

    /// Every event in order of time.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Time of the last event; zero without any.
    pub fn last_change(&self) -> Duration {
        self.events.last().map_or(Duration::ZERO, |event| event.at)
    }

    /// State of all links once everything up to and including `at` has happened.
    pub fn links_at(&self, at: Duration) -> Links {
        let mut links = Links::whole(self.nodes);
        let groups = self.groups_at(at);
        for event in self.events.iter().filter(|event| event.at <= at) {
            match &event.fault {
                Fault::Heal => links = Links::whole(self.nodes),
                Fault::OneWay { from, to } => links.change(*from, *to, |link| link.is_cut = true),
                Fault::Delay { between: (one, other), by } => {
                    links.change(*one, *other, |link| link.delay = *by);
                    links.change(*other, *one, |link| link.delay = *by);
                }
                Fault::Split(_) | Fault::Kill(_) | Fault::Restart(_) => {}
            }
        }
        for (index, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(index + 1) {
                for (one, two) in group.iter().flat_map(|one| other.iter().map(move |two| (*one, *two))) {
                    links.change(one, two, |link| link.is_cut = true);
                    links.change(two, one, |link| link.is_cut = true);
                }
            }
        }
        links
    }

    /// Nodes that are down once everything up to and including `at` has happened.
    pub fn down_at(&self, at: Duration) -> Vec<NodeIndex> {
        let mut down = Vec::new();
        for event in self.events.iter().filter(|event| event.at <= at) {
            match event.fault {
                Fault::Kill(node) => down.push(node),
                Fault::Restart(node) => down.retain(|other| *other != node),
                Fault::Split(_) | Fault::OneWay { .. } | Fault::Delay { .. } | Fault::Heal => {}
            }
        }
        down.sort_unstable();
        down
    }

    /// Spans without change from 0 to `end`.
    pub fn phases(&self, end: Duration) -> Vec<Phase> {
        let mut bounds: Vec<Duration> = self.events.iter().map(|event| event.at).filter(|at| *at < end).collect();
        bounds.insert(0, Duration::ZERO);
        bounds.dedup();
        let ends = bounds.iter().skip(1).copied().chain([end]).collect::<Vec<_>>();
        bounds
            .into_iter()
            .zip(ends)
            .map(|(from, to)| {
                let down = self.down_at(from);
                let is_faulty = !self.links_at(from).is_whole() || !down.is_empty();
                Phase { from, to, sides: self.groups_at(from), is_faulty, down }
            })
            .collect()
    }

    /// When the last link fault or outage ends for good; `None` if there never was one.
    pub fn healed_at(&self) -> Option<Duration> {
        let repairs = |event: &&Event| matches!(event.fault, Fault::Heal | Fault::Restart(_));
        self.events.iter().rev().find(repairs).map(|event| event.at)
    }

    fn groups_at(&self, at: Duration) -> Vec<Vec<NodeIndex>> {
        let mut groups = vec![(0..self.nodes).collect()];
        for event in self.events.iter().filter(|event| event.at <= at) {
            match &event.fault {
                Fault::Split(into) => groups.clone_from(into),
                Fault::Heal => groups = vec![(0..self.nodes).collect()],
                Fault::OneWay { .. } | Fault::Delay { .. } | Fault::Kill(_) | Fault::Restart(_) => {}
            }
        }
        groups
    }
}
