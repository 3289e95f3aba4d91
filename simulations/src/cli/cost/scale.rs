//! `starling-sim cost placement`, `layout` and `growth`: figures by the size of the cluster, with the law by which each grows.

use std::path::Path;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use starling::membership::Fallbacks;

use crate::cost::law::{self, Panel, Points};
use crate::cost::{self, Grown, Placed, Spread};

/// The first size at which not everyone asks everyone: laws are read off from there on.
const SAMPLED_FROM: f64 = 50.0;

/// What was measured over sizes.
pub(super) struct Measured {
    title: String,
    /// What a size is.
    across: &'static str,
    table: String,
    panels: Vec<Panel>,
}

/// A column: its name, in which panel it is drawn, and its value, if it was measured.
struct Column<T> {
    name: &'static str,
    panel: &'static str,
    read: fn(&T) -> Option<f64>,
}

impl Measured {
    /// Writes the picture: an SVG file, or, if that is the name's end, an HTML page with the table.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let picture = law::picture(&self.title, self.across, &self.panels);
        let is_page = path.extension().is_some_and(|extension| extension == "html");
        std::fs::write(path, if is_page { law::page(&self.title, &self.table, &picture) } else { picture })
    }

    /// One row for each size, and one for the law of each column; one panel for each unit.
    fn of<T>(title: String, sizes: &[(f64, String)], rows: &[T], columns: &[Column<T>], law_from: f64) -> Measured {
        let mut table = Table::new();
        let names = std::iter::once("members").chain(columns.iter().map(|column| column.name));
        table.load_style(UTF8_FULL_CONDENSED).set_header(names);
        for ((_, size), row) in sizes.iter().zip(rows) {
            let cell = |column: &Column<T>| (column.read)(row).map_or("not in time".to_owned(), short);
            table.add_row(std::iter::once(size.clone()).chain(columns.iter().map(cell)));
        }
        let points = |column: &Column<T>| -> Points {
            sizes.iter().zip(rows).filter_map(|((size, _), row)| Some((*size, (column.read)(row)?))).collect()
        };
        let above = |points: Points| points.into_iter().filter(|(size, _)| *size >= law_from).collect::<Points>();
        let laws = columns.iter().map(|column| law::law(&above(points(column))));
        table.add_row(std::iter::once("grows as".to_owned()).chain(laws));
        let mut panels: Vec<Panel> = Vec::new();
        for column in columns.iter().filter(|column| !column.panel.is_empty()) {
            let line = (column.name.to_owned(), above(points(column)));
            match panels.iter_mut().find(|panel| panel.title == column.panel) {
                Some(panel) => panel.lines.push(line),
                None => panels.push(Panel { title: column.panel.to_owned(), lines: vec![line] }),
            }
        }
        let measured = Measured { title, across: "members", table: table.to_string(), panels };
        println!("{}\n{}", measured.title, measured.table);
        measured
    }
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn kib(bytes: f64) -> f64 {
    bytes / 1024.0
}

fn millis(span: Option<Duration>) -> Option<f64> {
    span.map(|span| span.as_secs_f64() * 1e3)
}

/// Liveness and the spreading of a layout.
pub(super) fn layout() -> Measured {
    let mut spreads = Vec::new();
    for nodes in cost::NODES {
        let began = Instant::now();
        spreads.push(cost::layout(nodes));
        eprintln!("{nodes} members: {:.0} s", began.elapsed().as_secs_f64());
    }
    let columns: [Column<Spread>; 8] = [
        Column { name: "gossip, frames/s", panel: "per node and second", read: |it| Some(it.frames) },
        Column { name: "gossip, B/s", panel: "per node and second", read: |it| Some(it.bytes) },
        Column { name: "a death known to all, ms", panel: "ms", read: |it| millis(it.death) },
        Column { name: "a layout known to all, ms", panel: "ms", read: |it| millis(it.layout) },
        Column { name: "one has joined, ms", panel: "ms", read: |it| millis(it.joined) },
        Column { name: "size of the layout, B", panel: "bytes", read: |it| Some(it.layout_bytes as f64) },
        Column { name: "sent while one joins, B", panel: "bytes", read: |it| Some(it.spread_bytes) },
        Column { name: "memory of the ring, B", panel: "bytes", read: |it| Some(it.ring_bytes as f64) },
    ];
    let sizes: Vec<(f64, String)> = spreads.iter().map(|it| (it.nodes as f64, it.nodes.to_string())).collect();
    let title = format!("Liveness and layouts alone, per node; laws from {SAMPLED_FROM:.0} members on");
    Measured::of(title, &sizes, &spreads, &columns, SAMPLED_FROM)
}

