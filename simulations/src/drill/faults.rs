//! The timeline of a plan on real processes: link faults through an admin's calls, kills and restarts by process id.

use std::time::Duration;

use starling::ids::NodeId;
use starling::message::client::{Direction, FaultPlan, LinkFault, Options};
use starling_client::{Client, Error};
use tokio::time::Instant;

use super::load::Load;
use super::{DrillError, ProcessCluster};
use crate::plan::{Event, Fault, Link, Links, NodeIndex, Plan};

/// The nodes end injected faults by themselves this long after the plan should have ended them.
const DEAD_MAN_SLACK: Duration = Duration::from_secs(30);
/// A call that did not reach its node is made again for this long.
const RETRY_WITHIN: Duration = Duration::from_secs(5);

/// Carries out every event at its time. Returns when each was in force everywhere: index of the event and time.
pub(super) async fn carry_out(
    plan: &Plan,
    name: &str,
    cluster: &mut ProcessCluster,
    start: Instant,
    load: &Load,
) -> Result<Vec<(usize, Duration)>, DrillError> {
    let mut done = Vec::new();
    for (index, event) in plan.timeline.events().iter().enumerate() {
        tokio::time::sleep_until(start + event.at).await;
        for node in 0..plan.cluster.nodes.len() {
            if let Some(node) = cluster.node_mut(node) {
                node.check()?;
            }
        }
        apply(plan, cluster, event).await?;
        let at = start.elapsed();
        eprintln!("{name}: {:5.1} s  {:<28} {}", at.as_secs_f64(), in_words(plan, &event.fault), load.since_last());
        done.push((index, at));
    }
    Ok(done)
}

async fn apply(plan: &Plan, cluster: &mut ProcessCluster, event: &Event) -> Result<(), DrillError> {
    match &event.fault {
        Fault::Kill(node) => {
            if let Some(node) = cluster.node_mut(*node) {
                node.kill();
            }
            return Ok(());
        }
        Fault::Restart(node) => {
            if let Some(node) = cluster.node_mut(*node) {
                node.start()?;
                node.wait_until_ready().await?;
            }
        }
        Fault::Split(_) | Fault::OneWay { .. } | Fault::Delay { .. } | Fault::Heal => {}
    }
    let links = plan.timeline.links_at(event.at);
    let lasts = (plan.quiet_from() + plan.settle).saturating_sub(event.at) + DEAD_MAN_SLACK;
    let down = plan.timeline.down_at(event.at);
    let running = (0..plan.cluster.nodes.len()).filter(|node| !down.contains(node));
    let mut calls = tokio::task::JoinSet::new();
    for node in running {
        let Some(id) = cluster.ids().get(node).copied() else { continue };
        let faults = faults_of(node, &links, cluster, lasts);
        let admin = cluster.admin().clone();
        let options = Options { deadline_ms: Some(2_000), ..Options::default() };
        calls.spawn(async move { (node, set_faults(&admin, id, faults, &options).await) });
    }
    while let Some(joined) = calls.join_next().await {
        // A panic in a call is a bug of the client; it is not hidden.
        let (node, result) = joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        result.map_err(|cause| DrillError::Fault { at: event.at, node: plan.names(&[node]), cause: cause.into() })?;
    }
    Ok(())
}

/// Sets a node's faults; again if the connection was lost (a node that was just restarted does not know the old one).
/// Setting them twice is the same as once.
async fn set_faults(
    admin: &Client,
    node: NodeId,
    faults: FaultPlan,
    options: &Options,
) -> Result<(), starling_client::Error> {
    let end = Instant::now() + RETRY_WITHIN;
    loop {
        match admin.set_faults(node, faults.clone(), options).await {
            Err(Error::NoAnswer { .. } | Error::NotSent { .. } | Error::Unreachable { .. }) if Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// What one node has to do to its links. Both ends cut a cut link, so that it is cut as soon as one of them knows; a
/// delay is added by the sender alone, or it would count twice.
fn faults_of(node: NodeIndex, links: &Links, cluster: &ProcessCluster, lasts: Duration) -> FaultPlan {
    let ids = cluster.ids().iter().copied().enumerate();
    let peers = ids.filter(|(peer, _)| *peer != node);
    let faults = peers.flat_map(|(peer, id)| link_faults(links.link(node, peer), links.link(peer, node), id));
    let for_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    FaultPlan { links: faults.collect(), for_ms }
}

fn link_faults(out: Link, back: Link, peer: NodeId) -> Vec<LinkFault> {
    let mut faults = Vec::new();
    let cut = |is_cut| if is_cut { 1000 } else { 0 };
    if out != Link::default() {
        let delay_ms = u32::try_from(out.delay.as_millis()).unwrap_or(u32::MAX);
        faults.push(LinkFault { peer, direction: Direction::Outbound, drop_per_mille: cut(out.is_cut), delay_ms });
    }
    if back.is_cut {
        faults.push(LinkFault { peer, direction: Direction::Inbound, drop_per_mille: 1000, delay_ms: 0 });
    }
    faults
}

fn in_words(plan: &Plan, fault: &Fault) -> String {
    match fault {
        Fault::Split(sides) => {
            let sides: Vec<String> = sides.iter().map(|side| plan.names(side)).collect();
            format!("cut: {}", sides.join(" | "))
        }
        Fault::OneWay { from, to } => format!("cut: {} to {} only", plan.names(&[*from]), plan.names(&[*to])),
        Fault::Delay { between: (one, other), by } => format!("slow: {} by {by:?}", plan.names(&[*one, *other])),
        Fault::Kill(node) => format!("killed: {}", plan.names(&[*node])),
        Fault::Restart(node) => format!("restarted: {}", plan.names(&[*node])),
        Fault::Heal => "healed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_link_is_cut_at_both_ends_and_a_slow_one_at_the_sender() {
        let cut = Link { is_cut: true, delay: Duration::ZERO };
        let slow = Link { is_cut: false, delay: Duration::from_millis(80) };
        let fault =
            |direction, drop_per_mille, delay_ms| LinkFault { peer: NodeId(7), direction, drop_per_mille, delay_ms };
        assert_eq!(link_faults(Link::default(), Link::default(), NodeId(7)), []);
        assert_eq!(link_faults(slow, slow, NodeId(7)), [fault(Direction::Outbound, 0, 80)]);
        let both = [fault(Direction::Outbound, 1000, 0), fault(Direction::Inbound, 1000, 0)];
        assert_eq!(link_faults(cut, cut, NodeId(7)), both);
        assert_eq!(link_faults(Link::default(), cut, NodeId(7)), [fault(Direction::Inbound, 1000, 0)]);
    }
}
