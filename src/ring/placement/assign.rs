//! Owners under capacities: the walk gives the preference, the capacities the bound, and where a walk finds too few
//! nodes with room, earlier partitions hand one over.
//!
//! Handing over is a shortest augmenting path: a full node y would fit here; some partition that y owns could be owned
//! by x instead, who has room (or hands over in turn). With fair shares as capacities such a path exists whenever a
//! partition lacks owners, so the bound holds; it is found by breadth first search, which moves as little as possible.

use std::collections::VecDeque;

use super::share::{self, Zone};
use super::walk::{Seen, Walk};
use crate::ids::PartitionId;
use crate::membership::{Layout, Member};

/// A node that can own partitions, by its position in the list of carriers.
struct Carrier {
    zone: usize,
    load: u64,
    capacity: u64,
}

/// The owners of the partitions placed so far.
pub(super) struct Assignment {
    replicas: usize,
    partitions: u64,
    carriers: Vec<Carrier>,
    zones: Vec<Zone>,
    /// Owners that the zones demand of each partition.
    least: usize,
    /// By partition number.
    owners: Vec<Vec<usize>>,
}

/// How a search reached a carrier: it would own `partition`, instead of the carrier that this search reached before.
#[derive(Clone, Copy)]
struct Step {
    partition: usize,
    instead_of: Option<usize>,
}

impl Assignment {
    /// Nobody owns anything yet.
    pub(super) fn new(layout: &Layout, members: &[&Member]) -> Assignment {
        let replicas = usize::from(layout.replicas);
        let zones = share::zones(members, replicas);
        let mut carriers: Vec<Carrier> = share::capacities(layout, members, &zones)
            .into_iter()
            .map(|capacity| Carrier { zone: 0, load: 0, capacity })
            .collect();
        for (zone, group) in zones.iter().enumerate() {
            for carrier in &group.carriers {
                if let Some(carrier) = carriers.get_mut(*carrier) {
                    carrier.zone = zone;
                }
            }
        }
        Assignment {
            replicas,
            partitions: u64::from(layout.partitions),
            carriers,
            least: zones.iter().map(|zone| zone.least).sum(),
            zones,
            owners: vec![Vec::new(); usize::from(layout.partitions)],
        }
    }

    /// Chooses the owners of a partition; owners of earlier ones may change by it.
    pub(super) fn assign(&mut self, partition: PartitionId, walk: &Walk, seen: &mut Seen) {
        let number = usize::from(partition.0);
        for carrier in walk.from(partition, seen) {
            if self.owners_of(number).len() == self.replicas {
                return;
            }
            if self.has_room(carrier) && self.fits(number, carrier, None) {
                self.give(number, carrier);
            }
        }
        while self.owners_of(number).len() < self.replicas {
            if !self.hand_over_to(number) {
                self.raise_capacities();
            }
        }
    }

    /// Gives a carrier a partition that it may take, whatever its load.
    pub(super) fn keep(&mut self, partition: PartitionId, carrier: usize) {
        let number = usize::from(partition.0);
        if self.lacks_owner(partition) && self.fits(number, carrier, None) {
            self.give(number, carrier);
        }
    }

    /// Fewer than N own the partition.
    pub(super) fn lacks_owner(&self, partition: PartitionId) -> bool {
        self.owners_of(usize::from(partition.0)).len() < self.replicas
    }

    /// Finds an owner although nobody with room fits; owners of other partitions may change by it.
    pub(super) fn assign_somehow(&mut self, partition: PartitionId) {
        if !self.hand_over_to(usize::from(partition.0)) {
            self.raise_capacities();
        }
    }

    /// Whether a carrier with room may own the partition, in place of another one or beside the present ones.
    pub(super) fn may_take(&self, partition: PartitionId, carrier: usize, instead_of: Option<usize>) -> bool {
        self.has_room(carrier) && self.fits(usize::from(partition.0), carrier, instead_of)
    }

    /// Another one owns the partition from now on.
    pub(super) fn replace(&mut self, partition: PartitionId, from: usize, to: usize) {
        let owners = self.owners.get_mut(usize::from(partition.0)).into_iter().flatten();
        owners.filter(|owner| **owner == from).for_each(|owner| *owner = to);
        self.carrier_mut(from).load -= 1;
        self.carrier_mut(to).load += 1;
    }

    /// Partitions that a carrier owns.
    pub(super) fn load(&self, carrier: usize) -> u64 {
        self.carrier(carrier).load
    }

