//! Taking up a layout that was decided: its placement is computed here, off the shards' threads, and everybody is told.
//!
//! ```text
//! shard 0 ─Effect::Adopt─→ newest wins ─→ RingView (milliseconds; seconds for a thousand members)
//!                                           ├─→ transport   links come and go
//!                                           ├─→ shards      Input::RingChanged, each in its own turn
//!                                           └─→ PresentRing router, status, backups
//! ```
//!
//! The layout is durable before it comes here, so whatever happens meanwhile, the next start takes it up. A layout in
//! which this node is declared lost, or that it has left, ends the node: it must not answer as what it is no longer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::ring::RingView;
use starling::shard::Input;
use tokio::sync::watch;
use tracing::{info, warn};

use super::mailbox::Mailbox;
use super::present::PresentRing;
use super::router::PeerLinks;
use crate::exit::{self, Exit};

/// What waits to be taken up. Cheap to share.
#[derive(Default)]
pub struct Adopter {
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

#[derive(Default)]
struct Wanted {
    newest: Option<Layout>,
    is_stopping: bool,
}

/// Whom a layout is told.
pub struct Told {
    /// This node.
    pub node: NodeId,
    /// Its links.
    pub links: Arc<dyn PeerLinks>,
    /// Its shards.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// Who looks it up.
    pub present: Arc<PresentRing>,
    /// Why the node is to end, once it is.
    pub ending: watch::Sender<Option<Ending>>,
}

/// A layout has no place for this node any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was declared lost.
    Fenced,
    /// It has handed over what it had, and left.
    Left,
}

impl Ending {
    /// The exit code.
    pub fn exit(self) -> Exit {
        match self {
            Ending::Fenced => Exit::Fenced,
            Ending::Left => Exit::Left,
        }
    }

    /// What a layout that follows another one means for a node.
    fn of(node: NodeId, before: &Layout, now: &Layout) -> Option<Ending> {
        if now.is_fenced(node) {
            return Some(Ending::Fenced);
        }
        let was = before.member(node)?;
        // One that was about to join and is sent back waits again, as it did before.
        let was_about_to_join =
            before.before.as_ref().is_some_and(|earlier| earlier.members.iter().all(|member| member.id != node));
        let has_left = was.leaving || !was_about_to_join;
        (has_left && now.member(node).is_none()).then_some(Ending::Left)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ending::Fenced => {
                "this member was declared lost, and may not speak again under its id; to let the machine in again, issue a \
                 new member (starling-node issue-member) and start it with an empty directory"
            }
            Ending::Left => "this member has handed over all it had and left the cluster; its directory may be removed",
        })
    }
}

impl Adopter {
    /// Takes this layout up, soon; of several that wait only the newest.
    pub fn adopt(&self, layout: Layout) {
        let mut wanted = self.lock();
        if wanted.newest.as_ref().is_none_or(|newest| newest.epoch.number < layout.epoch.number) {
            wanted.newest = Some(layout);
        }
        drop(wanted);
        self.wake.notify_one();
    }

