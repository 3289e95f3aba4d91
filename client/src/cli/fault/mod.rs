//! `starling fault`: network faults, injected on each node by itself.
//!
//! Each node drops or delays what it sends to and gets from peers of the other sides. A dead-man timer on each node
//! ends the faults, so that a node that can no longer be reached heals by itself. Needs an admin bundle, and nodes
//! that were started with `--drills`.

mod plan;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::{Direction, FaultPlan, LinkFault};
use starling_client::{Client, Error};

use super::args::{Global, parse_duration};
use super::exit::Failure;
use super::{everyone, output};
use plan::{Effect, Sides};

/// Split or delay the network between nodes (drills).
///
/// Needs an admin bundle and nodes that were started with --drills.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling --bundle shop/admin fault split a,b/c,d,e --for 60s
  starling --bundle shop/admin fault split a/b,c,d,e --one-way       what a sends is lost, what it gets is not
  starling --bundle shop/admin fault split a,b/c,d,e --delay 50ms    slow instead of cut
  starling --bundle shop/admin fault show
  starling --bundle shop/admin fault heal")]
pub(crate) struct Fault {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Cut the nodes of each side off from those of the other sides, or delay what they say to each other
    #[command(after_long_help = "\
Examples:
  starling --bundle shop/admin fault split a,b/c,d,e --for 60s
  starling --bundle shop/admin fault split a/b/c,d,e --delay 50ms --for 5m

Names within a side are separated by commas, sides by slashes. A node in no side keeps all its links.
The faults that a node had before are replaced. They end after --for, or with `starling fault heal`.")]
    Split(Split),
    /// End all injected faults
    #[command(after_long_help = "Examples:\n  starling --bundle shop/admin fault heal")]
    Heal,
    /// Show the faults in force on each node
    #[command(after_long_help = "Examples:\n  starling fault show")]
    Show,
}

#[derive(Debug, Args)]
struct Split {
    /// Sides of the split: a,b/c,d,e
    #[arg(value_name = "SIDES")]
    sides: String,
    /// The faults end by themselves after this long (at most 10m), even on nodes that cannot be reached any more
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = parse_length)]
    duration: Duration,
    /// Only what the first side sends to the second is affected (two sides)
    #[arg(long)]
    one_way: bool,
    /// Delay messages by this long (at most 1m) instead of dropping them
    #[arg(long, value_name = "TIME", value_parser = parse_delay)]
    delay: Option<Duration>,
}

/// Longest time that a node keeps faults. It would cut a longer one without a word.
const LENGTH_MAX: Duration = Duration::from_secs(600);

/// Longest delay that a node takes.
const DELAY_MAX: Duration = Duration::from_secs(60);

fn parse_length(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|length| at_most(length, LENGTH_MAX, "10m"))
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|delay| at_most(delay, DELAY_MAX, "1m"))
}

fn at_most(duration: Duration, bound: Duration, shown: &str) -> Result<Duration, String> {
    if duration <= bound { Ok(duration) } else { Err(format!("it can be at most {shown}")) }
}

impl Fault {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        if global.node.is_some() {
            return Err(Failure::Usage(
                "faults are set on and asked of every node: leave --node away, and name the sides of a split; nothing was sent"
                    .into(),
            ));
        }
        global.refresh(client).await;
        let everybody = everyone::members(client);
        match &self.action {
            Action::Split(split) => split.run(client, global, &everybody).await,
            Action::Heal => {
                let plans = everybody.iter().map(|node| (*node, FaultPlan::default())).collect();
                set(client, global, plans, &[], "healed").await
            }
            Action::Show => show(client, global, &everybody).await,
        }
    }
}

impl Split {
    async fn run(&self, client: &Client, global: &Global, everybody: &[NodeId]) -> Result<(), Failure> {
        let ring = client.ring();
        let sides = Sides::parse(&self.sides, ring.layout()).map_err(Failure::Usage)?;
        let effect = match self.delay {
            Some(delay) => Effect::Delay(delay),
            None => Effect::Cut,
        };
        let plans = sides.plans(effect, self.one_way, self.duration).map_err(Failure::Usage)?;
        let unnamed = everybody.iter().filter(|node| !sides.contains(**node)).copied().collect::<Vec<_>>();
        let done = if self.delay.is_some() { "delayed" } else { "split" };
        set(client, global, plans, &unnamed, done).await
    }
}

