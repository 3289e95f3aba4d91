//! Fair shares: how many partitions each node should own, from weights and within what zones allow; and the capacity
//! that bounds its load.
//!
//! The shares are filled like water, first over zones, then inside each zone over nodes: each part gets in proportion
//! to its weight, unless a bound of its own holds it. All in integers, so that every machine computes the same.

use std::collections::BTreeMap;

use crate::membership::{Layout, Member};

/// Shares are counted in these parts of a partition.
pub(in crate::ring) const PARTS: u64 = 1 << 20;

/// A load may exceed the fair share by this much. Unit: percent.
const SLACK_PERCENT: u64 = 10;

/// A group of nodes of which one partition takes at least `least` and at most `most` as owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// Positions in the list of carriers.
    pub(super) carriers: Vec<usize>,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// The zones of the carriers. An owner more in one zone is taken only when all zones that have further nodes are used
/// as often, so every partition takes `least` or `least + 1` of a zone, as far as it has nodes.
pub(super) fn zones(carriers: &[&Member], replicas: usize) -> Vec<Zone> {
    let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (carrier, member) in carriers.iter().enumerate() {
        match member.zone.as_str() {
            "" => groups.push(vec![carrier]),
            zone => named.entry(zone).or_default().push(carrier),
        }
    }
    groups.extend(named.into_values());
    let owners_if_all_have = |each: usize| groups.iter().map(|group| group.len().min(each)).sum::<usize>();
    let everywhere = (1..=replicas).take_while(|each| owners_if_all_have(*each) <= replicas).last().unwrap_or(0);
    let at_most = if owners_if_all_have(everywhere) == replicas { everywhere } else { everywhere + 1 };
    let zone = |carriers: Vec<usize>| {
        let (least, most) = (carriers.len().min(everywhere), carriers.len().min(at_most));
        Zone { carriers, least, most }
    };
    groups.into_iter().map(zone).collect()
}

/// The most partitions that each carrier may own: its fair share × 1.10 rounded down, or the share rounded up where
/// that is more.
pub(super) fn capacities(layout: &Layout, carriers: &[&Member], zones: &[Zone]) -> Vec<u64> {
    let capacity = |share| capacity_of(share).min(u64::from(layout.partitions));
    fair(layout, carriers, zones).into_iter().map(capacity).collect()
}

/// What weights give each carrier within what zones allow. Unit: [`PARTS`] to a partition.
pub(super) fn fair(layout: &Layout, carriers: &[&Member], zones: &[Zone]) -> Vec<u64> {
    let whole = u64::from(layout.partitions) * PARTS;
    let weight = |carrier: &usize| carriers.get(*carrier).map_or(0, |member| u64::from(member.weight));
    let of_zones: Vec<Part> = zones
        .iter()
        .map(|zone| Part {
            weight: zone.carriers.iter().map(weight).sum(),
            least: zone.least as u64 * whole,
            most: zone.most as u64 * whole,
        })
        .collect();
    let mut shares = vec![0; carriers.len()];
    for (zone, zone_share) in zones.iter().zip(fill(whole * u64::from(layout.replicas), &of_zones)) {
        let of_nodes: Vec<Part> =
            zone.carriers.iter().map(|carrier| Part { weight: weight(carrier), least: 0, most: whole }).collect();
        for (carrier, share) in zone.carriers.iter().zip(fill(zone_share, &of_nodes)) {
            if let Some(slot) = shares.get_mut(*carrier) {
                *slot = share;
            }
        }
    }
    shares
}

fn capacity_of(share: u64) -> u64 {
    share.div_ceil(PARTS).max(share * (100 + SLACK_PERCENT) / 100 / PARTS)
}

/// One that gets a share of the water.
struct Part {
    weight: u64,
    least: u64,
    most: u64,
}

