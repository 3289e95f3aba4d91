//! The plans that come with the program, and plans of one's own.

use std::path::Path;

use super::{NodeIndex, Phase, Plan, PlanError};

/// Name and text of every plan in `plans/`.
const SHIPPED: [(&str, &str); 4] = [
    ("demo", include_str!("../../plans/demo.toml")),
    ("isolate_one", include_str!("../../plans/isolate_one.toml")),
    ("kill_one", include_str!("../../plans/kill_one.toml")),
    ("split_two_three", include_str!("../../plans/split_two_three.toml")),
];

impl Plan {
    /// Names of the plans that come with the program.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The shipped plan with this name, or the one in this file (`*.toml`).
    pub fn load(name: &str) -> Result<Plan, PlanError> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Plan::parse(text);
        }
        if !name.ends_with(".toml") {
            let names: Vec<_> = Plan::shipped().collect();
            return Err(PlanError::NoSuchPlan { name: name.to_owned(), shipped: names.join(", ") });
        }
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|cause| PlanError::Unreadable { file: name.to_owned(), cause })?;
        Plan::parse(&text)
    }

    /// The counters of the workload.
    pub fn counters(&self) -> Vec<String> {
        (0..self.workload.keys).map(|index| format!("likes:{index}")).collect()
    }

    /// The texts of the workload; none if it makes no puts.
    pub fn texts(&self) -> Vec<String> {
        let count = if self.workload.mix.put == 0 { 0 } else { self.workload.keys };
        (0..count).map(|index| format!("title:{index}")).collect()
    }

    /// The counter that is worth following on every node: one with owners on most sides of the plan's splits.
    pub fn watched_key(&self, owners_of: impl Fn(&str) -> Vec<NodeIndex>) -> String {
        let phases = self.timeline.phases(self.quiet_from());
        let sides = |owners: &[NodeIndex], phase: &Phase| {
            phase.sides.iter().filter(|side| side.iter().any(|node| owners.contains(node))).count()
        };
        let score = |key: &String| {
            let owners = owners_of(key);
            phases.iter().map(|phase| sides(&owners, phase)).sum::<usize>()
        };
        // The first of the best, so that both worlds choose alike.
        let best = self.counters().into_iter().rev().max_by_key(score);
        best.unwrap_or_else(|| "likes:0".to_owned())
    }
}