/// The placement of layouts.
pub(super) fn placement() -> Measured {
    let placed = cost::placement(&cost::SIZES);
    let columns: [Column<Placed>; 7] = [
        Column { name: "place, ms", panel: "ms", read: |it| Some(it.time.as_secs_f64() * 1e3) },
        Column { name: "with a join, ms", panel: "ms", read: |it| Some(it.preview.as_secs_f64() * 1e3) },
        Column {
            name: "lightest",
            panel: "in units of the fair share, or of the least that must move",
            read: |it| Some(it.spread[0]),
        },
        Column {
            name: "heaviest",
            panel: "in units of the fair share, or of the least that must move",
            read: |it| Some(it.spread[1]),
        },
        Column {
            name: "moved by a join",
            panel: "in units of the fair share, or of the least that must move",
            read: |it| Some(it.join_score),
        },
        Column { name: "held, KiB", panel: "KiB", read: |it| Some(kib(it.held_bytes as f64)) },
        Column { name: "peak, KiB", panel: "KiB", read: |it| it.peak_bytes.map(|bytes| kib(bytes as f64)) },
    ];
    let size = |it: &Placed| {
        let fallbacks = match it.size.fallbacks {
            Fallbacks::Next(count) => count.to_string(),
            Fallbacks::All => "all".to_owned(),
        };
        (it.size.members as f64, format!("{}, Q = {}, F = {fallbacks}", it.size.members, it.size.partitions))
    };
    // All members as fallbacks is another law: its own row, and no point of the lines.
    let (lines, all): (Vec<Placed>, Vec<Placed>) =
        placed.into_iter().partition(|it| it.size.fallbacks != Fallbacks::All);
    let sizes = |of: &[Placed]| of.iter().map(size).collect::<Vec<_>>();
    Measured::of("Placement, every member a fallback".to_owned(), &sizes(&all), &all, &columns, 0.0);
    Measured::of("Placement, N = 3".to_owned(), &sizes(&lines), &lines, &columns, 0.0)
}

/// The whole protocol by the size of the cluster.
pub(super) fn growth(sizes: &[usize], partitions: u16) -> Measured {
    // One more joins, and one can be cut off.
    let sizes: Vec<usize> = sizes.iter().map(|size| (*size).clamp(4, starling::limits::MEMBERS_MAX - 1)).collect();
    let mut grown = Vec::new();
    for size in &sizes {
        let one = cost::grow(&[*size], partitions);
        eprintln!("{size} members: {:.0} s", one.iter().map(|it| it.took.as_secs_f64()).sum::<f64>());
        grown.extend(one);
    }
    let columns: [Column<Grown>; 13] = [
        Column { name: "founded, s", panel: "seconds", read: |it| it.founded.map(|took| took.as_secs_f64()) },
        Column { name: "equal after a cut, s", panel: "seconds", read: |it| it.equal.map(|took| took.as_secs_f64()) },
        Column { name: "layout learned, s", panel: "seconds", read: |it| it.learned.map(|took| took.as_secs_f64()) },
        Column { name: "joined, s", panel: "seconds", read: |it| it.joined.map(|took| took.as_secs_f64()) },
        Column {
            name: "idle: liveness, B/s",
            panel: "bytes per node and second, idle",
            read: |it| Some(it.idle.liveness),
        },
        Column { name: "comparing, B/s", panel: "bytes per node and second, idle", read: |it| Some(it.idle.repair) },
        Column { name: "settling, B/s", panel: "bytes per node and second, idle", read: |it| Some(it.idle.settling) },
        Column {
            name: "joining: layout, B/s",
            panel: "bytes per node and second, while one joins",
            read: |it| Some(it.joining.layout),
        },
        Column {
            name: "settling, B/s",
            panel: "bytes per node and second, while one joins",
            read: |it| Some(it.joining.settling),
        },
        Column {
            name: "all, B/s",
            panel: "bytes per node and second, while one joins",
            read: |it| Some(it.joining.sum),
        },
        Column { name: "ring, KiB", panel: "memory of a node, KiB", read: |it| Some(kib(it.ring_bytes as f64)) },
        Column { name: "trees, KiB", panel: "memory of a node, KiB", read: |it| Some(kib(it.tree_bytes as f64)) },
        Column { name: "real time, s", panel: "", read: |it| Some(it.took.as_secs_f64()) },
    ];
    let named: Vec<(f64, String)> = sizes.iter().map(|size| (*size as f64, size.to_string())).collect();
    Measured::of(format!("The whole protocol, per node: {partitions} partitions, N = 3"), &named, &grown, &columns, 0.0)
}
