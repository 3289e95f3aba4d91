//! A node that is played: it greets, notes each call, and reacts as its script says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use starling::causality::{ActorId, Epoch};
use starling::config::Durability;
use starling::ids::{Key, NodeId};
use starling::membership::Layout;
use starling::membership::principal::Role;
use starling::message::client::{
    Answer, AnswerBody, Call, CallBody, Command, FaultPlan, Hello, NodeAnswer, NodeCall, NodeStatus, Options, Outcome,
    PeerLag, PeerStatus, Reason, Request, RequestError, Response, SessionTerms, SessionWrite, ShardStatus, Visible,
    WriteAck, WriteReply,
};
use starling::message::codec::{self, Message};
use starling::time::WallTime;

use crate::cluster::TestCluster;

/// What the node does about a call.
pub enum Reaction {
    Answer(AnswerBody),
    /// Answers after a while, and goes on with other calls meanwhile.
    Later(Duration, AnswerBody),
    Silence,
    /// Bytes that need not be a message.
    Raw(Vec<u8>),
    Close(&'static str),
}

/// How the node behaves before any call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Polite,
    /// Greets as another member.
    Impostor,
    /// Closes the connection in answer to the greeting.
    Closing,
    /// Greets, then reads nothing more, and closes after this long.
    Deaf(Duration),
}

pub struct FakeNode {
    pub id: NodeId,
    endpoint: Endpoint,
    calls: Arc<Mutex<Vec<CallBody>>>,
}

type Script = Arc<dyn Fn(&CallBody) -> Reaction + Send + Sync>;

impl FakeNode {
    pub fn start(
        cluster: &mut TestCluster,
        id: NodeId,
        script: impl Fn(&CallBody) -> Reaction + Send + Sync + 'static,
    ) -> FakeNode {
        FakeNode::start_as(cluster, id, id, Manner::Polite, script)
    }

    /// At the address of `id`, with the certificate of `certified`.
    pub fn start_as(
        cluster: &mut TestCluster,
        id: NodeId,
        certified: NodeId,
        manner: Manner,
        script: impl Fn(&CallBody) -> Reaction + Send + Sync + 'static,
    ) -> FakeNode {
        let socket = cluster.take_socket(id);
        let config = server_config(cluster, certified);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime)).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let player =
            Player { id, manner, layout: cluster.layout.clone(), script: Arc::new(script), calls: calls.clone() };
        tokio::spawn(player.accept(endpoint.clone()));
        FakeNode { id, endpoint, calls }
    }

    /// The calls that came.
    pub fn calls(&self) -> Vec<CallBody> {
        self.calls.lock().unwrap().clone()
    }

    /// Connections that are neither closed nor drained.
    pub fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Closes every connection and refuses new ones.
    pub fn stop(&self, reason: &str) {
        self.endpoint.set_server_config(None);
        self.endpoint.close(VarInt::from_u32(9), reason.as_bytes());
    }
}

#[derive(Clone)]
struct Player {
    id: NodeId,
    manner: Manner,
    layout: Layout,
    script: Script,
    calls: Arc<Mutex<Vec<CallBody>>>,
}

