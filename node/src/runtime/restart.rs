//! Beginning anew: the process becomes a fresh start of the same program, because its data directory is damaged.
//!
//! The same program with the same arguments and environment, in the same process: whoever supervises it sees none of it. At most
//! [`TIMES_MAX`] times within [`WITHIN`], which the environment carries over; then the process stops, and somebody must look.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::exit::{self, Exit};
use crate::storage::heal;

/// So often within [`WITHIN`] a process begins anew.
pub const TIMES_MAX: usize = 3;

/// See [`TIMES_MAX`].
pub const WITHIN: Duration = Duration::from_secs(600);

/// When this process began anew, in seconds since the Unix epoch, separated by commas.
const VARIABLE: &str = "STARLING_BEGAN_ANEW";

/// Notes that the directory is damaged and begins anew. Returns only by ending the process.
pub fn begin_anew(data: &Path, why: &str) -> ! {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let earlier = std::env::var(VARIABLE).unwrap_or_default();
    let Some(times) = next(&earlier, now) else {
        exit::stop_now(
            Exit::Data,
            format_args!(
                "{why}; the node has begun anew {TIMES_MAX} times within {} minutes: look at the disk",
                WITHIN.as_secs() / 60
            ),
        )
    };
    if let Err(error) = heal::mark(data, why) {
        exit::stop_now(Exit::Data, format_args!("{why}; this could not be noted in {}: {error}", data.display()));
    }
    tracing::error!(data = %data.display(), why, "the data directory is damaged: beginning anew without it");
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => exit::stop_now(Exit::Data, format_args!("{why}; the own program is not found: {error}")),
    };
    let error = Command::new(program).args(std::env::args_os().skip(1)).env(VARIABLE, times).exec();
    exit::stop_now(Exit::Data, format_args!("{why}; the program could not be started again: {error}"))
}

/// The times to be carried over, if it may begin anew once more.
fn next(earlier: &str, now: u64) -> Option<String> {
    let recent = |at: &u64| now.saturating_sub(*at) < WITHIN.as_secs();
    let mut times: Vec<u64> = earlier.split(',').filter_map(|time| time.parse().ok()).filter(recent).collect();
    times.push(now);
    let times_text = || times.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    (times.len() <= TIMES_MAX).then(times_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_begins_anew_three_times_in_ten_minutes_and_no_more() {
        let mut carried = String::new();
        for now in [1_000, 1_001, 1_100] {
            carried = next(&carried, now).expect("it may");
        }
        assert_eq!(next(&carried, 1_200), None);
        assert_eq!(next(&carried, 1_599), None);
        assert_eq!(next(&carried, 1_600).as_deref(), Some("1001,1100,1600"), "the first is long ago");
        assert_eq!(next("nonsense,", 5).as_deref(), Some("5"));
    }
}
