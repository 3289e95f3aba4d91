//! `starling-node init-cluster`: makes a cluster, that is its id, its certificate authority, layout epoch 1 and one
//! bundle for each member, for clients and for admins.
//!
//! ```text
//! shop/
//!   ca.key  ca.pem          the authority: keep the key away from every node; it can issue further certificates
//!   members/a/  members/b/  one bundle per member: copy it to its machine, and only there
//!   client/                 may read and write data
//!   admin/                  may do that and inject faults on nodes that run with --drills
//! bundle = layout.toml  ca.pem  cert.pem  key.pem; of a member also seal.key, the same on all members
//! ```
//!
//! Everything is written into a directory beside the target and moved there at the end: there is a whole cluster or
//! none. Nothing that exists is ever overwritten. Directories are 0700, keys 0600.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use starling::ids::{ClusterId, NodeId};
use starling::membership::principal::{Principal, Role};
use starling::membership::{Fallbacks, Layout, LayoutError, Member};
use starling::membership::{bundle, naming};
use starling::sealed::SealKey;

use crate::transport::certificates::{CertificateError, ClusterCa, found_cluster_ca, issue};

/// What `init-cluster` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Name of the cluster.
    pub name: String,
    /// Where to write it.
    pub directory: PathBuf,
    /// Names and addresses of the members.
    pub members: Vec<(String, String)>,
    /// Zones of some of them.
    pub zones: Vec<(String, String)>,
    /// Weights of some of them.
    pub weights: Vec<(String, u32)>,
    /// N, if not the default.
    pub replicas: Option<u8>,
    /// Q, if not the default.
    pub partitions: Option<u16>,
    /// F, if not the default.
    pub fallbacks: Option<Fallbacks>,
    /// R, if not a majority.
    pub read_quorum: Option<u8>,
    /// W, if not a majority.
    pub write_quorum: Option<u8>,
}

