//! The client library and the command line against nodes that are played by this process, with certificates of its
//! own: so each way in which a node can answer, or not, can be shown.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

mod backup;
mod bench;
mod bundles;
mod certificates;
mod cluster;
mod cluster_commands;
mod command_line;
mod drills;
mod fake_node;
mod following;
mod kept_sessions;
mod looking;
mod lost_calls;
mod program;
mod routing;
mod sessions;
mod tokens;
mod type_commands;
mod types;
mod usage;
