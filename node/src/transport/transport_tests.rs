//! The transport over loopback: frames, lost and refused connections, sessions of clients, drills, stopping.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_ED25519, SanType, date_time_ymd};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starling::ids::{ConnectionId, Key, OpId, RequestId};
use starling::membership::Layout;
use starling::membership::principal::{Principal, Role, server_name};
use starling::message::client::{
    Answer, AnswerBody, Call, CallBody, Command, Direction, Hello, LinkFault, NodeAnswer, NodeCall, Options, Reason,
    Request, Response,
};
use starling::message::codec::{self, Message};
use starling::message::peer::{LayoutMessage, PeerMessage, Ping, ReadAnswer, Shown};

use super::certificates::{ClusterCa, Issued, found_cluster_ca, issue};
use super::frames::EnvelopeReader;
use super::testing::{CLUSTER, PANICS, Recorder, frame, frame_of, member, number};
use super::*;

/// Long enough for a machine that is busy with other things; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

struct TestNode {
    transport: Transport,
    recorder: Recorder,
    frames: mpsc::UnboundedReceiver<(NodeId, Frame)>,
}

struct TestCluster {
    authority: ClusterCa,
    layout: Layout,
    sockets: Vec<UdpSocket>,
}

impl TestCluster {
    /// A cluster of this many members whose ports are taken already; none runs yet.
    fn new(count: u64) -> TestCluster {
        let sockets: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let members = (1..=count)
            .zip(&sockets)
            .map(|(id, socket)| member(id, socket.local_addr().unwrap().to_string()))
            .collect();
        TestCluster {
            authority: found_cluster_ca(CLUSTER).unwrap(),
            layout: Layout::founding(CLUSTER, "test", members).seal().unwrap(),
            sockets,
        }
    }

    fn address(&self, id: u64) -> SocketAddr {
        self.layout.member(NodeId(id)).unwrap().address.parse().unwrap()
    }

    fn settings(&self) -> Settings {
        // Longer than the defaults, so that a busy machine is not taken for a fault; what a test wants short it sets.
        let patient = Duration::from_secs(30);
        Settings {
            drills: true,
            handshake_timeout: patient,
            dial_timeout: patient,
            idle_timeout: patient,
            first_dial_grace: PATIENCE,
            ..Settings::new(([127, 0, 0, 1], 0).into())
        }
    }

    fn issue(&self, role: Role) -> Issued {
        issue(&self.authority, &Principal { cluster: CLUSTER, role }).unwrap()
    }

    fn credentials(&self, id: u64) -> Credentials {
        let issued = self.issue(Role::Node(NodeId(id)));
        Credentials { ca_pem: self.authority.cert_pem.clone(), cert_pem: issued.cert_pem, key_pem: issued.key_pem }
    }

    fn start(&self, id: u64) -> TestNode {
        self.start_with(id, self.settings(), &self.credentials(id), None)
    }

    fn start_with(
        &self,
        id: u64,
        settings: Settings,
        credentials: &Credentials,
        answer: Option<AnswerBody>,
    ) -> TestNode {
        let socket = self.sockets[usize::try_from(id).unwrap() - 1].try_clone().unwrap();
        let (mut recorder, frames) = Recorder::new();
        recorder.answer = answer;
        let ring = RingView::new(self.layout.clone()).unwrap();
        let transport = Transport::start_on(socket, settings, credentials, &ring, recorder.clone()).unwrap();
        TestNode { transport, recorder, frames }
    }

    /// Somebody with this certificate knocks at node 1 and says HELLO.
    async fn knock(&self, knock: Knock<'_>) -> Result<Visitor, String> {
        let (endpoint, connection) = self.shake_hands(knock.certificate, knock.protocol).await?;
        let outcome = Visitor::greet(&connection, &knock.hello).await;
        match outcome {
            Ok((send, reader)) => Ok(Visitor { _endpoint: endpoint, connection, send, reader }),
            Err(error) => Err(connection.close_reason().map_or(error, |reason| reason.to_string())),
        }
    }

