//! `starling-sim drill`: a plan on real node processes.

use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use crate::drill::{self, DrillError, Options};
use crate::plan::{Configuration, Plan};
use crate::report::convergence::{self, Convergence};
use crate::report::{Measured, Report};

/// Runs a plan on real node processes of this machine and reports what it did to them
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  starling-sim drill demo
  starling-sim drill split_two_three --config sloppy
  starling-sim drill my_plan.toml --report /tmp/my_report

Exit codes: 0 as the plan expects; 1 wrong use, or the drill could not be carried out; 10 not as the plan expects;
11 not converged though the plan expects it; 130 interrupted.")]
pub struct Args {
    /// Name of a plan (see `starling-sim list`), or a TOML file
    plan: String,
    /// Only this configuration of the plan; may be repeated
    #[arg(long, value_name = "NAME")]
    config: Vec<String>,
    /// The starling-node program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    nodes_binary: Option<PathBuf>,
    /// Where the page, the raw samples and the nodes' logs go [default: report/PLAN]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Seed of arrivals, keys and steps
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Carries out the drill, prints the table, writes the page.
pub fn run(args: &Args) -> ExitCode {
    match carry_out(args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("starling-sim drill: {message}");
            ExitCode::from(exit::USAGE)
        }
    }
}

fn carry_out(args: &Args) -> Result<ExitCode, String> {
    let plan = Plan::load(&args.plan).map_err(|error| error.to_string())?;
    let chosen = chosen(&plan, &args.config)?;
    let directory = args.report.clone().unwrap_or_else(|| PathBuf::from("report").join(&plan.name));
    let options = Options {
        binary: drill::node_binary(args.nodes_binary.as_deref()).map_err(|error| error.to_string())?,
        directory: directory.join("nodes"),
        seed: args.seed,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime could be started: {error}"))?;
    let Some(measured) = runtime.block_on(interruptible(&plan, &chosen, &options)) else {
        eprintln!("starling-sim drill: interrupted; the nodes are ended");
        return Ok(ExitCode::from(130));
    };
    let report = Report::new(plan, measured.map_err(|error| error.to_string())?);
    let page = report.write(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    println!("\n{}", report.table());
    println!("Report: {}", page.canonicalize().unwrap_or(page).display());
    println!("        open it in a browser; the raw samples lie beside it, the nodes' logs in nodes/");
    println!("{}", next_steps(&report));
    Ok(code(&report))
}

fn chosen(plan: &Plan, names: &[String]) -> Result<Vec<Configuration>, String> {
    if names.is_empty() {
        return Ok(plan.configurations.clone());
    }
    let find = |name: &String| {
        plan.configuration(name).cloned().ok_or_else(|| {
            let all: Vec<_> = plan.configurations.iter().map(|one| one.name.as_str()).collect();
            format!("plan {} has no configuration {name:?}; it has {}", plan.name, all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// `None`: asked to end. Dropping the run kills its nodes.
async fn interruptible(
    plan: &Plan,
    chosen: &[Configuration],
    options: &Options,
) -> Option<Result<Vec<Measured>, DrillError>> {
    let all = async {
        let mut measured = Vec::new();
        for configuration in chosen {
            measured.push(drill::run(plan, configuration, options).await?);
        }
        Ok(measured)
    };
    tokio::select! {
        result = all => Some(result),
        () = drill::interrupted() => None,
    }
}

fn next_steps(report: &Report) -> String {
    let judged = if report.holds() {
        "Everything the plan expects was found."
    } else {
        "NOT everything the plan expects was found; see above."
    };
    let others: Vec<_> = Plan::shipped().filter(|name| *name != report.plan.name).collect();
    let other = others.first().copied().unwrap_or("demo");
    format!(
        "{judged}

What to try next:
  make cluster                      five nodes to play with, and the commands to do so
  make drill PLAN={other:<18}another plan on real processes ({})
  cp simulations/plans/demo.toml my.toml, edit it, make drill PLAN=my.toml",
        others.join(", "),
    )
}

fn code(report: &Report) -> ExitCode {
    if report.holds() {
        return ExitCode::SUCCESS;
    }
    let apart = report.runs.iter().any(|run| {
        let found = convergence::convergence(&report.plan, &run.measured);
        run.configuration.expect.converges == Some(true) && !matches!(found, Convergence::After(_))
    });
    ExitCode::from(if apart { exit::NOT_CONVERGED } else { exit::WRONG_ANSWER })
}
