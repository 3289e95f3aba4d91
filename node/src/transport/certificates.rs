//! The cluster's certificates: one authority per cluster, one leaf per member, client and admin.
//!
//! `starling-node init-cluster` calls [`found_cluster_ca`] once and [`issue`] for every bundle. A node reads the names
//! in a peer's certificate with [`principal_in`]; whether the certificate is to be believed was decided before that, by
//! the TLS handshake (`tls.rs`).
//!
//! Keys are Ed25519: signatures have one fixed size and every node can make them with `ring`. The authority's own
//! subject and key usages follow from the cluster id, so more certificates can be issued later from its two PEM files
//! without parsing them. Validity: [`CA_DAYS`] for the authority, [`LEAF_DAYS`] for what it issues, both starting
//! [`BACKDATED`] ago so that clocks may differ. To renew a leaf, issue it again, replace the bundle and restart the node.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use starling::ids::ClusterId;
use starling::membership::principal::{Principal, Role, server_name};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Validity of a cluster's authority. Unit: days.
pub const CA_DAYS: u64 = 3_650;

/// Validity of the certificates that it issues. Unit: days. Long, because a leaf that runs out stops its node.
pub const LEAF_DAYS: u64 = 1_825;

/// How far before its making a certificate begins to be valid: clocks of members differ.
pub const BACKDATED: Duration = Duration::from_secs(24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A cluster's certificate authority. Its key must never lie on a node.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterCa {
    /// The cluster that it speaks for; it issues for no other.
    pub cluster: ClusterId,
    /// The certificate, for every bundle.
    pub cert_pem: String,
    /// The secret key, PKCS #8.
    pub key_pem: String,
}

/// A leaf certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// The secret key, PKCS #8.
    pub key_pem: String,
}

/// A certificate that could not be made or read. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The generator refused.
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
    /// The principal belongs to another cluster than the authority.
    #[error("the authority of cluster {authority} issues nothing for {principal}; use that cluster's own authority")]
    OtherCluster {
        /// Whose authority was asked.
        authority: ClusterId,
        /// For whom.
        principal: String,
    },
    /// The principal's text does not read back as itself, so the certificate would name somebody else.
    #[error("{0:?} cannot stand in a certificate; use a name of letters, digits, '-' and '_'")]
    UnusableName(String),
    /// The authority's certificate and key do not belong together, or the clock lies outside its validity.
    #[error(
        "what the authority signed does not verify against its certificate ({0}); check that certificate and key belong together, and the clock"
    )]
    Mismatch(String),
    /// Not a certificate.
    #[error("unreadable certificate: {0}")]
    Unreadable(String),
    /// Not exactly one name of a principal in it.
    #[error("the certificate names no single member, client or admin ({0})")]
    NoPrincipal(String),
}

/// Makes the authority of a new cluster, valid for [`CA_DAYS`].
pub fn found_cluster_ca(cluster: ClusterId) -> Result<ClusterCa, CertificateError> {
    let issuer = CertifiedIssuer::self_signed(authority_params(cluster), KeyPair::generate_for(&PKCS_ED25519)?)?;
    Ok(ClusterCa { cluster, cert_pem: issuer.pem(), key_pem: issuer.key().serialize_pem() })
}