/// Gives each node its plan and tells which took it.
async fn set(
    client: &Client,
    global: &Global,
    plans: Vec<(NodeId, FaultPlan)>,
    unnamed: &[NodeId],
    done: &str,
) -> Result<(), Failure> {
    let nodes = plans.iter().map(|(node, _)| *node).collect::<Vec<_>>();
    let options = global.options();
    let answers = everyone::ask(&nodes, |node| {
        let plan = plans.iter().find(|(other, _)| *other == node).map(|(_, plan)| plan.clone()).unwrap_or_default();
        let (client, options) = (client.clone(), options.clone());
        async move { client.set_faults(node, plan, &options).await }
    })
    .await;
    let unnamed = unnamed.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>();
    if global.json {
        let nodes = answers.iter().map(|(node, answer)| {
            json!({ "name": client.name_of(*node), "done": answer.is_ok(), "error": answer.as_ref().err().map(everyone::reason) })
        });
        output::json(&json!({ "action": done, "nodes": nodes.collect::<Vec<_>>(), "in_no_side": unnamed }));
    } else {
        for (node, answer) in &answers {
            let name = client.name_of(*node);
            match answer {
                Ok(()) => output::line(&format!("{name}: {done}: {}", plan_of(client, &plans, *node))),
                Err(error) => output::line(&format!("{name}: NOT {done}: {}", everyone::reason(error))),
            }
        }
        if !unnamed.is_empty() {
            output::line(&format!("in no side, left as they are: {}", unnamed.join(", ")));
        }
    }
    verdict(client, &answers)
}

fn plan_of(client: &Client, plans: &[(NodeId, FaultPlan)], node: NodeId) -> String {
    plans.iter().find(|(other, _)| *other == node).map(|(_, plan)| describe(client, plan)).unwrap_or_default()
}

async fn show(client: &Client, global: &Global, nodes: &[NodeId]) -> Result<(), Failure> {
    let options = global.options();
    let answers = everyone::ask(nodes, |node| {
        let (client, options) = (client.clone(), options.clone());
        async move { client.status(node, &options).await }
    })
    .await;
    if global.json {
        let nodes = answers.iter().map(|(node, answer)| match answer {
            Ok(status) => json!({
                "name": client.name_of(*node), "drills": status.drills, "faults": as_json(client, &status.faults),
            }),
            Err(error) => json!({ "name": client.name_of(*node), "error": everyone::reason(error) }),
        });
        output::json(&json!({ "nodes": nodes.collect::<Vec<_>>() }));
    } else {
        for (node, answer) in &answers {
            let text = match answer {
                Ok(status) if !status.drills => "was not started with --drills".to_owned(),
                Ok(status) => describe(client, &status.faults),
                Err(error) => format!("UNREACHABLE: {}", everyone::reason(error)),
            };
            output::line(&format!("{}: {text}", client.name_of(*node)));
        }
    }
    verdict(client, &answers)
}

/// One refusal speaks for itself; silent nodes are told with what that means.
fn verdict<T>(client: &Client, answers: &[(NodeId, Result<T, Error>)]) -> Result<(), Failure> {
    let errors = || answers.iter().filter_map(|(node, answer)| Some((*node, answer.as_ref().err()?)));
    let answered_badly = |error: &Error| matches!(error, Error::Refused { .. }) || error.is_certificate_refused();
    if let Some((_, error)) = errors().find(|(_, error)| answered_badly(error)) {
        return Err(Failure::Call(error.clone()));
    }
    let silent = errors().map(|(node, _)| client.name_of(node)).collect::<Vec<_>>();
    if silent.is_empty() {
        return Ok(());
    }
    Err(Failure::Incomplete(format!(
        "could not reach {}; what faults they have end by themselves when their timer runs out",
        silent.join(", ")
    )))
}

/// A node's faults for people: `cut from c, d, e for 58.2 s`.
pub(crate) fn describe(client: &Client, plan: &FaultPlan) -> String {
    if plan.links.is_empty() {
        return "no faults".into();
    }
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for link in &plan.links {
        let kind = kind(link);
        let name = client.name_of(link.peer);
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, names)) => names.push(name),
            None => kinds.push((kind, vec![name])),
        }
    }
    let kinds = kinds.into_iter().map(|(kind, names)| format!("{kind} {}", names.join(", "))).collect::<Vec<_>>();
    format!("{}; for {}", kinds.join("; "), output::micros(plan.for_ms.saturating_mul(1000)))
}

fn kind(link: &LinkFault) -> String {
    let way = match link.direction {
        Direction::Both => "to and from",
        Direction::Inbound => "from",
        Direction::Outbound => "to",
    };
    let loss = match link.drop_per_mille {
        0 => None,
        1000.. => Some("all is lost".to_owned()),
        share => Some(format!("{}.{} % is lost", share / 10, share % 10)),
    };
    let delay = (link.delay_ms > 0).then(|| format!("delayed by {} ms", link.delay_ms));
    let effects = loss.into_iter().chain(delay).collect::<Vec<_>>();
    let effects = if effects.is_empty() { "nothing happens".into() } else { effects.join(" and ") };
    format!("{effects} {way}")
}

/// A node's faults in JSON.
pub(crate) fn as_json(client: &Client, plan: &FaultPlan) -> Value {
    let links = plan.links.iter().map(|link| {
        json!({
            "peer": client.name_of(link.peer),
            "direction": link.direction,
            "drop_per_mille": link.drop_per_mille,
            "delay_ms": link.delay_ms,
        })
    });
    json!({ "for_ms": plan.for_ms, "links": links.collect::<Vec<_>>() })
}
