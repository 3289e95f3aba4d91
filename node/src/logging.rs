//! Log lines on stderr, for people or as JSON. A stderr that cannot be written (a closed pipe, a full disk) stops nothing.

use std::fmt;
use std::io::{IsTerminal, Write};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Effective, LogFormat, Settings};

/// Starts logging. Once per process; the filter was checked when the settings were read.
pub fn start(settings: &Settings) {
    let filter: Targets = settings.log.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let layer = match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Fails only if a logger runs already; then that one goes on.
    let _is_first = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok();
}

/// Writes to stderr, for people, in one piece. Whether somebody reads it is no matter of the node's.
pub fn remark(text: impl fmt::Display) {
    let _is_read = std::io::stderr().lock().write_all(text.to_string().as_bytes()).is_ok();
}

/// Prints the settings in force, each with its source: a table for people, one log line as JSON.
pub fn show(effective: &Effective) {
    let version = env!("CARGO_PKG_VERSION");
    match effective.settings.log_format {
        LogFormat::Text => remark(format_args!("starling-node {version}, settings in force:\n{effective}")),
        LogFormat::Json => {
            let settings: Vec<String> =
                effective.origins.iter().map(|(key, text, origin)| format!("{key} = {text} ({origin})")).collect();
            tracing::info!(version, settings = settings.join("; "), "settings in force");
        }
    }
}
