//! What the operator counts.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    execute::Class,
    world::{Kind, ObjectRef},
};

/// The operator's metrics. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    plans: Family<ByKind, Counter>,
    writes: Family<ByWrite, Counter>,
    errors: Family<ByClass, Counter>,
    unparsable: Family<ByKind, Counter>,
    /// Objects that are due and wait.
    pub queue_depth: Gauge<i64, AtomicI64>,
    /// Does this replica lead? 1 or 0.
    pub leader: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWrite {
    write: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: String,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics that `registry` shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("sidegate_operator_plans", "Plans made, by kind of object", metrics.plans.clone());
        registry.register(
            "sidegate_operator_writes",
            "Writes that the API server has taken, by what they do",
            metrics.writes.clone(),
        );
        registry.register(
            "sidegate_operator_errors",
            "Writes that failed, by whose fault it is",
            metrics.errors.clone(),
        );
        registry.register(
            "sidegate_operator_unparsable",
            "Times that a stored object was seen that does not parse, by kind",
            metrics.unparsable.clone(),
        );
        registry.register(
            "sidegate_operator_queue_depth",
            "Objects that are due and wait",
            metrics.queue_depth.clone(),
        );
        registry.register("sidegate_operator_leader", "Whether this replica leads", metrics.leader.clone());
        metrics
    }

    pub(crate) fn planned(&self, object: &ObjectRef) {
        self.plans.get_or_create(&ByKind { kind: object.kind().to_owned() }).inc();
    }

    /// Counts a write that the API server has taken.
    pub(crate) fn wrote(&self, write: &str) {
        self.writes.get_or_create(&ByWrite { write: write.to_owned() }).inc();
    }

    pub(crate) fn failed(&self, class: Class) {
        self.errors.get_or_create(&ByClass { class: class.as_str().to_owned() }).inc();
    }

    pub(crate) fn unparsable(&self, kind: Kind) {
        self.unparsable.get_or_create(&ByKind { kind: kind.as_str().to_owned() }).inc();
    }
}
