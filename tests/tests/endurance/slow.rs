//! Callers that are slow but there: they are not cut, they hold little, and nobody waits for them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{
    Aside, Check, End, Framing, Queues, connect_from, connect_narrow, pattern, source, upload,
};
use sidegate_tests::eventually;
use sidegate_tests::http::Request;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::scene::{Scene, say, with_key};

const SLOW: usize = 200;
const ANSWER: u64 = 100_000_000;
/// What the kernel may hold for one of them, each way, in bytes.
const MOST_QUEUED: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// An answer whose head has been read.
struct Reader {
    stream: BufReader<OwnedReadHalf>,
    check: Check,
    _write: tokio::net::tcp::OwnedWriteHalf,
}

// === impl Reader ===

impl Reader {
    async fn ask(stream: TcpStream, key: &ApiKey) -> Result<Self> {
        let (read, mut write) = stream.into_split();
        let head =
            format!("GET /down/{ANSWER} HTTP/1.1\r\nHost: gate\r\nX-API-Key: {}\r\n\r\n", key.expose());
        write.write_all(head.as_bytes()).await?;
        // No more is read ahead than is asked for.
        let mut stream = BufReader::with_capacity(1, read);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        ensure!(line.contains(" 200 "), "answered {line}");
        while line != "\r\n" {
            line.clear();
            ensure!(stream.read_line(&mut line).await? > 0, "closed within a head");
        }
        Ok(Self { stream, check: Check::default(), _write: write })
    }

    async fn read(&mut self, room: &mut [u8]) -> Result<()> {
        self.stream.read_exact(room).await.context("it was cut off")?;
        self.check.take(room)
    }
}