impl Player {
    async fn accept(self, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            let player = self.clone();
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    player.converse(connection).await;
                }
            });
        }
    }

    /// Ends with the connection; a client that goes away is what many tests are about.
    async fn converse(self, connection: Connection) -> Option<()> {
        let (mut send, mut recv) = connection.accept_bi().await.ok()?;
        let greeting: Hello = read(&mut recv).await?;
        assert_eq!((greeting.cluster, greeting.node), (self.layout.cluster, None));
        if self.manner == Manner::Closing {
            connection.close(VarInt::from_u32(5), b"come back later");
            return None;
        }
        let node = if self.manner == Manner::Impostor { NodeId(99) } else { self.id };
        let hello = Hello {
            cluster: self.layout.cluster,
            node: Some(node),
            layout: Some(self.layout.epoch),
            version: "test".into(),
        };
        write(&mut send, &hello).await?;
        if let Manner::Deaf(patience) = self.manner {
            tokio::time::sleep(patience).await;
            connection.close(VarInt::from_u32(6), b"heard nothing");
            return None;
        }
        let (answers, mut queued) = tokio::sync::mpsc::unbounded_channel::<Answer>();
        loop {
            tokio::select! {
                call = read::<Call>(&mut recv) => {
                    let Call { id, body } = call?;
                    self.calls.lock().unwrap().push(body.clone());
                    match (self.script)(&body) {
                        Reaction::Answer(body) => write(&mut send, &Answer { id, body }).await?,
                        Reaction::Later(delay, body) => {
                            let answers = answers.clone();
                            tokio::spawn(async move {
                                tokio::time::sleep(delay).await;
                                let _ = answers.send(Answer { id, body });
                            });
                        }
                        Reaction::Silence => {}
                        Reaction::Raw(bytes) => send.write_all(&bytes).await.ok()?,
                        Reaction::Close(reason) => connection.close(VarInt::from_u32(3), reason.as_bytes()),
                    }
                }
                Some(answer) = queued.recv() => write(&mut send, &answer).await?,
            }
        }
    }
}

/// Answers every write as applied, every get with a number, and says the terms of sessions.
pub fn obliging(body: &CallBody) -> Reaction {
    match body {
        CallBody::Node(NodeCall::Status) => told(1, terms(10_000_000, 360)),
        CallBody::Key(request) if request.command.is_write() => Reaction::Answer(written(1)),
        CallBody::Key(request) if request.command == Command::Get => Reaction::Answer(value(1)),
        other => panic!("nobody asks {other:?} in this test"),
    }
}

pub fn written(value: i64) -> AnswerBody {
    let ack = WriteAck { node: NodeId(1), durability: starling::config::Durability::Fsync, is_owner: true };
    let value = Visible::Integer { value, saturated: false };
    AnswerBody::Key(Response::Written(WriteReply { value, acks: vec![ack], removed: 0, partial: false, token: None }))
}

pub fn value(value: i64) -> AnswerBody {
    let value = Visible::Integer { value, saturated: false };
    let reply = starling::message::client::ValueReply {
        value,
        partial: false,
        conflict: false,
        answered: vec![NodeId(1), NodeId(2)],
        stale_ms: None,
        token: None,
    };
    AnswerBody::Key(Response::Value(reply))
}

/// Terms of sessions, told now.
pub fn terms(tick_us: u64, lease_ticks_max: u32) -> SessionTerms {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    SessionTerms { tick_us, lease_ticks_max, wall: WallTime(now.as_micros() as u64) }
}

/// The answer to a status call.
pub fn told(id: u64, terms: SessionTerms) -> Reaction {
    Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(NodeStatus { sessions: terms, ..status(id) }))))
}

/// Whether a call is a session's increment.
pub fn is_event(body: &CallBody) -> bool {
    matches!(body, CallBody::Key(Request { command: Command::IncrementAs(_), .. }))
}

/// Options with this deadline.
pub fn within(deadline_ms: u32) -> Options {
    Options { deadline_ms: Some(deadline_ms), ..Options::default() }
}

pub fn refused(outcome: Outcome, reason: Reason) -> AnswerBody {
    AnswerBody::Key(Response::Failed(RequestError { outcome, reason }))
}

