//! A gate that is stopped as a kubelet stops it: announced first, then asked, then cut off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::Standing;
use sidegate_tests::http::{Connection, Request};
use sidegate_tests::process::{Program, Signal};
use sidegate_tests::streams::{KINDS, Stream};
use sidegate_tests::{Process, eventually, http};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::{open_all, readable_by, start, start_with};

const SOON: Duration = Duration::from_secs(10);

/// `sidegate-sidecar drain`, as the hook of a pod runs it.
fn announce(pid: u32, wait: &str) -> Result<Process> {
    Program::of_workspace("sidegate-sidecar")?
        .args(["drain", "--pid", &pid.to_string(), "--wait", wait])
        .start()
}

/// A connection of HTTP/2, and what becomes of it.
type Http2 = (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>);

async fn open_http2(address: &str) -> Result<Http2> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    Ok((sender, tokio::spawn(connection)))
}

/// A request by HTTP/2; `None`: the connection is one that goes, and nothing of the request was sent.
async fn ask_http2(sender: &mut SendRequest<Empty<Bytes>>, address: &str, key: &str) -> Result<Option<u16>> {
    let request = ::http::Request::get(format!("http://{address}/short")).header("x-api-key", key);
    let asked = timeout(SOON, sender.send_request(request.body(Empty::new())?));
    match asked.await.context("no answer")? {
        Ok(answer) => {
            let status = answer.status().as_u16();
            answer.into_body().collect().await?;
            Ok(Some(status))
        }
        Err(error) if error.is_canceled() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_it_answers_everything_and_sends_callers_elsewhere() -> Result<()> {
    let key = ApiKey::mint(&mut rand::rng());
    let (_app, mut gate) = start_with(readable_by(&[&key])?, &["--drain", "1"]).await?;
    let (address, key) = (gate.address.clone(), key.expose());
    let with = |key| Request::new("GET", "/short").header("X-API-Key", key);
    let request = with(key);
    let mut kept = Connection::open(&address).await?;
    let answer = kept.send(&request).await?;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    let (mut sender, connection) = open_http2(&address).await?;
    assert_eq!(ask_http2(&mut sender, &address, key).await?, Some(200));
    let mut early = Vec::new();
    for kind in KINDS {
        early.push(Stream::open(kind, &address, key).await?);
    }

    let begun = Instant::now();
    let mut hook = announce(gate.process.id(), "0.5")?;
    ensure!(hook.wait(SOON).await?.success(), "{}", hook.output());
    ensure!(begun.elapsed() >= Duration::from_millis(500), "it did not wait: {:?}", begun.elapsed());

    let ready = http::get(&gate.admin, "/readyz").await?;
    assert_eq!((ready.status, ready.text()), (503, "drain: draining\n".to_owned()));
    assert_eq!(http::get(&gate.admin, "/livez").await?.status, 200);
    // It said nothing to one that had nothing to say: this was no moment to take its connection away.
    let answer = kept.send(&request).await?;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    ensure!(kept.send(&request).await.is_err(), "it is kept all the same");
    for (key, status) in [(key, 200), ("wrong", 403)] {
        let answer = Connection::open(&address).await?.send(&with(key)).await?;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    timeout(SOON, connection).await.context("no GOAWAY")???;
    for _ in 0..2 {
        let (mut sender, connection) = open_http2(&address).await?;
        // As slow a caller as there may be: a GOAWAY before its request would be no answer to it.
        sleep(Duration::from_millis(100)).await;
        assert_eq!(ask_http2(&mut sender, &address, key).await?, Some(200));
        timeout(SOON, connection).await.context("no GOAWAY")???;
    }
    for kind in KINDS {
        early.push(Stream::open(kind, &address, key).await?);
    }
    for stream in &mut early {
        stream.goes_on().await?;
    }

    let mut again = announce(gate.process.id(), "0.1")?;
    ensure!(again.wait(SOON).await?.success(), "{}", again.output());
    gate.process.signal(Signal::TERM)?;
    assert_eq!(gate.process.wait(SOON).await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_lets_streams_go_on_to_the_deadline_while_their_key_counts() -> Result<()> {
    let (key, other) = (ApiKey::mint(&mut rand::rng()), ApiKey::mint(&mut rand::rng()));
    let (_app, mut gate) = start_with(readable_by(&[&key, &other])?, &["--drain", "4"]).await?;
    let (mut streams, mut others) = (open_all(&gate, &key).await?, open_all(&gate, &other).await?);
    let begun = Instant::now();
    gate.process.signal(Signal::TERM)?;
    eventually(SOON, "it listens no more", async || {
        ensure!(TcpStream::connect(&gate.address).await.is_err());
        Ok(())
    })
    .await?;
    // A look at the folder that was under way is over by then.
    sleep(Duration::from_millis(800)).await;
    gate.bundle.keys[0].standing = Standing::Suspended;
    gate.publish()?;
    for (_, stream) in &mut streams {
        stream.end(SOON).await?;
    }
    ensure!(begun.elapsed() < Duration::from_millis(3_500), "cut off by the end: {:?}", begun.elapsed());
    for (_, stream) in &mut others {
        stream.goes_on().await?;
    }
    for (_, stream) in &mut others {
        stream.end(SOON).await?;
    }
    ensure!(begun.elapsed() >= Duration::from_secs(4), "not the whole grace: {:?}", begun.elapsed());
    assert_eq!(gate.process.wait(SOON).await?.code(), Some(0));
    gate.process.wait_for_line(SOON, |line| line.contains("not over by the deadline, cut off")).await?;
    Ok(())
}

#[tokio::test]
async fn a_hook_that_finds_no_sidecar_says_so_and_ends_nothing() -> Result<()> {
    let mut stranger = Program::at("/bin/sh").args(["-c", "echo up; exec sleep 60"]).start()?;
    stranger.wait_for_line(SOON, |line| line == "up").await?;
    let mut hook = announce(stranger.id(), "60")?;
    assert_eq!(hook.wait(SOON).await?.code(), Some(3));
    hook.wait_for_line(SOON, |line| line.contains("does not wait for SIGUSR1")).await?;
    // A signal would have ended it.
    stranger.signal(Signal::CONT)?;
    let gone = stranger.id();
    stranger.kill().await?;
    let mut hook = announce(gone, "60")?;
    assert_eq!(hook.wait(SOON).await?.code(), Some(3));
    hook.wait_for_line(SOON, |line| line.contains("cannot send SIGUSR1")).await?;
    Ok(())
}

/// The pods that a Service sends callers to.
#[derive(Clone)]
struct Service(Arc<Mutex<Vec<String>>>);

impl Service {
    fn pick(&self) -> String {
        let pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pods[rand::random_range(0..pods.len())].clone()
    }

    fn forget(&self, pod: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != pod);
    }
}

/// How a caller uses its connections.
#[derive(Debug, Clone, Copy)]
enum Habit {
    OneEach,
    Kept,
    Http2,
}

/// Asks until told to stop; every request has to be answered with 200. Gives how many were.
async fn ask_on_and_on(habit: Habit, service: Service, key: String, stop: Arc<AtomicBool>) -> Result<usize> {
    let request = |path| Request::new("GET", path).header("X-API-Key", &key);
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let pod = service.pick();
        match habit {
            Habit::OneEach => {
                let answer = request(if answered % 10 == 0 { "/slow" } else { "/short" }).send(&pod).await;
                let answer = answer.with_context(|| format!("{habit:?}: {pod}: request {answered}"))?;
                ensure!(answer.status == 200, "{habit:?}: {pod}: {}", answer.status);
                answered += 1;
            }
            Habit::Kept => {
                let mut connection = Connection::open(&pod).await?;
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.send(&request("/short")).await;
                    let answer = answer.with_context(|| format!("{habit:?}: {pod}: request {answered}"))?;
                    ensure!(answer.status == 200, "{habit:?}: {pod}: {}", answer.status);
                    answered += 1;
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                    sleep(Duration::from_millis(2)).await;
                }
            }
            Habit::Http2 => {
                let (mut sender, _connection) = open_http2(&pod).await?;
                while !stop.load(Ordering::Relaxed) && timeout(SOON, sender.ready()).await?.is_ok() {
                    match ask_http2(&mut sender, &pod, &key).await {
                        Ok(Some(200)) => answered += 1,
                        Ok(None) => break,
                        other => bail!("{habit:?}: {pod}: request {answered}: {other:?}"),
                    }
                    sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }
    Ok(answered)
}

// One thread: on several, hyper's client can take a request just when it reads the GOAWAY, send nothing of it,
// and not say that it is one to be sent elsewhere.
#[tokio::test]
async fn a_rolling_update_fails_no_request() -> Result<()> {
    let key = ApiKey::mint(&mut rand::rng());
    let (_app, mut old) = start(readable_by(&[&key])?).await?;
    let (_other_app, new) = start(readable_by(&[&key])?).await?;
    let service = Service(Arc::new(Mutex::new(vec![old.address.clone(), new.address.clone()])));
    let (stop, mut callers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for habit in [Habit::OneEach, Habit::Kept, Habit::Http2] {
        for _ in 0..4 {
            let (service, stop) = (service.clone(), Arc::clone(&stop));
            callers.spawn(ask_on_and_on(habit, service, key.expose().to_owned(), stop));
        }
    }
    sleep(Duration::from_millis(700)).await;
    let mut hook = announce(old.process.id(), "2")?;
    // So long callers are still sent to it.
    sleep(Duration::from_millis(800)).await;
    service.forget(&old.address);
    ensure!(hook.wait(SOON).await?.success(), "{}", hook.output());
    let begun = Instant::now();
    assert_eq!(old.process.terminate(SOON).await?.code(), Some(0));
    ensure!(begun.elapsed() < Duration::from_secs(2), "somebody was still there: {:?}", begun.elapsed());
    sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let answered: Vec<usize> = callers.join_all().await.into_iter().collect::<Result<_>>()?;
    ensure!(answered.iter().all(|answered| *answered > 20), "{answered:?}");
    Ok(())
}
