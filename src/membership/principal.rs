//! Who a certificate speaks for, and how that stands in it.
//!
//! A certificate carries one URI name, `starling://<cluster>/node/<id>`, `…/client/<name>` or `…/admin/<name>`, and a
//! node's also the DNS name that is dialled, `n<id>.<cluster>.starling`. Dialling by member, not by address, is what
//! refuses a node that answers at another's address. Pure text; the shells put it into certificates and compare.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ClusterId, NodeId};

/// The role that a certificate gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A member of the layout.
    Node(NodeId),
    /// May read and write data.
    Client(String),
    /// May do that and steer nodes (drills).
    Admin(String),
}

/// A role in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose certificate authority vouches for it.
    pub cluster: ClusterId,
    /// As what.
    pub role: Role,
}

/// Text that names no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no member, client or admin of a Starling cluster")]
pub struct NotAPrincipal(pub String);

/// The DNS name under which a member is dialled.
pub fn server_name(cluster: ClusterId, node: NodeId) -> String {
    format!("{node}.{cluster}.starling")
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "starling://{}/", self.cluster)?;
        match &self.role {
            Role::Node(id) => write!(f, "node/{}", id.0),
            Role::Client(name) => write!(f, "client/{name}"),
            Role::Admin(name) => write!(f, "admin/{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = NotAPrincipal;

    fn from_str(text: &str) -> Result<Principal, NotAPrincipal> {
        let refuse = || NotAPrincipal(text.chars().take(200).collect());
        let rest = text.strip_prefix("starling://").ok_or_else(refuse)?;
        let mut parts = rest.split('/');
        let (Some(cluster), Some(role), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let cluster = cluster_from_hex(cluster).ok_or_else(refuse)?;
        let role = match role {
            "node" => Role::Node(NodeId(name.parse().map_err(|_| refuse())?)),
            "client" if !name.is_empty() => Role::Client(name.to_owned()),
            "admin" if !name.is_empty() => Role::Admin(name.to_owned()),
            _ => return Err(refuse()),
        };
        Ok(Principal { cluster, role })
    }
}

fn cluster_from_hex(text: &str) -> Option<ClusterId> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(|number| ClusterId(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_reads_back_as_it_was_written() {
        for role in [Role::Node(NodeId(7)), Role::Client("shop".into()), Role::Admin("ops".into())] {
            let principal = Principal { cluster: ClusterId([0xab; 16]), role };
            assert_eq!(principal.to_string().parse(), Ok(principal));
        }
    }

    #[test]
    fn other_text_is_refused() {
        let cluster = ClusterId([1; 16]);
        for text in [
            "".to_owned(),
            "starling://zz/node/1".to_owned(),
            format!("starling://{cluster}/node/x"),
            format!("starling://{cluster}/node/1/2"),
            format!("starling://{cluster}/client/"),
            format!("https://{cluster}/node/1"),
        ] {
            assert!(text.parse::<Principal>().is_err(), "{text}");
        }
    }
}
