//! Arguments that many commands share, and how keys and durations are read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use starling::ids::{Key, NodeId};
use starling::limits;
use starling::message::client::{Observe, Options};
use starling_client::{Bundle, Client, ClientConfig, Error};

use super::exit::Failure;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The bundle: a directory with layout.toml, ca.pem, cert.pem and key.pem
    #[arg(long, global = true, env = "STARLING_BUNDLE", value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Ask this node and no other (a name of the layout)
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Print JSON: the result on stdout, an error on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Replicas that must answer a read [default: the layout's]
    #[arg(long, global = true, value_name = "COUNT")]
    r: Option<u8>,
    /// Nodes that must hold a write durably [default: the layout's]
    #[arg(long, global = true, value_name = "COUNT")]
    w: Option<u8>,
    /// Count owners only, no fallbacks: less stale reads, fewer possible writes during a split
    #[arg(long, global = true)]
    strict: bool,
    /// Zones in which nodes must hold a write, or show what is read [default: however few]
    #[arg(long, global = true, value_name = "COUNT")]
    zones: Option<u8>,
    /// Give up after this long: 500ms, 2s, at most 1m [default: 2s]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_deadline)]
    deadline: Option<Duration>,
    /// What is seen before it is covered, by put, del, expire, flag lower, rem, map put, zset incr [default: quorum]
    #[arg(long, global = true, value_name = "WHAT")]
    observe: Option<ObserveArg>,
    /// Show nothing older than what the runs with this file have seen and written, or exit with code 7. Of collections it
    /// follows the elements that are named: lists, sizes and get are refused with it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) session_token: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ObserveArg {
    /// The merge of R replicas
    Quorum,
    /// The row of the node that coordinates: faster, covers less
    Local,
}

impl Global {
    /// The bundle that was named.
    pub(crate) fn bundle(&self) -> Result<Bundle, Failure> {
        let directory = self.bundle.as_ref().ok_or_else(|| {
            Failure::Usage(
                "which cluster? Name a bundle with --bundle DIR or STARLING_BUNDLE; \
                 `starling-node init-cluster NAME …` makes one at NAME/client"
                    .into(),
            )
        })?;
        Ok(Bundle::load(directory)?)
    }

    /// A client of the bundle's cluster, pinned to `--node`. A name that the bundle's layout does not know may be that of a
    /// member that has joined since: it is looked for in the layout in force.
    pub(crate) async fn client(&self, config: ClientConfig) -> Result<Client, Failure> {
        let client = Client::connect(self.bundle()?, config)?;
        let is_found = match self.pinned(&client) {
            // A node that has moved answers where the bundle says no more.
            Ok(Some(node)) => client.on(node).catch_up(&self.options()).await.is_ok(),
            Ok(None) => true,
            Err(_) => false,
        };
        if !is_found {
            // If nobody can be reached, the name or the address is unknown as far as this client knows.
            let _has_caught_up = client.catch_up(&self.options()).await.is_ok();
        }
        Ok(match self.pinned(&client)? {
            Some(node) => client.on(node),
            None => client,
        })
    }

    /// Goes by the layout in force, as far as a node tells it; for commands that show all members.
    pub(crate) async fn refresh(&self, client: &Client) {
        // Whoever does not answer here is shown as unreachable by the command itself.
        let _has_caught_up = client.catch_up(&self.options()).await.is_ok();
    }

    /// The node that `--node` names.
    pub(crate) fn pinned(&self, client: &Client) -> Result<Option<NodeId>, Error> {
        self.node.as_deref().map(|name| client.node_named(name)).transpose()
    }

    /// What `--deadline` says.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// How requests are to be carried out.
    pub(crate) fn options(&self) -> Options {
        Options {
            r: self.r,
            w: self.w,
            strict: self.strict,
            deadline_ms: self.deadline.map(|deadline| u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)),
            observe: match self.observe {
                Some(ObserveArg::Local) => Observe::Local,
                Some(ObserveArg::Quorum) | None => Observe::Quorum,
            },
            token: None,
            zones: self.zones,
        }
    }
}

