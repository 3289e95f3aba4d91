//! The network between nodes: directed links that delay, lose, repeat and cut.
//!
//! ```text
//! send ─ queue full? ─→ given back at once
//!      ├ blocked? (cut, or the peer is down) ─ silent: gone │ jammed: waits for the heal │ noticed: given back later
//!      └ lost? ─ delayed ─→ arrives (once, twice; sometimes with a frame from long ago)
//! ```
//!
//! Frames are bytes here, as on a wire. Each frame is delayed by itself, so they overtake each other: no order is
//! promised between frames. What is given back as "not sent" was never delivered and never will be.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use starling::time::Timestamp;

use super::chance::Chance;

/// Frames of the past that a link can repeat.
const REPLAY_FRAMES: usize = 48;

/// Frames that a jammed link holds; further ones vanish.
const JAMMED_FRAMES_MAX: usize = 20_000;

/// How long frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delays {
    /// 50 µs and an exponential part of 150 µs.
    Lan,
    /// 15 ms and an exponential part of 3 ms.
    Wan,
    /// As `Lan`, but one frame in a hundred takes from 5 ms up to 3 s.
    HeavyTail,
}

impl Delays {
    fn draw(self, chance: &mut Chance) -> Duration {
        let micros = Duration::from_micros;
        match self {
            Delays::Lan => micros(50) + chance.exponential(micros(150)),
            Delays::Wan => micros(15_000) + chance.exponential(micros(3_000)),
            Delays::HeavyTail if chance.happens(10) => chance.heavy_tail(micros(5_000), Duration::from_secs(3)),
            Delays::HeavyTail => micros(50) + chance.exponential(micros(150)),
        }
    }
}

/// What every link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// How long frames travel.
    pub delays: Delays,
    /// Frames that vanish. Unit: per mille.
    pub loss_per_mille: u16,
    /// Frames that arrive twice. Unit: per mille.
    pub duplicate_per_mille: u16,
    /// Frames after which one from long ago arrives again. Unit: per mille.
    pub replay_per_mille: u16,
    /// Frames that find the queue to the peer full. Unit: per mille.
    pub queue_full_per_mille: u16,
    /// Frames after which the connection breaks although both ends are well. Unit: per mille.
    pub reset_per_mille: u16,
    /// After this long a sender learns that its peer cannot be reached; `None`: never, as with a silent peer.
    pub notice_after: Option<Duration>,
}

impl NetworkOptions {
    /// A quiet LAN.
    pub const CALM: NetworkOptions = NetworkOptions {
        delays: Delays::Lan,
        loss_per_mille: 0,
        duplicate_per_mille: 0,
        replay_per_mille: 0,
        queue_full_per_mille: 0,
        reset_per_mille: 0,
        notice_after: Some(Duration::from_millis(300)),
    };
}

/// What a cut does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They vanish.
    Loses,
    /// They wait, and all arrive after the heal.
    Jams,
}

#[derive(Debug, Default)]
struct Link {
    cut: Option<Cut>,
    loss_per_mille: u16,
    delay: Duration,
    past: VecDeque<Bytes>,
    /// Since when each frame waits.
    jammed: Vec<(Timestamp, Bytes)>,
    /// Frames that were jammed and stay on their way although the link is open.
    aside: Vec<(Timestamp, Bytes)>,
    /// Frames that never left and will be given back with the pending notice.
    not_sent: Vec<Bytes>,
    has_notice: bool,
    is_known_down: bool,
}

/// What becomes of a frame.
#[derive(Debug, Default)]
pub struct Fate {
    /// Frames that arrive, with their delays. Not always the one that was sent.
    pub arrivals: Vec<(Duration, Bytes)>,
    /// The frame goes back at once: the queue was full.
    pub is_queue_full: bool,
    /// After this long the sender is to be told; see [`Network::take_not_sent`].
    pub notice_after: Option<Duration>,
}

/// What happened to frames so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// Frames given to the network.
    pub sent: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Lost to chance or to a cut.
    pub lost: u64,
    /// Delivered once more than sent.
    pub repeated: u64,
    /// Given back to their senders.
    pub returned: u64,
}

/// All links of a world.
#[derive(Debug)]
pub struct Network {
    /// What every link does; may be changed at any time.
    pub options: NetworkOptions,
    /// What happened.
    pub counters: NetworkCounters,
    /// The longest time from sending to arrival so far, jams included; repetitions of old frames are not counted.
    pub longest_transit: Duration,
    nodes: usize,
    links: Vec<Link>,
}

