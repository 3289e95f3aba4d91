//! machine
#![allow(clippy::indexing_slicing)]
mod apply; mod check; pub mod rules; pub mod search; pub mod step; pub mod values; pub mod world;
