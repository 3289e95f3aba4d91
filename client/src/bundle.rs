//! The bundle: a directory that holds all a program needs to speak to a cluster.
//!
//! ```text
//! shop/client/
//!   layout.toml   the members, their addresses, N, R, W …
//!   ca.pem        the cluster's certificate authority
//!   cert.pem      who we are
//!   key.pem       the proof of it (keep it secret)
//! ```
//!
//! `starling-node init-cluster` makes bundles for members, clients and admins. Loading reads four small files and
//! computes the placement; nothing is dialled.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starling::membership::bundle::{CA_FILE, CERTIFICATE_FILE, FILE_BYTES_MAX, KEY_FILE, LAYOUT_FILE};
use starling::membership::{Layout, LayoutError};
use starling::ring::RingView;

/// The layout, and the certificates that let us in.
pub struct Bundle {
    pub(crate) directory: PathBuf,
    pub(crate) ring: Arc<RingView>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A bundle that cannot be used. Nothing was sent anywhere.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no such directory.
    #[error(
        "there is no bundle directory {}; `starling-node init-cluster NAME …` makes one at NAME/client, \
         name it with --bundle or STARLING_BUNDLE",
        .directory.display()
    )]
    NoDirectory {
        /// What was named.
        directory: PathBuf,
    },
    /// A file is missing or may not be read.
    #[error("cannot read {}: {cause}; a bundle holds layout.toml, ca.pem, cert.pem and key.pem", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// A file is far larger than what belongs there.
    #[error("{} has {bytes} bytes, at most {FILE_BYTES_MAX} are read; it is not a file of a bundle", .file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A file does not hold what belongs there.
    #[error("{} is malformed: {reason}; copy the bundle again from where the cluster was made", .file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The layout cannot be.
    #[error("{}: {cause}; copy the bundle again from where the cluster was made", .file.display())]
    Layout {
        /// Which file.
        file: PathBuf,
        /// Which part is wrong.
        cause: LayoutError,
    },
}

impl Bundle {
    /// Reads a bundle. Every error names the file and what to do.
    pub fn load(directory: impl AsRef<Path>) -> Result<Bundle, BundleError> {
        let directory = directory.as_ref();
        if !directory.is_dir() {
            return Err(BundleError::NoDirectory { directory: directory.to_owned() });
        }
        let (file, text) = read(directory, LAYOUT_FILE)?;
        let text = String::from_utf8(text)
            .map_err(|error| BundleError::Malformed { file: file.clone(), reason: error.to_string() })?;
        let layout: Layout = toml::from_str(&text)
            .map_err(|error| BundleError::Malformed { file: file.clone(), reason: error.to_string() })?;
        let ring = RingView::new(layout).map_err(|cause| BundleError::Layout { file, cause })?;
        Ok(Bundle {
            directory: directory.to_owned(),
            ring: Arc::new(ring),
            authorities: certificates(directory, CA_FILE)?,
            chain: certificates(directory, CERTIFICATE_FILE)?,
            key: private_key(directory, KEY_FILE)?,
        })
    }

    /// The ring of the bundle's layout: members, owners, fallbacks.
    pub fn ring(&self) -> &Arc<RingView> {
        &self.ring
    }
}

impl fmt::Debug for Bundle {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("directory", &self.directory)
            .field("cluster", &self.ring.layout().name)
            .finish_non_exhaustive()
    }
}

fn read(directory: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), BundleError> {
    let file = directory.join(name);
    let unreadable = |cause| BundleError::Unreadable { file: file.clone(), cause };
    let bytes = std::fs::metadata(&file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(BundleError::TooLarge { file, bytes });
    }
    let content = std::fs::read(&file).map_err(unreadable)?;
    Ok((file, content))
}

fn certificates(directory: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    let (file, pem) = read(directory, name)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(BundleError::Malformed { file, reason: "it holds no certificate".into() }),
        Err(error) => Err(BundleError::Malformed { file, reason: error.to_string() }),
    }
}

fn private_key(directory: &Path, name: &str) -> Result<PrivateKeyDer<'static>, BundleError> {
    let (file, pem) = read(directory, name)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| BundleError::Malformed { file, reason: format!("it holds no private key ({error})") })
}