/// A key argument: the bytes as the shell gave them.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyArg {
    /// The key: 1 to 65535 bytes, taken as they are
    #[arg(value_name = "KEY")]
    key: OsString,
}

impl KeyArg {
    /// The key. Checked here and not by the parser of arguments, which would print the whole of a key that is too long.
    pub(crate) fn key(&self) -> Result<Key, Failure> {
        if self.key.is_empty() {
            return Err(Failure::Usage("the key is empty (a variable that is not set?); nothing was sent".into()));
        }
        Key::new(self.key.clone().into_encoded_bytes())
            .map_err(|error| Failure::Usage(format!("{error}; nothing was sent")))
    }
}

/// Bytes as the shell gave them: a member, a field, an item.
#[derive(Clone, Debug)]
pub(crate) struct BytesArg(OsString);

impl From<OsString> for BytesArg {
    fn from(text: OsString) -> BytesArg {
        BytesArg(text)
    }
}

impl BytesArg {
    pub(crate) fn bytes(&self) -> Bytes {
        self.0.clone().into_encoded_bytes().into()
    }
}

/// The bytes of each argument.
pub(crate) fn bytes_of(arguments: &[BytesArg]) -> Vec<Bytes> {
    arguments.iter().map(BytesArg::bytes).collect()
}

/// Arguments two by two. Says what is wrong if one is left over.
pub(crate) fn pairs_of(arguments: &[BytesArg]) -> Result<Vec<(Bytes, Bytes)>, String> {
    let pair = |pair: &[BytesArg]| match pair {
        [first, second] => Ok((first.bytes(), second.bytes())),
        _ => Err(format!("{} arguments after the key do not make pairs", arguments.len())),
    };
    arguments.chunks(2).map(pair).collect()
}

/// `500ms`, `2s`, `1m`, `1h`. Longer than zero, at most 24 hours.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_span(text, Duration::from_secs(24 * 3_600)).map_err(|wrong| match wrong {
        NoSpan::Form => "a whole number and a unit are needed: 500ms, 2s, 1m, 1h".to_owned(),
        NoSpan::Zero => "it must be longer than zero".to_owned(),
        NoSpan::TooLong => "it can be at most 24h".to_owned(),
    })
}

/// As [`parse_duration`], and not longer than nodes work on one request.
fn parse_deadline(text: &str) -> Result<Duration, String> {
    let deadline = parse_duration(text)?;
    if deadline <= limits::DEADLINE_MAX {
        return Ok(deadline);
    }
    Err(format!("it can be at most {} s: nodes give up then", limits::DEADLINE_MAX.as_secs()))
}

/// Why a text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSpan {
    Form,
    Zero,
    TooLong,
}

/// A whole number and one of `ms`, `s`, `m`, `h`, `d`; longer than zero, and not longer than the bound.
pub(crate) fn parse_span(text: &str, longest: Duration) -> Result<Duration, NoSpan> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms: u128 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NoSpan::Form),
    };
    if number.is_empty() {
        return Err(NoSpan::Form);
    }
    // Nothing but digits: more of them than fit are too long.
    let ms = number.parse::<u64>().ok().and_then(|number| u128::from(number).checked_mul(unit_ms));
    match ms {
        Some(0) => Err(NoSpan::Zero),
        Some(ms) if ms <= longest.as_millis() => Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))),
        Some(_) | None => Err(NoSpan::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deadline_is_longer_than_nodes_work_on_a_request() {
        assert_eq!(parse_deadline("1m"), Ok(Duration::from_secs(60)));
        assert!(parse_deadline("60001ms").is_err_and(|error| error.contains("at most 60 s")));
    }

    #[test]
    fn durations_need_a_unit_and_a_bound() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("24h"), Ok(Duration::from_secs(86_400)));
        for text in [
            "",
            "5",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "2d",
            "+1s",
            "1 s",
            "\u{0661}s",
            "25h",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