pub fn status(id: u64) -> NodeStatus {
    let peers = (1..=3)
        .filter(|peer| *peer != id)
        .map(|peer| PeerStatus {
            node: NodeId(peer),
            is_reachable: peer != 3,
            heard_ms_ago: Some(3200),
            owed_rows: if peer == 3 { 4 } else { 0 },
            is_contested: false,
            lag: PeerLag {
                operations: if peer == 3 { 4 } else { 0 },
                oldest_ms: (peer == 3).then_some(61_000 + id * 1000),
                compared_ms_ago: Some(4000),
                uncompared_partitions: 0,
            },
        })
        .collect();
    NodeStatus {
        node: NodeId(id),
        version: "test".into(),
        layout: starling::membership::LayoutEpoch { number: 1, content: 0, parent: 0 },
        epoch: Epoch(id).to_string(),
        starts: 1,
        uptime_s: 12,
        durability: Durability::Fsync,
        disk_free_bytes: 1 << 40,
        is_below_reserve: false,
        rows_bytes: 0,
        drills: true,
        faults: FaultPlan::default(),
        last_sync_us: 800,
        sessions: terms(10_000_000, 360),
        shards: ShardStatus { peers, owned_partitions: 256, equal_partitions: 128, ..ShardStatus::default() },
    }
}

/// What a cluster keeps of sessions: per key and session the largest event. Shared by the nodes of a test.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<(Key, ActorId), SessionWrite>>>);

impl Counters {
    /// Takes an event, as every node does: the larger one wins.
    pub fn apply(&self, key: &Key, write: SessionWrite) -> AnswerBody {
        let mut rows = self.0.lock().unwrap();
        let held = rows.entry((key.clone(), write.actor)).or_insert(write);
        if write.event > held.event {
            *held = write;
        }
        drop(rows);
        written(self.value(key))
    }

    pub fn value(&self, key: &Key) -> i64 {
        let rows = self.0.lock().unwrap();
        rows.iter().filter(|((row, _), _)| row == key).map(|(_, write)| write.p as i64 - write.n as i64).sum()
    }

    /// The names of sessions that wrote the key.
    pub fn actors(&self, key: &Key) -> Vec<ActorId> {
        self.0.lock().unwrap().keys().filter(|(row, _)| row == key).map(|(_, actor)| *actor).collect()
    }

    /// Sessions that wrote the key.
    pub fn sessions(&self, key: &Key) -> usize {
        self.actors(key).len()
    }

    /// A node that takes events of sessions, and tells the terms.
    pub fn serve(&self, body: &CallBody) -> Reaction {
        match body {
            CallBody::Key(Request { key, command: Command::IncrementAs(write), .. }) => {
                Reaction::Answer(self.apply(key, *write))
            }
            other => obliging(other),
        }
    }
}

/// The events that a node was sent.
pub fn events(node: &FakeNode) -> Vec<SessionWrite> {
    let event = |body: &CallBody| match body {
        CallBody::Key(Request { command: Command::IncrementAs(write), .. }) => Some(*write),
        _ => None,
    };
    node.calls().iter().filter_map(event).collect()
}

/// The commands about keys that a node was sent.
pub fn commands(node: &FakeNode) -> Vec<Command> {
    let command = |body: &CallBody| match body {
        CallBody::Key(request) => Some(request.command.clone()),
        CallBody::Node(_) => None,
    };
    node.calls().iter().filter_map(command).collect()
}

fn server_config(cluster: &TestCluster, certified: NodeId) -> ServerConfig {
    let leaf = cluster.issue(Role::Node(certified));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cluster.authority_pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
        )
        .unwrap();
    tls.alpn_protocols = vec![codec::ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(64 * 1024));
    config.transport_config(Arc::new(transport));
    config
}

async fn read<M: Message>(recv: &mut RecvStream) -> Option<M> {
    let mut prefix = [0; codec::LENGTH_BYTES];
    recv.read_exact(&mut prefix).await.ok()?;
    let mut envelope = vec![0; codec::envelope_length(prefix).unwrap()];
    recv.read_exact(&mut envelope).await.ok()?;
    Some(codec::decode(&envelope).unwrap())
}

async fn write(send: &mut SendStream, message: &impl Message) -> Option<()> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes).unwrap();
    send.write_all(&bytes).await.ok()
}
