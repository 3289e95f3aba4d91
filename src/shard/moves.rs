//! Moving data while the members change ([`crate::transfer`]), and comparing partitions with other owners
//! ([`crate::antientropy`]): what begins when, and what becomes of it.
//!
//! One question decides of every pair of a partition and a node which way rows go between them now, if at all: `aim`.

use super::*;
use crate::antientropy::{Aim, Kind};
use crate::causality::Tick;
use crate::membership::Phase;
use crate::message::peer::MoveState;
use crate::transfer::{Came, Incoming, Lesson, Looked, Transfer};

impl Shard {
    /// How far this shard is with the layout that it acts by. What it says is durable once the memory of its partitions is.
    pub fn move_state(&self, now: Now) -> MoveState {
        let running: Vec<Running> = self.exchanges.running().collect();
        self.transfer.state(&self.site.env(now), &self.turn, &running)
    }

    /// An operator halts the moving of data, or lets it go on.
    pub fn pause_moves(&mut self, now: Now, is_paused: bool) {
        self.transfer.is_paused = is_paused;
        if is_paused {
            let ring = self.site.ring.clone();
            let ended = self.exchanges.halt(&mut self.turn.out, |partition| ring.is_moved(partition));
            self.on_exchange_ends(now, ended);
        }
    }

    /// Another layout is taken up, or opened with.
    pub(super) fn on_moves_changed(&mut self, now: Now) {
        self.transfer.incoming.on_layout(self.site.ring.layout().phase == Phase::Moving);
        self.transfer.outgoing.on_layout(&self.site.env(now), &self.turn);
        if !self.site.config.stability {
            // Nobody seals anything.
            let Shard { site, turn, .. } = self;
            let env = site.env(now);
            for partition in env.ring.partitions().filter(|partition| env.scope.has(*partition)) {
                if Standing::is_loading(&env, turn, partition) {
                    turn.learn_seal(partition, Tick(0), Tick(0));
                }
            }
        }
    }

    /// Looks through what is to be handed over, and begins comparisons that are due.
    pub(super) fn begin_moves(&mut self, now: Now) {
        let Shard { site, turn, transfer, next_exchange, .. } = self;
        transfer.outgoing.begin(&site.env(now), turn, || routes::next_op(next_exchange));
        self.begin_exchanges(now);
    }

    /// A page of what is to be handed over was read.
    pub(super) fn on_outgoing_page(&mut self, now: Now, op: OpId, outcome: Result<Page, StoreError>) {
        let Shard { site, turn, transfer, schedule, stability, .. } = self;
        let env = site.env(now);
        match transfer.outgoing.on_page(&env, turn, op, outcome) {
            Some(Looked::Cleared(partition)) => {
                schedule.remove(partition);
                stability.forget(turn, partition);
            }
            Some(Looked::Gives(partition)) => {
                env.ring.owners(partition).iter().for_each(|owner| schedule.add(&env, partition, *owner));
                schedule.wake(&env, partition);
            }
            None => {}
        }
        self.begin_moves(now);
    }

    /// A row was dropped, or has to stay for a while.
    pub(super) fn on_dropped(&mut self, now: Now, partition: PartitionId) {
        self.transfer.outgoing.on_dropped(&self.site.env(now), partition);
        let Shard { site, turn, transfer, next_exchange, .. } = self;
        transfer.outgoing.begin(&site.env(now), turn, || routes::next_op(next_exchange));
    }

