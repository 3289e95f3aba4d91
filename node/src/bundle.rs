//! The bundle of a member: the directory that tells a node who it is and whom it may believe.
//!
//! Made by `founding`, or by `issuing` for one that is to join; read once at start. It is checked whole before anything is started: the certificate must name a
//! member of the layout's cluster. Whether key and certificate fit together is the transport's affair.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use starling::ids::NodeId;
use starling::membership::bundle::{CA_FILE, CERTIFICATE_FILE, FILE_BYTES_MAX, KEY_FILE, LAYOUT_FILE, SEAL_KEY_FILE};
use starling::membership::principal::Role;
use starling::membership::{Layout, LayoutError, Member};
use starling::sealed::{NotAKey, SealKey};

use crate::issuing::MEMBER_FILE;
use crate::transport::certificates::{CertificateError, principal_in};

/// What stands in a member's bundle.
pub struct Bundle {
    /// Which member this is.
    pub node: NodeId,
    /// The cluster, as it was when the bundle was made.
    pub layout: Layout,
    /// What it would be as a member, if that layout does not know it: it waits to be let join.
    pub candidate: Option<Member>,
    /// The authority's certificate.
    pub ca_pem: String,
    /// The member's certificate.
    pub cert_pem: String,
    /// The member's secret key.
    pub key_pem: String,
    /// The cluster's key for contexts and tokens.
    pub seal_key: SealKey,
}

/// A bundle that no node can run with. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file is missing or not readable.
    #[error("cannot read {}: {reason}; --bundle names a directory members/NAME that init-cluster made", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Not a layout.
    #[error("{} is malformed: {reason}; copy the bundle again", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A layout that cannot be.
    #[error("{}: {source}; copy the bundle again", .path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: LayoutError,
    },
    /// The certificate names nobody.
    #[error("{}: {source}", .path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: CertificateError,
    },
    /// The key for contexts and tokens is not there.
    #[error(
        "cannot read {}: {reason}; all members of a cluster share this key: copy it from another member's bundle, or make one \
         (openssl rand -hex 32) and give the same to every member before any of them runs",
        .path.display()
    )]
    NoSealKey {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The key for contexts and tokens is none.
    #[error("{} holds no key: {source}; copy it from another member's bundle", .path.display())]
    SealKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: NotAKey,
    },
    /// A bundle of a client or admin, or of another cluster or member than the layout knows.
    #[error("{} is of {principal}, which is no member of the layout beside it; use the bundle members/NAME", .path.display())]
    NotAMember {
        /// Which file.
        path: PathBuf,
        /// Whom it names.
        principal: String,
    },
}

impl Bundle {
    /// Reads and checks a member's bundle.
    pub fn load(directory: &Path) -> Result<Bundle, BundleError> {
        let path = directory.join(LAYOUT_FILE);
        let layout: Layout = toml::from_str(&read(directory, LAYOUT_FILE)?)
            .map_err(|error| BundleError::Malformed { path: path.clone(), reason: error.to_string() })?;
        layout.validate().map_err(|source| BundleError::Layout { path, source })?;
        let cert_pem = read(directory, CERTIFICATE_FILE)?;
        let (node, candidate) = member_of(directory, &cert_pem, &layout)?;
        let (ca_pem, key_pem) = (read(directory, CA_FILE)?, read(directory, KEY_FILE)?);
        let seal_key = seal_key(directory)?;
        Ok(Bundle { node, layout, candidate, ca_pem, cert_pem, key_pem, seal_key })
    }
}

fn seal_key(directory: &Path) -> Result<SealKey, BundleError> {
    let text = read(directory, SEAL_KEY_FILE).map_err(|error| match error {
        BundleError::Unreadable { path, reason } => BundleError::NoSealKey { path, reason },
        other => other,
    })?;
    let path = directory.join(SEAL_KEY_FILE);
    SealKey::from_hex(&text).map_err(|source| BundleError::SealKey { path, source })
}

