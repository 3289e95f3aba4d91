//! Tests of real processes: the built `starling-node`, started on free ports of this machine, signalled and killed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod backup;
mod claimants;
mod cluster;
mod command;
mod damage;
mod data;
mod membership;
mod start;
mod stop;
