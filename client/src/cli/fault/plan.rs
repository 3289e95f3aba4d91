//! From `a,b/c,d,e` to the plan of each node. Pure.
//!
//! A cut is applied by both ends of a link, so that it holds even if one of them cannot be told. A delay is applied by
//! the sending end alone, or it would count twice.

use std::time::Duration;

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::{Direction, FaultPlan, LinkFault};

/// The sides of a split; no node is in two of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sides(Vec<Vec<NodeId>>);

/// What happens to the messages between sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Cut,
    Delay(Duration),
}

impl Sides {
    /// Reads names, separated by commas, in sides, separated by slashes. Says what is wrong.
    pub(crate) fn parse(text: &str, layout: &Layout) -> Result<Sides, String> {
        let mut sides: Vec<Vec<NodeId>> = Vec::new();
        for side in text.split('/') {
            let mut nodes = Vec::new();
            for name in side.split(',').map(str::trim) {
                if name.is_empty() {
                    return Err(format!("{text:?} has an empty name; write sides as a,b/c,d,e"));
                }
                let Some(member) = layout.member_named(name) else {
                    let members = layout.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
                    return Err(format!("the layout has no member {name}; its members are {}", members.join(", ")));
                };
                if nodes.contains(&member.id) || sides.iter().any(|side| side.contains(&member.id)) {
                    return Err(format!("{name} is named twice; a node can be in one side only"));
                }
                nodes.push(member.id);
            }
            sides.push(nodes);
        }
        if sides.len() < 2 {
            return Err(format!("{text:?} is one side; a split needs at least two: a,b/c,d,e"));
        }
        Ok(Sides(sides))
    }

    /// Whether the node is in any side.
    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.0.iter().any(|side| side.contains(&node))
    }

    /// The plan of each node in a side. With `one_way` only what the first side says to the second is affected.
    pub(crate) fn plans(
        &self,
        effect: Effect,
        one_way: bool,
        duration: Duration,
    ) -> Result<Vec<(NodeId, FaultPlan)>, String> {
        if one_way && self.0.len() != 2 {
            return Err(format!("--one-way needs two sides, there are {}", self.0.len()));
        }
        let (drop_per_mille, delay_ms) = match effect {
            Effect::Cut => (1000, 0),
            Effect::Delay(delay) => (0, u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)),
        };
        let for_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut plans = Vec::new();
        for (index, side) in self.0.iter().enumerate() {
            let direction = match (effect, one_way, index) {
                (Effect::Cut, false, _) => Some(Direction::Both),
                (Effect::Cut, true, 0) | (Effect::Delay(_), false, _) | (Effect::Delay(_), true, 0) => {
                    Some(Direction::Outbound)
                }
                (Effect::Cut, true, _) => Some(Direction::Inbound),
                (Effect::Delay(_), true, _) => None,
            };
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
            let peers = others.flat_map(|(_, peers)| peers);
            let links: Vec<LinkFault> = direction.map_or_else(Vec::new, |direction| {
                peers.map(|peer| LinkFault { peer: *peer, direction, drop_per_mille, delay_ms }).collect()
            });
            plans.extend(side.iter().map(|node| (*node, FaultPlan { links: links.clone(), for_ms })));
        }
        Ok(plans)
    }
}

#[cfg(test)]
mod tests {
    use starling::ids::ClusterId;
    use starling::membership::Member;

    use super::*;

    fn layout() -> Layout {
        let member = |id: u64, name: &str| Member::new(NodeId(id), name, format!("127.0.0.1:{}", 7000 + id));
        let members = ["a", "b", "c", "d", "e"].iter().zip(1..).map(|(name, id)| member(id, name)).collect();
        Layout::founding(ClusterId([1; 16]), "shop", members).seal().unwrap()
    }

    fn links(plans: &[(NodeId, FaultPlan)]) -> Vec<(u64, LinkFault)> {
        plans.iter().flat_map(|(node, plan)| plan.links.iter().map(|link| (node.0, link.clone()))).collect()
    }

    #[test]
    fn every_link_between_sides_is_cut_at_both_ends_and_none_within() {
        let sides = Sides::parse("a,b/c,d,e", &layout()).unwrap();
        let plans = sides.plans(Effect::Cut, false, Duration::from_secs(60)).unwrap();
        let cut: Vec<(u64, Vec<u64>)> =
            plans.iter().map(|(node, plan)| (node.0, plan.links.iter().map(|link| link.peer.0).collect())).collect();
        assert_eq!(cut, [(1, vec![3, 4, 5]), (2, vec![3, 4, 5]), (3, vec![1, 2]), (4, vec![1, 2]), (5, vec![1, 2])]);
        for link in plans.iter().flat_map(|(_, plan)| &plan.links) {
            assert_eq!((link.direction, link.drop_per_mille, link.delay_ms), (Direction::Both, 1000, 0));
        }
        assert!(plans.iter().all(|(_, plan)| plan.for_ms == 60_000));
    }

    #[test]
    fn one_way_loses_only_what_the_first_side_says() {
        let sides = Sides::parse("a/b", &layout()).unwrap();
        let link = |peer, direction| LinkFault { peer: NodeId(peer), direction, drop_per_mille: 1000, delay_ms: 0 };
        assert_eq!(
            links(&sides.plans(Effect::Cut, true, Duration::from_secs(1)).unwrap()),
            [(1, link(2, Direction::Outbound)), (2, link(1, Direction::Inbound))]
        );
        assert!(Sides::parse("a/b/c", &layout()).unwrap().plans(Effect::Cut, true, Duration::from_secs(1)).is_err());
    }

    #[test]
    fn a_delay_is_applied_once_per_message() {
        let sides = Sides::parse("a/b", &layout()).unwrap();
        let delay = Effect::Delay(Duration::from_millis(50));
        let link =
            |peer| LinkFault { peer: NodeId(peer), direction: Direction::Outbound, drop_per_mille: 0, delay_ms: 50 };
        assert_eq!(links(&sides.plans(delay, false, Duration::from_secs(1)).unwrap()), [(1, link(2)), (2, link(1))]);
        assert_eq!(links(&sides.plans(delay, true, Duration::from_secs(1)).unwrap()), [(1, link(2))]);
    }

    #[test]
    fn unknown_doubled_and_missing_names_are_refused() {
        for (text, reason) in [
            ("a,b/c,x", "no member x"),
            ("a,b/b,c", "b is named twice"),
            ("a,a/b", "a is named twice"),
            ("a,b", "at least two"),
            ("a,/b", "empty name"),
            ("", "empty name"),
        ] {
            let error = Sides::parse(text, &layout()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(!Sides::parse("a/b", &layout()).unwrap().contains(NodeId(3)));
    }
}
