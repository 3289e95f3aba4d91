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
//!     Err(error) if error.outcome() == Outcome::NotApplied => println!("does not count: {error}"),
//!     Err(error) => println!("counts once at most, and is asked for until it is known: {error}"),
//! }
//! client.settled().await; // until every increment is known to count, or not
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
//! - An increment counts exactly once if it is acknowledged, and at most once whatever happens: it is an event of a
//!   [`Session`], so it is sent again, through any node, until the cluster acknowledges or refuses it.
//! - A reset or a set-to is a read and then a write that names what was read, so it can be sent again too.
//! - Any other write is sent again only if it certainly did not leave this process, or a node answered that it was not
//!   applied. One that may have been sent and has no answer is [`Error::Unknown`].
//! - A client that follows a [`Token`] is shown nothing older than what it has seen, or is told that it would be.
//! - Reads are asked of other nodes when one does not answer.
//! - When members come and go, the client learns it from those that are left, and no call waits for that.
//! - Nothing is sent before the node and this client have accepted each other's certificates.
//!
//! # Map
//!
//! ```text
//! client, calls   what can be asked           bundle, tls   who we are
//! caller, route   which node takes a call     dial, link    getting and keeping connections
//! session         increments that count once  connection    calls in flight on one stream
//! token           what a reader has seen      pending       what was sent and has no answer
//! convergence     how far replicas are apart  follow        newer layouts
//! ```

mod bundle;
mod caller;
mod calls;
mod client;
mod config;
mod connection;
mod convergence;
mod dial;
mod engine;
mod error;
mod follow;
#[doc(hidden)]
pub mod hex;
mod link;
mod naming;
mod nodes;
mod pending;
mod repetition;
mod route;
mod session;
mod tls;
mod token;

pub use bundle::{Bundle, BundleError};
pub use calls::{Map, MapPages, Set, SetPages, SortedSet, SortedSetPages};
pub use client::Client;
pub use config::ClientConfig;
pub use convergence::Convergence;
pub use error::{ConnectError, DialError, Error, Unreached};
pub use session::{KeptError, Resumed, Session, SessionConfig};
pub use token::Token;