    /// The partitions of every carrier.
    pub(super) fn held(&self) -> Vec<Vec<usize>> {
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); self.carriers.len()];
        for (number, owners) in self.owners.iter().enumerate() {
            for owner in owners {
                held.get_mut(*owner).into_iter().for_each(|held| held.push(number));
            }
        }
        held
    }

    /// By partition number, each in order of preference.
    pub(super) fn into_owners(self) -> Vec<Vec<usize>> {
        self.owners
    }

    /// Whether the carrier may become an owner of the partition, in place of another one or beside the present ones:
    /// distinct, within what its zone allows, and not in a place that another zone's demand needs.
    fn fits(&self, partition: usize, carrier: usize, instead_of: Option<usize>) -> bool {
        let owners = || self.owners_of(partition).iter().copied().filter(|owner| Some(*owner) != instead_of);
        if self.owners_of(partition).contains(&carrier) {
            return false;
        }
        let in_zone = |zone| owners().filter(|owner| self.carrier(*owner).zone == zone).count();
        let zone = self.carrier(carrier).zone;
        let (present, bounds) = (in_zone(zone), self.zone(zone));
        if present < bounds.least {
            return true;
        }
        if present >= bounds.most {
            return false;
        }
        if self.least == 0 {
            return true;
        }
        // Demands that are met: each owner counts that is within its zone's demand.
        let met = owners()
            .enumerate()
            .filter(|(position, owner)| {
                let zone = self.carrier(*owner).zone;
                let earlier = owners().take(*position).filter(|other| self.carrier(*other).zone == zone).count();
                earlier < self.zone(zone).least
            })
            .count();
        self.replicas - owners().count() > self.least - met
    }

    /// Finds an owner for a partition that lacks one although nobody with room fits. Answers whether there was one.
    fn hand_over_to(&mut self, partition: usize) -> bool {
        let held = self.held();
        let mut reached: Vec<Option<Step>> = vec![None; self.carriers.len()];
        let mut queue = VecDeque::new();
        self.reach(Step { partition, instead_of: None }, &mut reached, &mut queue);
        while let Some(carrier) = queue.pop_front() {
            if self.has_room(carrier) {
                self.apply(carrier, &reached);
                return true;
            }
            for number in held.get(carrier).into_iter().flatten() {
                if !is_on_path(*number, carrier, &reached) {
                    self.reach(Step { partition: *number, instead_of: Some(carrier) }, &mut reached, &mut queue);
                }
            }
        }
        false
    }

    /// Queues every carrier that this step newly reaches.
    fn reach(&self, step: Step, reached: &mut [Option<Step>], queue: &mut VecDeque<usize>) {
        for (carrier, slot) in reached.iter_mut().enumerate() {
            if slot.is_none() && self.fits(step.partition, carrier, step.instead_of) {
                *slot = Some(step);
                queue.push_back(carrier);
            }
        }
    }

    /// Carries out the path that ends at a carrier with room: it alone owns one more, the others exchange.
    fn apply(&mut self, end: usize, reached: &[Option<Step>]) {
        let mut carrier = end;
        while let Some(Some(step)) = reached.get(carrier).copied() {
            let owners = self.owners.get_mut(step.partition).expect("a search reaches only partitions of the layout");
            let Some(previous) = step.instead_of else {
                owners.push(carrier);
                break;
            };
            for owner in owners.iter_mut().filter(|owner| **owner == previous) {
                *owner = carrier;
            }
            carrier = previous;
        }
        self.carrier_mut(end).load += 1;
    }

    /// The last resort, should a search ever find no path: with every capacity at Q any walk succeeds, because zones
    /// demand and allow what they can give.
    fn raise_capacities(&mut self) {
        for carrier in &mut self.carriers {
            carrier.capacity = (carrier.capacity + carrier.capacity / 16 + 1).min(self.partitions);
        }
    }

    fn give(&mut self, partition: usize, carrier: usize) {
        if let Some(owners) = self.owners.get_mut(partition) {
            owners.push(carrier);
            self.carrier_mut(carrier).load += 1;
        }
    }

    fn has_room(&self, carrier: usize) -> bool {
        let carrier = self.carrier(carrier);
        carrier.load < carrier.capacity
    }

    fn owners_of(&self, partition: usize) -> &[usize] {
        self.owners.get(partition).map_or(&[], Vec::as_slice)
    }

    fn carrier(&self, carrier: usize) -> &Carrier {
        self.carriers.get(carrier).expect("carriers are named by their position in the list")
    }

    fn carrier_mut(&mut self, carrier: usize) -> &mut Carrier {
        self.carriers.get_mut(carrier).expect("carriers are named by their position in the list")
    }

    fn zone(&self, zone: usize) -> &Zone {
        self.zones.get(zone).expect("a carrier's zone is in the list of zones")
    }
}

/// Whether the path to this carrier already changes the partition: a second change there would rest on stale owners.
fn is_on_path(partition: usize, carrier: usize, reached: &[Option<Step>]) -> bool {
    let mut at = Some(carrier);
    while let Some(Some(step)) = at.and_then(|at| reached.get(at).copied()) {
        if step.partition == partition {
            return true;
        }
        at = step.instead_of;
    }
    false
}