    /// Begins the comparisons that are due, as many as may run at once: first the exchanges of partitions whose data was lost here,
    /// then those of what was found to differ.
    pub(super) fn begin_exchanges(&mut self, now: Now) {
        let env = self.site.env(now);
        let Shard { turn, exchanges, walks, schedule, stability, transfer, next_exchange, tree_walks, .. } = self;
        let aim_of = |turn: &Turn, pair| aim(&env, turn, stability, transfer, pair);
        let kind_of = |turn: &Turn, exchanges: &Exchanges, pair| kind(&env, turn, exchanges, pair, aim_of(turn, pair)?);
        schedule.sort(&env, |pair| kind_of(turn, exchanges, pair));
        while exchanges.len() < env.config.exchanges_max
            && let Some(pair) = schedule.take(&env, &[Kind::Lost], |pair| kind_of(turn, exchanges, pair))
        {
            let aim = aim_of(turn, pair).unwrap_or(Aim::TakeOver);
            exchanges.start(&env, turn, routes::next_op(next_exchange), whole(&env, pair, aim));
        }
        while exchanges.len() < env.config.exchanges_max
            && let Some(plan) = exchanges.next_waiting()
        {
            if aim_of(turn, (plan.partition, plan.peer)) == Some(Aim::Both) {
                exchanges.start(&env, turn, routes::next_op(next_exchange), plan);
            } else {
                // Meanwhile it is to be of another kind.
                schedule.on_end(&env, plan.partition, plan.peer, false);
            }
        }
        while exchanges.len() < env.config.exchanges_max {
            let kinds =
                if Incoming::has_room(&exchanges.loading()) { &[Kind::Load, Kind::Rows][..] } else { &[Kind::Rows] };
            let pair = schedule.take(&env, kinds, |pair| kind_of(turn, exchanges, pair));
            let Some(pair) = pair else { break };
            let aim = aim_of(turn, pair).unwrap_or(Aim::Both);
            exchanges.start(&env, turn, routes::next_op(next_exchange), whole(&env, pair, aim));
        }
        while walks.len() < WALKS_MAX
            && let Some(pair) = schedule.take(&env, &[Kind::Walk], |pair| kind_of(turn, exchanges, pair))
        {
            *tree_walks += 1;
            let (partition, peer) = pair;
            let op = routes::next_op(next_exchange);
            if let Some(Walked::SaysNothing(plan)) = walks.start(&env, turn, op, (peer, partition)) {
                exchanges.wish(plan);
            }
        }
    }

    pub(super) fn on_walked(&mut self, now: Now, walked: Option<Walked>) {
        match walked {
            Some(Walked::Ended(outcome)) => self.on_exchange_ends(now, [outcome]),
            Some(Walked::Differs(plan)) => {
                self.tree_differences += plan.ranges.len() as u64;
                self.exchanges.wish(plan);
                self.begin_exchanges(now);
            }
            Some(Walked::SaysNothing(plan)) => {
                self.exchanges.wish(plan);
                self.begin_exchanges(now);
            }
            None => {}
        }
    }

    pub(super) fn on_exchange_ends(&mut self, now: Now, ended: impl IntoIterator<Item = Outcome>) {
        let mut any = false;
        for outcome in ended {
            any = true;
            self.on_exchange_end(now, &outcome);
        }
        if any {
            self.begin_moves(now);
        }
    }

    fn on_exchange_end(&mut self, now: Now, outcome: &Outcome) {
        let Outcome { partition, peer, aim, is_complete, has_taken, is_current, began, marks, received, sent, .. } =
            *outcome;
        let env = self.site.env(now);
        self.schedule.on_end(&env, partition, peer, is_complete);
        match aim {
            Aim::Both => {}
            Aim::Take | Aim::TakeOver => {
                // It is the turn of the others, of whom it learns one after the other.
                self.schedule.wake(&env, partition);
                let came = Came { rows: received, bytes: outcome.bytes };
                self.transfer.incoming.note(partition, peer, came, outcome.rows_there);
            }
            Aim::Give => {
                let gave = Came { rows: sent, bytes: outcome.bytes };
                self.transfer.outgoing.note(partition, peer, gave, outcome.is_full);
            }
        }
        if !is_complete {
            if has_taken && is_current && aim == Aim::Both {
                self.on_credit(now, partition, peer, marks);
            }
            return;
        }
        self.exchanges_done += 1;
        self.exchanged_rows += received + sent;
        self.turn.out.observe(Observation::ExchangeDone { partition, peer, received, sent });
        if aim == Aim::Give {
            return self.transfer.outgoing.on_taken(&self.site.env(now), partition, peer);
        }
        self.site.exchanged.note(partition, peer, began.at);
        self.compared.note(partition, peer, began.at, received + sent == 0);
        let number = self.site.ring.epoch().number;
        if let Some(done) = began.done(received + sent, is_current.then_some(number)) {
            // The other side was sent what it lacked.
            self.turn.prove_repair(partition, peer, began.at);
            self.turn.out.send(peer, partition, PeerMessage::ExchangeDone(done));
        }
        if Standing::is_loading(&self.site.env(now), &self.turn, partition) {
            // Its ticks come with the last one.
            if is_current {
                self.on_credit(now, partition, peer, marks);
            }
            return;
        }
        if let Some((first, last)) = marks {
            self.stability.on_exchanged(&self.site.env(now), &mut self.turn, (partition, peer), first, last);
        }
        if !self.turn.memory(partition).is_established {
            self.establish(partition, false);
        }
        if is_current {
            self.on_credit(now, partition, peer, marks);
        }
    }

