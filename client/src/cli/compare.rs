//! `starling compare KEY`: each replica's own view, side by side, with what it has not seen yet.
//!
//! Every node of the key's accept set is asked directly for its unmerged view. The union of what they have seen is
//! the best knowledge there is; a replica lacks the difference. Actors are shown under the node whose start they
//! belong to, as far as the nodes' statuses tell.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use starling::causality::{ActorId, Tenure, VersionVector};
use starling::ids::NodeId;
use starling::message::client::ReplicaView;
use starling_client::{Client, Error};

use super::args::{Global, KeyArg};
use super::exit::Failure;
use super::{everyone, output};

/// Show each replica's own view of a key, and what it has not seen yet.
///
/// Says at the end whether the owners are equal, their elements too. Exit code 6 if they differ, 4 if they could not all be
/// asked, or if the key has more elements than are compared (262144).
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling compare likes:42
  starling --json compare likes:42 | jq .verdict
  watch -n1 starling compare likes:42       see a split heal

Columns:
  value     what this replica alone shows
  counter   sum of its counter alone
  state     hash of all that it knows, elements too: equal hashes, equal replicas
  lacks     writes that another replica has and this one does not: how many, of whom; elements are not counted here
            (a fallback holds only what it took for an owner, so it may lack much)
  owes      the owners for whom it holds the row until they are back")]
pub(crate) struct Compare {
    #[command(flatten)]
    key: KeyArg,
}

struct Asked {
    node: NodeId,
    is_owner: bool,
    view: Result<ReplicaView, Error>,
}

impl Compare {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let key = &self.key.key()?;
        global.refresh(client).await;
        let ring = client.ring();
        let partition = ring.partition_of(key);
        let nodes = ring.accept_set(partition).to_vec();
        let options = global.options();
        let views = everyone::ask(&nodes, |node| {
            let (client, key, options) = (client.clone(), key.clone(), options.clone());
            async move { client.inspect(node, &key, &options).await }
        })
        .await;
        let asked: Vec<Asked> = views
            .into_iter()
            .map(|(node, view)| Asked { node, is_owner: ring.is_owner(partition, node), view })
            .collect();
        let report = Report {
            client,
            union: union(&asked),
            epochs: epochs(client, &options).await,
            verdict: Verdict::of(&asked),
            asked,
        };
        if global.json {
            let mut shown = report.as_json();
            shown.insert("key".into(), output::key_json(key));
            output::json(&Value::Object(shown));
        } else {
            output::line(&format!("key {key}, partition {}", partition.0));
            report.print();
        }
        report.verdict.into_result(client)
    }
}

/// Everything that anybody who was asked has seen.
fn union(asked: &[Asked]) -> VersionVector {
    let mut union = VersionVector::default();
    for view in asked.iter().filter_map(|asked| asked.view.as_ref().ok()) {
        union.merge(&view.seen);
    }
    union
}

/// Which node runs under which epoch now, by hexadecimal epoch.
async fn epochs(client: &Client, options: &starling::message::client::Options) -> BTreeMap<String, String> {
    let members = everyone::members(client);
    let statuses = everyone::ask(&members, |node| {
        let (client, options) = (client.clone(), options.clone());
        async move { client.status(node, &options).await }
    })
    .await;
    statuses.into_iter().filter_map(|(node, status)| Some((status.ok()?.epoch, client.name_of(node)))).collect()
}

/// What the views say about the owners.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    /// At least two owners hold different states.
    Different,
    /// They differ, and have not settled equally far: that alone makes them differ, for a while.
    Unsettled,
    /// Those that answered are equal; these could not be asked.
    Incomplete(Vec<NodeId>),
    /// They are equal as far as was looked: there are more elements than that.
    Bounded(u64),
}