    async fn shake_hands(
        &self,
        certificate: Option<&Issued>,
        protocol: &[u8],
    ) -> Result<(quinn::Endpoint, quinn::Connection), String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.cert_pem.as_bytes()).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = vec![CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(Arc::new(config)).unwrap();
        let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
        let name = server_name(CLUSTER, NodeId(1));
        let connection = endpoint.connect(self.address(1), &name).unwrap().await.map_err(|error| error.to_string())?;
        Ok((endpoint, connection))
    }

    async fn visit(&self, role: Role) -> Visitor {
        let issued = self.issue(role);
        self.knock(Knock { certificate: Some(&issued), ..Knock::default() }).await.unwrap()
    }
}

/// How somebody knocks.
struct Knock<'a> {
    certificate: Option<&'a Issued>,
    protocol: &'a [u8],
    hello: Hello,
}

impl Default for Knock<'_> {
    fn default() -> Self {
        Knock { certificate: None, protocol: codec::ALPN, hello: hello(CLUSTER, None) }
    }
}

fn hello(cluster: ClusterId, node: Option<u64>) -> Hello {
    Hello { cluster, node: node.map(NodeId), layout: None, version: "test".into() }
}

/// Somebody who was let in.
struct Visitor {
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    send: quinn::SendStream,
    reader: EnvelopeReader<quinn::RecvStream>,
}

impl Visitor {
    async fn greet(
        connection: &quinn::Connection,
        hello: &Hello,
    ) -> Result<(quinn::SendStream, EnvelopeReader<quinn::RecvStream>), String> {
        let (mut send, receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
        send.write_all(&bytes_of(hello)).await.map_err(|error| error.to_string())?;
        let mut reader = EnvelopeReader::new(receive, 64 * 1024 * 1024, PATIENCE);
        match reader.next::<Hello>().await {
            Ok(Some(theirs)) => {
                assert_eq!((theirs.cluster, theirs.node), (CLUSTER, Some(NodeId(1))));
                Ok((send, reader))
            }
            Ok(None) => Err("the stream ended".into()),
            Err(error) => {
                // The connection's reason may come a moment after the stream's.
                let _ = timeout(PATIENCE, connection.closed()).await;
                Err(error.to_string())
            }
        }
    }

    async fn call(&mut self, id: u64, body: CallBody) {
        self.send.write_all(&bytes_of(&Call { id: RequestId(id), body })).await.unwrap();
    }

    async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.reader.next()).await.unwrap().unwrap().unwrap()
    }

    async fn closed(&self) -> String {
        timeout(PATIENCE, self.connection.closed()).await.unwrap().to_string()
    }
}

fn bytes_of(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes).unwrap();
    bytes
}

fn get(key: &'static str) -> CallBody {
    let key = Key::new(key.as_bytes()).unwrap();
    CallBody::Key(Request { key, command: Command::Get, options: Options::default() })
}

fn heavy(bytes: usize) -> Frame {
    let main = Bytes::from(vec![7; bytes]);
    let outcome = Ok(Shown {
        main,
        beside: Bytes::new(),
        rows: Vec::new(),
        until: None,
        settled: Default::default(),
        folded: Default::default(),
        exchanged: Vec::new(),
    });
    frame_of(vec![PeerMessage::ReadAnswer(ReadAnswer { op: OpId(1), epoch: Default::default(), outcome })])
}

fn done() -> AnswerBody {
    AnswerBody::Node(NodeAnswer::FaultsSet)
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"));
}

impl TestNode {
    async fn frame(&mut self) -> (NodeId, Frame) {
        timeout(PATIENCE, self.frames.recv()).await.expect("a frame arrives").unwrap()
    }
}

