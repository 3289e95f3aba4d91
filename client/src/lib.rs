//! The async client library of Starling.
//!
//! A [`Bundle`] says which cluster and who we are; a [`Client`] keeps one QUIC connection per node, dialled when it is
//! needed, with many calls in flight on each. Any node takes any request; the client prefers an owner of the key and
//! turns to the others when it is away.
//!
//! ```no_run
//! use starling::ids::Key;
//! use starling::message::client::{Options, Outcome};
//! use starling_client::{Bundle, Client, ClientConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(Bundle::load("shop/client")?, ClientConfig::default())?;
//! let likes = Key::new("likes:42")?;
//! match client.increment(&likes, 1, &Options::default()).await {
//!     Ok(reply) => println!("{:?}, held by {} nodes", reply.value, reply.acks.len()),
//!     Err(error) if error.outcome() == Outcome::NotApplied => println!("safe to send again: {error}"),
//!     Err(error) => println!("may count twice if sent again: {error}"),
//! }
//! let now = client.get(&likes, &Options { r: Some(1), ..Options::default() }).await?;
//! println!("{:?}{}", now.value, if now.partial { " (one side of a split)" } else { "" });
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Every call ends by its deadline plus a slack, with an answer or an [`Error`] whose [`Error::outcome`] says what
//!   happened to the data.
//! - A write is sent again only if it certainly did not leave this process, or a node answered that it was not
//!   applied. A write that may have been sent and has no answer is [`Error::Unknown`].
//! - Reads are asked of other nodes when one does not answer.
//! - Nothing is sent before the node and this client have accepted each other's certificates.
//!
//! # Map
//!
//! ```text
//! client      the calls, retries              bundle, tls   who we are
//! route       which node takes a call         dial, link    getting and keeping connections
//! connection  calls in flight on one stream   pending       what was sent and has no answer
//! ```

mod bundle;
mod client;
mod config;
mod connection;
mod dial;
mod error;
mod link;
mod nodes;
mod pending;
mod route;
mod session;
mod tls;

pub use bundle::{Bundle, BundleError};
pub use client::Client;
pub use config::ClientConfig;
pub use error::{ConnectError, DialError, Error, Unreached};
