//! `starling restore`: hands over to `starling-node restore`, which works offline, on the directories themselves.
//!
//! The node's program holds the store, so it does the work; here it is only found. It takes the place of this process, so its output
//! and its exit code are its own.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::exit::Failure;

/// The program that restores.
const PROGRAM: &str = "starling-node";

/// Make the data directories of a new cluster of backups, offline: runs `starling-node restore`.
///
/// Talks to no node and needs no bundle. `starling-node restore --help` says what it takes and what its exit codes mean.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling-node init-cluster new x=host1:4700 y=host2:4700 z=host3:4700
  starling restore --from a/tonight --from b/tonight --from c/tonight --cluster new --out data")]
pub(crate) struct Restore {
    /// What `starling-node restore` takes: --from BACKUP ... --cluster DIR --out DIR [--accept-loss]
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<OsString>,
}

impl Restore {
    /// Returns only if the program could not be run.
    pub(crate) fn run(self) -> Failure {
        let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
        let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
        let error = Command::new(&program).arg("restore").args(self.arguments).exec();
        Failure::Usage(match error.kind() {
            ErrorKind::NotFound => format!(
                "restoring is done by {PROGRAM}, which stands neither beside this program nor in the PATH; nothing was done. \
                 Run `{PROGRAM} restore` where it is installed"
            ),
            _ => format!("{} could not be run ({error}); nothing was done", program.display()),
        })
    }
}
