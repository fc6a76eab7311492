//! A bundle that is swapped a thousand times under load: no request fails, each is decided by one revision, a
//! later one never by an earlier revision than the one before it, and memory stays what it was.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use sidegate_bundle::gate::{Access, GateName, Key};
use sidegate_bundle::{ApiKey, GateBundle, Revision, ScopeSet};
use sidegate_runtime::follow::Newest;
use sidegate_sidecar::audit::{Each, Seen};
use sidegate_sidecar::{Gate, GateConfig, Limits, Metrics, Workers};
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::http::{Connection, Request, Response};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SWAPS: usize = 1_000;
/// By then all buffers and threads are there.
const WARM: usize = 200;
const CONNECTIONS: usize = 8;
/// Keys beside the one that is used: what a leaked index would weigh.
const OTHERS: usize = 100;
/// All indexes kept would be some hundred times as much.
const MOST_GROWTH: usize = 8 << 20;

/// An app that answers with what it was told about its caller, and remembers nothing.
async fn app() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufStream::new(stream);
                let (mut line, mut told) = (String::new(), String::new());
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    if line.starts_with("x-sidegate-") && !line.starts_with("x-sidegate-request-id") {
                        told.push_str(&line);
                    }
                    if line == "\r\n" {
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len());
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.flush().await;
                        told.clear();
                    }
                    line.clear();
                }
            });
        }
    });
    Ok(address)
}

/// The bundle number so-and-so: every word about the caller names it.
fn numbered(number: usize, used: &ApiKey, others: &[ApiKey]) -> GateBundle {
    let mut bundle = bundle(vec![rule(&format!("rule-{number}"), None, Access::Authenticated)]);
    let of_number = |key: &ApiKey| Key {
        sub: format!("key:n.{number}"),
        tenant: format!("ns:{number}"),
        scopes: ScopeSet::parse([format!("s:{number}")]).unwrap_or_default(),
        ..entry(key)
    };
    bundle.keys = others.iter().chain([used]).map(of_number).collect();
    bundle.revision = Revision(number as u64 + 1);
    bundle
}

/// The one number that all words about the caller name.
fn number(answer: &Response) -> Result<usize> {
    ensure!(answer.status == 200, "answered {} {}", answer.status, answer.text());
    let text = answer.text();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.rsplit(['.', ':']).next()?.parse::<usize>().ok())
            .with_context(|| text.clone())
    };
    let numbers =
        (value("x-sidegate-subject: ")?, value("x-sidegate-tenant: ")?, value("x-sidegate-scopes: ")?);
    ensure!(numbers.0 == numbers.1 && numbers.1 == numbers.2, "decided by several revisions: {text}");
    Ok(numbers.0)
}

/// Requests on some connections, until told to stop; how many were answered, and the different numbers in them.
fn load(address: &str, key: &ApiKey, stop: Arc<AtomicBool>) -> JoinSet<Result<(usize, usize)>> {
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, stop) = (address.to_owned(), Arc::clone(&stop));
        let request = Request::new("GET", "/x").header("X-API-Key", key.expose());
        callers.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let (mut answered, mut different, mut last) = (0, 0, None);
            while !stop.load(Ordering::Relaxed) {
                let now = number(&connection.send(&request).await?)?;
                ensure!(last.is_none_or(|last| last <= now), "{now} decided after {last:?}");
                different += usize::from(last != Some(now));
                last = Some(now);
                answered += 1;
            }
            Ok((answered, different))
        });
    }
    callers
}

/// Bytes in memory (statm counts pages).
fn resident(process: u32) -> Result<usize> {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: usize = text.split(' ').nth(1).context("statm has no second number")?.parse()?;
    Ok(pages * rustix::param::page_size())
}

fn keys() -> (ApiKey, Vec<ApiKey>) {
    let mut rng = rand::rng();
    (ApiKey::mint(&mut rng), (0..OTHERS).map(|_| ApiKey::mint(&mut rng)).collect())
}

async fn finish(callers: JoinSet<Result<(usize, usize)>>) -> Result<(usize, usize)> {
    let results: Result<Vec<_>> = callers.join_all().await.into_iter().collect();
    let results = results?;
    let different = results.iter().map(|(_, different)| *different).min().unwrap_or_default();
    Ok((results.iter().map(|(answered, _)| answered).sum(), different))
}

fn flat(before: usize, after: usize) -> Result<()> {
    ensure!(after < before + MOST_GROWTH, "memory went from {before} to {after} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_bundles_in_force_one_after_the_other_fail_no_request() -> Result<()> {
    let (used, others) = keys();
    let (bundles, shutdown) = (Newest::new(), CancellationToken::new());
    bundles.offer(numbered(0, &used, &others), Timestamp::now())?;
    let gate = Gate::start(GateConfig {
        gate: GateName::new("dify", "api"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        app: app().await?.into(),
        bundles: bundles.clone(),
        workers: Workers::start(NonZeroUsize::MIN)?,
        audit: Arc::new(Each(|_: &Seen<'_>| {})),
        metrics: Metrics::new(),
        limits: Limits::default(),
        drain: Duration::from_secs(2),
        shutdown: shutdown.clone(),
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let callers = load(&gate.local_addr().to_string(), &used, Arc::clone(&stop));
    let mut warm = 0;
    for number in 1..=SWAPS {
        let bundle = numbered(number, &used, &others);
        let revision = bundle.revision;
        bundles.offer(bundle, Timestamp::now())?;
        tokio::time::timeout(Duration::from_secs(10), gate.in_force(revision)).await?;
        // Some requests for every bundle.
        tokio::time::sleep(Duration::from_millis(5)).await;
        if number == WARM {
            warm = resident(std::process::id())?;
        }
    }
    let after = resident(std::process::id())?;
    stop.store(true, Ordering::Relaxed);
    let (answered, different) = finish(callers).await?;
    shutdown.cancel();
    ensure!(
        answered > SWAPS && different > SWAPS / 2,
        "{answered} answers, {different} bundles seen by each caller"
    );
    flat(warm, after)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_bundles_on_disk_leave_a_gate_process_as_it_was() -> Result<()> {
    let (used, others) = keys();
    let mut gate = Gated::start(app().await?, numbered(0, &used, &others), "warn").await?;
    let process = gate.process.id();
    let stop = Arc::new(AtomicBool::new(false));
    let callers = load(&gate.address, &used, Arc::clone(&stop));
    let (mut warm, begun) = (0, Instant::now());
    for number in 1..=SWAPS {
        gate.bundle = GateBundle { revision: gate.bundle.revision, ..numbered(number, &used, &others) };
        gate.publish()?;
        // The gate looks at the folder four times a second; most of these are superseded before it does.
        tokio::time::sleep(Duration::from_millis(15)).await;
        if number == WARM {
            warm = resident(process)?;
        }
    }
    let after = resident(process)?;
    stop.store(true, Ordering::Relaxed);
    let (answered, different) = finish(callers).await?;
    let least = usize::try_from(begun.elapsed().as_secs())?;
    ensure!(
        answered > SWAPS && different >= least,
        "{answered} answers, {different} bundles seen by each caller"
    );
    flat(warm, after)
}
