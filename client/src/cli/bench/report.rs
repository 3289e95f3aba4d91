//! The numbers, as text and as JSON.

use serde_json::{Value, json};

use super::load::Measured;
use super::tally::Tally;
use super::watch::{CpuTimes, SyncTimes};
use super::{Bench, output};
use crate::cli::exit::Failure;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999)];

pub(crate) struct Report<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) measured: Measured,
    pub(crate) cpu: CpuTimes,
    pub(crate) syncs: Vec<SyncTimes>,
}

impl Report<'_> {
    pub(crate) fn print(&self) {
        let bench = self.bench;
        output::line(&format!(
            "{} on {}, {} in flight, {} per node, {} s after {} s of warm-up",
            match bench.session_count() {
                0 => bench.op.name().to_owned(),
                sessions => format!("{} by {}", bench.op.name(), output::count(sessions as u64, "session")),
            },
            if bench.keys == 1 { "one key".into() } else { format!("{} keys at random", bench.keys) },
            bench.in_flight,
            output::count(bench.connections.into(), "connection"),
            bench.seconds,
            bench.warm_up,
        ));
        let mut table =
            output::table(["", "ok/s", "ok", "not applied", "unknown", "p50", "p95", "p99", "p99.9", "max"]);
        for (name, tally) in self.classes() {
            let mut row = vec![
                name.to_owned(),
                format!("{:.0}", self.per_second(tally.ok)),
                tally.ok.to_string(),
                tally.not_applied.to_string(),
                tally.unknown.to_string(),
            ];
            row.extend(QUANTILES.map(|(_, quantile)| output::micros(tally.latencies.value_at_quantile(quantile))));
            row.push(output::micros(tally.latencies.max()));
            table.add_row(row);
        }
        output::line(&table.to_string());
        for (pid, used) in &self.cpu {
            output::line(&match used {
                Some(used) => format!("process {pid}: {:.2} s of CPU", used.as_secs_f64()),
                None => format!("process {pid}: it has ended"),
            });
        }
        if let Some(us) = self.cpu_us_per_op() {
            output::line(&format!("CPU of these processes per operation: {us:.1} µs"));
        }
        for sync in &self.syncs {
            output::line(&format!(
                "disk sync on {}: median {}, longest {} ({})",
                sync.node,
                output::micros(sync.median_us),
                output::micros(sync.max_us),
                output::count(sync.samples as u64, "sample"),
            ));
        }
        for (error, count) in self.classes().into_iter().flat_map(|(_, tally)| &tally.errors) {
            output::line(&format!("{count} × {error}"));
        }
    }

    pub(crate) fn as_json(&self) -> Value {
        let bench = self.bench;
        let class = |tally: &Tally| {
            let mut latency = serde_json::Map::new();
            for (name, quantile) in QUANTILES {
                latency.insert(name.into(), json!(tally.latencies.value_at_quantile(quantile)));
            }
            latency.insert("max".into(), json!(tally.latencies.max()));
            json!({
                "ok": tally.ok,
                "ok_per_s": self.per_second(tally.ok),
                "not_applied": tally.not_applied,
                "unknown": tally.unknown,
                "latency_us": latency,
                "errors": tally.errors,
            })
        };
        let cpu =
            self.cpu.iter().map(|(pid, used)| json!({ "pid": pid, "cpu_s": used.map(|used| used.as_secs_f64()) }));
        let syncs = self.syncs.iter().map(|sync| {
            json!({ "node": sync.node, "median_us": sync.median_us, "max_us": sync.max_us, "samples": sync.samples })
        });
        json!({
            "op": bench.op.name(),
            "sessions": bench.session_count(),
            "write_ratio": bench.write_ratio,
            "keys": bench.keys,
            "in_flight": bench.in_flight,
            "connections": bench.connections,
            "seconds": self.measured.window.as_secs_f64(),
            "classes": self.classes().into_iter().map(|(name, tally)| (name.to_owned(), class(tally))).collect::<serde_json::Map<_, _>>(),
            "processes": cpu.collect::<Vec<_>>(),
            "cpu_us_per_op": self.cpu_us_per_op(),
            "syncs": syncs.collect::<Vec<_>>(),
        })
    }

    /// Fails if nothing succeeded.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let succeeded = self.measured.reads.ok + self.measured.writes.ok;
        if succeeded > 0 {
            return Ok(());
        }
        let reason = self.classes().into_iter().flat_map(|(_, tally)| tally.errors.keys()).next().cloned();
        Err(Failure::Incomplete(match reason {
            Some(reason) => format!("no call succeeded: {reason}"),
            None => "no call ended within the measured time".into(),
        }))
    }

    /// The classes that were called; at least one, so that there is something to show.
    fn classes(&self) -> Vec<(&'static str, &Tally)> {
        let classes = [("writes", &self.measured.writes), ("reads", &self.measured.reads)];
        let called = classes.into_iter().filter(|(_, tally)| tally.ended() > 0).collect::<Vec<_>>();
        if called.is_empty() { classes.into_iter().take(1).collect() } else { called }
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.measured.window.as_secs_f64().max(1e-9)
    }

    /// Successful calls of both classes share the CPU time of all processes that were named and still run.
    fn cpu_us_per_op(&self) -> Option<f64> {
        let used = self.cpu.iter().filter_map(|(_, used)| *used).map(|used| used.as_secs_f64()).collect::<Vec<_>>();
        let succeeded = self.measured.reads.ok + self.measured.writes.ok;
        (!used.is_empty() && succeeded > 0).then(|| used.iter().sum::<f64>() * 1e6 / succeeded as f64)
    }
}
