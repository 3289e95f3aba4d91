//! `starling-sim cost`: what operations cost the core.

mod scale;

use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use starling::config::ShardConfig;

use crate::cost::{self, Comparison, Cost};

/// A cache of rows in which hardly one is found again. Unit: bytes.
const COLD_CACHE_BYTES: usize = 64 * 1024;

/// What operations cost the core: values, increments through three shards, growing sets, layouts; no disk, no sockets
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
    #[arg(long, default_value_t = 1_000_000)]
    compared: usize,
    /// Sizes of the clusters that grow
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 25, 50, 100])]
    sizes: Vec<usize>,
    /// Partitions of the clusters that grow
    #[arg(long, default_value_t = 4_096)]
    partitions: u16,
    /// Where the plot of `placement`, `layout` or `growth` goes: FILE.svg, or FILE.html with the table
    #[arg(long)]
    plot: Option<std::path::PathBuf>,
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
    /// Placing the partitions of a layout, up to a thousand members and 16384 partitions
    Placement,
    /// Liveness and the spreading of a layout, from 5 to a thousand nodes: messages, bytes, time, and how they grow
    Layout,
    /// The whole protocol by the size of the cluster: a minute or more; only if it is asked for
    Growth,
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
        let usual = ShardConfig::default().row_cache_bytes;
        print("set, three shards", "µs", 1e6, &cost::elements(args.largest, args.rounds, usual));
        print("set, three shards, cold", "µs", 1e6, &cost::elements(args.largest, args.rounds, COLD_CACHE_BYTES));
    }
    if is_wanted(Part::Trees) {
        print_comparisons(&cost::trees(args.compared));
    }
    let mut grown = Vec::new();
    if is_wanted(Part::Placement) {
        grown.push(scale::placement());
    }
    if is_wanted(Part::Layout) {
        grown.push(scale::layout());
    }
    if args.part == Some(Part::Growth) {
        grown.push(scale::growth(&args.sizes, args.partitions));
    }
    // With all parts together there is one picture for each.
    for one in &grown {
        if let Some(path) = args.plot.as_deref().filter(|_| args.part.is_some())
            && let Err(error) = one.write(path)
        {
            eprintln!("error: {} cannot be written: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print_comparisons(comparisons: &[Comparison]) {
    let mut table = Table::new();
    let header = [
        "n rows of the partition",
        "k that differ",
        "messages",
        "bytes",
        "of these sums and hashes",
        "messages / k·log₂ n",
        "sums and hashes, bytes / k·log₂ n",
    ];
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for comparison in comparisons {
        let Comparison { rows, differences, messages, bytes, compared_bytes } = *comparison;
        let law = |cost: usize| match comparison.k_log_n() {
            0.0 => "–".to_owned(),
            law => format!("{:.1}", cost as f64 / law),
        };
        let plain = [rows, differences, messages, bytes, compared_bytes].map(|figure| figure.to_string());
        table.add_row(plain.into_iter().chain([law(messages), law(compared_bytes)]));
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
