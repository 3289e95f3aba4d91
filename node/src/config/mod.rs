//! Configuration: flags over environment over TOML file over defaults.
//!
//! ```text
//! --widen-after 50ms                          settings.rs   one table: name, default, meaning, parser
//! STARLING_NODE_WIDEN_AFTER=50ms    ──────→   sources.rs    who wins; errors name key, source and reason
//! widen_after = "50ms"   (--config FILE)      units.rs      250ms, 1GiB
//! ```

pub mod settings;
pub mod sources;
pub mod units;

pub use settings::{LogFormat, MetricsAt, SETTINGS, Setting, Settings};
pub use sources::{ConfigError, Effective, Origin, Sources};
