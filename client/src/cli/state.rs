//! Where the session of `incr` and `decr` is kept between two runs of the program.

use std::path::PathBuf;

use clap::Args;
use starling_client::Client;

use super::exit::Failure;

/// Which directory.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Where the session is kept [default: $XDG_STATE_HOME/starling or ~/.local/state/starling]
    #[arg(long, env = "STARLING_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Increment without a session: if the answer is lost, nobody can tell whether it counts
    #[arg(long)]
    pub(crate) no_session: bool,
}

impl StateArgs {
    /// The directory of this cluster's sessions. It need not exist yet.
    pub(crate) fn directory(&self, client: &Client) -> Result<PathBuf, Failure> {
        let base = self.state_dir.clone().or_else(default_directory).ok_or_else(|| {
            Failure::Usage(
                "where may the session be kept? Name a directory with --state-dir DIR or STARLING_STATE_DIR, or increment \
                 with --no-session"
                    .into(),
            )
        })?;
        Ok(base.join(client.ring().layout().cluster.to_string()))
    }
}

/// As the XDG base directory specification says: a relative path in the variable does not count.
fn default_directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("starling"))
}
