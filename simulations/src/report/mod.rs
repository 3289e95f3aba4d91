//! The report of a plan: what was measured, what it means, and whether it is what was expected.
//!
//! ```text
//! Measured (raw samples) ─→ figures, latency, convergence ─→ verdict (against the plan's expectations)
//!                                          ├─→ summary ─→ table: for the terminal
//!                                          └─→ words, plots ─→ page: one HTML file, nothing loaded from anywhere
//! ```
//!
//! Called by `starling-sim run` and `starling-sim drill`. Nothing here knows where the samples came from.

pub mod convergence;
pub mod figures;
pub mod latency;
mod measured;
mod page;
mod plots;
pub mod summary;
pub mod svg;
mod table;
pub mod verdict;
mod words;

use std::io;
use std::path::{Path, PathBuf};

pub use measured::{DivergenceSample, FinalCount, Measured, Op, OpKind, OpOutcome, ViewSample, World};
pub use verdict::Verdict;

use crate::plan::{Configuration, Plan};

/// Everything that was measured of a plan.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plan.
    pub plan: Plan,
    /// Its runs, in the order of the plan.
    pub runs: Vec<Run>,
}

/// One configuration and what was measured of it.
#[derive(Clone, Debug)]
pub struct Run {
    /// What ran.
    pub configuration: Configuration,
    /// What came of it.
    pub measured: Measured,
}

impl Report {
    /// A report of these runs; a run of a configuration that the plan does not have is left out.
    pub fn new(plan: Plan, measured: Vec<Measured>) -> Report {
        let run = |measured: Measured| {
            let configuration = plan.configuration(&measured.configuration)?.clone();
            Some(Run { configuration, measured })
        };
        let runs = measured.into_iter().filter_map(run).collect();
        Report { plan, runs }
    }

    /// The plan's expectations of one run, judged.
    pub fn verdicts(&self, run: &Run) -> Vec<Verdict> {
        verdict::verdicts(&self.plan, &run.configuration, &run.measured)
    }

    /// Whether everything that the plan expects of these runs was found.
    pub fn holds(&self) -> bool {
        self.runs.iter().all(|run| self.verdicts(run).iter().all(|verdict| verdict.holds))
    }

    /// The comparison for the terminal, with every expectation that does not hold.
    pub fn table(&self) -> String {
        table::render(self)
    }

    /// The page: complete in itself.
    pub fn page(&self) -> String {
        page::render(self)
    }

    /// Writes `index.html` and the raw samples (`NAME.json` per configuration) into a directory, which is made if it
    /// is missing. Returns the path of the page.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(directory)?;
        for run in &self.runs {
            let file = std::fs::File::create(directory.join(format!("{}.json", run.configuration.name)))?;
            serde_json::to_writer(io::BufWriter::new(file), &run.measured)?;
        }
        let page = directory.join("index.html");
        std::fs::write(&page, self.page())?;
        Ok(page)
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