/// Sends again until the peer is reachable.
async fn send_patiently(transport: &Transport, to: u64, frame: Frame) {
    let mut frame = Some(frame);
    eventually("sending", || match transport.send(NodeId(to), frame.take().unwrap()) {
        Ok(()) => true,
        Err(not_sent) => {
            frame = Some(not_sent.frame);
            false
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_frames_arrive_whole_and_in_order() {
    let cluster = TestCluster::new(2);
    let (one, mut two) = (cluster.start(1), cluster.start(2));
    for index in 0..10_000 {
        one.transport.send(NodeId(2), frame(index)).unwrap();
    }
    for index in 0..10_000 {
        let (from, frame) = two.frame().await;
        assert_eq!((from, number(&frame)), (NodeId(1), index));
    }
    assert!(one.recorder.record.lock().unwrap().unreachable.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_frames_arrive_whole_on_their_own_stream() {
    let cluster = TestCluster::new(2);
    let (one, mut two) = (cluster.start(1), cluster.start(2));
    for size in [70_000, 3_000_000, 20_000_000] {
        one.transport.send(NodeId(2), heavy(size)).unwrap();
        assert_eq!(two.frame().await, (NodeId(1), heavy(size)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_outside_the_layout_can_be_sent_to() {
    let cluster = TestCluster::new(2);
    let one = cluster.start(1);
    for stranger in [1, 9] {
        let refused = one.transport.send(NodeId(stranger), frame(1)).unwrap_err();
        assert_eq!(refused, NotSent { frame: frame(1), why: WhyNotSent::Unreachable });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_for_a_peer_that_never_answers_come_back_after_the_grace_and_then_at_once() {
    let cluster = TestCluster::new(2);
    let settings = Settings { first_dial_grace: Duration::from_millis(50), ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    one.transport.send(NodeId(2), frame(1)).unwrap();
    let told = one.recorder.until(|record| record.unreachable.pop());
    let told = timeout(PATIENCE, told).await.unwrap();
    assert_eq!(told, (NodeId(2), vec![frame(1)]));
    assert_eq!(one.transport.send(NodeId(2), frame(2)).unwrap_err().why, WhyNotSent::Unreachable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_gives_the_frame_back_at_once() {
    let cluster = TestCluster::new(2);
    let settings = Settings { queue_frames_max: 3, ..cluster.settings() };
    // The peer does not run, so nothing leaves the queue.
    let one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    for index in 0..3 {
        one.transport.send(NodeId(2), frame(index)).unwrap();
    }
    let refused = one.transport.send(NodeId(2), frame(3)).unwrap_err();
    assert_eq!(refused, NotSent { frame: frame(3), why: WhyNotSent::QueueFull });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_gives_back_what_did_not_leave_and_is_made_anew() {
    let cluster = TestCluster::new(2);
    let one = cluster.start(1);
    let mut two = cluster.start(2);
    one.transport.send(NodeId(2), frame(1)).unwrap();
    two.frame().await;
    // Held back for ten minutes, so that they certainly have not left when the peer goes.
    let late = LinkFault { peer: NodeId(2), direction: Direction::Outbound, drop_per_mille: 0, delay_ms: DELAY_MS_MAX };
    one.transport.set_faults(&FaultPlan { links: vec![late], for_ms: u64::MAX }).unwrap();
    one.transport.send(NodeId(2), frame(2)).unwrap();
    one.transport.send(NodeId(2), heavy(100_000)).unwrap();
    two.transport.close().await;
    let told = timeout(PATIENCE, one.recorder.until(|record| record.unreachable.pop())).await.unwrap();
    assert_eq!(told, (NodeId(2), vec![frame(2), heavy(100_000)]));
    one.transport.set_faults(&FaultPlan::default()).unwrap();
    drop(two);

    let mut two = cluster.start(2);
    send_patiently(&one.transport, 2, frame(3)).await;
    assert_eq!(two.frame().await, (NodeId(1), frame(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_died_without_a_word_and_came_back_is_noticed_before_the_idle_timeout() {
    let cluster = TestCluster::new(2);
    let settings = Settings { idle_timeout: Duration::from_secs(3600), ..cluster.settings() };
    let one = cluster.start_with(1, settings.clone(), &cluster.credentials(1), None);
    let credentials = cluster.credentials(2);
    // A runtime of its own dies like a process: no task says goodbye.
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut two = {
        let _within = dying.enter();
        cluster.start_with(2, settings.clone(), &credentials, None)
    };
    one.transport.send(NodeId(2), frame(1)).unwrap();
    two.frame().await;
    dying.shutdown_background();
    drop(two);

    let mut two = cluster.start_with(2, settings, &credentials, None);
    let speaking = async {
        loop {
            // As the core does: it pings on, whatever became of the pings before.
            let _ = one.transport.send(NodeId(2), frame(2));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = speaking => {}
        arrived = two.frame() => assert_eq!(arrived, (NodeId(1), frame(2))),
    }
    assert_eq!(one.recorder.record.lock().unwrap().unreachable.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_who_the_certificate_says_is_refused_counted_and_told_why() {
    let cluster = TestCluster::new(2);
    let one = cluster.start(1);
    let impostor = found_cluster_ca(CLUSTER).unwrap();
    let other_cluster = found_cluster_ca(ClusterId([2; 16])).unwrap();
    let member_two = Principal { cluster: CLUSTER, role: Role::Node(NodeId(2)) };
    let of_impostor = issue(&impostor, &member_two).unwrap();
    let of_other_cluster =
        issue(&other_cluster, &Principal { cluster: ClusterId([2; 16]), role: Role::Node(NodeId(2)) }).unwrap();
    let self_signed = self_signed(&member_two);
    let two = cluster.issue(Role::Node(NodeId(2)));
    let own = cluster.issue(Role::Node(NodeId(1)));
    let client = cluster.issue(Role::Client("shop".into()));
    let nameless = genuine_but(&cluster.authority, |params| params.subject_alt_names.clear());
    let expired = genuine_but(&cluster.authority, |params| params.not_after = date_time_ymd(2001, 1, 1));
    let not_yet_valid = genuine_but(&cluster.authority, |params| params.not_before = date_time_ymd(3001, 1, 1));
    let not_for_dialling = genuine_but(&cluster.authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let two_names = genuine_but(&cluster.authority, |params| {
        params.subject_alt_names.push(SanType::URI("https://example.org".try_into().unwrap()));
    });
    let as_two = || hello(CLUSTER, Some(2));

    type Row<'a> = (&'a str, Option<&'a Issued>, &'a [u8], Hello, &'a str, &'a str);
    let rows: [Row<'_>; 15] = [
        ("no certificate", None, codec::ALPN, as_two(), "handshake", "ertificate"),
        ("another authority", Some(&of_impostor), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("self-signed, right names", Some(&self_signed), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("a node of another cluster", Some(&of_other_cluster), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("another protocol", Some(&two), b"h3", as_two(), "handshake", "rotocol"),
        ("expired", Some(&expired), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("not yet valid", Some(&not_yet_valid), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("not for dialling", Some(&not_for_dialling), codec::ALPN, as_two(), "handshake", "peer certificate"),
        ("a certificate with two names", Some(&two_names), codec::ALPN, as_two(), "certificate", "more than one"),
        ("a certificate without a principal", Some(&nameless), codec::ALPN, as_two(), "certificate", "no URI name"),
        ("a client as a node", Some(&client), codec::ALPN, as_two(), "client_as_node", "cannot speak as n2"),
        ("a member as another", Some(&two), codec::ALPN, hello(CLUSTER, Some(3)), "other_member", "is of n2"),
        ("a member as a client", Some(&two), codec::ALPN, hello(CLUSTER, None), "other_member", "is of n2"),
        ("the own certificate", Some(&own), codec::ALPN, hello(CLUSTER, Some(1)), "own_certificate", "elsewhere"),
        (
            "another cluster in the HELLO",
            Some(&two),
            codec::ALPN,
            hello(ClusterId([2; 16]), Some(2)),
            "other_cluster",
            "of cluster 0202",
        ),
    ];
    for (what, certificate, protocol, hello, kind, word) in rows {
        let before = one.transport.refusals().counts().get(kind).copied().unwrap_or(0);
        let refused = timeout(PATIENCE, cluster.knock(Knock { certificate, protocol, hello })).await.unwrap();
        let reason = refused.err().unwrap_or_else(|| panic!("{what}: was let in"));
        assert!(reason.contains(word), "{what}: {reason}");
        eventually(what, || one.transport.refusals().counts().get(kind).copied() == Some(before + 1)).await;
    }
    {
        let record = one.recorder.record.lock().unwrap();
        assert!(record.clients.is_empty() && record.calls.is_empty());
    }
    // The door still opens for those who belong here.
    let as_member = cluster.knock(Knock { certificate: Some(&two), hello: as_two(), ..Knock::default() }).await;
    assert!(as_member.is_ok());
    cluster.visit(Role::Client("shop".into())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_no_member_is_heard_only_where_it_asks_for_the_layout_and_is_answered_on_its_own_connection() {
    let mut cluster = TestCluster::new(3);
    // Nodes 1 and 2 are the cluster; 3 has a certificate, and knows them.
    cluster.layout.replicas = 2;
    let all = cluster.layout.clone();
    cluster.layout.members.pop();
    cluster.layout = cluster.layout.clone().seal().unwrap();
    let mut one = cluster.start(1);
    let mut three = cluster.start(3);
    let pull = || PeerMessage::Layout(Box::new(LayoutMessage::Pull { have: 1 }));
    let said = frame_of(vec![PeerMessage::Ping(Ping { wall: Default::default() }), pull()]);
    send_patiently(&three.transport, 1, frame(1)).await;
    send_patiently(&three.transport, 1, said).await;
    assert_eq!(one.frame().await, (NodeId(3), frame_of(vec![pull()])), "nothing else is heard of it");
    one.transport.send(NodeId(3), frame(2)).unwrap();
    assert_eq!(three.frame().await, (NodeId(1), frame(2)));
    assert!(one.transport.send(NodeId(9), frame(3)).is_err(), "nobody has connected under this id");

    // It becomes a member: it dials again as one, and is dialled.
    let mut joined = all;
    joined.epoch.number = 2;
    let joined = Arc::new(joined.seal().unwrap());
    one.transport.set_layout(&joined);
    three.transport.set_layout(&joined);
    // What was given to a connection that ends for this is lost, as on any lost one; so it is said again.
    eventually("frames of a member", || {
        let _said = three.transport.send(NodeId(1), frame(4)).is_ok();
        one.frames.try_recv().is_ok_and(|heard| heard == (NodeId(3), frame(4)))
    })
    .await;
    eventually("frames to it", || {
        let _said = one.transport.send(NodeId(3), frame(5)).is_ok();
        three.frames.try_recv().is_ok_and(|heard| heard == (NodeId(1), frame(5)))
    })
    .await;

    // It goes: nothing of it is heard any more but its question, and it hears of the other layout.
    let mut gone = cluster.layout.clone();
    gone.epoch.number = 3;
    one.transport.set_layout(&Arc::new(gone.seal().unwrap()));
    let heard = three.recorder.until(|record| record.heard.iter().any(|(_, theirs)| theirs.number == 3).then_some(()));
    timeout(PATIENCE, heard).await.unwrap();
    while one.frames.try_recv().is_ok() {}
    eventually("its question", || {
        let said = frame_of(vec![PeerMessage::Ping(Ping { wall: Default::default() }), pull()]);
        let _said = three.transport.send(NodeId(1), said).is_ok();
        one.frames.try_recv().is_ok_and(|(_, heard)| {
            assert_eq!(heard, frame_of(vec![pull()]));
            true
        })
    })
    .await;
}

/// A certificate with the right names that vouches for itself.
fn self_signed(principal: &Principal) -> Issued {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::URI(principal.to_string().as_str().try_into().unwrap()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Issued { cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
}

/// A certificate of member 2, signed by the authority, with one thing wrong.
fn genuine_but(authority: &ClusterCa, spoil: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut params = CertificateParams::default();
    let principal = Principal { cluster: authority.cluster, role: Role::Node(NodeId(2)) };
    params.subject_alt_names.push(SanType::URI(principal.to_string().as_str().try_into().unwrap()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    spoil(&mut params);
    let issuer = certificates::tests::issuer(authority);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Issued { cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_with_nothing_wrong_passes_where_the_spoilt_ones_fail() {
    let cluster = TestCluster::new(2);
    let _one = cluster.start(1);
    let certificate = genuine_but(&cluster.authority, |_| {});
    let knock = Knock { certificate: Some(&certificate), hello: hello(CLUSTER, Some(2)), ..Knock::default() };
    assert!(cluster.knock(knock).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_does_not_talk_to_whoever_answers_at_the_peers_address() {
    let cluster = TestCluster::new(3);
    // Member 3 sits at member 2's address, with its own genuine certificate.
    let (recorder, mut frames) = Recorder::new();
    let ring = RingView::new(cluster.layout.clone()).unwrap();
    let at_two = cluster.sockets[1].try_clone().unwrap();
    let _wrong = Transport::start_on(at_two, cluster.settings(), &cluster.credentials(3), &ring, recorder).unwrap();
    let settings = Settings { first_dial_grace: Duration::from_secs(3), ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    one.transport.send(NodeId(2), frame(1)).unwrap();
    let told = one.recorder.until(|record| record.unreachable.iter().find(|(node, _)| *node == NodeId(2)).cloned());
    assert_eq!(timeout(PATIENCE, told).await.unwrap(), (NodeId(2), vec![frame(1)]));
    assert!(frames.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_up_bundle_does_not_start() {
    let cluster = TestCluster::new(2);
    let ring = RingView::new(cluster.layout.clone()).unwrap();
    let start = |credentials: &Credentials| {
        Transport::start(cluster.settings(), credentials, &ring, Recorder::new().0).map(drop)
    };
    let other = TestCluster { authority: found_cluster_ca(ClusterId([2; 16])).unwrap(), ..TestCluster::new(1) };
    let issued =
        issue(&other.authority, &Principal { cluster: ClusterId([2; 16]), role: Role::Node(NodeId(1)) }).unwrap();
    let ca_pem = other.authority.cert_pem.clone();
    let refused = start(&Credentials { ca_pem, cert_pem: issued.cert_pem.clone(), key_pem: issued.key_pem.clone() });
    assert!(matches!(refused, Err(TransportError::OtherCluster { .. })), "{refused:?}");
    let ca_pem = cluster.authority.cert_pem.clone();
    let refused = start(&Credentials { ca_pem, cert_pem: issued.cert_pem, key_pem: issued.key_pem });
    assert!(refused.is_err(), "a leaf of another authority than the bundle's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_one_answer_per_call_with_many_under_way() {
    let cluster = TestCluster::new(1);
    let settings = Settings { calls_max: 64, ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), Some(done()));
    let mut visitor = cluster.visit(Role::Client("shop".into())).await;
    let calls: Vec<u8> = (0..5_000).flat_map(|id| bytes_of(&Call { id: RequestId(id), body: get("likes") })).collect();
    visitor.send.write_all(&calls).await.unwrap();
    for id in 0..5_000 {
        assert_eq!(visitor.answer().await, Answer { id: RequestId(id), body: done() });
    }
    assert_eq!(one.recorder.record.lock().unwrap().calls.len(), 5_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_bound_of_calls_under_way_nothing_more_is_read() {
    let cluster = TestCluster::new(1);
    let settings = Settings { calls_max: 10, ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    let mut visitor = cluster.visit(Role::Client("shop".into())).await;
    for id in 0..100 {
        visitor.call(id, get("likes")).await;
    }
    let calls = |record: &mut testing::Record| (record.calls.len() >= 10).then_some(record.calls.len());
    assert_eq!(timeout(PATIENCE, one.recorder.until(calls)).await.unwrap(), 10);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(one.recorder.record.lock().unwrap().calls.len(), 10);
    // Each answer makes room for one more.
    let answers = one.recorder.record.lock().unwrap().clients.values().next().unwrap().1.clone();
    for id in 0..100 {
        let mut is_asked = |record: &mut testing::Record| (record.calls.len() > id).then_some(());
        timeout(PATIENCE, one.recorder.until(&mut is_asked)).await.unwrap();
        answers.send(Answer { id: RequestId(id as u64), body: done() });
        assert_eq!(visitor.answer().await.id, RequestId(id as u64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_call_closes_that_connection_with_a_reason_and_no_other() {
    let cluster = TestCluster::new(1);
    let one = cluster.start_with(1, cluster.settings(), &cluster.credentials(1), Some(done()));
    let mut good = cluster.visit(Role::Client("good".into())).await;
    for (garbage, word) in [
        (u32::MAX.to_be_bytes().to_vec(), "envelope of 4294967295 bytes"),
        (5_000_000_u32.to_be_bytes().to_vec(), "at most 4194304"),
        (bytes_of(&hello(CLUSTER, None)), "message kind 1"),
        (vec![0, 0, 0, 3, 1, 2, 0xc1], "malformed message"),
        (vec![0, 0, 0, 3, 9, 2, 0xc0], "version 9"),
    ] {
        let mut bad = cluster.visit(Role::Client("bad".into())).await;
        bad.send.write_all(&garbage).await.unwrap();
        let reason = bad.closed().await;
        assert!(reason.contains(word), "{reason}");
    }
    good.call(1, get("likes")).await;
    assert_eq!(good.answer().await.id, RequestId(1));
    let gone = |record: &mut testing::Record| (record.gone.len() == 5).then_some(());
    timeout(PATIENCE, one.recorder.until(gone)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_one_session_ends_that_connection_and_no_other() {
    let cluster = TestCluster::new(1);
    let one = cluster.start_with(1, cluster.settings(), &cluster.credentials(1), Some(done()));
    let mut good = cluster.visit(Role::Client("good".into())).await;
    let mut bad = cluster.visit(Role::Client("bad".into())).await;
    bad.call(PANICS.0, get("likes")).await;
    assert!(bad.closed().await.contains("the session failed"), "{}", bad.closed().await);
    good.call(1, get("likes")).await;
    assert_eq!(good.answer().await.id, RequestId(1));
    let gone = |record: &mut testing::Record| record.gone.first().copied();
    assert_eq!(timeout(PATIENCE, one.recorder.until(gone)).await.unwrap(), ConnectionId(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_no_answers_is_disconnected() {
    let cluster = TestCluster::new(1);
    let settings = Settings { answer_bytes_max: 1_000_000, ..cluster.settings() };
    let text = starling::message::client::Visible::Text(Bytes::from(vec![b'x'; 100_000]));
    let reply = starling::message::client::ValueReply {
        value: text,
        partial: false,
        conflict: false,
        answered: Vec::new(),
        stale_ms: None,
        token: None,
    };
    let big = AnswerBody::Key(Response::Value(reply));
    let _one = cluster.start_with(1, settings, &cluster.credentials(1), Some(big));
    let mut visitor = cluster.visit(Role::Client("mute".into())).await;
    let mut id = 0;
    while visitor.connection.close_reason().is_none() {
        id += 1;
        let call = bytes_of(&Call { id: RequestId(id), body: get("likes") });
        let _ = timeout(Duration::from_millis(20), visitor.send.write_all(&call)).await;
        assert!(id < 1_000_000, "nobody minded");
    }
    let why = visitor.closed().await;
    // The one packet that says why can be lost on a busy machine; then the node, which has forgotten the connection, resets
    // it.
    assert!(why.contains("answers pile up") || why.contains("reset by peer"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_too_many_is_told_so() {
    let cluster = TestCluster::new(1);
    let settings = Settings { clients_max: 2, ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), Some(done()));
    let issued = cluster.issue(Role::Client("shop".into()));
    let knock = || cluster.knock(Knock { certificate: Some(&issued), ..Knock::default() });
    let first = knock().await.unwrap();
    let _second = knock().await.unwrap();
    let refused = knock().await.err().unwrap();
    assert!(refused.contains("2 clients are connected"), "{refused}");
    first.connection.close(VarInt::from_u32(0), b"");
    eventually("the slot is given back", || one.transport.door.clients.load(Ordering::Relaxed) == 1).await;
    knock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_too_many_that_is_no_member_is_told_so_and_members_still_come_in() {
    let cluster = TestCluster::new(2);
    let one = cluster.start(1);
    let knock = async |id: u64| {
        let certificate = cluster.issue(Role::Node(NodeId(id)));
        cluster
            .knock(Knock { certificate: Some(&certificate), hello: hello(CLUSTER, Some(id)), ..Knock::default() })
            .await
    };
    let mut waiting = Vec::new();
    for id in 100..164 {
        waiting.push(knock(id).await.unwrap());
    }
    let refused = knock(164).await.err().unwrap();
    assert!(refused.contains("64 nodes that are no members"), "{refused}");
    assert!(knock(2).await.is_ok(), "a member needs no such place");
    waiting[0].connection.close(VarInt::from_u32(0), b"");
    eventually("a free place", || one.transport.door.outsiders.load(Ordering::Relaxed) < 64).await;
    assert!(knock(164).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shakes_hands_and_says_nothing_is_sent_away() {
    let cluster = TestCluster::new(1);
    let settings = Settings { handshake_timeout: Duration::from_secs(2), ..cluster.settings() };
    let one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    let issued = cluster.issue(Role::Client("mute".into()));
    let (_endpoint, mute) = cluster.shake_hands(Some(&issued), codec::ALPN).await.unwrap();
    let reason = timeout(PATIENCE, mute.closed()).await.unwrap().to_string();
    assert!(reason.contains("no HELLO within"), "{reason}");
    assert_eq!(one.transport.refusals().counts().get("too_slow"), Some(&1));
    eventually("the slot is given back", || one.transport.door.clients.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_hello_ends_its_connection() {
    let cluster = TestCluster::new(1);
    let settings = Settings { handshake_timeout: Duration::from_secs(2), ..cluster.settings() };
    let _one = cluster.start_with(1, settings, &cluster.credentials(1), None);
    let visitor = cluster.visit(Role::Client("mute".into())).await;
    let mut second = visitor.connection.open_bi().await.unwrap();
    second.0.write_all(&[0]).await.unwrap();
    assert!(visitor.closed().await.contains("no HELLO within"), "{}", visitor.closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_packets_disturb_nobody() {
    let cluster = TestCluster::new(1);
    let _one = cluster.start_with(1, cluster.settings(), &cluster.credentials(1), Some(done()));
    let mut visitor = cluster.visit(Role::Client("shop".into())).await;
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rng = SmallRng::seed_from_u64(1);
    for id in 0..2_000_u64 {
        let mut packet = vec![0; rng.random_range(1..1_400)];
        rng.fill_bytes(&mut packet);
        noise.send_to(&packet, cluster.address(1)).unwrap();
        if id % 100 == 0 {
            visitor.call(id, get("likes")).await;
            assert_eq!(visitor.answer().await.id, RequestId(id));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_admin_of_a_node_that_does_drills_sets_faults() {
    let cluster = TestCluster::new(2);
    let cut = LinkFault { peer: NodeId(2), direction: Direction::Outbound, drop_per_mille: 1000, delay_ms: 0 };
    let plan = FaultPlan { links: vec![cut.clone()], for_ms: 600_000 };
    let set = |plan: &FaultPlan| CallBody::Node(NodeCall::SetFaults(plan.clone()));
    let is_forbidden = |answer: Answer| match answer.body {
        AnswerBody::Node(NodeAnswer::Failed(error)) => matches!(error.reason, Reason::Forbidden(_)),
        _ => false,
    };
    let one = cluster.start(1);
    let mut two = cluster.start(2);
    let mut client = cluster.visit(Role::Client("shop".into())).await;
    client.call(1, set(&plan)).await;
    assert!(is_forbidden(client.answer().await));
    assert_eq!(one.transport.faults(), FaultPlan::default());

    let mut admin = cluster.visit(Role::Admin("ops".into())).await;
    admin.call(1, set(&plan)).await;
    assert_eq!(admin.answer().await, Answer { id: RequestId(1), body: AnswerBody::Node(NodeAnswer::FaultsSet) });
    assert_eq!(one.transport.faults().links, [cut]);
    one.transport.send(NodeId(2), frame(1)).unwrap();
    admin.call(2, set(&FaultPlan::default())).await;
    admin.answer().await;
    one.transport.send(NodeId(2), frame(2)).unwrap();
    assert_eq!(two.frame().await, (NodeId(1), frame(2)), "the first frame is lost without a word");
    assert!(one.recorder.record.lock().unwrap().unreachable.is_empty());

    one.transport.close().await;
    two.transport.close().await;
    let quiet = TestCluster::new(1);
    let settings = Settings { drills: false, ..quiet.settings() };
    let _one = quiet.start_with(1, settings, &quiet.credentials(1), None);
    let mut admin = quiet.visit(Role::Admin("ops".into())).await;
    admin.call(1, set(&FaultPlan::default())).await;
    assert!(is_forbidden(admin.answer().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_node_answers_what_is_under_way_and_says_why_it_goes() {
    let cluster = TestCluster::new(1);
    let one = cluster.start(1);
    let mut visitor = cluster.visit(Role::Client("shop".into())).await;
    visitor.call(1, get("likes")).await;
    let answers = |record: &mut testing::Record| match record.calls.len() {
        1 => record.clients.values().next().map(|(_, answers)| answers.clone()),
        _ => None,
    };
    let answers = timeout(PATIENCE, one.recorder.until(answers)).await.unwrap();
    let closing = tokio::spawn({
        let transport = one.transport.clone();
        async move { transport.close().await }
    });
    eventually("closing", || *one.transport.door.closing.borrow()).await;
    answers.send(Answer { id: RequestId(1), body: done() });
    assert_eq!(visitor.answer().await.id, RequestId(1));
    assert!(visitor.closed().await.contains("stopping"), "{}", visitor.closed().await);
    closing.await.unwrap();
}
