//! What a bundle is: the directory that tells a program which cluster it belongs to, who it is, and whom it may believe.
//!
//! ```text
//! layout.toml   the members, their addresses, N, R, W …
//! ca.pem        the cluster's certificate authority
//! cert.pem      who its holder is
//! key.pem       the proof of it
//! seal.key      of members only: seals what clients keep for the cluster (contexts, tokens); the same on all members
//! ```
//!
//! Names and bounds only: nodes and clients read and write the files themselves.

/// The layout, as TOML.
pub const LAYOUT_FILE: &str = "layout.toml";

/// The cluster's authority.
pub const CA_FILE: &str = "ca.pem";

/// The holder's certificate.
pub const CERTIFICATE_FILE: &str = "cert.pem";

/// The holder's secret key.
pub const KEY_FILE: &str = "key.pem";

/// The cluster's key for contexts and tokens, 64 hexadecimal digits. Only members have it.
pub const SEAL_KEY_FILE: &str = "seal.key";

/// Largest file of a bundle that is read. Unit: bytes. A layout of 1024 members has a tenth of it.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
