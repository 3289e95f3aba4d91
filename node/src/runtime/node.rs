//! The node as a whole: what is started in which order, and how it is stopped.
//!
//! ```text
//! start  bundle → store (locked) → the newer layout of both → new epoch, synced → shards opened → port taken → threads → ready
//! stop   new requests refused → open ones end (or time is up) → port closed → last turns written → last sync → store closed
//! ```
//!
//! Nothing is started before everything it needs was checked, so a node that cannot run leaves nothing behind but a
//! burnt epoch. The order of the stop makes every acknowledgement true: nothing is answered after the last turn.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::TryRng;
use rand::rngs::SysRng;
use starling::config::Candidate;
use starling::config::ShardConfig;
use starling::council::stored_layout;
use starling::membership::{Layout, Member};
use starling::replica::{OpenError, begin_candidate, begin_start};
use starling::ring::RingView;
use starling::shard::{Input, SealedTurn, Shard, ShardScope};
use starling::storage::Store;
use starling::time::{Now, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

use super::adopter::{Adopter, Ending, Told};
use super::clock::Clock;
use super::connections::Connections;
use super::counters::{self, Counters};
use super::disk::{self, DiskGauge};
use super::jobs::Jobs;
use super::links::Links;
use super::mailbox::{Control, Mailbox};
use super::present::PresentRing;
use super::restart;
use super::router::{PeerLinks, Router};
use super::shard_thread::{Machine, Outlets, ShardThread};
pub use super::start_error::StartError;
use super::sync_thread::Syncs;
use super::threads::{join, start_adopter, start_shard, start_syncs};
use crate::backup::Backups;
use crate::bundle::{Bundle, BundleError};
use crate::config::{MetricsAt, Settings};
use crate::metrics;
use crate::status::{self, NodeFacts, StatusSource, SyncGauge};
use crate::storage::{Tuning, heal};
use crate::transport::Transport;
use crate::transport::settings::Settings as DoorSettings;
use crate::transport::tls::Credentials;

/// How long answers that were given may take to leave, at most, once no request is open any more.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// A node that runs.
pub struct Node {
    member: Member,
    address: SocketAddr,
    router: Router,
    mailboxes: Vec<Arc<Mailbox>>,
    transport: Transport,
    shards: Vec<JoinHandle<()>>,
    syncs: Arc<Syncs>,
    sync_thread: JoinHandle<()>,
    jobs: Arc<Jobs>,
    workers: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
    adopter: Arc<Adopter>,
    adopter_thread: JoinHandle<()>,
    ending: watch::Receiver<Option<Ending>>,
    watchers: Vec<tokio::task::JoinHandle<()>>,
    stop_timeout: Duration,
}

impl Node {
    /// Starts a node. Within a tokio runtime. When it returns, peers and clients are served.
    pub fn start(settings: &Settings) -> Result<Node, StartError> {
        let started = Instant::now();
        let Bundle { node, layout, candidate, ca_pem, cert_pem, key_pem, seal_key } = Bundle::load(&settings.bundle)?;
        let may_heal = heal::may_heal(&layout);
        let open_error = |source| match source {
            OpenError::Store(error) if may_heal && error.is_corrupt() => {
                restart::begin_anew(&settings.data, &error.to_string())
            }
            source => StartError::Open { data: settings.data.clone(), source },
        };
        let tuning = Tuning { block_cache_bytes: settings.block_cache as usize, ..Tuning::default() };
        let durability = settings.shard.durability;
        let rocks = Arc::new(heal::open(&settings.data, durability, &tuning, may_heal)?);
        let store: Arc<dyn Store> = rocks.clone();
        let layout = newer(stored_layout(store.as_ref()).map_err(open_error)?, layout);
        let no_place = |ending| StartError::NoPlace { data: settings.data.clone(), ending };
        let (member, identity) = match (layout.member(node), candidate) {
            _ if layout.is_fenced(node) => return Err(no_place(Ending::Fenced)),
            (Some(member), _) => (member.clone(), begin_start(store.as_ref(), &layout, node, random()?)),
            (None, Some(member)) => (member, begin_candidate(store.as_ref(), layout.cluster, node, random()?)),
            (None, None) => return Err(no_place(Ending::Left)),
        };
        let identity = identity.map_err(open_error)?;
        let listen = match settings.listen {
            Some(listen) => listen,
            None => resolve(&member.address)?,
        };
        let is_member = layout.member(node).is_some();
        let ring =
            RingView::new(layout).map_err(|source| BundleError::Layout { path: settings.bundle.clone(), source })?;
        let ring = Arc::new(ring);

        let Member { name, address, zone, weight, .. } = member.clone();
        let candidate = Some(Candidate { name, address, zone, weight });
        let shard_config = ShardConfig { seal_key, candidate, ..settings.shard.clone() };
        let clock = Clock::start();
        let mut shards = Vec::with_capacity(settings.shards);
        for index in 0..settings.shards {
            let scope = ShardScope { index, count: settings.shards };
            let (config, ring, store) = (shard_config.clone(), ring.clone(), store.clone());
            let shard =
                Shard::open(config, identity, scope, ring, store, random()?, clock.now()).map_err(open_error)?;
            shards.push(shard);
        }

        let facts = NodeFacts {
            node,
            epoch: identity.epoch,
            starts: identity.start,
            durability,
            drills: settings.drills,
            started,
            tick: settings.shard.tick,
            lease_ticks_max: settings.shard.actor_lease_ticks,
        };
        let disk = Arc::new(DiskGauge::default());
        let gauge = Arc::new(SyncGauge::default());
        let source = StatusSource { facts: Arc::new(facts), disk: disk.clone(), syncs: gauge.clone() };
        let mailboxes: Vec<Arc<Mailbox>> = shards.iter().map(|_| Arc::default()).collect();
        let connections = Arc::new(Connections::default());
        let counters = Arc::new(Counters::default());
        let present = Arc::new(PresentRing::new(ring.clone()));
        let router = Router::new(present.clone(), mailboxes.clone(), connections.clone(), source, counters.clone());
        router.attach_backups(Backups::new(
            settings.backups_directory(),
            &rocks,
            (node, present.clone()),
            (settings.shard.tick, settings.shard.actor_lease_ticks),
            disk.clone(),
        ));
        let weak_store = Arc::downgrade(&rocks);
        drop(rocks);
        disk::look(&settings.data, settings.disk_reserve, &disk, &mailboxes);

        let mut door = DoorSettings::new(listen);
        door.drills = settings.drills;
        door.close_grace = settings.stop_timeout.min(FLUSH_TIMEOUT);
        let credentials = Credentials { ca_pem, cert_pem, key_pem };
        let transport = Transport::start(door, &credentials, &ring, router.clone())?;
        let links: Arc<dyn PeerLinks> = Arc::new(Links { transport: transport.clone(), router: router.clone() });
        router.attach(&links);

        let jobs = Arc::new(Jobs::default());
        let syncs = Arc::new(Syncs::new(shards.len()));
        let adopter = Arc::new(Adopter::default());
        let (ending, ended) = watch::channel(None);
        let told = Told { node, links: links.clone(), mailboxes: mailboxes.clone(), present, ending };
        let adopter_thread = start_adopter(&adopter, told)?;
        let outlets = Outlets {
            adopter: adopter.clone(),
            links,
            connections,
            jobs: jobs.clone(),
            syncs: syncs.clone(),
            counters: counters.clone(),
        };
        let workers = jobs.start(&store, &counters)?;
        let sync_thread = start_syncs(&syncs, &store, &mailboxes, &gauge, &counters)?;
        let mut threads = Vec::with_capacity(shards.len());
        for (index, (shard, mailbox)) in shards.into_iter().zip(&mailboxes).enumerate() {
            let (mailbox, store) = (mailbox.clone(), store.clone());
            let thread = ShardThread::new(index, shard, mailbox, store, durability, clock, outlets.clone());
            threads.push(start_shard(index, thread, may_heal.then(|| settings.data.clone()))?);
        }
        let mut watchers = vec![
            tokio::spawn(disk::watch(
                settings.data.clone(),
                settings.disk_reserve,
                disk,
                weak_store,
                mailboxes.clone(),
            )),
            tokio::spawn(counters::summarise(counters.clone())),
        ];
        let address = transport.local_address()?;
        watchers.extend(start_metrics(settings.metrics, address, &router, &counters)?);
        info!(
            node = %member.name, id = %node, cluster = %ring.layout().name, epoch = %identity.epoch,
            start = identity.start, layout = ring.epoch().number, is_member, %address, shards = settings.shards, ?durability, "node started"
        );
        Ok(Node {
            member,
            address,
            router,
            mailboxes,
            transport,
            shards: threads,
            syncs,
            sync_thread,
            jobs,
            workers,
            counters,
            adopter,
            adopter_thread,
            ending: ended,
            watchers,
            stop_timeout: settings.stop_timeout,
        })
    }

    /// The member's name.
    pub fn name(&self) -> &str {
        &self.member.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a layout is taken up that has no place for this node any more. It is to be stopped then.
    pub async fn ended(&self) -> Ending {
        let mut ending = self.ending.clone();
        loop {
            if let Some(ending) = *ending.borrow_and_update() {
                return ending;
            }
            if ending.changed().await.is_err() {
                // Nobody is left who could say so.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops cleanly: everything that was acknowledged is on disk, and the store is closed.
    pub async fn stop(self) {
        info!(node = %self.member.name, "stopping");
        self.router.stop_accepting();
        let deadline = Instant::now() + self.stop_timeout;
        if !open_ops_end(&self.mailboxes, deadline).await {
            warn!("open requests are left; their clients will not know what became of them");
        }
        self.transport.close().await;
        for watcher in &self.watchers {
            watcher.abort();
        }
        let Node { mailboxes, shards, syncs, sync_thread, jobs, workers, counters, adopter, adopter_thread, .. } = self;
        let closing = move || {
            adopter.stop();
            join([adopter_thread]);
            for mailbox in &mailboxes {
                let _never_refused = mailbox.control(Control::Stop).is_ok();
            }
            join(shards);
            syncs.stop();
            join([sync_thread]);
            jobs.stop();
            join(workers);
        };
        // Apart from the async threads, so that a second signal is heard meanwhile.
        let _panics_stop_the_process = tokio::task::spawn_blocking(closing).await.is_ok();
        info!(counters = ?counters.all(), "stopped");
    }
}

/// The core's shard is what production drives.
impl Machine for Shard {
    fn handle(&mut self, now: Now, input: Input) {
        Shard::handle(self, now, input);
    }
    fn tick(&mut self, now: Now) {
        Shard::tick(self, now);
    }
    fn next_deadline(&self) -> Option<Timestamp> {
        Shard::next_deadline(self)
    }
    fn turn_is_full(&self) -> bool {
        Shard::turn_is_full(self)
    }
    fn seal(&mut self, now: Now) -> SealedTurn {
        Shard::seal(self, now)
    }
    fn status(&self, now: Now) -> starling::message::client::ShardStatus {
        Shard::status(self, now)
    }
}

/// The layout that this directory has taken up, unless the bundle has a newer one.
fn newer(stored: Option<Layout>, bundled: Layout) -> Layout {
    match stored {
        Some(stored) if stored.cluster == bundled.cluster && stored.epoch.number >= bundled.epoch.number => stored,
        // Of another cluster: the directory's record says so when the start begins.
        Some(_) | None => bundled,
    }
}

/// Serves metrics where they are wanted. On the port that nobody chose, another program may be: that stops no node.
fn start_metrics(
    wanted: MetricsAt,
    door: SocketAddr,
    router: &Router,
    counters: &Arc<Counters>,
) -> Result<Option<tokio::task::JoinHandle<()>>, StartError> {
    let address = match wanted {
        MetricsAt::Nowhere => return Ok(None),
        MetricsAt::DoorPort => SocketAddr::from(([127, 0, 0, 1], door.port())),
        MetricsAt::Address(address) => address,
    };
    match metrics::serve(address, router.clone(), counters.clone()) {
        Ok(task) => Ok(Some(task)),
        Err(reason) if wanted == MetricsAt::DoorPort => {
            warn!(%address, %reason, "metrics are not served; name a place with --metrics");
            Ok(None)
        }
        Err(reason) => Err(StartError::Metrics { address, reason }),
    }
}

fn resolve(address: &str) -> Result<SocketAddr, StartError> {
    let wrong = |reason: String| StartError::Address { address: address.to_owned(), reason };
    let mut found = address.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address".into()))
}

fn random() -> Result<u64, StartError> {
    SysRng.try_next_u64().map_err(|_| StartError::NoEntropy)
}

/// Waits until the shards have nothing under way, or for the deadline; whether they have nothing.
async fn open_ops_end(mailboxes: &[Arc<Mailbox>], deadline: Instant) -> bool {
    let mut quiet = 0;
    loop {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let asked = status::gather(
            mailboxes,
            Box::new(move |sum| {
                let _nobody_waits = sender.send(sum.open_ops).is_err();
            }),
        );
        if asked.is_ok()
            && let Ok(Ok(open_ops)) = tokio::time::timeout_at(deadline.into(), receiver).await
        {
            // Twice, because questions overtake requests that still wait in the mailbox.
            quiet = if open_ops == 0 { quiet + 1 } else { 0 };
        }
        if quiet == 2 || Instant::now() >= deadline {
            return quiet == 2;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
