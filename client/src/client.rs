//! The client: who it talks to, and questions about nodes. The calls about keys stand in `calls`.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::{
    BackupTaken, ClusterAnswer, ClusterCall, FaultPlan, NodeAnswer, NodeCall, NodeStatus, Options,
};
use starling::ring::RingView;

use crate::caller::Caller;
use crate::convergence::Convergence;
use crate::dial::Dialer;
use crate::engine::Engine;
use crate::error::{ConnectError, Error};
use crate::session::{KeptError, Resumed, Session, SessionConfig};
use crate::token::Token;
use crate::{Bundle, ClientConfig, tls};

/// A client of one cluster. Cheap to clone; clones share the connections, which close with the last one, and the
/// session of their increments.
#[derive(Clone)]
pub struct Client {
    pub(crate) caller: Caller,
    session: Arc<OnceLock<Session>>,
}

impl Client {
    /// A client of the bundle's cluster. Nothing is dialled before the first call. Must be called within a tokio
    /// runtime. Fails if the certificates do not fit together, a setting makes no sense, or no socket can be opened.
    pub fn connect(bundle: Bundle, config: ClientConfig) -> Result<Client, ConnectError> {
        check(&config)?;
        let quic = tls::quic_config(&bundle)?;
        let ring = bundle.ring;
        let dialer = Arc::new(Dialer::new(&quic, ring.layout().clone(), config.dial_timeout, config.in_flight_max)?);
        let engine = Arc::new(Engine::new(ring, dialer, config));
        Ok(Client { caller: Caller { engine, pinned: None, token: None }, session: Arc::default() })
    }

    /// The same client, but all its calls about keys go to this node and no other.
    pub fn on(&self, node: NodeId) -> Client {
        Client { caller: Caller { pinned: Some(node), ..self.caller.clone() }, session: self.session.clone() }
    }

    /// The same client, but whatever it reads shows all that the token has seen, or fails as stale; what it reads and
    /// writes is seen by the token. Its calls go one after the other, and its increments have a session of their own.
    pub fn following(&self, token: &Token) -> Client {
        Client { caller: Caller { token: Some(token.clone()), ..self.caller.clone() }, session: Arc::default() }
    }

    /// A session of its own for exactly-once increments. [`Client::increment`] has one already.
    pub fn session(&self, config: SessionConfig) -> Session {
        Session::new(self.caller.clone(), config)
    }

    /// A session that outlives this process: it is kept in a directory, and what an earlier process left without an
    /// answer is sent again at once. Several processes may use one directory; waits at most `patience` for a free place
    /// in it. The sessions that are given beside the first exist only to resume; keep them until the outcomes are known.
    pub async fn kept_session(
        &self,
        directory: &Path,
        lease: Duration,
        patience: Duration,
    ) -> Result<(Session, Vec<Session>, Vec<Resumed>), KeptError> {
        Session::kept_in(&self.caller, directory, lease, patience).await
    }

    /// The ring of the newest layout that was heard of: of the bundle's at first, and of later ones once a node that was
    /// spoken to has named one and it was fetched, in the background.
    pub fn ring(&self) -> Arc<RingView> {
        self.caller.engine.nodes().ring().clone()
    }

    /// If the first node that can be reached named a newer layout when it was dialled, fetches it and goes by it; else sends
    /// nothing. For programs that have just begun and want to show all members; calls about keys do not need it.
    pub async fn catch_up(&self, options: &Options) -> Result<(), Error> {
        if self.caller.hears_of_newer(options).await? { self.refresh(options).await } else { Ok(()) }
    }