impl Verdict {
    fn of(asked: &[Asked]) -> Verdict {
        let owners = || asked.iter().filter(|asked| asked.is_owner);
        let mut views = owners().filter_map(|owner| owner.view.as_ref().ok());
        let first = views.next();
        let mut is_settled_alike = true;
        let mut is_different = false;
        for view in views {
            is_different |= Some(&view.state_hash) != first.map(|first| &first.state_hash);
            is_settled_alike &=
                first.map(|first| (first.compacted, first.folded)) == Some((view.compacted, view.folded));
        }
        if is_different {
            return if is_settled_alike { Verdict::Different } else { Verdict::Unsettled };
        }
        let silent = owners().filter(|owner| owner.view.is_err()).map(|owner| owner.node).collect::<Vec<_>>();
        match first.filter(|view| view.leaves_out_elements) {
            _ if !silent.is_empty() => Verdict::Incomplete(silent),
            Some(view) => Verdict::Bounded(view.compared_elements),
            None => Verdict::Equal,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Verdict::Equal => "equal",
            Verdict::Different | Verdict::Unsettled => "different",
            Verdict::Incomplete(_) | Verdict::Bounded(_) => "incomplete",
        }
    }

    fn into_result(self, client: &Client) -> Result<(), Failure> {
        match self {
            Verdict::Equal => Ok(()),
            Verdict::Different => Err(Failure::Different("the owners differ".into())),
            Verdict::Unsettled => Err(Failure::Different(
                "the owners differ, and they have not settled equally far, which alone makes them differ: compare again in \
                 some seconds"
                    .into(),
            )),
            Verdict::Bounded(elements) => Err(Failure::Incomplete(format!(
                "the owners are equal in the first {elements} elements; the others were not compared"
            ))),
            Verdict::Incomplete(silent) => {
                let names = silent.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>().join(", ");
                Err(Failure::Incomplete(format!("the owners that answered are equal; not asked: {names}")))
            }
        }
    }
}

struct Report<'a> {
    client: &'a Client,
    asked: Vec<Asked>,
    union: VersionVector,
    epochs: BTreeMap<String, String>,
    verdict: Verdict,
}