impl Network {
    /// Links between so many nodes.
    pub fn new(nodes: usize, options: NetworkOptions) -> Network {
        let links = (0..nodes * nodes).map(|_| Link::default()).collect();
        Network { options, counters: NetworkCounters::default(), longest_transit: Duration::ZERO, nodes, links }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        let place = from * self.nodes + to;
        self.links.get_mut(place).expect("node numbers are below the number of nodes")
    }

    /// Sends a frame; `is_up` says whether the peer's process runs.
    pub fn send(
        &mut self,
        chance: &mut Chance,
        now: Timestamp,
        link: (usize, usize),
        frame: Bytes,
        is_up: bool,
    ) -> Fate {
        let (from, to) = link;
        let options = self.options;
        self.counters.sent += 1;
        self.counters.bytes += frame.len() as u64;
        if chance.happens(options.queue_full_per_mille) {
            self.counters.returned += 1;
            return Fate { is_queue_full: true, ..Fate::default() };
        }
        let link = self.link(from, to);
        if link.cut == Some(Cut::Jams) {
            if link.jammed.len() < JAMMED_FRAMES_MAX {
                link.jammed.push((now, frame));
            }
            return Fate::default();
        }
        if link.cut.is_some() || !is_up {
            return self.blocked(chance, from, to, frame);
        }
        link.is_known_down = false;
        let mut fate = Fate::default();
        if chance.happens(options.reset_per_mille) && options.notice_after.is_some() && !link.has_notice {
            link.has_notice = true;
            fate.notice_after = Some(Duration::from_millis(1));
        }
        let (loss, delay) = (link.loss_per_mille, link.delay);
        if chance.happens(options.replay_per_mille)
            && let Some(old) = chance.pick(link.past.make_contiguous()).cloned()
        {
            fate.arrivals.push((delay + options.delays.draw(chance), old));
            self.counters.repeated += 1;
        }
        let link = self.link(from, to);
        if options.replay_per_mille > 0 {
            if link.past.len() == REPLAY_FRAMES {
                link.past.pop_front();
            }
            link.past.push_back(frame.clone());
        }
        if chance.happens(options.loss_per_mille) || chance.happens(loss) {
            self.counters.lost += 1;
            return fate;
        }
        if chance.happens(options.duplicate_per_mille) {
            self.counters.repeated += 1;
            let later = options.delays.draw(chance) * 20;
            fate.arrivals.push((delay + later, frame.clone()));
        }
        fate.arrivals.push((delay + options.delays.draw(chance), frame));
        let longest = fate.arrivals.iter().map(|(delay, _)| *delay).max().unwrap_or_default();
        self.longest_transit = self.longest_transit.max(longest);
        fate
    }

    fn blocked(&mut self, chance: &mut Chance, from: usize, to: usize, frame: Bytes) -> Fate {
        let Some(notice_after) = self.options.notice_after else {
            self.counters.lost += 1;
            return Fate::default();
        };
        let link = self.link(from, to);
        let is_known_down = link.is_known_down;
        // Until the break is noticed, half of the frames were already handed to the wire.
        let is_kept = is_known_down || chance.happens(500);
        if is_kept {
            link.not_sent.push(frame);
        }
        let after = (!link.has_notice).then(|| if is_known_down { Duration::from_micros(200) } else { notice_after });
        link.has_notice = true;
        if is_kept {
            self.counters.returned += 1;
        } else {
            self.counters.lost += 1;
        }
        Fate { notice_after: after, ..Fate::default() }
    }

    /// The moment of a notice: the frames of this link that never left.
    pub fn take_not_sent(&mut self, from: usize, to: usize) -> Vec<Bytes> {
        let link = self.link(from, to);
        link.has_notice = false;
        link.is_known_down = true;
        std::mem::take(&mut link.not_sent)
    }

    /// The peer's process is gone: whether, and after how long, this sender is to be told.
    pub fn on_peer_down(&mut self, from: usize, to: usize) -> Option<Duration> {
        let after = self.options.notice_after?;
        let link = self.link(from, to);
        let is_new = !link.has_notice;
        link.has_notice = true;
        is_new.then_some(after)
    }

    /// The sender's process is gone, and with it all that waited there.
    pub fn forget_sender(&mut self, from: usize) {
        for to in 0..self.nodes {
            let link = self.link(from, to);
            link.not_sent.clear();
            link.is_known_down = false;
        }
    }

    /// Cuts one direction of a link.
    pub fn cut(&mut self, from: usize, to: usize, cut: Cut) {
        if from != to {
            self.link(from, to).cut = Some(cut);
        }
    }