/// Reads 1 KiB a second.
async fn read_slowly(source: Ipv4Addr, address: String, key: ApiKey, pieces: Arc<AtomicUsize>) -> Result<()> {
    let mut readers = JoinSet::new();
    for _ in 0..SLOW {
        let (address, key, pieces) = (address.clone(), key.clone(), Arc::clone(&pieces));
        readers.spawn(async move {
            let mut reader = Reader::ask(connect_narrow(source, &address).await?, &key).await?;
            let mut second = interval(SECOND);
            loop {
                second.tick().await;
                reader.read(&mut [0; 1024]).await?;
                pieces.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    readers.join_next().await.context("there is none")??
}

#[tokio::test]
async fn many_slow_readers_hold_little_are_not_cut_and_nobody_waits_for_them() -> Result<()> {
    let scene = Scene::start(&["--idle-timeout", "1", "--head-timeout", "1"]).await?;
    let (address, key) = (scene.gate.address.clone(), scene.key.clone());
    let pieces = Arc::<AtomicUsize>::default();
    let read = Arc::clone(&pieces);
    let attack = || Aside::attack(move || read_slowly(source(1), address, key, read));
    scene
        .withstands(attack, async || {
            // One more is slow at first, and then takes the rest.
            let stream = connect_narrow(source(2), &scene.gate.address).await?;
            let mut reader = Reader::ask(stream, &scene.key).await?;
            for _ in 0..3 {
                reader.read(&mut [0; 1024]).await?;
                tokio::time::sleep(SECOND).await;
            }
            let mut rest = vec![0; usize::try_from(ANSWER)? - 3 * 1024];
            timeout(Duration::from_secs(30), reader.read(&mut rest)).await??;
            let all_go_on = async || {
                let pieces = pieces.load(Ordering::Relaxed);
                ensure!(pieces >= 3 * SLOW, "{pieces} pieces of 1 KiB were read");
                Ok(())
            };
            eventually(Duration::from_secs(30), "all go on", all_go_on).await?;
            // What the kernel holds for the gate.
            let callers = Queues::of(scene.port()?, End::Ours)?.out;
            let app = Queues::of(scene.app.address().port(), End::Theirs)?.inward;
            say(&format!(
                "in the kernel for {SLOW}: {} KiB for callers, {} KiB of the app",
                callers >> 10,
                app >> 10
            ));
            ensure!(
                callers < SLOW as u64 * MOST_QUEUED,
                "{callers} bytes wait in the kernel for slow callers"
            );
            ensure!(app < SLOW as u64 * MOST_QUEUED, "{app} bytes of the app wait in the kernel");
            Ok(())
        })
        .await?;
    scene.never_grew_by(64)
}

/// Sends as much as is taken, to an app that takes nothing.
async fn press(source: Ipv4Addr, address: String, key: ApiKey) -> Result<()> {
    let mut writers = JoinSet::new();
    for number in 0..SLOW {
        let stream = connect_from(source, &address).await?;
        let framing = if number % 2 == 0 { Framing::Length } else { Framing::Chunks };
        let request = with_key(&key, Request::new("POST", "/stuck"));
        writers.spawn(upload(stream, request, framing, ANSWER));
    }
    let ended = writers.join_next().await.context("there is none")?;
    anyhow::bail!("one has ended: {ended:?}")
}

#[tokio::test]
async fn an_app_that_reads_nothing_makes_the_gate_hold_little_and_nobody_else_wait() -> Result<()> {
    let limits = ["--body-timeout", "1", "--idle-timeout", "1", "--head-timeout", "1"];
    let scene = Scene::start(&limits).await?;
    let (address, key) = (scene.gate.address.clone(), scene.key.clone());
    let attack = || Aside::attack(move || press(source(1), address, key));
    scene
        .withstands(attack, async || {
            let all_are_there = async || {
                let app = Queues::of(scene.app.address().port(), End::Theirs)?;
                ensure!(app.sockets >= SLOW, "{app:?}");
                Ok(app)
            };
            let app = eventually(Duration::from_secs(30), "all are with the app", all_are_there).await?;
            say(&format!("in the kernel for {SLOW}: {app:?}, {:?}", Queues::of(scene.port()?, End::Ours)?));
            ensure!(app.out < SLOW as u64 * MOST_QUEUED, "{} bytes wait in the kernel for the app", app.out);
            Ok(())
        })
        .await?;
    scene.never_grew_by(64)
}

/// Sends a byte a second.
async fn write_slowly(
    source: Ipv4Addr,
    address: String,
    key: ApiKey,
    bytes: u64,
    answers: Arc<AtomicUsize>,
) -> Result<()> {
    let mut writers = JoinSet::new();
    for number in 0..SLOW {
        let (address, key, answers) = (address.clone(), key.clone(), Arc::clone(&answers));
        writers.spawn(async move {
            let mut stream = connect_from(source, &address).await?;
            let chunked = number % 2 == 0;
            let length = format!("Content-Length: {bytes}");
            let framing = if chunked { "Transfer-Encoding: chunked" } else { &length };
            let key = key.expose();
            let head = format!("POST /up HTTP/1.1\r\nHost: gate\r\nX-API-Key: {key}\r\n{framing}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut second = interval(SECOND);
            for position in 0..bytes {
                second.tick().await;
                let byte = pattern(position, 1);
                let piece = if chunked { [b"1\r\n", byte, b"\r\n"].concat() } else { byte.to_vec() };
                stream.write_all(&piece).await.context("it was cut off")?;
            }
            if chunked {
                stream.write_all(b"0\r\n\r\n").await?;
            }
            let (mut answer, whole) = (Vec::new(), format!("{bytes} bytes"));
            while !answer.ends_with(whole.as_bytes()) {
                let count = stream.read_buf(&mut answer).await?;
                ensure!(count > 0, "cut off after {}", String::from_utf8_lossy(&answer));
            }
            answers.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
    }
    writers.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn many_slow_writers_are_heard_to_their_end_and_nobody_waits_for_them() -> Result<()> {
    let limits = ["--body-timeout", "2.5", "--idle-timeout", "1", "--head-timeout", "1"];
    let scene = Scene::start(&limits).await?;
    let (address, key) = (scene.gate.address.clone(), scene.key.clone());
    let answers = Arc::<AtomicUsize>::default();
    let told = Arc::clone(&answers);
    let attack = || Aside::attack(move || write_slowly(source(1), address, key, 6, told));
    scene
        .withstands(attack, async || {
            let all = async || {
                let answers = answers.load(Ordering::Relaxed);
                ensure!(answers == SLOW, "{answers} of {SLOW} were answered");
                Ok(())
            };
            eventually(Duration::from_secs(20), "all are answered", all).await
        })
        .await?;
    ensure!(scene.app.told().whole() == SLOW && scene.app.told().broken() == 0, "{:?}", scene.app.told());
    scene.never_grew_by(16)
}
