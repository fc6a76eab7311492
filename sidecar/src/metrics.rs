//! Counters: each worker has its own, and they are summed when somebody asks.
//!
//! A counter has one writer, so counting is a load and a store, no locked instruction and no cache
//! line that two cores write.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use sidegate_bundle::gate::GateName;
use sidegate_runtime::follow::Newest;

use crate::{forward::AppError, index::Index};

/// More reasons than there are.
const REASONS: usize = 48;

/// What all Gates of a process count. Clones are handles to the same one; register one of them.
#[derive(Clone, Default)]
pub struct Metrics {
    gates: Arc<Mutex<Vec<Series>>>,
}

/// One Gate's counters.
struct Series {
    gate: String,
    workers: Vec<Arc<Counters>>,
    index: Newest<Index>,
}

/// One worker's counters for one Gate.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) connections_opened: Count,
    pub(crate) connections_closed: Count,
    pub(crate) rested: Count,
    pub(crate) resumed: Count,
    pub(crate) allowed: Count,
    pub(crate) app_connections: Count,
    pub(crate) app_unreachable: Count,
    pub(crate) app_broke_off: Count,
    pub(crate) abandoned: Count,
    pub(crate) tls_refused: Count,
    pub(crate) cut_off: Count,
    pub(crate) refused_by_source: Count,
    pub(crate) heads_held_back: Count,
    /// Bytes that are held at this moment of large heads and of bodies.
    pub(crate) buffered: AtomicUsize,
    denied: Reasons,
    let_through: Reasons,
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// A counter for each word.
#[derive(Debug)]
struct Reasons([(OnceLock<&'static str>, Count); REASONS]);

// === impl Metrics ===

impl Metrics {
    /// Of no Gate yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a Gate, with counters for so many workers.
    pub(crate) fn add(&self, gate: &GateName, workers: usize, index: Newest<Index>) -> Vec<Arc<Counters>> {
        let workers: Vec<_> = (0..workers).map(|_| Arc::default()).collect();
        let series = Series { gate: gate.to_string(), workers: workers.clone(), index };
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).push(series);
        workers
    }

    #[cfg(test)]
    pub(crate) fn sum(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        self.gates.lock().unwrap().iter().flat_map(|gate| &gate.workers).map(|worker| count(worker)).sum()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counter = |name, help, write: &dyn Fn(&Series, &mut MetricEncoder<'_>) -> fmt::Result| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            gates.iter().try_for_each(|gate| write(gate, &mut family))
        };
        counter("sidegate_requests", "Requests by decision", &|gate, family| {
            let denied = gate.denied().iter().map(|(_, count)| count).sum();
            for (decision, count) in [("allow", gate.sum(|worker| &worker.allowed)), ("deny", denied)] {
                one(family, &[("gate", &gate.gate), ("decision", decision)], count)?;
            }
            Ok(())
        })?;
        counter("sidegate_denials", "Denied requests by reason", &|gate, family| {
            for (reason, count) in gate.denied() {
                one(family, &[("gate", &gate.gate), ("reason", reason)], count)?;
            }
            Ok(())
        })?;
        let help = "Requests let through by mode Audit, by the reason for which Enforce would deny them";
        counter("sidegate_unenforced_denials", help, &|gate, family| {
            for (reason, count) in gate.reasons(|worker| &worker.let_through) {
                one(family, &[("gate", &gate.gate), ("reason", reason)], count)?;
            }
            Ok(())
        })?;
        counter("sidegate_app_errors", "Requests that the app did not answer", &|gate, family| {
            let kinds = [
                ("unreachable", gate.sum(|worker| &worker.app_unreachable)),
                ("broke_off", gate.sum(|worker| &worker.app_broke_off)),
            ];
            for (kind, count) in kinds {
                one(family, &[("gate", &gate.gate), ("kind", kind)], count)?;
            }
            Ok(())
        })?;
        counter(
            "sidegate_abandoned_requests",
            "Requests whose caller left before the answer",
            &|gate, family| one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.abandoned)),
        )?;
        counter("sidegate_app_connections", "Connections opened to the app", &|gate, family| {
            one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.app_connections))
        })?;
        counter("sidegate_accepted_connections", "Connections accepted", &|gate, family| {
            one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.connections_opened))
        })?;
        counter(
            "sidegate_tls_connections",
            "Connections that spoke TLS, and were closed",
            &|gate, family| one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.tls_refused)),
        )?;
        counter(
            "sidegate_cut_off_answers",
            "Answers and WebSockets ended since their credential does not count any more",
            &|gate, family| one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.cut_off)),
        )?;
        counter(
            "sidegate_source_refusals",
            "Connections closed since their source had too many",
            &|gate, family| {
                one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.refused_by_source))
            },
        )?;
        counter(
            "sidegate_heads_held_back",
            "Large heads that waited since all heads and bodies together were too large",
            &|gate, family| one(family, &[("gate", &gate.gate)], gate.sum(|worker| &worker.heads_held_back)),
        )?;
        let mut gauge = |name, help, value: &dyn Fn(&Series) -> Option<u64>| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for gate in gates.iter() {
                if let Some(value) = value(gate) {
                    let labels = [("gate", gate.gate.as_str())];
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
            Ok(())
        };
        gauge("sidegate_connections", "Connections that are open", &|gate| {
            let closed = gate.sum(|worker| &worker.connections_closed);
            Some(gate.sum(|worker| &worker.connections_opened).saturating_sub(closed))
        })?;
        gauge("sidegate_connections_resting", "Those of them that gave their buffers back", &|gate| {
            let resumed = gate.sum(|worker| &worker.resumed);
            Some(gate.sum(|worker| &worker.rested).saturating_sub(resumed))
        })?;
        gauge("sidegate_buffered_bytes", "Room for large heads and for bodies on their way", &|gate| {
            Some(gate.workers.iter().map(|worker| worker.buffered.load(Ordering::Relaxed) as u64).sum())
        })?;
        gauge("sidegate_bundle_revision", "The revision in force", &|gate| {
            gate.index.current().map(|index| index.revision().0)
        })?;
        gauge("sidegate_bundle_keys", "Keys that the bundle in force knows", &|gate| {
            gate.index.current().map(|index| index.key_count() as u64)
        })
    }
}