    /// Heals one direction of a link; the frames that were jammed arrive now, in any order.
    pub fn heal(&mut self, chance: &mut Chance, from: usize, to: usize, now: Timestamp) -> Vec<(Duration, Bytes)> {
        let delays = self.options.delays;
        let link = self.link(from, to);
        link.cut = None;
        link.loss_per_mille = 0;
        link.delay = Duration::ZERO;
        let jammed = std::mem::take(&mut link.jammed);
        self.arriving(jammed, now, || delays.draw(chance))
    }

    /// Opens a jammed direction of a link, but keeps what was jammed on its way.
    pub fn set_jammed_aside(&mut self, from: usize, to: usize) {
        let link = self.link(from, to);
        link.cut = None;
        let jammed = std::mem::take(&mut link.jammed);
        link.aside.extend(jammed);
    }

    /// What was set aside arrives, whatever the link is like now.
    pub fn release_set_aside(&mut self, from: usize, to: usize, now: Timestamp) -> Vec<(Duration, Bytes)> {
        let aside = std::mem::take(&mut self.link(from, to).aside);
        self.arriving(aside, now, || Duration::ZERO)
    }

    fn arriving(
        &mut self,
        frames: Vec<(Timestamp, Bytes)>,
        now: Timestamp,
        mut delay: impl FnMut() -> Duration,
    ) -> Vec<(Duration, Bytes)> {
        let mut arriving = Vec::with_capacity(frames.len());
        for (sent, frame) in frames {
            let delay = delay();
            self.longest_transit = self.longest_transit.max(now.since(sent) + delay);
            arriving.push((delay, frame));
        }
        arriving
    }

    /// Makes one direction of a link lossy and slow, on top of what every link does.
    pub fn degrade(&mut self, from: usize, to: usize, loss_per_mille: u16, delay: Duration) {
        let link = self.link(from, to);
        link.loss_per_mille = loss_per_mille;
        link.delay = delay;
    }

    /// Whether a frame could pass now.
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        self.links.get(from * self.nodes + to).is_some_and(|link| link.cut.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::chance::Use;

    fn frame(number: u8) -> Bytes {
        Bytes::copy_from_slice(&[number])
    }

    #[test]
    fn a_calm_link_delivers_every_frame_once() {
        let mut network = Network::new(2, NetworkOptions::CALM);
        let mut chance = Chance::new(1, Use::Network);
        for number in 0..100 {
            let fate = network.send(&mut chance, Timestamp(0), (0, 1), frame(number), true);
            assert_eq!(fate.arrivals.len(), 1);
            assert!(fate.notice_after.is_none() && !fate.is_queue_full);
        }
    }

    #[test]
    fn a_cut_link_gives_back_only_what_never_left() {
        let mut network = Network::new(2, NetworkOptions::CALM);
        let mut chance = Chance::new(1, Use::Network);
        network.cut(0, 1, Cut::Loses);
        let mut notices = 0;
        for number in 0..100 {
            let fate = network.send(&mut chance, Timestamp(0), (0, 1), frame(number), true);
            assert!(fate.arrivals.is_empty());
            notices += usize::from(fate.notice_after.is_some());
        }
        let returned = network.take_not_sent(0, 1);
        assert_eq!(notices, 1);
        assert!((20..80).contains(&returned.len()));
        assert!(
            network.send(&mut chance, Timestamp(0), (1, 0), frame(1), true).arrivals.len() == 1,
            "the other way is open"
        );
        let known_down = network.send(&mut chance, Timestamp(0), (0, 1), frame(1), true);
        assert_eq!(known_down.notice_after, Some(Duration::from_micros(200)));
        assert_eq!(network.take_not_sent(0, 1), [frame(1)]);
    }

    #[test]
    fn a_jammed_link_delivers_everything_after_the_heal() {
        let mut network = Network::new(2, NetworkOptions::CALM);
        let mut chance = Chance::new(1, Use::Network);
        network.cut(0, 1, Cut::Jams);
        for number in 0..10 {
            assert!(network.send(&mut chance, Timestamp(0), (0, 1), frame(number), true).arrivals.is_empty());
        }
        assert_eq!(network.heal(&mut chance, 0, 1, Timestamp(9)).len(), 10);
        assert_eq!(network.send(&mut chance, Timestamp(0), (0, 1), frame(0), true).arrivals.len(), 1);
    }

    #[test]
    fn a_repeating_link_delivers_frames_from_long_ago() {
        let options = NetworkOptions { replay_per_mille: 500, ..NetworkOptions::CALM };
        let mut network = Network::new(2, options);
        let mut chance = Chance::new(1, Use::Network);
        let arrived: usize = (0..100)
            .map(|number| network.send(&mut chance, Timestamp(0), (0, 1), frame(number), true).arrivals.len())
            .sum();
        assert!(arrived > 120);
    }
}
