//! A damaged data directory is set aside, and the node begins anew with an empty one, which its co-owners fill.
//!
//! ```text
//! running:  a read finds damage ──→ DATA/DAMAGED written, durable ──→ the process begins again (`runtime/restart`)
//! start:    DATA/DAMAGED, or the store does not open ──→ DATA.damaged-N, and DATA is new and empty
//! ```
//!
//! Nothing of it is used any more, and nothing is deleted but the directory that was set aside before it: one is kept, for those
//! who want to look at it. Never where no other member could bring the data back: then the operator decides.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use starling::config::Durability;
use starling::membership::Layout;
use tracing::error;

use super::{OpenStoreError, RocksStore, Tuning};

/// Stands in a directory that must not be used again.
const MARK: &str = "DAMAGED";

/// Whether other members hold what this one does.
pub fn may_heal(layout: &Layout) -> bool {
    layout.replicas > 1 && layout.members.len() > 1
}

/// Notes durably that a directory is damaged.
pub fn mark(data: &Path, why: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(data.join(MARK))?;
    writeln!(file, "{why}")?;
    file.sync_all()?;
    File::open(data)?.sync_all()
}

/// Opens a data directory; a damaged one is set aside first, if `may_heal`.
pub fn open(
    data: &Path,
    durability: Durability,
    tuning: &Tuning,
    may_heal: bool,
) -> Result<RocksStore, OpenStoreError> {
    let set_aside = |why: &str| {
        let io = |source: io::Error| OpenStoreError::Io { dir: data.to_owned(), detail: source.to_string() };
        let place = set_aside(data).map_err(io)?;
        error!(
            data = %data.display(), aside = %place.display(), why,
            "the data directory is damaged: it is set aside, and the other owners bring the data back. Look at the disk"
        );
        RocksStore::open_tuned(data, durability, tuning)
    };
    if may_heal {
        let mark = data.join(MARK);
        match fs::read(&mark) {
            Ok(why) => return set_aside(String::from_utf8_lossy(&why).trim_end()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => {
                let detail = format!("{}: {error}; it says whether the directory is damaged", mark.display());
                return Err(OpenStoreError::Io { dir: data.to_owned(), detail });
            }
        }
    }
    match RocksStore::open_tuned(data, durability, tuning) {
        Err(OpenStoreError::Damaged { detail, .. }) if may_heal => set_aside(&detail),
        other => other,
    }
}

/// Renames a directory to the next free `DATA.damaged-N`, and removes those of earlier times.
fn set_aside(data: &Path) -> io::Result<PathBuf> {
    let earlier = earlier(data)?;
    let next = earlier.iter().map(|(number, _)| *number).max().unwrap_or(0) + 1;
    let place = data.with_file_name(format!("{}{next}", prefix(data)));
    fs::rename(data, &place)?;
    let above = data.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()?;
    for (_, directory) in earlier {
        // It is of no use to the node; that it could not be removed must not hold up the start.
        let _is_removed = fs::remove_dir_all(directory).is_ok();
    }
    Ok(place)
}

fn prefix(data: &Path) -> String {
    format!("{}.damaged-", data.file_name().unwrap_or_default().to_string_lossy())
}

/// The directories that were set aside before, with their numbers.
fn earlier(data: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let above = data.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match fs::read_dir(above) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_string_lossy().strip_prefix(&prefix(data)).and_then(|number| number.parse().ok());
        found.extend(number.map(|number| (number, above.join(&name))));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "heal_tests.rs"]
mod tests;