/// Who the certificate names; if no member of the layout, what `issue-member` wrote of it.
fn member_of(directory: &Path, cert_pem: &str, layout: &Layout) -> Result<(NodeId, Option<Member>), BundleError> {
    let path = directory.join(CERTIFICATE_FILE);
    let certificate = CertificateDer::from_pem_slice(cert_pem.as_bytes())
        .map_err(|error| BundleError::Malformed { path: path.clone(), reason: error.to_string() })?;
    let principal =
        principal_in(&certificate).map_err(|source| BundleError::Certificate { path: path.clone(), source })?;
    match principal.role {
        Role::Node(node) if principal.cluster == layout.cluster => {
            if layout.member(node).is_some() {
                return Ok((node, None));
            }
            match candidate(directory)? {
                Some(member) if member.id == node => Ok((node, Some(member))),
                Some(_) | None => Err(BundleError::NotAMember { path, principal: principal.to_string() }),
            }
        }
        _ => Err(BundleError::NotAMember { path, principal: principal.to_string() }),
    }
}

fn candidate(directory: &Path) -> Result<Option<Member>, BundleError> {
    let path = directory.join(MEMBER_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let member = toml::from_str(&read(directory, MEMBER_FILE)?);
    member.map(Some).map_err(|error| BundleError::Malformed { path, reason: error.to_string() })
}

fn read(directory: &Path, name: &str) -> Result<String, BundleError> {
    let path = directory.join(name);
    let unreadable = |reason: String| BundleError::Unreadable { path: path.clone(), reason };
    let bytes = fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(format!("{bytes} bytes, at most {FILE_BYTES_MAX} belong there")));
    }
    fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::founding::{Plan, found};

    fn cluster(place: &Path, name: &str) -> PathBuf {
        let members = vec![("a".into(), "127.0.0.1:1".into()), ("b".into(), "127.0.0.1:2".into())];
        let plan = Plan { name: name.into(), directory: place.join(name), members, ..Plan::default() };
        found(&plan).unwrap();
        plan.directory
    }

    fn refusal(directory: &Path) -> String {
        Bundle::load(directory).err().unwrap().to_string()
    }

    #[test]
    fn a_bundle_that_is_not_there_says_where_it_comes_from() {
        assert!(refusal(Path::new("/nowhere")).contains("init-cluster"));
    }

    #[test]
    fn a_client_runs_no_node() {
        let place = tempfile::tempdir().unwrap();
        let text = refusal(&cluster(place.path(), "shop").join("client"));
        assert!(text.contains("/client/client, which is no member"), "{text}");
    }

    #[test]
    fn a_certificate_of_another_cluster_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let ours = cluster(place.path(), "shop").join("members/a");
        let theirs = cluster(place.path(), "bank").join("members/a");
        fs::copy(theirs.join(CERTIFICATE_FILE), ours.join(CERTIFICATE_FILE)).unwrap();
        assert!(refusal(&ours).contains("which is no member"));
    }

    #[test]
    fn a_bundle_without_a_seal_key_says_how_to_make_one() {
        let place = tempfile::tempdir().unwrap();
        let bundle = cluster(place.path(), "shop").join("members/a");
        let path = bundle.join(SEAL_KEY_FILE);
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(Bundle::load(&bundle), Err(BundleError::SealKey { .. })));
        assert!(refusal(&bundle).contains("64 hexadecimal digits"), "{}", refusal(&bundle));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Bundle::load(&bundle), Err(BundleError::NoSealKey { .. })));
        assert!(refusal(&bundle).contains("openssl rand -hex 32"), "{}", refusal(&bundle));
    }

    #[test]
    fn a_layout_that_was_edited_by_hand_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let bundle = cluster(place.path(), "shop").join("members/a");
        let path = bundle.join(LAYOUT_FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("partitions = 256", "partitions = 128")).unwrap();
        assert!(refusal(&bundle).contains("its content does not have the hash"), "{}", refusal(&bundle));
        fs::write(&path, "nonsense").unwrap();
        assert!(refusal(&bundle).contains("malformed"));
    }
}