    /// All that a peer had was taken, and both sides began under the present layout.
    pub(super) fn on_credit(&mut self, now: Now, partition: PartitionId, peer: NodeId, marks: Option<(Marks, Marks)>) {
        let Shard { site, turn, transfer, stability, .. } = self;
        let env = site.env(now);
        let Some(loaded) = transfer.incoming.credit(&env, turn, (partition, peer), marks) else { return };
        if let Some(ticks) = loaded.ticks {
            stability.take_over(turn, partition, ticks);
        }
        transfer.incoming.finish(&env, turn, partition);
        if loaded.ticks.is_some() {
            self.establish(partition, false);
        }
    }

    pub(super) fn establish(&mut self, partition: PartitionId, is_founding: bool) {
        self.turn.establish(partition);
        if let Some(council) = self.council.as_mut().filter(|_| is_founding) {
            // It heard all others to be newborn.
            for owner in self.site.ring.owners(partition).iter() {
                council.on_newborn(&self.site.ring, &mut self.turn, partition, *owner);
            }
        }
        self.turn.out.observe(Observation::Established { partition, is_founding });
    }
}

/// Which way rows are to go between this node and a peer now; `None`: they are not to, or the other side begins. Of two
/// established owners that is the one with the smaller id.
fn aim(
    env: &Env<'_>,
    turn: &Turn,
    stability: &Stability,
    transfer: &Transfer,
    (partition, peer): (PartitionId, NodeId),
) -> Option<Aim> {
    if !env.ring.is_owner(partition, env.me) {
        let may_give = !transfer.is_paused && transfer.outgoing.may_give(env, partition, peer);
        return may_give.then_some(Aim::Give);
    }
    if Standing::is_loading(env, turn, partition) {
        let marks = |node| stability.marks_of(partition, node);
        let lesson = transfer.incoming.lesson(env, turn, (partition, peer), marks).filter(|_| !transfer.is_paused)?;
        return Some(if lesson == Lesson::First { Aim::TakeOver } else { Aim::Take });
    }
    if !turn.memory(partition).is_established || stability.is_catching_up(partition, peer) {
        return Some(Aim::TakeOver);
    }
    let is_ours = env.me < peer || transfer.incoming.lacks(env, turn, partition, peer);
    (env.config.exchange && is_ours).then_some(Aim::Both)
}

/// What such an exchange waits for; `None`: for something else than room. Who is newborn learns from one owner at a time, whose rows
/// are of one moment. Whoever has its data, and no tree of it yet, waits for that, unless something is known to lack: with trees a
/// comparison is a message, without them all rows.
fn kind(
    env: &Env<'_>,
    turn: &Turn,
    exchanges: &Exchanges,
    (partition, peer): (PartitionId, NodeId),
    aim: Aim,
) -> Option<Kind> {
    if matches!(aim, Aim::Take | Aim::TakeOver) && !turn.memory(partition).is_established {
        let kind = if Standing::is_loading(env, turn, partition) { Kind::Load } else { Kind::Lost };
        return (!exchanges.has_partition(partition)).then_some(kind);
    }
    if aim == Aim::Both && Walks::may_begin(env, turn, partition) {
        return Some(Kind::Walk);
    }
    let awaits_tree = aim == Aim::Both && turn.trees.is_awaited(env, partition);
    (!awaits_tree || turn.needs_repair(partition, peer)).then_some(Kind::Rows)
}

fn whole(env: &Env<'_>, (partition, peer): (PartitionId, NodeId), aim: Aim) -> Plan {
    Plan::whole(env, peer, partition, aim)
}