/// Divides `total` in proportion to the weights, within everyone's bounds. Each round settles those whose bound holds
/// them back on the side that is further off, and divides the rest anew.
fn fill(total: u64, parts: &[Part]) -> Vec<u64> {
    let mut settled: Vec<Option<u64>> = vec![None; parts.len()];
    loop {
        let open = || parts.iter().zip(&settled).filter(|(_, share)| share.is_none()).map(|(part, _)| part);
        let weight: u64 = open().map(|part| part.weight).sum();
        if weight == 0 {
            return settled.into_iter().map(Option::unwrap_or_default).collect();
        }
        let rest = total.saturating_sub(settled.iter().flatten().sum());
        let raw = |part: &Part| (u128::from(rest) * u128::from(part.weight) / u128::from(weight)) as u64;
        let above: u64 = open().map(|part| raw(part).saturating_sub(part.most)).sum();
        let below: u64 = open().map(|part| part.least.saturating_sub(raw(part))).sum();
        for (part, share) in parts.iter().zip(&mut settled).filter(|(_, share)| share.is_none()) {
            let raw = raw(part);
            let is_settled = match above.cmp(&below) {
                std::cmp::Ordering::Equal => true,
                std::cmp::Ordering::Greater => raw > part.most,
                std::cmp::Ordering::Less => raw < part.least,
            };
            if is_settled {
                *share = Some(raw.clamp(part.least, part.most));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(u64, u64, u64)]) -> Vec<Part> {
        parts.iter().map(|(weight, least, most)| Part { weight: *weight, least: *least, most: *most }).collect()
    }

    #[test]
    fn shares_follow_the_weights_within_the_bounds() {
        assert_eq!(fill(90, &parts(&[(1, 0, 90), (2, 0, 90)])), [30, 60]);
        assert_eq!(fill(90, &parts(&[(1, 0, 90), (8, 0, 50), (1, 0, 90)])), [20, 50, 20]);
        assert_eq!(fill(90, &parts(&[(1, 40, 90), (4, 0, 90), (1, 0, 90)])), [40, 40, 10]);
        assert_eq!(fill(90, &parts(&[(1, 30, 30), (8, 30, 30), (1, 30, 30)])), [30, 30, 30]);
    }

    #[test]
    fn a_share_of_whole_partitions_is_its_own_capacity_when_ten_percent_are_less_than_one() {
        assert_eq!(capacity_of(9 * PARTS), 9);
        assert_eq!(capacity_of(9 * PARTS + 1), 10);
        assert_eq!(capacity_of(10 * PARTS), 11);
        assert_eq!(capacity_of(100 * PARTS), 110);
    }

    #[test]
    fn zones_say_how_many_owners_they_take_of_a_partition() {
        let member = |number: u64, zone: &str| Member {
            zone: zone.into(),
            ..Member::new(crate::ids::NodeId(number), format!("m{number}"), format!("h:{number}"))
        };
        let bounds = |names: &[&str], replicas| {
            let members: Vec<Member> = (0..).zip(names).map(|(number, zone)| member(number, zone)).collect();
            let carriers: Vec<&Member> = members.iter().collect();
            let zones = zones(&carriers, replicas);
            zones.into_iter().map(|zone| (zone.carriers.len(), zone.least, zone.most)).collect::<Vec<_>>()
        };
        assert_eq!(bounds(&["", "", "", ""], 3), [(1, 0, 1); 4], "no zones: each node is one");
        assert_eq!(bounds(&["a", "a", "b", "b", "c"], 3), [(2, 1, 1), (2, 1, 1), (1, 1, 1)]);
        assert_eq!(bounds(&["a", "a", "b", "b"], 3), [(2, 1, 2), (2, 1, 2)], "fewer zones than owners");
        assert_eq!(bounds(&["a", "a", "a", "b"], 3), [(3, 2, 2), (1, 1, 1)], "a small zone gives all it has");
        assert_eq!(bounds(&["a", "a", "a"], 3), [(3, 3, 3)]);
    }
}
