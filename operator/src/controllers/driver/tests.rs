use serde_json::json;

use super::*;
use crate::{
    plan::{StatusWrite, Write},
    testing::{gate, gate_name},
    world::Kind,
};

/// Fails as it is told, and panics on request.
struct Failing(Class);

impl Execute for Failing {
    async fn write(&self, write: &Write, _now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let what = write.kind().to_owned();
        match self.0 {
            Class::Conflict => Err(WriteError::Conflict { what }),
            class => panic!("{class:?}"),
        }
    }

    async fn status(&self, _write: &StatusWrite, _now: Timestamp) -> Result<Vec<Update>, WriteError> {
        unreachable!("the write before it fails")
    }
}

/// What the metrics say after a driver has run for a while with one Gate.
async fn run(execute: Failing) -> (Metrics, String) {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = Metrics::register(&mut registry);
    let (sender, updates) = mpsc::channel(64);
    let driver = Driver::new(Arc::new(execute), updates, metrics.clone());
    let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
    let driving = tokio::spawn(driver.run(stop.clone(), lost));
    for kind in Kind::ALL {
        sender.send(Update::Listing(kind)).await.unwrap();
    }
    sender.send(Update::Gate(gate_name("dify/api"), gate("dify/api", json!({})))).await.unwrap();
    for kind in Kind::ALL {
        sender.send(Update::Listed(kind)).await.unwrap();
    }
    sleep(Duration::from_millis(300)).await;
    stop.cancel();
    driving.await.unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    (metrics, text)
}

#[tokio::test]
async fn a_conflict_is_looked_at_again_and_again_without_a_busy_loop() {
    let (_, text) = run(Failing(Class::Conflict)).await;
    let line = text.lines().find(|line| line.starts_with("sidegate_operator_errors_total")).unwrap();
    assert!(line.contains("conflict"), "{line}");
    let count: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((2..=12).contains(&count), "{count} attempts in 300 ms");
}

#[tokio::test]
async fn a_plan_that_panics_stops_nobody_else() {
    let (_, text) = run(Failing(Class::Bug)).await;
    assert!(text.contains(r#"sidegate_operator_errors_total{class="bug"} 1"#), "{text}");
}
