//! The manifest of a backup: whose it is, and what must stand in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::membership::bundle::FILE_BYTES_MAX;
use xxhash_rust::xxh3::Xxh3;

use super::{DATA, MANIFEST};

/// Version that this program writes and reads.
const VERSION: u32 = 1;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Largest manifest that is read: a hundred thousand files. Unit: bytes.
const MANIFEST_BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the form of backups.
    pub version: u32,
    /// Whose directory it is.
    pub node: NodeId,
    /// When it was taken. Unit: microseconds since the Unix epoch.
    pub taken_at_us: u64,
    /// Length of the cluster's ticks. Unit: microseconds.
    pub tick_us: u64,
    /// Lease of the node's actors. Unit: ticks.
    pub lease_ticks: u32,
    /// Number of files, so that a list that was cut is noticed.
    pub files_count: u64,
    /// The layout under which the node acted.
    pub layout: Layout,
    /// In the order of their names.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// In the directory `data`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// xxh3 of its content, 128 bits, hexadecimal.
    pub xxh3: String,
}

/// A backup that cannot be used. Nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It was cut short, or is not whole for another reason.
    #[error("the backup {} is not whole: {}: {reason}; copy it again, or use another one", .backup.display(), .file)]
    BackupIncomplete {
        /// Which backup.
        backup: PathBuf,
        /// The file that is missing, too short or not what it was.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing.
    #[error("the backup {} is not there", .0.display())]
    NoDirectory(PathBuf),
    /// A node's own directory.
    #[error("{} is the data directory of a node, not a backup; name what `starling backup` has made", .0.display())]
    DataDirectory(PathBuf),
    /// It was made by a newer program.
    #[error("the backup {} has version {found}, this program reads {VERSION}; use the version that took it", .backup.display())]
    Version {
        /// Which backup.
        backup: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl Manifest {
    /// The version that is written.
    pub const VERSION: u32 = VERSION;

    /// Reads the manifest of a backup and checks every file that it names.
    pub fn check(backup: &Path) -> Result<Manifest, ManifestError> {
        let manifest = Manifest::read(backup)?;
        let incomplete = |file: &str, reason: String| ManifestError::BackupIncomplete {
            backup: backup.to_owned(),
            file: file.to_owned(),
            reason,
        };
        for entry in &manifest.files {
            if !is_plain(&entry.name) {
                return Err(incomplete(MANIFEST, format!("{:?} is no name of a file", entry.name)));
            }
            let found = FileEntry::of(&backup.join(DATA), &entry.name)
                .map_err(|error| incomplete(&entry.name, error.to_string()))?;
            if found.bytes != entry.bytes {
                let reason = format!("{} bytes of {} are there", found.bytes, entry.bytes);
                return Err(incomplete(&entry.name, reason));
            }
            if found != *entry {
                return Err(incomplete(&entry.name, "its content does not have its checksum".into()));
            }
        }
        Ok(manifest)
    }

    /// Reads the manifest of a backup, and none of its files.
    pub fn read(backup: &Path) -> Result<Manifest, ManifestError> {
        let incomplete = |file: &str, reason: String| ManifestError::BackupIncomplete {
            backup: backup.to_owned(),
            file: file.to_owned(),
            reason,
        };
        if !backup.is_dir() {
            return Err(ManifestError::NoDirectory(backup.to_owned()));
        }
        let text = match read_text(&backup.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && backup.join("CURRENT").exists() => {
                return Err(ManifestError::DataDirectory(backup.to_owned()));
            }
            other => other.map_err(|error| incomplete(MANIFEST, error.to_string()))?,
        };
        // Of a newer form only the version can be relied on.
        let version: VersionOnly = toml::from_str(&text).map_err(|error| incomplete(MANIFEST, error.to_string()))?;
        if version.version != VERSION {
            return Err(ManifestError::Version { backup: backup.to_owned(), found: version.version });
        }
        let manifest: Manifest = toml::from_str(&text).map_err(|error| incomplete(MANIFEST, error.to_string()))?;
        manifest.layout.validate().map_err(|error| incomplete(MANIFEST, error.to_string()))?;
        if manifest.files.len() as u64 != manifest.files_count {
            let reason = format!("it names {} files of {}", manifest.files.len(), manifest.files_count);
            return Err(incomplete(MANIFEST, reason));
        }
        Ok(manifest)
    }
}

impl FileEntry {
    /// Reads a file of a directory through, as fast as it comes.
    pub fn of(directory: &Path, name: &str) -> io::Result<FileEntry> {
        FileEntry::paced(directory, name, u64::MAX)
    }

    /// Reads a file of a directory through, so many bytes a second at most.
    pub fn paced(directory: &Path, name: &str, bytes_per_second: u64) -> io::Result<FileEntry> {
        let began = Instant::now();
        let mut file = File::open(directory.join(name))?;
        let mut hash = Xxh3::new();
        let mut bytes = 0;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk)?;
            let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
            hash.update(part);
            bytes += part.len() as u64;
            let due = Duration::from_micros(bytes.saturating_mul(1_000_000) / bytes_per_second);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        Ok(FileEntry { name: name.to_owned(), bytes, xxh3: format!("{:032x}", hash.digest128()) })
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// A name that leads nowhere else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MANIFEST_BYTES_MAX + 1);
    if file.read_to_string(&mut text)? as u64 > MANIFEST_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {MANIFEST_BYTES_MAX} bytes")));
    }
    Ok(text)
}
