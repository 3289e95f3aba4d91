//! The command line of `starling-node`: flags made from the table of settings, `init-cluster` and `restore`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use starling::membership::Fallbacks;

use crate::backup;
use crate::config::{SETTINGS, Setting};
use crate::exit::Exit;
use crate::founding::Plan;
use crate::issuing;

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Run a member.
    Run {
        /// Flags by setting key.
        flags: BTreeMap<String, String>,
        /// `--config`.
        config: Option<PathBuf>,
    },
    /// Make a cluster.
    InitCluster(Plan),
    /// Make the bundle of one more member.
    IssueMember(issuing::Plan),
    /// Make the directories of a new cluster of backups.
    Restore(backup::Plan),
}

/// Reads the command line. A wrong one, `--help` and `--version` come back as clap's error, which prints itself.
pub fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    match matches.subcommand() {
        Some(("init-cluster", matches)) => Ok(Asked::InitCluster(InitCluster::from_arg_matches(matches)?.plan())),
        Some(("issue-member", matches)) => Ok(Asked::IssueMember(IssueMember::from_arg_matches(matches)?.plan())),
        Some(("restore", matches)) => Ok(Asked::Restore(Restore::from_arg_matches(matches)?.plan())),
        Some((_, matches)) => Ok(run(matches)),
        None => Err(command()
            .error(clap::error::ErrorKind::MissingSubcommand, "run, init-cluster, issue-member or restore is needed")),
    }
}

fn run(matches: &ArgMatches) -> Asked {
    let value = |setting: &Setting| {
        let text = matches.get_one::<String>(setting.key)?;
        Some((setting.key.to_owned(), text.clone()))
    };
    Asked::Run {
        flags: SETTINGS.iter().filter_map(value).collect(),
        config: matches.get_one::<PathBuf>("config").cloned(),
    }
}

fn command() -> Command {
    Command::new("starling-node")
        .max_term_width(120)
        .version(env!("CARGO_PKG_VERSION"))
        .about("A node of Starling: an always-writable, eventually consistent store whose values are CRDTs")
        .after_help(format!("{EXAMPLE}\n\n{}", Exit::TABLE))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(InitCluster::augment_args(
            Command::new("init-cluster")
                .about(
                    "Makes a cluster: its certificate authority, its layout, and a bundle for each member and client",
                )
                .after_help(INIT_EXAMPLE),
        ))
        .subcommand(IssueMember::augment_args(
            Command::new("issue-member")
                .about("Makes the bundle of a member that is to join a cluster that runs")
                .after_help(ISSUE_EXAMPLE),
        ))
        .subcommand(run_command())
        .subcommand(Restore::augment_args(
            Command::new("restore")
                .about("Makes the data directories of a new cluster of backups, offline")
                .after_help(format!("{RESTORE_NOTES}\n\n{}", Exit::TABLE)),
        ))
}

fn run_command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML file of settings [env: STARLING_NODE_CONFIG]");
    Command::new("run")
        .about("Runs a member of a cluster, in the foreground")
        .after_help(format!("{RUN_NOTES}\n\n{}", Exit::TABLE))
        .arg(config)
        .args(SETTINGS.iter().map(argument))
}

fn argument(setting: &Setting) -> Arg {
    let default = setting.default.map_or_else(|| "needed".to_owned(), |default| format!("default: {default}"));
    let argument = Arg::new(setting.key)
        .long(setting.flag)
        .value_name(setting.value)
        .help(format!("{} [{default}]", setting.help));
    if setting.is_switch() {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        argument
    }
}

#[derive(Args, Debug)]
struct InitCluster {
    /// Name of the cluster
    name: String,
    /// A member and the address that peers and clients dial; at least one
    #[arg(value_name = "NAME=HOST:PORT", required = true, value_parser = pair)]
    members: Vec<(String, String)>,
    /// Directory to make [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replicas of every key (N) [default: 3, or the number of members if smaller]
    #[arg(long, value_name = "N")]
    replicas: Option<u8>,
    /// Partitions of the ring (Q), a power of two up to 16384 [default: 256]
    #[arg(long, value_name = "Q")]
    partitions: Option<u16>,
    /// Nodes that stand in for owners (F), or all: writes go on while any W members are reachable [default: 2]
    #[arg(long, value_name = "F|all", value_parser = fallbacks)]
    fallbacks: Option<Fallbacks>,
    /// Replicas that answer a read (R) [default: a majority of N]
    #[arg(long, value_name = "R")]
    read_quorum: Option<u8>,
    /// Nodes that hold a write before it is acknowledged (W) [default: a majority of N]
    #[arg(long, value_name = "W")]
    write_quorum: Option<u8>,
    /// Zone of a member; replicas go to distinct zones while there are enough. May be repeated
    #[arg(long = "zone", value_name = "NAME=ZONE", value_parser = pair)]
    zones: Vec<(String, String)>,
    /// Share of the data of a member, 1 if not given. May be repeated
    #[arg(long = "weight", value_name = "NAME=N", value_parser = weight)]
    weights: Vec<(String, u32)>,
}