    /// Ends [`Adopter::run`].
    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_one();
    }

    /// The body of the thread.
    pub fn run(&self, told: &Told) {
        while let Some(layout) = self.next() {
            let number = layout.epoch.number;
            match RingView::new(layout) {
                Ok(ring) => told.tell(Arc::new(ring)),
                // It was checked before it was written down.
                Err(error) => exit::stop_now(Exit::Internal, format_args!("layout {number} was decided and {error}")),
            }
        }
    }

    fn next(&self) -> Option<Layout> {
        let mut wanted = self.lock();
        loop {
            if wanted.is_stopping {
                return None;
            }
            if let Some(layout) = wanted.newest.take() {
                return Some(layout);
            }
            wanted = self.wake.wait(wanted).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn tell(&self, ring: Arc<RingView>) {
        let before = self.present.get();
        if ring.epoch().number <= before.epoch().number {
            return;
        }
        let layout = ring.layout();
        info!(number = layout.epoch.number, phase = %layout.phase, members = layout.members.len(), "layout taken up");
        // Links first: what a shard says by the new layout finds its way.
        self.links.set_layout(layout);
        for mailbox in &self.mailboxes {
            mailbox.own(Input::RingChanged(ring.clone()));
        }
        self.present.set(ring.clone());
        if let Some(ending) = Ending::of(self.node, before.layout(), ring.layout()) {
            warn!("{ending}");
            self.ending.send_replace(Some(ending));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use starling::causality::Epoch;
    use starling::ids::ClusterId;
    use starling::membership::layout::Fenced;
    use starling::membership::{Before, Member};
    use starling::message::client::FaultPlan;
    use starling::message::peer::Frame;

    use super::super::mailbox::Chunk;
    use super::*;
    use crate::transport::NotSent;

    /// Notes the layouts that the transport was told.
    #[derive(Default)]
    struct Links(Mutex<Vec<u64>>);

    impl PeerLinks for Links {
        fn send(&self, _: NodeId, _: Frame) -> Result<(), NotSent> {
            Ok(())
        }
        fn send_back(&self, _: NodeId, _: Epoch, _: Frame) {}
        fn faults(&self) -> FaultPlan {
            FaultPlan::default()
        }
        fn set_layout(&self, layout: &Arc<Layout>) {
            self.0.lock().unwrap().push(layout.epoch.number);
        }
    }

    fn layout(number: u64, members: u64) -> Layout {
        let members = (1..=members).map(|id| Member::new(NodeId(id), format!("m{id}"), format!("m:{id}"))).collect();
        let mut layout = Layout::founding(ClusterId([1; 16]), "test", members);
        layout.epoch.number = number;
        layout.seal().unwrap()
    }

    #[test]
    fn the_newest_of_those_that_wait_is_told_to_links_shards_and_lookups() {
        let links = Arc::new(Links::default());
        let present = Arc::new(PresentRing::new(Arc::new(RingView::new(layout(1, 3)).unwrap())));
        let mailboxes = vec![Arc::new(Mailbox::default()), Arc::new(Mailbox::default())];
        let (ending, _) = watch::channel(None);
        let told = Told {
            node: NodeId(1),
            links: links.clone(),
            mailboxes: mailboxes.clone(),
            present: present.clone(),
            ending,
        };
        let adopter = Arc::new(Adopter::default());
        for number in [2, 4, 3] {
            adopter.adopt(layout(number, 4));
        }
        let runner = adopter.clone();
        let thread = std::thread::spawn(move || runner.run(&told));
        for mailbox in &mailboxes {
            let mut chunk = Chunk::default();
            mailbox.receive(&mut chunk, Some(Duration::from_secs(60)));
            assert!(matches!(&chunk.inputs[..], [Input::RingChanged(ring)] if ring.epoch().number == 4));
        }
        adopter.stop();
        thread.join().unwrap();
        assert_eq!((present.get().epoch().number, links.0.lock().unwrap().clone()), (4, vec![4]));
    }

    #[test]
    fn only_who_was_fenced_or_has_left_ends() {
        let (before, mut leaving) = (layout(1, 4), layout(1, 4));
        leaving.members[3].leaving = true;
        let without = layout(2, 3);
        let mut fenced = layout(2, 4);
        fenced.fenced = vec![Fenced { node: NodeId(4), since: 2, declared_lost: Vec::new() }];
        assert_eq!(Ending::of(NodeId(4), &before, &layout(2, 4)), None);
        assert_eq!(Ending::of(NodeId(4), &before, &fenced), Some(Ending::Fenced));
        assert_eq!(Ending::of(NodeId(4), &leaving, &without), Some(Ending::Left));
        assert_eq!(Ending::of(NodeId(4), &before, &without), Some(Ending::Left), "it had nothing to hand over");
        let mut moving = layout(1, 4);
        let earlier = layout(1, 3);
        let (members, fallbacks) = (earlier.members, earlier.fallbacks);
        moving.before = Some(Box::new(Before { since: 1, members, fallbacks, owners: None }));
        assert_eq!(Ending::of(NodeId(4), &moving, &without), None, "a joiner that was sent back waits again");
        assert_eq!(Ending::of(NodeId(9), &before, &without), None, "who was no member waits on");
        assert_eq!(Ending::of(NodeId(1), &leaving, &without), None);
    }
}