    /// Fetches the layout of the first node that answers, and goes by it if it is newer. Not needed for calls about keys.
    pub async fn refresh(&self, options: &Options) -> Result<(), Error> {
        match self.caller.any_node_call(NodeCall::Layout, options).await? {
            (_, NodeAnswer::Layout(layout)) => {
                self.caller.engine.take_up(*layout).await;
                Ok(())
            }
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// The id of the member that people call so.
    pub fn node_named(&self, name: &str) -> Result<NodeId, Error> {
        self.caller.engine.nodes().named(name)
    }

    /// What people call the member; its id as text if the layout has no such member.
    pub fn name_of(&self, node: NodeId) -> String {
        self.caller.name_of(node)
    }

    /// How a node is, and whom it sees.
    pub async fn status(&self, node: NodeId, options: &Options) -> Result<NodeStatus, Error> {
        match self.caller.node_call(node, NodeCall::Status, options).await? {
            NodeAnswer::Status(status) => Ok(*status),
            other => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// How far the replicas are apart: asks every member at once, each by the deadline of `options`. Never fails: who does
    /// not answer is named in [`Convergence::silent`], and what only those know is not in the sum.
    pub async fn convergence(&self, options: &Options) -> Convergence {
        let mut asked = tokio::task::JoinSet::new();
        let ring = self.ring();
        for member in &ring.layout().members {
            let (client, options, node) = (self.clone(), options.clone(), member.id);
            asked.spawn(async move { (node, client.status(node, &options).await.ok()) });
        }
        let mut told = asked.join_all().await;
        told.sort_by_key(|(node, _)| *node);
        Convergence::of(told.iter().map(|(node, status)| (*node, status.as_ref())))
    }

    /// The committed layout, as a node has it.
    pub async fn layout(&self, node: NodeId, options: &Options) -> Result<Layout, Error> {
        match self.caller.node_call(node, NodeCall::Layout, options).await? {
            NodeAnswer::Layout(layout) => Ok(*layout),
            other => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// The committed layout as the first node that answers has it (of a pinned client: as that node has it), with its
    /// placement computed: up to seconds of work for a thousand members. A layout that cannot be is no answer.
    pub async fn present_ring(&self, options: &Options) -> Result<(NodeId, RingView), Error> {
        match self.caller.any_node_call(NodeCall::Layout, options).await? {
            (node, NodeAnswer::Layout(layout)) => RingView::new(*layout)
                .map(|ring| (node, ring))
                .map_err(|refused| Error::NoAnswer { node: self.name_of(node), cause: refused.to_string() }),
            (node, other) => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Replaces a node's injected faults; an empty plan heals. Needs an admin bundle and a node with `--drills`.
    pub async fn set_faults(&self, node: NodeId, plan: FaultPlan, options: &Options) -> Result<(), Error> {
        match self.caller.node_call(node, NodeCall::SetFaults(plan), options).await? {
            NodeAnswer::FaultsSet => Ok(()),
            other => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Asks one node about the cluster, or has it change something. What is refused is [`Error::Cluster`]. All but looking
    /// needs an admin bundle; nothing that changes something is sent twice.
    pub async fn cluster(&self, node: NodeId, call: ClusterCall, options: &Options) -> Result<ClusterAnswer, Error> {
        let answer = self.caller.node_call(node, NodeCall::Cluster(call), options).await?;
        self.cluster_answer(node, answer)
    }

    /// A question about the cluster that any node can answer.
    pub async fn any_cluster(&self, call: ClusterCall, options: &Options) -> Result<(NodeId, ClusterAnswer), Error> {
        let (node, answer) = self.caller.any_node_call(NodeCall::Cluster(call), options).await?;
        Ok((node, self.cluster_answer(node, answer)?))
    }

    fn cluster_answer(&self, node: NodeId, answer: NodeAnswer) -> Result<ClusterAnswer, Error> {
        match answer {
            NodeAnswer::Cluster(ClusterAnswer::Refused(error)) => Err(self.caller.refused_cluster(node, error)),
            NodeAnswer::Cluster(answer) => Ok(answer),
            other => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Takes a backup of a node under a name, while it runs. Needs an admin bundle. If no answer comes in time, it is under
    /// way, or whole: ask again under the same name.
    pub async fn backup(&self, node: NodeId, name: &str, options: &Options) -> Result<BackupTaken, Error> {
        let call = NodeCall::Backup { name: name.to_owned() };
        match self.caller.node_call(node, call, options).await? {
            NodeAnswer::BackedUp(taken) => Ok(taken),
            other => Err(self.caller.mismatch(node, &other)),
        }
    }

    /// Closes the connections, of all clones, and gives the farewell a moment to leave. Without it the nodes learn only
    /// when the connections time out. Wait for [`Session::settled`] before, where an increment may be in doubt.
    pub async fn close(self) {
        self.caller.engine.dialer.close();
        self.caller.engine.dialer.say_farewell().await;
    }

    /// The session of this client's own increments. It holds no client, so that connections close with the last one.
    pub(crate) fn own_session(&self) -> &Session {
        self.session.get_or_init(|| {
            let caller = Caller { pinned: None, ..self.caller.clone() };
            Session::new(caller, SessionConfig::default())
        })
    }
}

/// Longest of the durations of a [`ClientConfig`].
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);

fn check(config: &ClientConfig) -> Result<(), ConnectError> {
    let refuse = |setting, reason: &str| Err(ConnectError::Setting { setting, reason: reason.to_owned() });
    if config.deadline.is_zero() || config.dial_timeout.is_zero() {
        return refuse("deadline and dial_timeout", "both must be longer than zero");
    }
    let durations =
        [config.deadline, config.deadline_slack, config.dial_timeout, config.dial_stagger, config.backoff_max];
    if durations.iter().any(|duration| *duration > DURATION_MAX) {
        return refuse("a duration", "at most 24 hours are possible");
    }
    if config.backoff_min.is_zero() || config.backoff_max < config.backoff_min {
        return refuse("backoff_min and backoff_max", "the first must be longer than zero and not above the second");
    }
    if config.in_flight_max == 0 || config.in_flight_max > 1 << 20 {
        return refuse("in_flight_max", "1 to 1048576 are possible");
    }
    if config.connections_per_node == 0 || config.connections_per_node > 1024 {
        return refuse("connections_per_node", "1 to 1024 are possible");
    }
    Ok(())
}