/// A cluster that was not made. Nothing is left behind, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// Never overwritten: it may hold the only key of a running cluster.
    #[error("{} exists already and is not touched; choose another --out, or remove it if its cluster is gone", .0.display())]
    Exists(PathBuf),
    /// A name that cannot stand in a path and a certificate.
    #[error("{what} {name:?}: a name has 1 to 63 of a-z, A-Z, 0-9, '-', '_' and begins with a letter or digit")]
    Name {
        /// Cluster or member.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// An address that nobody could dial.
    #[error("member {name}: {address:?} is not host:port with a port from 1 to 65535")]
    Address {
        /// Whose.
        name: String,
        /// What was given.
        address: String,
    },
    /// A zone or weight of nobody.
    #[error("--{what} {name}=…: no member is called so")]
    NoSuchMember {
        /// Which option.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// The numbers do not fit together.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The generator of certificates failed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No randomness for the cluster's id or its key.
    #[error("the operating system gave no random bytes")]
    NoEntropy,
    /// A file could not be written.
    #[error("{}: {source}", .path.display())]
    Write {
        /// Which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The layout has no form as TOML: a bug.
    #[error("layout.toml: {0}")]
    Toml(#[from] toml::ser::Error),
}

/// Makes the cluster and returns its layout.
pub fn found(plan: &Plan) -> Result<Layout, FoundingError> {
    let layout = layout(plan, ClusterId(random()?))?;
    if plan.directory.symlink_metadata().is_ok() {
        return Err(FoundingError::Exists(plan.directory.clone()));
    }
    make_whole(&plan.directory, |unfinished| write_all(unfinished, &layout))?;
    Ok(layout)
}

/// Makes a directory in a place beside its own, and moves it there when it is whole.
pub(crate) fn make_whole(
    directory: &Path,
    write: impl FnOnce(&Path) -> Result<(), FoundingError>,
) -> Result<(), FoundingError> {
    let unfinished = unfinished(directory);
    let result = write(&unfinished).and_then(|()| {
        std::fs::rename(&unfinished, directory).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::DirectoryNotEmpty => {
                FoundingError::Exists(directory.to_owned())
            }
            _ => FoundingError::Write { path: directory.to_owned(), source },
        })
    });
    if result.is_err() {
        // What could not be finished is of no use; that it could not be removed either would hide the first error.
        let _removed = std::fs::remove_dir_all(&unfinished).is_ok();
    }
    result
}

/// How to start each member, whose bundles lie in `cluster` and whose directories in `data`: a line each.
pub(crate) fn run_commands(layout: &Layout, cluster: &str, data: &str) -> String {
    let mut text = String::new();
    for Member { name, address, .. } in &layout.members {
        let _infallible =
            writeln!(text, "  starling-node run --bundle {cluster}/members/{name} --data {data}/{name}    # {address}");
    }
    text
}

/// What to do next, for the terminal.
pub fn next_steps(plan: &Plan, layout: &Layout) -> String {
    let directory = plan.directory.display();
    let mut text = format!(
        "Made cluster {} ({}): {} members, {} replicas, {} partitions, R={} W={}, in {directory}/\n\n",
        layout.name,
        layout.cluster,
        layout.members.len(),
        layout.replicas,
        layout.partitions,
        layout.read_quorum,
        layout.write_quorum,
    );
    text.push_str("On each member's machine (copy its bundle there first, and only its own):\n");
    text.push_str(&run_commands(layout, &directory.to_string(), "data"));
    let _infallible = write!(
        text,
        "\nThen, from anywhere:\n  starling --bundle {directory}/client status\n  starling --bundle {directory}/client \
         incr likes\n\nKeep {directory}/ca.key away from the nodes: whoever has it can join the cluster.\n"
    );
    text
}

fn layout(plan: &Plan, cluster: ClusterId) -> Result<Layout, FoundingError> {
    check_name("cluster", &plan.name)?;
    let mut members = Vec::with_capacity(plan.members.len());
    for (index, (name, address)) in plan.members.iter().enumerate() {
        check_name("member", name)?;
        check_address(name, address)?;
        members.push(Member::new(NodeId(index as u64 + 1), name, address));
    }
    for (name, zone) in &plan.zones {
        member_mut(&mut members, "zone", name)?.zone.clone_from(zone);
    }
    for (name, weight) in &plan.weights {
        member_mut(&mut members, "weight", name)?.weight = *weight;
    }
    let mut layout = Layout::founding(cluster, &plan.name, members);
    if let Some(replicas) = plan.replicas {
        layout.replicas = replicas;
        layout.read_quorum = replicas / 2 + 1;
        layout.write_quorum = replicas / 2 + 1;
    }
    layout.partitions = plan.partitions.unwrap_or(layout.partitions);
    layout.fallbacks = plan.fallbacks.unwrap_or(layout.fallbacks);
    layout.read_quorum = plan.read_quorum.unwrap_or(layout.read_quorum);
    layout.write_quorum = plan.write_quorum.unwrap_or(layout.write_quorum);
    Ok(layout.seal()?)
}

fn member_mut<'a>(members: &'a mut [Member], what: &'static str, name: &str) -> Result<&'a mut Member, FoundingError> {
    let no_such = || FoundingError::NoSuchMember { what, name: name.to_owned() };
    members.iter_mut().find(|member| member.name == name).ok_or_else(no_such)
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), FoundingError> {
    if naming::is_name(name) { Ok(()) } else { Err(FoundingError::Name { what, name: name.to_owned() }) }
}

pub(crate) fn check_address(name: &str, address: &str) -> Result<(), FoundingError> {
    if naming::is_address(address) {
        Ok(())
    } else {
        Err(FoundingError::Address { name: name.to_owned(), address: address.to_owned() })
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], FoundingError> {
    let mut bytes = [0; BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| FoundingError::NoEntropy)?;
    Ok(bytes)
}

/// The directory beside the target in which everything is written first.
fn unfinished(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(format!(".unfinished-{}", std::process::id()));
    directory.with_file_name(name)
}

fn write_all(root: &Path, layout: &Layout) -> Result<(), FoundingError> {
    let authority = found_cluster_ca(layout.cluster)?;
    let layout_toml = toml::to_string_pretty(layout)?;
    make_directory(root)?;
    write_new(&root.join("ca.key"), &authority.key_pem, 0o600)?;
    write_new(&root.join(bundle::CA_FILE), &authority.cert_pem, 0o644)?;
    make_directory(&root.join("members"))?;
    let seal_key = SealKey(random()?).to_hex() + "\n";
    for member in &layout.members {
        let directory = root.join("members").join(&member.name);
        write_bundle(&directory, &layout_toml, &authority, Role::Node(member.id))?;
        write_new(&directory.join(bundle::SEAL_KEY_FILE), &seal_key, 0o600)?;
    }
    write_bundle(&root.join("client"), &layout_toml, &authority, Role::Client("client".into()))?;
    write_bundle(&root.join("admin"), &layout_toml, &authority, Role::Admin("admin".into()))
}

pub(crate) fn write_bundle(
    directory: &Path,
    layout: &str,
    authority: &ClusterCa,
    role: Role,
) -> Result<(), FoundingError> {
    let issued = issue(authority, &Principal { cluster: authority.cluster, role })?;
    make_directory(directory)?;
    write_new(&directory.join(bundle::LAYOUT_FILE), layout, 0o644)?;
    write_new(&directory.join(bundle::CA_FILE), &authority.cert_pem, 0o644)?;
    write_new(&directory.join(bundle::CERTIFICATE_FILE), &issued.cert_pem, 0o644)?;
    write_new(&directory.join(bundle::KEY_FILE), &issued.key_pem, 0o600)
}

fn make_directory(path: &Path) -> Result<(), FoundingError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| FoundingError::Write { path: path.to_owned(), source })
}

pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), FoundingError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|source| FoundingError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "founding_tests.rs"]
mod tests;
