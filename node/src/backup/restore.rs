//! `starling-node restore`: the directories of a new cluster's members, made of backups.
//!
//! Everything is written into a directory beside the target and moved there at the end: there are whole directories or none.
//! The backups are only read.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use starling::config::{Durability, ShardConfig};
use starling::membership::bundle::LAYOUT_FILE;
use starling::membership::{Layout, LayoutError};
use starling::restore::{RestoreError, Restored, Source, Target};
use starling::storage::Store;
use starling::time::{WallTime, micros};

use super::DATA;
use super::manifest::{Manifest, ManifestError};
use crate::founding;
use crate::storage::{OpenStoreError, RocksStore};

/// Partitions that are named one by one.
const NAMED_MAX: usize = 16;

/// Backups that were taken further apart than this are not of one round.
const APART_MAX: Duration = Duration::from_secs(600);

/// What `restore` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The backups.
    pub from: Vec<PathBuf>,
    /// The directory that `init-cluster` made for the new cluster.
    pub cluster: PathBuf,
    /// Where the members' directories are written: `OUT/NAME`.
    pub out: PathBuf,
    /// Go on although of some partitions no owner has a backup, or so few that acknowledged writes may be missing.
    pub accepts_loss: bool,
}

/// Nothing was restored, and nothing is left behind, unless it says so. The backups are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFailed {
    /// A backup is not whole.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The new cluster's layout cannot be read.
    #[error("cannot read {}: {reason}; --cluster names a directory that init-cluster made", .path.display())]
    NoLayout {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The new cluster's layout cannot be.
    #[error("{}: {source}", .path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: LayoutError,
    },
    /// Never overwritten.
    #[error("{} exists already and is not touched; choose another --out", .0.display())]
    Exists(PathBuf),
    /// The old cluster measured its actors' time otherwise.
    #[error("{} was taken from a cluster with ticks of {found:?}, this program has {expected:?}", .backup.display())]
    Tick {
        /// Which backup.
        backup: PathBuf,
        /// Its tick.
        found: Duration,
        /// Of this program.
        expected: Duration,
    },
    /// A store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The core refuses, or a store failed.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// All was made, but its name may not outlive a power cut.
    #[error("{} was made and is whole, but its name could not be made durable ({source}); sync the disk, then use it", .out.display())]
    NotSynced {
        /// What was made.
        out: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory above the target.
    #[error("{} is not there; make it, or choose another --out", .0.display())]
    NoParent(PathBuf),
    /// A file or directory.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A backup that was read: for the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    backup: PathBuf,
    /// The member whose it is.
    member: String,
    taken_at: WallTime,
}

/// Restores; returns the new layout, which backups were read, and what was done.
pub fn restore(plan: &Plan) -> Result<(Layout, Vec<Read>, Restored), RestoreFailed> {
    let layout = read_layout(&plan.cluster)?;
    if plan.out.symlink_metadata().is_ok() {
        return Err(RestoreFailed::Exists(plan.out.clone()));
    }
    if let Some(above) = plan.out.parent().filter(|above| !above.as_os_str().is_empty() && !above.is_dir()) {
        return Err(RestoreFailed::NoParent(above.to_owned()));
    }
    let mut config = ShardConfig::default();
    let mut sources = Vec::with_capacity(plan.from.len());
    let mut read = Vec::with_capacity(plan.from.len());
    for backup in &plan.from {
        let manifest = Manifest::check(backup)?;
        if manifest.tick_us != micros(config.tick) {
            let (backup, found) = (backup.clone(), Duration::from_micros(manifest.tick_us));
            return Err(RestoreFailed::Tick { backup, found, expected: config.tick });
        }
        let longest = if sources.is_empty() { manifest.lease_ticks } else { config.actor_lease_ticks };
        config.actor_lease_ticks = longest.max(manifest.lease_ticks);
        let store: Arc<dyn Store> = Arc::new(RocksStore::open_read_only(&backup.join(DATA))?);
        let name = backup.display().to_string();
        let member =
            manifest.layout.member(manifest.node).map_or_else(|| manifest.node.to_string(), |it| it.name.clone());
        read.push(Read { backup: backup.clone(), member, taken_at: WallTime(manifest.taken_at_us) });
        sources.push(Source { name, layout: manifest.layout, node: manifest.node, store });
    }
    let unfinished = unfinished(&plan.out);
    let io = |path: &Path, source| RestoreFailed::Io { path: path.to_owned(), source };
    let above = plan.out.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let done = write(&sources, &layout, &unfinished, &config, plan.accepts_loss).and_then(|restored| {
        fs::rename(&unfinished, &plan.out).map_err(|source| io(&plan.out, source))?;
        Ok(restored)
    });
    if done.is_err() {
        // What could not be finished is of no use; that it could not be removed either would hide the first error.
        let _removed = fs::remove_dir_all(&unfinished).is_ok();
    }
    let restored = done?;
    let synced = File::open(above).and_then(|above| above.sync_all());
    synced.map_err(|source| RestoreFailed::NotSynced { out: plan.out.clone(), source })?;
    Ok((layout, read, restored))
}

