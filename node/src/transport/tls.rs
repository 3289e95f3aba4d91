//! TLS 1.3, both ways: the cluster's authority and nobody else vouches for whoever connects.
//!
//! The crypto provider is named (`ring`), never taken from the process. There is no early data, and no resumption, so
//! every connection shows its certificate anew. That a dial succeeded proves only the node that was dialled; whether it
//! accepted the dialler is known when its HELLO comes back.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::rustls::{HandshakeData, NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use starling::ids::NodeId;
use starling::membership::bundle;
use starling::membership::principal::{Principal, Role};
use starling::message::codec::ALPN;

use super::certificates::{CertificateError, principal_in};
use super::refusal::Refusal;

/// A node's certificate files, as text.
#[derive(Clone)]
pub struct Credentials {
    /// The cluster's authority.
    pub ca_pem: String,
    /// This node's certificate.
    pub cert_pem: String,
    /// Its secret key, PKCS #8.
    pub key_pem: String,
}

/// Certificate files that cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Not PEM of the expected kind.
    #[error("{file}: {reason}")]
    Unreadable {
        /// Which of the bundle's files.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate's names.
    #[error("cert.pem: {0}")]
    Certificate(#[from] CertificateError),
    /// A client's or an admin's bundle.
    #[error("cert.pem is of {0}; a node runs with its own member bundle")]
    NotANode(String),
    /// Refused by the TLS library: key and certificate do not belong together, for example.
    #[error("key.pem and cert.pem: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority cannot be used to check clients.
    #[error("ca.pem: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The crypto provider lacks what QUIC begins with.
    #[error("the crypto provider has no cipher suite for QUIC: {0}")]
    CipherSuite(#[from] NoInitialCipherSuite),
}

/// Both sides' TLS settings, and who this node is.
pub(super) struct Tls {
    pub(super) server: QuicServerConfig,
    pub(super) client: QuicClientConfig,
    pub(super) principal: Principal,
    pub(super) node: NodeId,
    pub(super) certificate: CertificateDer<'static>,
}

/// Reads the credentials of a node.
pub(super) fn read(credentials: &Credentials) -> Result<Tls, CredentialsError> {
    let unreadable = |file, reason: String| CredentialsError::Unreadable { file, reason };
    let certificate = CertificateDer::from_pem_slice(credentials.cert_pem.as_bytes())
        .map_err(|error| unreadable(bundle::CERTIFICATE_FILE, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes())
        .map_err(|error| unreadable(bundle::KEY_FILE, error.to_string()))?;
    let authority = CertificateDer::from_pem_slice(credentials.ca_pem.as_bytes())
        .map_err(|error| unreadable(bundle::CA_FILE, error.to_string()))?;
    let principal = principal_in(&certificate)?;
    let Role::Node(node) = principal.role else { return Err(CredentialsError::NotANode(principal.to_string())) };

    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let roots = Arc::new(roots);
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key.clone_key())?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.clone()], key)?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    client.enable_early_data = false;
    Ok(Tls {
        server: QuicServerConfig::try_from(Arc::new(server))?,
        client: QuicClientConfig::try_from(Arc::new(client))?,
        principal,
        node,
        certificate,
    })
}

/// Whom the other side of a connection proved to be. The handshake checked the certificate; here its name is read.
pub(super) fn principal_of(connection: &quinn::Connection) -> Result<Principal, Refusal> {
    let is_ours = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .is_some_and(|data| data.protocol.as_deref() == Some(ALPN));
    if !is_ours {
        return Err(Refusal::Protocol);
    }
    let chain =
        connection.peer_identity().and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    match chain.as_deref().and_then(|chain| chain.first()) {
        Some(leaf) => Ok(principal_in(leaf)?),
        None => Err(Refusal::Certificate(CertificateError::NoPrincipal("no certificate was shown".into()))),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.principal)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(authority, certificate, secret key)")
    }
}

#[cfg(test)]
mod tests {
    use starling::ids::ClusterId;

    use super::super::certificates::{ClusterCa, found_cluster_ca, issue};
    use super::*;

    fn credentials(authority: &ClusterCa, role: Role) -> Credentials {
        let issued = issue(authority, &Principal { cluster: authority.cluster, role }).unwrap();
        Credentials { ca_pem: authority.cert_pem.clone(), cert_pem: issued.cert_pem, key_pem: issued.key_pem }
    }

    #[test]
    fn a_member_bundle_says_who_the_node_is() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        assert_eq!(read(&credentials(&authority, Role::Node(NodeId(3)))).unwrap().node, NodeId(3));
    }

    #[test]
    fn a_client_bundle_runs_no_node() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let refused = read(&credentials(&authority, Role::Client("shop".into())));
        assert!(matches!(refused, Err(CredentialsError::NotANode(_))), "{refused:?}");
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let mut mixed = credentials(&authority, Role::Node(NodeId(3)));
        mixed.key_pem = credentials(&authority, Role::Node(NodeId(3))).key_pem;
        let refused = read(&mixed);
        assert!(matches!(refused, Err(CredentialsError::Tls(_))), "{refused:?}");
    }

    #[test]
    fn a_file_that_is_not_pem_is_named() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let mut broken = credentials(&authority, Role::Node(NodeId(3)));
        broken.ca_pem = "hello".into();
        let refused = read(&broken).unwrap_err().to_string();
        assert!(refused.starts_with("ca.pem"), "{refused}");
    }
}