/// Issues a certificate with a fresh key, valid for [`LEAF_DAYS`] but not longer than [`CA_DAYS`] allow. A node's serves
/// and dials under its [`server_name`]; a client's or an admin's only dials. The result was verified against the
/// authority.
pub fn issue(authority: &ClusterCa, principal: &Principal) -> Result<Issued, CertificateError> {
    let text = principal.to_string();
    if principal.cluster != authority.cluster {
        return Err(CertificateError::OtherCluster { authority: authority.cluster, principal: text });
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || text.parse().as_ref() != Ok(principal) {
        return Err(CertificateError::UnusableName(text));
    }
    let mut params = CertificateParams::default();
    set_validity(&mut params, LEAF_DAYS);
    params.distinguished_name = common_name(&text);
    params.subject_alt_names.push(SanType::URI(text.as_str().try_into()?));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if let Role::Node(node) = principal.role {
        params.subject_alt_names.push(SanType::DnsName(server_name(principal.cluster, node).as_str().try_into()?));
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::new(authority_params(authority.cluster), KeyPair::from_pem(&authority.key_pem)?);
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let leaf = params.signed_by(&key, &issuer)?;
    verify(&authority.cert_pem, leaf.der(), Duration::ZERO).map_err(CertificateError::Mismatch)?;
    Ok(Issued { cert_pem: leaf.pem(), key_pem: key.serialize_pem() })
}

/// The one principal that a certificate names. It says nothing about whether the certificate is genuine.
pub fn principal_in(certificate: &CertificateDer<'_>) -> Result<Principal, CertificateError> {
    let leaf =
        EndEntityCert::try_from(certificate).map_err(|error| CertificateError::Unreadable(format!("{error:?}")))?;
    let mut names = leaf.valid_uri_names();
    match (names.next(), names.next()) {
        (Some(name), None) => name.parse().map_err(|error: starling::membership::principal::NotAPrincipal| {
            CertificateError::NoPrincipal(error.to_string())
        }),
        (None, _) => Err(CertificateError::NoPrincipal("no URI name".into())),
        (Some(_), Some(_)) => Err(CertificateError::NoPrincipal("more than one URI name".into())),
    }
}

/// Whether a certificate that is valid now will not be any more after this time: for a warning at start.
pub fn runs_out_within(
    ca_pem: &str,
    certificate: &CertificateDer<'_>,
    ahead: Duration,
) -> Result<bool, CertificateError> {
    verify(ca_pem, certificate, Duration::ZERO).map_err(CertificateError::Mismatch)?;
    Ok(verify(ca_pem, certificate, ahead).is_err())
}

/// Checks the signature and the validity at `ahead` from now; the error is the verifier's word.
fn verify(ca_pem: &str, leaf: &CertificateDer<'_>, ahead: Duration) -> Result<(), String> {
    let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|error| error.to_string())?;
    let anchor = anchor_from_trusted_cert(&authority).map_err(|error| format!("{error:?}"))?;
    let now = since_1970() + ahead;
    EndEntityCert::try_from(leaf)
        .and_then(|leaf| {
            leaf.verify_for_usage(
                ring::default_provider().signature_verification_algorithms.all,
                &[anchor],
                &[],
                UnixTime::since_unix_epoch(now),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map(drop)
        })
        .map_err(|error| format!("{error:?}"))
}

/// The same for a cluster every time: leaves that are issued later chain to the same subject.
fn authority_params(cluster: ClusterId) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, CA_DAYS);
    params.distinguished_name = common_name(&format!("starling cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_validity(params: &mut CertificateParams, days: u64) {
    let now = since_1970();
    let days = u32::try_from(days).unwrap_or(u32::MAX);
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + now + DAY.saturating_mul(days);
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// A clock before 1970 gives zero: the certificates are then refused by [`verify`], with a word about the clock.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Debug for ClusterCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterCa({}, secret key)", self.cluster)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued(certificate, secret key)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use starling::ids::NodeId;

    use super::*;

    /// To make certificates that [`issue`] would never make.
    pub(in crate::transport) fn issuer(authority: &ClusterCa) -> Issuer<'static, KeyPair> {
        Issuer::new(authority_params(authority.cluster), KeyPair::from_pem(&authority.key_pem).unwrap())
    }

    fn principal(cluster: u8, role: Role) -> Principal {
        Principal { cluster: ClusterId([cluster; 16]), role }
    }

    #[test]
    fn an_issued_certificate_names_its_principal() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        for role in [Role::Node(NodeId(7)), Role::Client("shop-1".into()), Role::Admin("ops".into())] {
            let principal = principal(1, role);
            let issued = issue(&authority, &principal).unwrap();
            let der = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
            assert_eq!(principal_in(&der).unwrap(), principal);
        }
    }

    #[test]
    fn the_authority_issues_nothing_for_another_cluster() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let refused = issue(&authority, &principal(2, Role::Node(NodeId(1))));
        assert!(matches!(refused, Err(CertificateError::OtherCluster { .. })), "{refused:?}");
    }

    #[test]
    fn a_name_that_would_read_back_as_somebody_else_is_refused() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        for name in ["", "a/b", "a b", "ä"] {
            let refused = issue(&authority, &principal(1, Role::Client(name.into())));
            assert!(matches!(refused, Err(CertificateError::UnusableName(_))), "{name:?}: {refused:?}");
        }
    }

    #[test]
    fn a_key_that_does_not_belong_to_the_authority_certificate_is_noticed() {
        let mut authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        authority.key_pem = found_cluster_ca(ClusterId([1; 16])).unwrap().key_pem;
        let refused = issue(&authority, &principal(1, Role::Node(NodeId(1))));
        assert!(matches!(refused, Err(CertificateError::Mismatch(_))), "{refused:?}");
    }

    #[test]
    fn a_leaf_runs_out_after_its_days_and_not_before() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let issued = issue(&authority, &principal(1, Role::Node(NodeId(1)))).unwrap();
        let der = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
        let runs_out = |days: u64| runs_out_within(&authority.cert_pem, &der, Duration::from_secs(days * 24 * 3600));
        assert!(!runs_out(LEAF_DAYS - 1).unwrap());
        assert!(runs_out(LEAF_DAYS + 1).unwrap());
    }

    #[test]
    fn secrets_do_not_reach_a_log() {
        let authority = found_cluster_ca(ClusterId([1; 16])).unwrap();
        let issued = issue(&authority, &principal(1, Role::Node(NodeId(1)))).unwrap();
        assert!(!format!("{authority:?} {issued:?}").contains("PRIVATE"));
    }
}
