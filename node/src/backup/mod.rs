//! Backups of this node, and the directories that a restore makes of those of several.
//!
//! ```text
//! DIR/NAME.partial/data/     a checkpoint of the store: files that never change are shared with it, the rest is copied
//! DIR/NAME.partial/manifest.toml   whose it is, and each file with its length and checksum: written last
//! DIR/NAME                   the same, renamed at the end: what has this name is whole
//! ```
//!
//! `take` runs beside the shards and holds nothing up but the flush of the store's memtables; a checkpoint shows all that
//! was written before it, so a backup is true to its own node's log. A node takes one at a time. `restore` runs offline
//! (`starling-node restore`), checks every file, and leaves the merging to the core.
//!
//! Costs: reading every file once for its checksum. Space: what the store has replaced since, until the backup is removed.

mod manifest;
mod restore;
mod take;

pub use manifest::{Manifest, ManifestError};
pub use restore::{Plan, RestoreFailed, next_steps, restore};
pub use take::Backups;

/// The store within a backup.
pub const DATA: &str = "data";

/// What says that a backup is whole.
pub const MANIFEST: &str = "manifest.toml";

/// Behind the name of what is not whole.
const PARTIAL: &str = ".partial";
