//! `starling-sim cost`: what operations cost the core.

use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::cost::{self, Comparison, Cost};

/// What operations cost the core: values, increments through three shards, growing sets; no disk, no sockets
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this part
    #[arg(value_enum)]
    part: Option<Part>,
    /// Rounds; the median is shown
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Increments of each kind in a round
    #[arg(long, default_value_t = 5_000)]
    increments: usize,
    /// Members of the largest set
    #[arg(long, default_value_t = 1_000_000)]
    largest: usize,
    /// Rows of the largest partition that owners compare
    #[arg(long, default_value_t = 100_000)]
    compared: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Merging, encoding, reading back
    Values,
    /// Untagged and exactly once
    Increments,
    /// Adding to sets of ten members and more
    Elements,
    /// What comparing owners costs, by rows and by how many of them differ: messages and bytes
    Trees,
}

/// Measures and prints.
pub fn run(args: &Args) -> ExitCode {
    let is_wanted = |part| args.part.is_none_or(|wanted| wanted == part);
    if is_wanted(Part::Values) {
        print("operation on a row", "ns", 1e9, &cost::values(args.rounds));
    }
    if is_wanted(Part::Increments) {
        print("increment, three shards", "µs", 1e6, &cost::increments(args.rounds, args.increments));
    }
    if is_wanted(Part::Elements) {
        print("set, three shards", "µs", 1e6, &cost::elements(args.largest, args.rounds));
    }
    if is_wanted(Part::Trees) {
        print_comparisons(&cost::trees(args.compared));
    }
    ExitCode::SUCCESS
}

fn print_comparisons(comparisons: &[Comparison]) {
    let mut table = Table::new();
    let header = ["rows of the partition", "that differ", "messages", "bytes", "of these sums and hashes"];
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for Comparison { rows, differences, messages, bytes, compared_bytes } in comparisons {
        table.add_row([rows, differences, messages, bytes, compared_bytes].map(usize::to_string));
    }
    println!("{table}");
}

/// Times in a unit, and their ratios to the first.
fn print(what: &str, unit: &str, per_second: f64, costs: &[Cost]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([what, unit, "× the first"]);
    for cost in costs {
        let ratio = costs.first().map_or(1.0, |first| cost.ratio_to(first));
        table.add_row([
            cost.name.clone(),
            format!("{:.1}", cost.median().as_secs_f64() * per_second),
            format!("{ratio:.2}"),
        ]);
    }
    println!("{table}");
}
