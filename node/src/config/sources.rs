//! Where settings come from, and which source wins: flags, then the environment, then the file, then the defaults.
//!
//! Every value remembers its source, so that an error can name it and the effective configuration can show it. What no
//! setting is called so is an error, in the file and in the environment alike: a typo must not be silence.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{SETTINGS, Setting, Settings};

/// Begins the name of every environment variable that is a setting.
pub const PREFIX: &str = "STARLING_NODE_";

/// Environment variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "STARLING_NODE_CONFIG";

/// Largest configuration file. Unit: bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

/// A configuration that cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is wrong.
    #[error("setting {key} ({origin}): {reason}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Who said it.
        origin: Origin,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// No setting is called so.
    #[error("{origin} sets {key:?}, which is no setting; there are: {}", known_keys())]
    UnknownKey {
        /// What was written.
        key: String,
        /// Who said it.
        origin: Origin,
    },
    /// An environment variable is not text.
    #[error("environment {0}: the value is not UTF-8 text")]
    NotText(String),
    /// A setting without a default was not given.
    #[error(
        "setting {key} is needed: give --{flag}, {variable} or `{key} = \"…\"` in the file; see starling-node run --help"
    )]
    Missing {
        /// Which setting.
        key: &'static str,
        /// Its flag.
        flag: &'static str,
        /// Its environment variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("configuration file {}: {reason}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Two settings cannot stand together.
    #[error("setting {0}")]
    Conflict(#[from] starling::config::ConfigError),
}

/// The settings in force, and where each came from.
#[derive(Debug)]
pub struct Effective {
    /// What the node runs with.
    pub settings: Settings,
    /// Key, value as it was written, origin; in the order of [`SETTINGS`].
    pub origins: Vec<(&'static str, String, Origin)>,
}

/// What each source says, as text.
#[derive(Default, Debug)]
pub struct Sources {
    /// Of the command line, by setting key.
    pub flags: BTreeMap<String, String>,
    /// Of the environment: everything that begins with [`PREFIX`].
    pub variables: BTreeMap<String, String>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// Flags as the command line has them, and the process's environment. `--config` wins over its variable.
    pub fn gather(flags: BTreeMap<String, String>, config: Option<PathBuf>) -> Result<Sources, ConfigError> {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let Some(value) = value.to_str() else { return Err(ConfigError::NotText(name.to_owned())) };
            variables.insert(name.to_owned(), value.to_owned());
        }
        let from_environment = variables.remove(CONFIG_VARIABLE).map(PathBuf::from);
        Ok(Sources { flags, variables, file: config.or(from_environment) })
    }

    /// The settings in force, or the first thing that is wrong.
    pub fn resolve(mut self) -> Result<Effective, ConfigError> {
        let mut in_file = match &self.file {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let mut settings = Settings::blank();
        let mut origins = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let from_file = in_file.remove(setting.key);
            let from_variable = self.variables.remove(&setting.variable());
            let (text, origin) = if let Some(text) = self.flags.remove(setting.key) {
                (text, Origin::Flag(setting.flag))
            } else if let Some(text) = from_variable {
                (text, Origin::Variable(setting.variable()))
            } else if let (Some(text), Some(path)) = (from_file, &self.file) {
                (text, Origin::File(path.clone()))
            } else {
                (default_of(setting)?, Origin::Default)
            };
            (setting.set)(&mut settings, &text).map_err(|reason| ConfigError::Value {
                key: setting.key,
                origin: origin.clone(),
                reason,
            })?;
            origins.push((setting.key, text, origin));
        }
        if let (Some((key, _)), Some(path)) = (in_file.pop_first(), self.file) {
            return Err(ConfigError::UnknownKey { key, origin: Origin::File(path) });
        }
        if let Some((name, _)) = self.variables.pop_first() {
            let key = name.trim_start_matches(PREFIX).to_lowercase();
            return Err(ConfigError::UnknownKey { key, origin: Origin::Variable(name) });
        }
        settings.shard.validate()?;
        Ok(Effective { settings, origins })
    }
}

impl fmt::Display for Effective {
    /// One line per setting, with its source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.origins.iter().map(|(key, text, _)| key.len() + text.len()).max().unwrap_or(0);
        for (key, text, origin) in &self.origins {
            let gap = width - key.len() - text.len();
            writeln!(f, "  {key} = {text}{:gap$}  ({origin})", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Variable(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

fn default_of(setting: &Setting) -> Result<String, ConfigError> {
    let missing = || ConfigError::Missing { key: setting.key, flag: setting.flag, variable: setting.variable() };
    setting.default.map(str::to_owned).ok_or_else(missing)
}

fn known_keys() -> String {
    SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}

/// The file's keys and values, as text.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let wrong = |reason: String| ConfigError::File { path: path.to_owned(), reason };
    let bytes = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(wrong(format!("{bytes} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            other => {
                return Err(wrong(format!(
                    "{key} is a TOML {}; settings are strings, whole numbers or true/false",
                    other.type_str()
                )));
            }
        };
        values.insert(key, text);
    }
    Ok(values)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
