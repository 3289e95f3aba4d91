//! How clusters, members and their addresses may be called.
//!
//! Asked by `starling-node init-cluster` and by changes of a layout, before anything is made or decided.

/// Longest name. Unit: bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// Longest address. Unit: bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// Letters, digits, `-` and `_`, beginning with a letter or a digit: fit for a directory and for a shell.
pub fn is_name(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_plain && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && name.len() <= NAME_BYTES_MAX
}

/// `host:port`, with a port above 0, at most [`ADDRESS_BYTES_MAX`] long; an IPv6 address in brackets.
pub fn is_address(address: &str) -> bool {
    let parts = address.rsplit_once(':').filter(|_| address.len() <= ADDRESS_BYTES_MAX);
    parts.is_some_and(|(host, port)| {
        let is_bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && !is_bare_v6 && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_a_directory() {
        assert!(["a", "berlin-1", "0_x", &"x".repeat(63)].into_iter().all(is_name));
        assert!(!["", "-a", "a b", "a/b", "ä", "..", &"x".repeat(64)].into_iter().any(is_name));
    }

    #[test]
    fn addresses_name_a_host_and_a_port() {
        assert!(["h:1", "127.0.0.1:7000", "[::1]:7000"].into_iter().all(is_address));
        let long = format!("{}:1", "h".repeat(ADDRESS_BYTES_MAX));
        assert!(!["", "h", "h:", ":1", "h:0", "h:65536", "::1:7000", "a/b:1", &long].into_iter().any(is_address));
    }
}
