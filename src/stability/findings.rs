//! Findings: what becomes of a scan that has ended.

use super::*;

impl Stability {
    /// Whether a dialogue is a scan of this part.
    pub fn has(&self, op: OpId) -> bool {
        self.scans.has(op)
    }

    /// The pause after a page is over.
    pub fn on_scan_timer(&mut self, turn: &mut Turn, op: OpId) {
        self.scans.on_timer(turn, op);
    }

    /// A page of a scan was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
        next_op: impl FnMut() -> OpId,
    ) {
        let found = self.scans.on_page(env, turn, op, outcome);
        self.on_found(env, turn, found, next_op);
    }

    /// A row of a sweep was settled, or could not be.
    pub fn on_settled(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        is_done: bool,
        next_op: impl FnMut() -> OpId,
    ) {
        let found = self.scans.on_settled(env, turn, op, is_done);
        self.on_found(env, turn, found, next_op);
    }

    pub(super) fn on_found(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        found: Option<Found>,
        next_op: impl FnMut() -> OpId,
    ) {
        let Some(Found { op, partition, purpose, is_whole, took, count }) = found else { return };
        let memory = turn.memory(partition);
        let part = self.parts.entry(partition).or_default();
        match purpose {
            _ if !is_whole => part.scan_at = env.now.mono.after(env.config.stability_interval * MEASURE_INTERVALS),
            Purpose::Seal(tick) => {
                if !count.holds_back && tick > memory.sealed {
                    turn.change_memory(partition, |memory| memory.sealed = tick);
                    turn.out.observe(Observation::Sealed { partition, tick });
                }
            }
            Purpose::Report(through, baselines) => {
                part.scan_at = env.now.mono.after(took * SCAN_PAUSES);
                let digest = |sum: u128, compacted: Tick, tick: Tick| {
                    let ticks = [compacted.0, memory.folded.0, tick.0].map(u32::to_be_bytes);
                    xxhash_rust::xxh3::xxh3_128(&[&sum.to_be_bytes()[..], &ticks.concat()].concat())
                };
                let entries = Report { tick: through, digest: digest(count.entries, memory.compacted, through) };
                let baselines = Report { tick: baselines, digest: digest(count.baselines, Tick(0), baselines) };
                // The pages may show rows of every turn sealed so far: it speaks when these are durable.
                let surveyed = Surveyed { op, partition, entries, baselines };
                turn.out.tell_after(turn.out.sealed_ticket(), Local::Surveyed(surveyed));
            }
            Purpose::Measure => {}
            Purpose::Sweep => {
                if part.sweep_of == (memory.compacted, memory.folded) {
                    turn.change_memory(partition, |memory| memory.is_unswept = false);
                }
            }
        }
        if is_whole && matches!(purpose, Purpose::Report(..) | Purpose::Measure) {
            turn.footing_mut().note_all(partition);
            part.count = Some(count);
            part.counted_at = env.now.mono;
        }
        if purpose == Purpose::Sweep && turn.memory(partition).is_unswept && is_whole {
            self.sweep(env, turn, partition);
        }
        self.scans.begin(env, turn, next_op);
    }

    /// What a survey found is durable: it is the own report from now on, if nothing of it has changed meanwhile.
    pub fn on_surveyed(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        surveyed: Surveyed,
        next_op: impl FnMut() -> OpId,
    ) -> Vec<Hurry> {
        let Surveyed { op, partition, entries, baselines } = surveyed;
        let Some(watch) = turn.footing().watch_of(partition).filter(|watch| watch.op == op) else { return Vec::new() };
        let part = self.parts.entry(partition).or_default();
        part.report_op = op;
        part.report = watch.entries.map(|_| entries);
        part.baseline_report = watch.baselines.map(|_| baselines);
        let hurries = self.advance(env, turn, partition);
        // The others have reported too, perhaps: asks at once, unless it has just done so.
        let is_early = self
            .parts
            .get(&partition)
            .is_some_and(|part| env.now.mono.since(part.round_at) < env.config.stability_interval / 4);
        if !is_early {
            self.begin_round(env, turn, partition, Want::Help);
        }
        self.scans.begin(env, turn, next_op);
        hurries
    }
}
