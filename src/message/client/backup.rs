//! Backups of a node: what is asked for, and why none was taken.

use serde::{Deserialize, Serialize};

/// Longest name of a backup. Unit: bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// A backup that is whole, on the node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTaken {
    /// The directory, on the node's machine.
    pub place: String,
    /// Files in it, without the manifest.
    pub files: u64,
    /// Bytes of these files. Most of them are shared with the node's own directory, until it replaces them.
    pub bytes: u64,
    /// Unit: milliseconds.
    pub took_ms: u64,
    /// There was one of this name already, whole, which this node had taken so long ago: none was taken now. Unit: milliseconds.
    #[serde(default)]
    pub already_ms_ago: Option<u64>,
}

/// Why no backup was taken. What the node holds is as it was, and nothing of the new backup is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BackupRefusal {
    /// A name that cannot stand in a path.
    #[error(
        "a backup's name has 1 to 63 of a-z, A-Z, 0-9, '-', '_', '.', begins with a letter or digit and does not end with \
         \".partial\", not {0:?}"
    )]
    Name(String),
    /// Never overwritten.
    #[error("{place} exists already, is no whole backup of this node, and is not touched; choose another name")]
    NameTaken {
        /// Which directory.
        place: String,
    },
    /// One at a time.
    #[error("backup {name} is under way on this node; wait until it is there")]
    UnderWay {
        /// Which.
        name: String,
    },
    /// The disk is full, or nearly.
    #[error("there is no space for a backup ({detail}); free some, or remove older backups")]
    NoSpace {
        /// What is lacking.
        detail: String,
    },
    /// The system or the store failed.
    #[error("the backup failed: {detail}")]
    Failed {
        /// How.
        detail: String,
    },
}

impl BackupRefusal {
    /// A word for scripts, that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            BackupRefusal::Name(_) => "backup_name",
            BackupRefusal::NameTaken { .. } => "backup_name_taken",
            BackupRefusal::UnderWay { .. } => "backup_under_way",
            BackupRefusal::NoSpace { .. } => "backup_no_space",
            BackupRefusal::Failed { .. } => "backup_failed",
        }
    }
}

/// Whether a directory may have this name: 1 to [`NAME_BYTES_MAX`] of a-z, A-Z, 0-9, '-', '_', '.', a letter or digit first;
/// an ending `.partial` is kept for what is not whole.
pub fn check_name(name: &str) -> Result<(), BackupRefusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain) && !name.ends_with(".partial") {
        return Ok(());
    }
    Err(BackupRefusal::Name(name.chars().take(2 * NAME_BYTES_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_within_its_directory_and_within_its_bound() {
        for good in ["a", "2026-11-22", "nightly_3.1", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "../up", "a/b", "-a", ".hidden", "a b", "a.partial", "é", "a\0", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        let Err(BackupRefusal::Name(shown)) = check_name(&"x".repeat(10_000)) else { panic!("it is too long") };
        assert!(shown.len() <= 2 * NAME_BYTES_MAX);
    }
}
