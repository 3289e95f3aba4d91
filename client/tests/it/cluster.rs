//! A cluster on paper: a layout, an authority, bundles, and a UDP port for each member.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use starling::ids::{ClusterId, Key, NodeId};
use starling::membership::principal::{Principal, Role, server_name};
use starling::membership::{Layout, Member};
use starling::ring::RingView;
use starling_client::{Bundle, Client, ClientConfig};
use tempfile::TempDir;

pub struct TestCluster {
    pub layout: Layout,
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// The members' ports, until a fake node takes them.
    sockets: Vec<Option<UdpSocket>>,
}

/// A certificate and its key, PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
}

impl TestCluster {
    /// Members 1, 2, 3 … called a, b, c …, each with a port that nobody listens on yet.
    pub fn new(members: u8) -> TestCluster {
        TestCluster::with_id(ClusterId([7; 16]), members)
    }

    pub fn with_id(cluster: ClusterId, members: u8) -> TestCluster {
        let sockets: Vec<UdpSocket> = (0..members).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let member = |(index, socket): (usize, &UdpSocket)| {
            let name = char::from(b'a' + index as u8);
            Member::new(NodeId(index as u64 + 1), name, socket.local_addr().unwrap().to_string())
        };
        let members = sockets.iter().enumerate().map(member).collect();
        let layout = Layout::founding(cluster, "shop", members).seal().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let sockets = sockets.into_iter().map(Some).collect();
        TestCluster { layout, directory: tempfile::tempdir().unwrap(), authority, sockets }
    }

    /// Writes `localhost` instead of an address into the layout.
    pub fn call_hosts_by_name(&mut self) {
        let mut layout = self.layout.clone();
        for member in &mut layout.members {
            member.address = member.address.replace("127.0.0.1", "localhost");
        }
        self.layout = layout.seal().unwrap();
    }

    pub fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    pub fn issue(&self, role: Role) -> Leaf {
        let cluster = self.layout.cluster;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Role::Node(node) = role {
            params.subject_alt_names.push(SanType::DnsName(server_name(cluster, node).try_into().unwrap()));
        }
        let uri = Principal { cluster, role }.to_string();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        Leaf { certificate, key: key.serialize_pem() }
    }

    /// A client's bundle in a directory of its own.
    pub fn bundle(&self) -> PathBuf {
        self.bundle_of("client", &self.issue(Role::Client("shop".into())))
    }

    pub fn bundle_of(&self, name: &str, leaf: &Leaf) -> PathBuf {
        let directory = self.directory.path().join(name);
        write_bundle(&directory, &self.layout, &self.authority_pem(), leaf);
        directory
    }

    /// A client that does not wait long.
    pub fn client(&self) -> Client {
        self.client_with(hasty())
    }

    pub fn client_with(&self, config: ClientConfig) -> Client {
        Client::connect(Bundle::load(self.bundle()).unwrap(), config).unwrap()
    }

    /// The port of a member, for whoever plays it.
    pub fn take_socket(&mut self, node: NodeId) -> UdpSocket {
        self.sockets[node.0 as usize - 1].take().expect("each member is played once")
    }

    /// The members in the order in which a client asks them about the key.
    pub fn preference(&self, key: &Key) -> Vec<NodeId> {
        let ring = RingView::new(self.layout.clone()).unwrap();
        ring.accept_set(ring.partition_of(key)).to_vec()
    }
}

pub fn write_bundle(directory: &Path, layout: &Layout, authority: &str, leaf: &Leaf) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("layout.toml"), toml::to_string(layout).unwrap()).unwrap();
    std::fs::write(directory.join("ca.pem"), authority).unwrap();
    std::fs::write(directory.join("cert.pem"), &leaf.certificate).unwrap();
    std::fs::write(directory.join("key.pem"), &leaf.key).unwrap();
}

/// Settings with which a test that waits for a deadline is soon over.
pub fn hasty() -> ClientConfig {
    ClientConfig {
        deadline: Duration::from_millis(1500),
        deadline_slack: Duration::from_millis(100),
        dial_timeout: Duration::from_millis(400),
        dial_stagger: Duration::from_millis(100),
        ..ClientConfig::default()
    }
}

pub fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}