impl InitCluster {
    fn plan(self) -> Plan {
        Plan {
            directory: self.out.unwrap_or_else(|| PathBuf::from(&self.name)),
            name: self.name,
            members: self.members,
            zones: self.zones,
            weights: self.weights,
            replicas: self.replicas,
            partitions: self.partitions,
            fallbacks: self.fallbacks,
            read_quorum: self.read_quorum,
            write_quorum: self.write_quorum,
        }
    }
}

#[derive(Args, Debug)]
struct IssueMember {
    /// What the member is to be called
    name: String,
    /// The address that peers and clients dial
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// The directory that init-cluster made, with ca.key in it
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Share of the data
    #[arg(long, value_name = "N", default_value_t = 1)]
    weight: u32,
    /// Zone; replicas go to distinct zones while there are enough
    #[arg(long, value_name = "ZONE", default_value = "")]
    zone: String,
}

impl IssueMember {
    fn plan(self) -> issuing::Plan {
        let IssueMember { name, address, ca, weight, zone } = self;
        issuing::Plan { authority: ca, name, address, weight, zone }
    }
}

#[derive(Args, Debug)]
struct Restore {
    /// A backup, of each node of the old cluster one or several. To be repeated
    #[arg(long = "from", value_name = "DIR", required = true)]
    from: Vec<PathBuf>,
    /// The directory that init-cluster made for the new cluster
    #[arg(long, value_name = "DIR")]
    cluster: PathBuf,
    /// Directory to make: OUT/NAME for each member
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on although of some partitions no owner has a backup, or as many lack one as acknowledge a write: what only they held is
    /// missing then
    #[arg(long)]
    accept_loss: bool,
}

impl Restore {
    fn plan(self) -> backup::Plan {
        backup::Plan { from: self.from, cluster: self.cluster, out: self.out, accepts_loss: self.accept_loss }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} lacks a '='"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn weight(text: &str) -> Result<(String, u32), String> {
    let (name, value) = pair(text)?;
    value.parse().map(|weight| (name, weight)).map_err(|_| format!("{value:?} is not a whole number"))
}

fn fallbacks(text: &str) -> Result<Fallbacks, String> {
    if text == "all" {
        return Ok(Fallbacks::All);
    }
    text.parse().map(Fallbacks::Next).map_err(|_| format!("{text:?} is neither a number up to 255 nor all"))
}

const EXAMPLE: &str = "\
A cluster on this machine, each node in its own terminal:
  starling-node init-cluster shop a=127.0.0.1:7001 b=127.0.0.1:7002 c=127.0.0.1:7003
  starling-node run --bundle shop/members/a --data data/a
  starling-node run --bundle shop/members/b --data data/b
  starling-node run --bundle shop/members/c --data data/c
  starling --bundle shop/client incr likes

On several machines: give their addresses to init-cluster, copy shop/members/NAME to the machine of each member
(and nothing else of shop/), and run the same line there. UDP must pass on the port.";

const INIT_EXAMPLE: &str = "\
Examples:
  starling-node init-cluster shop a=127.0.0.1:7001 b=127.0.0.1:7002 c=127.0.0.1:7003
  starling-node init-cluster shop a=db1.example:7001 b=db2.example:7001 c=db3.example:7001 --zone a=west --zone b=east
  starling-node init-cluster lab a=10.0.0.1:7001 --replicas 1 --out /etc/starling/lab

Every member's bundle holds seal.key (64 hexadecimal digits, the same on all members): it seals the contexts and tokens
that clients keep. Clients and admins never get it.

Writes shop/ca.key, shop/ca.pem, shop/members/NAME/, shop/client/ and shop/admin/. Never overwrites anything.
Keep ca.key away from the nodes. Member ids are given in the order of the members.";

const ISSUE_EXAMPLE: &str = "\
Example: a sixth node joins a running cluster:
  starling-node issue-member --ca shop f db6.example:7001 --zone west
  starling-node run --bundle shop/members/f --data data/f          on its machine; it waits, and announces itself
  starling --bundle shop/admin cluster join f
  starling --bundle shop/admin cluster commit
  starling --bundle shop/admin cluster progress --watch