impl Report<'_> {
    fn print(&self) {
        let mut silent = Vec::new();
        let mut table = output::table(["node", "role", "value", "counter", "state", "lacks", "owes"]);
        for Asked { node, is_owner, view } in &self.asked {
            let name = self.client.name_of(*node);
            let role = if *is_owner { "owner" } else { "fallback" };
            match view {
                Ok(view) => {
                    let role = if view.is_newborn { format!("{role}, newborn") } else { role.to_owned() };
                    let owes = view.owes.iter().map(|node| self.client.name_of(*node)).collect::<Vec<_>>();
                    table.add_row(vec![
                        name,
                        role,
                        output::value_text(&view.value),
                        view.counter.clone(),
                        view.state_hash.chars().take(12).collect(),
                        self.lacks(view),
                        if owes.is_empty() { "-".into() } else { owes.join(", ") },
                    ])
                }
                Err(error) => {
                    silent.push(format!("{name} is unreachable: {}", everyone::reason(error)));
                    table.add_row(vec![name.into(), role.into(), output::alarm("UNREACHABLE")])
                }
            };
        }
        output::line(&table.to_string());
        for remark in silent {
            output::line(&remark);
        }
        if self.verdict == Verdict::Equal {
            output::line("the owners are equal");
        }
    }

    /// `5 writes of a, 2 writes of b`; a fallback without the row lacks nothing that it should have.
    fn lacks(&self, view: &ReplicaView) -> String {
        if !view.is_owner && view.seen.is_empty() {
            return "(holds nothing)".into();
        }
        let lacks = self.missing(view);
        let text = lacks.iter().map(|(actor, count)| format!("{} of {actor}", output::count(*count, "write")));
        let text = text.collect::<Vec<_>>();
        if text.is_empty() { "-".into() } else { text.join(", ") }
    }

    /// Writes that the view has not seen, by the name of who made them.
    fn missing(&self, view: &ReplicaView) -> BTreeMap<String, u64> {
        let mut missing = BTreeMap::new();
        for (actor, count) in view.seen.missing_from(&self.union) {
            *missing.entry(self.actor_name(actor)).or_default() += count;
        }
        missing
    }

    fn actor_name(&self, actor: ActorId) -> String {
        if actor.tenure == Tenure::SESSION {
            return "sessions".into();
        }
        let epoch = actor.epoch.to_string();
        match self.epochs.get(&epoch) {
            Some(name) => name.clone(),
            None => format!("start {epoch}"),
        }
    }

    fn as_json(&self) -> serde_json::Map<String, Value> {
        let replicas = self.asked.iter().map(|asked| self.replica_json(asked)).collect::<Vec<_>>();
        let mut shown = serde_json::Map::new();
        shown.insert("verdict".into(), json!(self.verdict.word()));
        shown.insert("replicas".into(), json!(replicas));
        shown
    }

    fn replica_json(&self, asked: &Asked) -> Value {
        let name = self.client.name_of(asked.node);
        match &asked.view {
            Ok(view) => {
                let mut shown = output::value_json(&view.value);
                let owes = view.owes.iter().map(|node| self.client.name_of(*node)).collect::<Vec<_>>();
                let seen = view.seen.dots().map(|(actor, event)| (actor.to_string(), json!(event)));
                let facts = [
                    ("node", json!(name)),
                    ("is_owner", json!(asked.is_owner)),
                    ("is_reachable", json!(true)),
                    ("is_newborn", json!(view.is_newborn)),
                    ("counter", json!(view.counter)),
                    ("state_hash", json!(view.state_hash)),
                    ("compared_elements", json!(view.compared_elements)),
                    ("leaves_out_elements", json!(view.leaves_out_elements)),
                    ("compacted", json!(view.compacted.0)),
                    ("folded", json!(view.folded.0)),
                    ("lacks", json!(self.missing(view))),
                    ("owes", json!(owes)),
                    ("seen", Value::Object(seen.collect())),
                ];
                shown.extend(facts.map(|(name, value)| (name.to_owned(), value)));
                Value::Object(shown)
            }
            Err(error) => json!({
                "node": name,
                "is_owner": asked.is_owner,
                "is_reachable": false,
                "error": everyone::reason(error),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use starling::causality::Tick;
    use starling::message::client::Visible;

    use super::*;

    fn asked(node: u64, is_owner: bool, hash: Option<&str>) -> Asked {
        let node = NodeId(node);
        let view = match hash {
            Some(hash) => Ok(ReplicaView {
                node,
                is_owner,
                is_newborn: false,
                value: Visible::Nothing,
                counter: "0".into(),
                seen: VersionVector::default(),
                owes: Vec::new(),
                state_hash: hash.into(),
                compared_elements: 0,
                leaves_out_elements: false,
                compacted: Tick(1),
                folded: Tick(1),
            }),
            None => Err(Error::Unreachable { tried: Vec::new() }),
        };
        Asked { node, is_owner, view }
    }

    #[test]
    fn fallbacks_do_not_count_for_the_verdict() {
        assert_eq!(
            Verdict::of(&[asked(1, true, Some("x")), asked(2, true, Some("x")), asked(3, false, Some("y"))]),
            Verdict::Equal
        );
    }

    #[test]
    fn a_difference_weighs_more_than_a_silent_owner() {
        assert_eq!(
            Verdict::of(&[asked(1, true, Some("x")), asked(2, true, None), asked(3, true, Some("y"))]),
            Verdict::Different
        );
        assert_eq!(
            Verdict::of(&[asked(1, true, Some("x")), asked(2, true, None), asked(3, true, Some("x"))]),
            Verdict::Incomplete(vec![NodeId(2)])
        );
    }
    #[test]
    fn owners_that_have_settled_unequally_far_are_to_be_compared_again() {
        let mut owners = [asked(1, true, Some("x")), asked(2, true, Some("y"))];
        owners[1].view.as_mut().unwrap().compacted = Tick(2);
        assert_eq!(Verdict::of(&owners), Verdict::Unsettled);
    }

    #[test]
    fn elements_that_were_left_out_are_not_called_equal() {
        let mut owners = [asked(1, true, Some("x")), asked(2, true, Some("x"))];
        for owner in &mut owners {
            let view = owner.view.as_mut().unwrap();
            (view.compared_elements, view.leaves_out_elements) = (7, true);
        }
        assert_eq!(Verdict::of(&owners), Verdict::Bounded(7));
    }
}