// === impl Series ===

impl Series {
    fn sum(&self, count: impl Fn(&Counters) -> &Count) -> u64 {
        self.workers.iter().map(|worker| count(worker).get()).sum()
    }

    fn denied(&self) -> Vec<(&'static str, u64)> {
        self.reasons(|worker| &worker.denied)
    }

    /// Each reason that was met, and how often, in the order of the alphabet.
    fn reasons(&self, of: impl Fn(&Counters) -> &Reasons) -> Vec<(&'static str, u64)> {
        let mut sums = std::collections::BTreeMap::new();
        for (word, count) in self.workers.iter().flat_map(|worker| &of(worker).0) {
            if let Some(word) = word.get() {
                *sums.entry(*word).or_default() += count.get();
            }
        }
        sums.into_iter().collect()
    }
}

// === impl Counters ===

impl Counters {
    /// Counts one denial. Called by one thread only.
    pub(crate) fn deny(&self, word: &'static str) {
        self.denied.add(word);
    }

    /// Counts one request that passed because the Gate only audits. Called by one thread only.
    pub(crate) fn let_through(&self, word: &'static str) {
        self.let_through.add(word);
    }

    /// Counts one request that the app did not answer.
    pub(crate) fn app_error(&self, error: &AppError) {
        match error {
            AppError::Connect(_) | AppError::ConnectTimeout => self.app_unreachable.add(),
            AppError::BrokeOff(_) | AppError::Switched => self.app_broke_off.add(),
            AppError::Caller(_) | AppError::CallerLate => {}
        }
    }
}

// === impl Count ===

impl Count {
    /// One more. Called by one thread only.
    pub(crate) fn add(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Reasons ===

impl Reasons {
    fn add(&self, word: &'static str) {
        for (slot, count) in &self.0 {
            if *slot.get_or_init(|| word) == word {
                return count.add();
            }
        }
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

fn one<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    count: u64,
) -> fmt::Result {
    ConstCounter::new(count).encode(family.encode_family(labels)?)
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    #[test]
    fn the_workers_of_all_gates_are_summed() {
        let metrics = Metrics::new();
        let api = metrics.add(&GateName::new("dify", "api"), 2, Newest::new());
        let web = metrics.add(&GateName::new("shop", "web"), 1, Newest::new());
        for worker in api.iter().chain(&web) {
            worker.connections_opened.add();
            worker.allowed.add();
            worker.deny("no_rule");
        }
        api[0].let_through("no_rule");
        api[0].connections_closed.add();
        api[1].deny("expired");
        web[0].deny("expired");
        web[0].deny("expired");
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let documented = match line.split_once(' ') {
                Some((name, "counter")) => format!("| `{name}_total` |"),
                Some((name, _)) => format!("| `{name}` |"),
                None => panic!("{line}"),
            };
            assert!(
                include_str!("../../docs/sidecar.md").contains(&documented),
                "docs/sidecar.md: {documented}"
            );
        }
        insta::assert_snapshot!(text);
    }
}
