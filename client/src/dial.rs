//! Dialling a member: resolve, connect under its own name, greet.
//!
//! A member is dialled by the name in its certificate, not by its address, so a node that answers at another's
//! address is refused. Costs one handshake; bounded by the configured timeout.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionError, Endpoint};
use starling::membership::{Layout, Member, principal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::{CLOSE_DONE, Connection};
use crate::error::{ConnectError, DialError};

/// TLS alerts that speak about certificates (RFC 8446 §6.2): bad, unsupported, revoked, expired and unknown ones,
/// unknown CA, access denied, a signature that does not verify, certificate required.
const CERTIFICATE_ALERTS: [u64; 9] = [42, 43, 44, 45, 46, 48, 49, 51, 116];

/// QUIC carries a TLS alert as a transport error of this number plus the alert (RFC 9001 §4.8).
const CRYPTO_ERROR: u64 = 0x100;

/// Addresses of one name that are dialled.
const ADDRESSES_MAX: usize = 8;

/// How long a closing client stays for its last packets.
const FAREWELL: Duration = Duration::from_millis(15);

/// Dials members; shared by all links of a client.
pub(crate) struct Dialer {
    v4: Endpoint,
    /// Absent on machines without IPv6.
    v6: Option<Endpoint>,
    layout: Arc<Layout>,
    timeout: Duration,
    in_flight_max: usize,
}

impl Dialer {
    pub(crate) fn new(
        quic: &quinn::ClientConfig,
        layout: Arc<Layout>,
        timeout: Duration,
        in_flight_max: usize,
    ) -> Result<Dialer, ConnectError> {
        let mut v4 = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).map_err(ConnectError::Socket)?;
        v4.set_default_client_config(quic.clone());
        let v6 = Endpoint::client((Ipv6Addr::UNSPECIFIED, 0).into()).ok().map(|mut endpoint| {
            endpoint.set_default_client_config(quic.clone());
            endpoint
        });
        Ok(Dialer { v4, v6, layout, timeout, in_flight_max })
    }

    /// A greeted connection to the member, or why there is none.
    pub(crate) async fn dial(self: &Arc<Self>, member: &Member) -> Result<Arc<Connection>, DialError> {
        match timeout(self.timeout, self.clone().try_addresses(member)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DialError::Timeout),
        }
    }

    /// Closes every connection of the client.
    pub(crate) fn close(&self) {
        self.v4.close(CLOSE_DONE, b"the client is done");
        if let Some(v6) = &self.v6 {
            v6.close(CLOSE_DONE, b"the client is done");
        }
    }

    /// Gives the packets that close the connections time to leave. QUIC itself would wait about a tenth of a second for
    /// what the other side may still say (RFC 9000 §10.2): nothing of it matters any more.
    pub(crate) async fn say_farewell(&self) {
        let farewell = async {
            self.v4.wait_idle().await;
            if let Some(v6) = &self.v6 {
                v6.wait_idle().await;
            }
        };
        // The farewell has left long before this; if it has not, the node's idle timeout does the same.
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// All addresses of a name at once: `localhost` may be `::1` and `127.0.0.1`, and the node listens on one of them.
    async fn try_addresses(self: Arc<Self>, member: &Member) -> Result<Arc<Connection>, DialError> {
        let addresses =
            tokio::net::lookup_host(&member.address).await.map_err(|error| DialError::Address(error.to_string()))?;
        let mut tries = JoinSet::new();
        for address in addresses.take(ADDRESSES_MAX) {
            let (dialer, member) = (self.clone(), member.clone());
            tries.spawn(async move { dialer.try_address(&member, address).await });
        }
        let mut outcome = Err(DialError::Address("it has no address".into()));
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => outcome = Err(error),
                // Not awaited after an abort, so only a panic can end here: it was reported on its thread.
                Err(_) => {}
            }
        }
        outcome
    }

    async fn try_address(&self, member: &Member, address: SocketAddr) -> Result<Arc<Connection>, DialError> {
        let endpoint = match (address, &self.v6) {
            (SocketAddr::V4(_), _) => &self.v4,
            (SocketAddr::V6(_), Some(v6)) => v6,
            (SocketAddr::V6(_), None) => return Err(DialError::Address(format!("{address}: no IPv6 here"))),
        };
        let name = principal::server_name(self.layout.cluster, member.id);
        let connecting =
            endpoint.connect(address, &name).map_err(|error| DialError::Address(format!("{address}: {error}")))?;
        let quic = connecting.await.map_err(|error| error_of(&error))?;
        Connection::open(quic, member.id, &self.layout, self.in_flight_max).await
    }
}

/// What a QUIC error means to someone who dials.
pub(crate) fn error_of(error: &ConnectionError) -> DialError {
    match error {
        ConnectionError::TimedOut => DialError::Timeout,
        ConnectionError::VersionMismatch => DialError::Protocol("another version of QUIC".into()),
        ConnectionError::TransportError(ours) => match certificate_alert(u64::from(ours.code)) {
            true => DialError::ItIsRefused(ours.reason.clone()),
            false if is_no_application_protocol(u64::from(ours.code)) => DialError::Protocol(ours.reason.clone()),
            false => DialError::Lost(ours.to_string()),
        },
        ConnectionError::ConnectionClosed(theirs) => {
            let reason = String::from_utf8_lossy(&theirs.reason).into_owned();
            let code = u64::from(theirs.error_code);
            match certificate_alert(code) {
                true => DialError::WeAreRefused(or_code(reason, code)),
                false if is_no_application_protocol(code) => DialError::Protocol(or_code(reason, code)),
                false => DialError::Closed(or_code(reason, code)),
            }
        }
        ConnectionError::ApplicationClosed(theirs) => {
            let reason = String::from_utf8_lossy(&theirs.reason).into_owned();
            DialError::Closed(or_code(reason, theirs.error_code.into_inner()))
        }
        ConnectionError::Reset => DialError::Lost("the node has forgotten it (it was restarted)".into()),
        ConnectionError::LocallyClosed => DialError::Lost("it was closed here".into()),
        ConnectionError::CidsExhausted => DialError::Lost("no connection ids are left".into()),
    }
}

/// What a QUIC error means to a call that was under way.
pub(crate) fn reason_of(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "the connection timed out: the node was silent".into(),
        other => match error_of(other) {
            DialError::Lost(reason) => format!("the connection was lost: {reason}"),
            DialError::Closed(reason) => format!("the node closed the connection: {reason}"),
            dial => dial.to_string(),
        },
    }
}

fn certificate_alert(code: u64) -> bool {
    code.checked_sub(CRYPTO_ERROR).is_some_and(|alert| CERTIFICATE_ALERTS.contains(&alert))
}

/// Alert 120: the other side speaks no protocol that we offered.
fn is_no_application_protocol(code: u64) -> bool {
    code == CRYPTO_ERROR + 120
}

fn or_code(reason: String, code: u64) -> String {
    if reason.is_empty() { format!("code {code}") } else { reason }
}