fn write(
    sources: &[Source],
    layout: &Layout,
    unfinished: &Path,
    config: &ShardConfig,
    accepts_loss: bool,
) -> Result<Restored, RestoreFailed> {
    let made = DirBuilder::new().mode(0o700).create(unfinished);
    made.map_err(|source| RestoreFailed::Io { path: unfinished.to_owned(), source })?;
    let mut targets = Vec::with_capacity(layout.members.len());
    for member in &layout.members {
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(&unfinished.join(&member.name), Durability::Fsync)?);
        targets.push(Target { node: member.id, store });
    }
    // The stores are closed before they are moved.
    Ok(starling::restore::restore(sources, layout, &targets, config, accepts_loss)?)
}

/// What was done, and what to do next, for the terminal.
pub fn next_steps(plan: &Plan, layout: &Layout, read: &[Read], now: WallTime, restored: &Restored) -> String {
    let (cluster, out) = (plan.cluster.display(), plan.out.display());
    let mut text = format!(
        "Restored {} keys in {} rows ({} rows read from {} backups) into cluster {} ({}), in {out}/\n",
        restored.keys,
        restored.rows,
        restored.rows_read,
        plan.from.len(),
        layout.name,
        layout.cluster,
    );
    text.push_str(&ages(read, now));
    for missing in restored.missing.iter().take(NAMED_MAX) {
        let owners: Vec<String> = missing.owners.iter().map(ToString::to_string).collect();
        let what = match missing.present {
            0 => "NO owner has a backup: all that only they held is missing".to_owned(),
            present => format!("{present} others have one; what only the missing ones held is not there"),
        };
        let _infallible =
            writeln!(text, "partition {}: no backup of owner {}; {what}", missing.partition, owners.join(", "));
    }
    if restored.missing.len() > NAMED_MAX {
        let _infallible = writeln!(text, "and {} partitions more", restored.missing.len() - NAMED_MAX);
    }
    text.push_str("\nOn each member's machine (copy its bundle and its directory there first, and only its own):\n");
    text.push_str(&founding::run_commands(layout, &cluster.to_string(), &out.to_string()));
    text.push_str(
        "\nClients need bundles of the new cluster; contexts, tokens and kept sessions of the old one end.\n",
    );
    text
}

/// From whom the backups are, and how old; a warning if they are far apart.
fn ages(read: &[Read], now: WallTime) -> String {
    let mut text = String::new();
    for Read { backup, member, taken_at } in read {
        let age = humane(now.0.saturating_sub(taken_at.0));
        let _infallible = writeln!(text, "  {}: of {member}, {age} old", backup.display());
    }
    let times = || read.iter().map(|one| one.taken_at.0);
    let apart = times().max().unwrap_or(0).saturating_sub(times().min().unwrap_or(0));
    if apart > micros(APART_MAX) {
        let _infallible = writeln!(
            text,
            "WARNING: the backups are {} apart: of what was written in between, the older ones know nothing, as if they were \
             missing",
            humane(apart)
        );
    }
    text
}

/// A span in its two largest units.
fn humane(us: u64) -> String {
    let seconds = us / 1_000_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

fn read_layout(cluster: &Path) -> Result<Layout, RestoreFailed> {
    let path = cluster.join("client").join(LAYOUT_FILE);
    let no_layout = |reason: String| RestoreFailed::NoLayout { path: path.clone(), reason };
    let text = fs::read_to_string(&path).map_err(|error| no_layout(error.to_string()))?;
    let layout: Layout = toml::from_str(&text).map_err(|error| no_layout(error.to_string()))?;
    layout.validate().map_err(|source| RestoreFailed::Layout { path: path.clone(), source })?;
    Ok(layout)
}

/// The directory beside the target in which everything is written first.
fn unfinished(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".unfinished-{}", std::process::id()));
    out.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_each_backup_is_told_and_those_of_different_rounds_are_warned_of() {
        let minute = 60_000_000;
        let of = |member: &str, at: u64| Read {
            backup: PathBuf::from(format!("{member}/tonight")),
            member: member.to_owned(),
            taken_at: WallTime(at * minute),
        };
        let text = ages(&[of("a", 100), of("b", 105)], WallTime(3_000 * minute));
        assert_eq!(text, "  a/tonight: of a, 2 d 0 h old\n  b/tonight: of b, 2 d 0 h old\n");
        let text = ages(&[of("a", 100), of("b", 175)], WallTime(175 * minute + 5_000_000));
        assert!(text.contains("of a, 1 h 15 min old") && text.contains("of b, 5 s old"), "{text}");
        assert!(text.contains("WARNING: the backups are 1 h 15 min apart"), "{text}");
    }
}
