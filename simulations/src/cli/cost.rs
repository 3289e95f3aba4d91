//! `starling-sim cost`: what operations cost the core.

use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use starling::config::ShardConfig;
use starling::membership::Fallbacks;

use crate::cost::{self, Comparison, Cost, Grown, Placed, Spread};

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
    #[arg(long, default_value_t = 100_000)]
    compared: usize,
    /// Sizes of the clusters that grow
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 25, 50, 100])]
    sizes: Vec<usize>,
    /// Partitions of the clusters that grow
    #[arg(long, default_value_t = 4_096)]
    partitions: u16,
    /// Where the plot goes: of liveness and layouts, or of how clusters grow
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
    if is_wanted(Part::Placement) {
        print_placed(&cost::placement(&cost::SIZES));
    }
    if is_wanted(Part::Layout) {
        let spreads = cost::layout(&cost::NODES);
        print_spreads(&spreads);
        if let Some(path) = &args.plot
            && let Err(error) = std::fs::write(path, scale_plot(&spreads))
        {
            eprintln!("error: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if args.part == Some(Part::Growth) {
        return print_growth(args);
    }
    ExitCode::SUCCESS
}

/// What is measured of clusters: its name, and its value.
type Figure = (&'static str, fn(&Spread) -> f64);

/// All of it.
const FIGURES: [Figure; 7] = [
    ("gossip, messages/s per node", |it| it.messages),
    ("gossip, B/s per node", |it| it.bytes),
    ("a death known to all, ms", |it| it.death.as_secs_f64() * 1e3),
    ("a layout known to all, ms", |it| it.layout.as_secs_f64() * 1e3),
    ("size of the layout, B", |it| it.layout_bytes as f64),
    ("sent for it, B per node", |it| it.spread_bytes),
    ("memory of the ring, B per node", |it| it.ring_bytes as f64),
];

fn print_spreads(spreads: &[Spread]) {
    let mut table = Table::new();
    let header = ["nodes"].into_iter().map(str::to_owned).chain(FIGURES.iter().map(|(name, _)| (*name).to_owned()));
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for spread in spreads {
        let figures = FIGURES.iter().map(|(_, figure)| format!("{:.0}", figure(spread)));
        table.add_row([spread.nodes.to_string()].into_iter().chain(figures));
    }
    if let Some((first, last)) = ends(spreads) {
        let growth = |figure: fn(&Spread) -> f64| {
            cost::growth((first.nodes as f64, figure(first)), (last.nodes as f64, figure(last)))
        };
        let law = FIGURES.iter().map(|(_, figure)| format!("n^{:.2}", growth(*figure)));
        table.add_row([format!("growth from {} to {}", first.nodes, last.nodes)].into_iter().chain(law));
    }
    println!("{table}");
}

/// The sizes between which growth is read off: below them everyone asks everyone.
fn ends(spreads: &[Spread]) -> Option<(&Spread, &Spread)> {
    spreads.iter().find(|spread| spread.nodes >= 50).zip(spreads.last())
}

/// Every figure against the number of nodes, both by orders of magnitude.
fn scale_plot(spreads: &[Spread]) -> String {
    use crate::report::svg::{Scale, escape, number, picture};
    const HEIGHT: f64 = 150.0;
    let mut body = String::new();
    let nodes = |spread: &Spread| spread.nodes as f64;
    let (low, high) = (spreads.first().map_or(1.0, nodes), spreads.last().map_or(10.0, nodes));
    let across = Scale::log(low, high, 60.0, 400.0);
    for (row, (name, figure)) in FIGURES.iter().enumerate() {
        let top = row as f64 * HEIGHT;
        let values = || spreads.iter().map(figure);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let up = Scale::log(least, most * 1.01, top + HEIGHT - 24.0, top + 28.0);
        body += &format!("<text x=\"8\" y=\"{}\" class=\"title\">{}</text>", top + 14.0, escape(name));
        let points: Vec<String> =
            spreads.iter().map(|it| format!("{:.1},{:.1}", across.at(nodes(it)), up.at(figure(it)))).collect();
        body += &format!("<polyline fill=\"none\" stroke=\"currentColor\" points=\"{}\"/>", points.join(" "));
        for spread in spreads {
            let (x, y) = (across.at(nodes(spread)), up.at(figure(spread)));
            body += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"currentColor\"/>");
            body +=
                &format!("<text x=\"{x:.1}\" y=\"{}\" font-size=\"9\">{}</text>", top + HEIGHT - 10.0, spread.nodes);
        }
        for value in [least, most] {
            body += &format!("<text x=\"8\" y=\"{:.1}\" font-size=\"9\">{}</text>", up.at(value) + 3.0, number(value));
        }
    }
    let description = "liveness and layouts against the number of nodes, both by orders of magnitude";
    let svg = picture(HEIGHT * FIGURES.len() as f64, description, &body);
    svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1)
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

fn print_placed(placed: &[Placed]) {
    let mut table = Table::new();
    let header =
        ["placement", "ms", "with a join, ms", "lightest", "heaviest", "moved by a join", "held, KiB", "peak, MiB"];
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for Placed { size, time, preview, spread: [lightest, heaviest], join_score, held_bytes, peak_bytes } in placed {
        let fallbacks = match size.fallbacks {
            Fallbacks::Next(count) => count.to_string(),
            Fallbacks::All => "all".to_owned(),
        };
        table.add_row([
            format!("{} members, Q = {}, F = {fallbacks}", size.members, size.partitions),
            format!("{:.1}", time.as_secs_f64() * 1e3),
            format!("{:.1}", preview.as_secs_f64() * 1e3),
            format!("{lightest:.3}"),
            format!("{heaviest:.3}"),
            format!("{join_score:.3}"),
            format!("{}", held_bytes / 1024),
            peak_bytes.map_or("unknown".to_owned(), |peak| format!("{:.0}", peak as f64 / f64::from(1 << 20))),
        ]);
    }
    println!("{table}");
}

fn print_growth(args: &Args) -> ExitCode {
    // One more joins, and one can be cut off.
    let sizes: Vec<usize> = args.sizes.iter().map(|size| (*size).clamp(4, starling::limits::MEMBERS_MAX - 1)).collect();
    let grown = cost::grow(&sizes, args.partitions);
    type Column = (&'static str, fn(&Grown) -> Option<f64>);
    let columns: [Column; 11] = [
        ("founded, s", |it| it.founded.map(|took| took.as_secs_f64())),
        ("idle: liveness, B/s", |it| Some(it.idle.liveness)),
        ("comparing, B/s", |it| Some(it.idle.repair)),
        ("settling, B/s", |it| Some(it.idle.settling)),
        ("equal after a cut, s", |it| it.equal.map(|took| took.as_secs_f64())),
        ("layout learned, ms", |it| it.learned.map(|took| took.as_secs_f64() * 1e3)),
        ("joined, s", |it| it.joined.map(|took| took.as_secs_f64())),
        ("joining: layout, B/s", |it| Some(it.joining.layout)),
        ("all, B/s", |it| Some(it.joining.sum)),
        ("trees, KiB", |it| Some(it.tree_bytes as f64 / 1024.0)),
        ("real time, s", |it| Some(it.took.as_secs_f64())),
    ];
    let mut table = Table::new();
    let names = std::iter::once("members").chain(columns.iter().map(|(name, _)| *name));
    table.load_style(UTF8_FULL_CONDENSED).set_header(names);
    for one in &grown {
        let cells =
            columns.iter().map(|(_, read)| read(one).map_or("not in time".to_owned(), |value| format!("{value:.1}")));
        table.add_row(std::iter::once(one.nodes.to_string()).chain(cells));
    }
    let law = |read: &fn(&Grown) -> Option<f64>| {
        let points: Option<Vec<(f64, f64)>> = grown.iter().map(|it| Some((it.nodes as f64, read(it)?))).collect();
        let power = points.and_then(|points| cost::exponent(&points));
        power.map_or("–".to_owned(), |power| format!("n^{power:.2}"))
    };
    table.add_row(std::iter::once("grows as".to_owned()).chain(columns.iter().map(|(_, read)| law(read))));
    println!("per node, {} partitions, N = 3\n{table}", args.partitions);
    let Some(path) = &args.plot else { return ExitCode::SUCCESS };
    match std::fs::write(path, cost::growth_plot(&grown)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} cannot be written: {error}", path.display());
            ExitCode::FAILURE
        }
    }
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