Run it where ca.key is kept. It asks no node. Ids are never given twice: they are written down in DIR/issued.toml.";

const RESTORE_NOTES: &str = "\
Example: three nodes take over what five had:
  starling --bundle shop/admin backup tonight --all              while the five run; then copy each node's backup here
  starling-node init-cluster shop2 a=127.0.0.1:8001 b=127.0.0.1:8002 c=127.0.0.1:8003
  starling-node restore --cluster shop2 --out data2 --from a/tonight --from b/tonight --from c/tonight …
  starling-node run --bundle shop2/members/a --data data2/a      and so on

Always into a new cluster, with as many partitions as the old one (init-cluster --partitions); nodes, replicas and zones may
be others. Restores what any of the backups holds: with one of every node, all that was acknowledged before the first of them
was begun; with W acknowledgements, as many as W - 1 may be missing. One exception: a hint that is delivered while the backups
are taken may be in none of them. `starling backup` says when hints are owed; a second round under another name, restored
together with the first, holds them. Reads the backups only; writes whole directories or none. Give the new nodes at least the old ones' --actor-lease, and clocks that are right.";

const RUN_NOTES: &str = "\
Every setting can be given in three ways; the first one found counts:
  flag           --widen-after 50ms       (switches: --strict, --strict=false)
  environment    STARLING_NODE_WIDEN_AFTER=50ms
  file           widen_after = \"50ms\"     (--config FILE, TOML)
Unknown settings are errors. The settings in force are printed at start, each with its source.
Durations: 250ms, 30s, 5m, 1h. Sizes: 512MiB, 1GiB, 20GB.

When the node is ready it prints one line on stdout: starling-node NAME ready on ADDRESS. Logs go to stderr.
SIGTERM or SIGINT stops it cleanly; a second one at once.";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Asked, clap::Error> {
        parse(words.split_whitespace().map(Into::into))
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_told_by_setting_and_switches_need_no_value() {
        let asked = parse_words("starling-node run --bundle b --data d --widen-after 50ms --strict --exchange=false");
        let Ok(Asked::Run { flags, config: None }) = asked else { panic!("{asked:?}") };
        let flags: Vec<(&str, &str)> = flags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected =
            [("bundle", "b"), ("data", "d"), ("exchange", "false"), ("strict", "true"), ("widen_after", "50ms")];
        assert_eq!(flags, expected);
    }

    #[test]
    fn init_cluster_reads_its_members_and_options() {
        let asked = parse_words(
            "starling-node init-cluster shop a=h1:7001 b=h2:7001 --fallbacks all --zone b=west --weight a=2 --replicas 2",
        );
        let Ok(Asked::InitCluster(plan)) = asked else { panic!("{asked:?}") };
        assert_eq!(plan.members, [("a".into(), "h1:7001".into()), ("b".into(), "h2:7001".into())]);
        assert_eq!(plan.directory, PathBuf::from("shop"));
        assert_eq!((plan.fallbacks, plan.replicas), (Some(Fallbacks::All), Some(2)));
        assert_eq!((plan.zones, plan.weights), (vec![("b".into(), "west".into())], vec![("a".into(), 2)]));
    }

    #[test]
    fn restore_reads_its_backups_and_where_they_go() {
        let asked = parse_words("starling-node restore --from x --from y --cluster c --out o --accept-loss");
        let Ok(Asked::Restore(plan)) = asked else { panic!("{asked:?}") };
        let from = vec![PathBuf::from("x"), PathBuf::from("y")];
        assert_eq!(plan, backup::Plan { from, cluster: "c".into(), out: "o".into(), accepts_loss: true });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            "starling-node",
            "starling-node fly",
            "starling-node run --no-such-flag",
            "starling-node init-cluster shop",
            "starling-node restore --cluster c --out o",
            "starling-node restore --from x --out o",
            "starling-node init-cluster shop a",
            "starling-node init-cluster shop a=h:1 --weight a=heavy",
            "starling-node init-cluster shop a=h:1 --fallbacks many",
        ] {
            assert!(parse_words(words).is_err(), "{words}");
        }
    }

    #[test]
    fn help_names_every_setting_with_its_default() {
        let help = run_command().render_long_help().to_string();
        for setting in SETTINGS {
            assert!(help.contains(&format!("--{}", setting.flag)), "{}", setting.key);
            assert!(setting.default.is_none_or(|default| help.contains(&format!("[default: {default}]"))), "{help}");
        }
    }
}
