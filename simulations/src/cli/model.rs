//! `starling-sim model`: searches of the rules by which things are forgotten.

use std::process::ExitCode;
use std::time::Instant;

use super::exit;
use crate::model::machine::rules::{Rule, Rules};
use crate::model::machine::search::{Failure, Seen};
use crate::model::machine::world::Instance;
use crate::model::{Family, Row, instances, shards, traces};

/// Searches the rules of forgetting, on the specification or on the store's own rows
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  starling-sim model random --histories 5000
  starling-sim model random --values store --keys 2 --first 100000
  starling-sim model complete --states 2000000
  starling-sim model mutants
  starling-sim model shards --histories 1000
  starling-sim model shards --first 4711 --histories 1 --long

A failing history is made short and printed; the exit code is then 10, or 13 for a rule that nobody missed.")]
pub struct Args {
    /// How to search
    #[arg(value_enum, default_value_t = How::Random)]
    how: How,
    /// The specification, or the rows of the store
    #[arg(long, value_enum, default_value_t = Which::Spec)]
    values: Which,
    /// Random histories, of each world
    #[arg(long, default_value_t = 1000)]
    histories: u64,
    /// Attempted steps of each
    #[arg(long, default_value_t = 200)]
    length: usize,
    /// The first history
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Keys in the partition
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    keys: u8,
    /// Stop a complete search at so many states
    #[arg(long, default_value_t = 1_000_000)]
    states: u64,
    /// Of a failing history of shards, all that the nodes said
    #[arg(long)]
    long: bool,
    /// Go on after a failing history of shards: tell of each what is wrong, and make none short
    #[arg(long)]
    all: bool,
    /// Only worlds of shards, or rules, whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// Random histories of large worlds
    Random,
    /// Every interleaving of small worlds
    Complete,
    /// Random histories with each rule off
    Mutants,
    /// Random histories of whole shards
    Shards,
    /// The same with each protection of the core switched off
    #[cfg(feature = "mutations")]
    ShardMutants,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Spec,
    Store,
}

/// Searches, prints what was searched and what was found.
pub fn run(args: &Args) -> ExitCode {
    match args.how {
        How::Random => {
            let worlds = [instances::large(args.keys), instances::forgetful(args.keys)];
            all(worlds.iter().map(|world| told(world.name, |seen| random(args, world, seen))))
        }
        How::Complete => all(instances::complete().iter().map(|world| {
            told(world.name, |seen| match world.complete::<Row>(args.states, seen) {
                Ok(true) => None,
                Ok(false) => {
                    println!("  stopped at {} states", args.states);
                    None
                }
                Err(failure) => Some(failure),
            })
        })),
        How::Mutants => {
            let survivors = Rule::ALL
                .into_iter()
                .filter(|rule| format!("{rule:?}").contains(&args.only) && !is_missed(args, *rule))
                .count();
            if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::MUTANT_SURVIVED) }
        }
        How::Shards => {
            let worlds = shards::instance::all();
            all(worlds.iter().filter(|world| world.name.contains(&args.only)).map(|world| of_shards(args, world)))
        }
        #[cfg(feature = "mutations")]
        How::ShardMutants => shard_mutants(args),
    }
}

/// Random histories of whole shards; true if nothing was found.
fn of_shards(args: &Args, world: &shards::instance::Instance) -> bool {
    let began = Instant::now();
    let mut seen = shards::search::Seen::default();
    if args.all {
        let seeds = args.first..args.first.saturating_add(args.histories);
        let failed = seeds.filter_map(|seed| shards::search::one(world, seed, &mut seen));
        let failed = failed.inspect(|failure| println!("seed {}: {}", failure.seed, failure.found)).count();
        println!("{}: {seen}, {failed} failed, {:.1} s", world.name, began.elapsed().as_secs_f64());
        return failed == 0;
    }
    let failure = shards::search::random(world, args.histories, args.first, &mut seen);
    println!("{}: {seen}, {:.1} s", world.name, began.elapsed().as_secs_f64());
    if let Some(failure) = &failure {
        if args.long {
            println!("{}", failure.long(world).join("\n"));
        }
        println!("{}", failure.short());
    }
    failure.is_none()
}

fn all(passed: impl Iterator<Item = bool>) -> ExitCode {
    let failed = passed.filter(|passed| !passed).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::WRONG_ANSWER) }
}

fn random(args: &Args, world: &Instance, seen: &mut Seen) -> Option<Failure> {
    match args.values {
        Which::Spec => world.random::<Row>(args.histories, args.length, args.first, seen),
        // What observed others is left out there by the coordinator, which is not part of this machine.
        Which::Store => {
            instances::without_observed(world).random::<Family>(args.histories, args.length, args.first, seen)
        }
    }
}

/// Runs one search and prints it; true if it found nothing.
fn told(name: &str, search: impl FnOnce(&mut Seen) -> Option<Failure>) -> bool {
    let began = Instant::now();
    let mut seen = Seen::default();
    let failure = search(&mut seen);
    println!("{name}: {seen}, {:.1} s", began.elapsed().as_secs_f64());
    if let Some(failure) = &failure {
        println!("{failure}");
    }
    failure.is_none()
}

/// Whether somebody misses a rule: a history that was written for it, or random ones.
fn is_missed(args: &Args, rule: Rule) -> bool {
    let mut seen = Seen::default();
    let written = traces::all().into_iter().find(|trace| trace.rules.contains(&rule));
    let found = match written {
        Some(trace) => trace.without().replay::<Row>(&trace.steps, false),
        None => {
            let large = Instance { rules: Rules::ALL.without(rule), ..instances::large(args.keys) };
            random(args, &large, &mut seen)
        }
    };
    match &found {
        Some(failure) => {
            println!("{:<20} missed, {} steps: {}", format!("{rule:?}"), failure.steps.len(), failure.error)
        }
        None => println!("{:<20} not missed in {seen}", format!("{rule:?}")),
    }
    found.is_some() || rule.is_second_line()
}

/// Switches each protection of the core off, and sees whether histories of shards notice.
#[cfg(feature = "mutations")]
fn shard_mutants(args: &Args) -> ExitCode {
    use starling::mutation::{Mutation, switch_off};

    let mut survivors = 0;
    for protection in Mutation::ALL.into_iter().filter(|it| format!("{it:?}").contains(&args.only)) {
        let began = Instant::now();
        switch_off(Some(protection));
        let mut seen = shards::search::Seen::default();
        let found = shards::search::anywhere(args.histories, args.first, &mut seen);
        switch_off(None);
        let took = began.elapsed().as_secs_f64();
        match found {
            Some(failure) if args.long => println!("{protection:?}, {took:.1} s: {}", failure.short()),
            Some(failure) => println!(
                "{:<24} {took:>5.1} s  {} histories, seed {}, {} steps: {}",
                format!("{protection:?}"),
                seen.histories,
                failure.seed,
                failure.steps.len(),
                failure.found.to_string().chars().take(160).collect::<String>()
            ),
            None => {
                println!("{:<24} {took:>5.1} s  SURVIVED {seen}", format!("{protection:?}"));
                survivors += 1;
            }
        }
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::MUTANT_SURVIVED) }
}
