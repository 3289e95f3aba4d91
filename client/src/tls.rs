//! From a bundle to the QUIC settings of a client: TLS 1.3 only, mutual, no 0-RTT, ALPN `starling/1`.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use starling::message::codec::ALPN;

use crate::{Bundle, ConnectError};

/// A silent node is given up after this long.
const IDLE_TIMEOUT_MS: u32 = 10_000;

/// How often an idle connection is kept from looking silent.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// A guess for the first packets; the default of a third of a second would make one lost packet cost a second.
const INITIAL_RTT: Duration = Duration::from_millis(20);

/// The settings for dialling the members of the bundle's cluster.
pub(crate) fn quic_config(bundle: &Bundle) -> Result<quinn::ClientConfig, ConnectError> {
    let refuse =
        |reason: String| ConnectError::Certificates { directory: bundle.directory.display().to_string(), reason };
    let mut roots = rustls::RootCertStore::empty();
    for authority in &bundle.authorities {
        roots.add(authority.clone()).map_err(|error| refuse(format!("ca.pem: {error}")))?;
    }
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| refuse(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(bundle.chain.clone(), bundle.key.clone_key())
        .map_err(|error| refuse(format!("cert.pem and key.pem: {error}")))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = QuicClientConfig::try_from(tls).map_err(|error| refuse(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    transport
}
