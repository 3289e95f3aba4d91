//! The QUIC endpoint of a node: one UDP socket that accepts and dials, with limits that fit a store.
//!
//! quinn's defaults are made for a browser: an unbounded receive window, 30 s until a dead peer is noticed, a third of a
//! second until a lost first packet is sent again. Here every window and count is named. There are no datagrams, no
//! unidirectional streams, and no migration: members and clients keep their addresses.
//!
//! The keys of stateless resets follow from the node's secret key. A process that was killed and started again answers
//! the packets of its former connections with a reset, so its peers dial anew at once, not after the idle timeout.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, TokioRuntime};
use rand::Rng;
use ring::hmac;

use super::TransportError;
use super::settings::Settings;

/// Streams that the dialler may have open at once. Nodes use two, clients one or a few.
const STREAMS_MAX: u32 = 16;

/// Unread bytes of one stream. Unit: bytes. Far above what a LAN has under way.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;

/// Unread bytes of one connection. Unit: bytes.
const WINDOW: u32 = 8 * 1024 * 1024;

/// Unread bytes of a connection from a member. Unit: bytes.
pub(super) const PEER_WINDOW: u32 = 32 * 1024 * 1024;

/// Unacknowledged bytes that one connection may hold. Unit: bytes.
const SEND_WINDOW: u64 = 8 * 1024 * 1024;

/// Connection attempts that wait to be looked at, and what they may hold. Unit of the latter: bytes.
const INCOMING_MAX: usize = 1024;
const INCOMING_BYTES_MAX: u64 = 16 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 4 * 1024 * 1024;

/// Smallest packet that every QUIC path carries. Unit: bytes.
const MTU_MIN: u16 = 1200;

/// Takes the UDP port.
pub(super) fn bind(address: SocketAddr) -> Result<UdpSocket, TransportError> {
    UdpSocket::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => TransportError::PortInUse { address },
        _ => TransportError::Bind { address, source },
    })
}

/// Opens the endpoint. Must be called within a tokio runtime. The client configuration is for dialling peers.
pub(super) fn open(
    socket: UdpSocket,
    server: QuicServerConfig,
    client: QuicClientConfig,
    key_pem: &str,
    settings: &Settings,
) -> Result<Endpoint, TransportError> {
    let address = socket.local_addr().map_err(TransportError::Socket)?;
    let mut accepting = ServerConfig::with_crypto(Arc::new(server));
    accepting
        .transport_config(Arc::new(transport(settings, Side::Accepts)?))
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    let mut dialling = ClientConfig::new(Arc::new(client));
    dialling.transport_config(Arc::new(transport(settings, Side::Dials)?));
    let mut endpoint = Endpoint::new(endpoint_config(key_pem), Some(accepting), socket, Arc::new(TokioRuntime))
        .map_err(|source| TransportError::Bind { address, source })?;
    endpoint.set_default_client_config(dialling);
    Ok(endpoint)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Accepts,
    Dials,
}

fn transport(settings: &Settings, side: Side) -> Result<TransportConfig, TransportError> {
    let idle = IdleTimeout::try_from(settings.idle_timeout).map_err(|_| TransportError::Setting {
        setting: "idle_timeout",
        reason: format!("{:?} is longer than QUIC can say", settings.idle_timeout),
    })?;
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(if side == Side::Accepts { STREAMS_MAX } else { 0 }))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval((side == Side::Dials).then_some(settings.keep_alive))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(SEND_WINDOW)
        .initial_rtt(settings.initial_rtt)
        .initial_mtu(MTU_MIN)
        .mtu_discovery_config(mtu_discovery(settings.mtu_max))
        .enable_segmentation_offload(settings.segmentation_offload)
        .datagram_receive_buffer_size(None);
    Ok(config)
}

fn mtu_discovery(mtu_max: u16) -> Option<MtuDiscoveryConfig> {
    (mtu_max > MTU_MIN).then(|| {
        let mut config = MtuDiscoveryConfig::default();
        config.upper_bound(mtu_max).black_hole_cooldown(Duration::from_secs(60));
        config
    })
}

fn endpoint_config(key_pem: &str) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key_pem.as_bytes());
    let reset = hmac::sign(&secret, b"starling stateless reset");
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())));
    config.cid_generator(|| Box::new(ConnectionIds));
    config
}

/// Random connection ids that every start of the node takes for its own, so that it answers old ones with a reset.
/// (quinn's default generator signs its ids with a key of the process and ignores those of the process before.)
#[derive(Debug)]
struct ConnectionIds;

const CONNECTION_ID_BYTES: usize = 8;

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CONNECTION_ID_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = bind(address);
        assert!(
            matches!(refused, Err(TransportError::PortInUse { address: named }) if named == address),
            "{refused:?}"
        );
    }
}
