//! Attacks that HTTP/2 makes cheap: requests that are reset as soon as they are made, heads without end, and
//! frames that only have to be answered.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Aside, connect_from, source};
use sidegate_tests::eventually;
use sidegate_tests::raw_http2::{END_HEADERS, END_STREAM, frame, kind, reset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http2::{begin, get};
use crate::scene::{Scene, say};

/// Connections of each attack at once.
const CONNECTIONS: usize = 4;
/// Requests or frames that are sent at once, and how often.
const BURST: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);
/// Before whoever was sent away comes again.
const AGAIN: Duration = Duration::from_millis(50);
/// A mebibyte of frames that only have to be answered.
const LARGE_BURST: u32 = 60_000;

#[derive(Clone, Copy, Debug)]
enum Attack {
    ResetWithoutKey,
    ResetWithKey,
    /// The app has begun with it.
    ResetLater,
    EndlessHead,
    Ping,
    Settings,
    ManyPings,
}

#[derive(Debug, Default)]
struct Seen {
    bursts: AtomicUsize,
    ended: AtomicUsize,
    told_to_go: AtomicUsize,
}

// === impl Attack ===

impl Attack {
    /// Of the requests or frames of a burst.
    fn numbers(self, burst: u32) -> Range<u32> {
        let size = match self {
            Self::ManyPings => LARGE_BURST,
            Self::ResetLater => BURST / 2,
            _ => BURST,
        };
        burst * size..(burst + 1) * size
    }

    /// How long it takes to the next burst.
    fn pause(self) -> Duration {
        if matches!(self, Self::ManyPings) { 10 * PAUSE } else { PAUSE }
    }

    /// Some frames of it. The number is the burst's.
    fn burst(self, number: u32, key: &ApiKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        for count in self.numbers(number) {
            let stream = 2 * count + 1;
            let head = |key, path| frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get(path, key));
            bytes.extend(match self {
                Self::ResetWithoutKey => [head(None, "/"), reset(stream)].concat(),
                Self::ResetWithKey => [head(Some(key), "/"), reset(stream)].concat(),
                Self::ResetLater => head(Some(key), "/stuck"),
                Self::EndlessHead if count == 0 => frame(kind::HEADERS, END_STREAM, 1, &get("/", Some(key))),
                Self::EndlessHead => frame(kind::CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(200)),
                Self::Ping | Self::ManyPings => frame(kind::PING, 0, 0, &u64::from(count).to_be_bytes()),
                Self::Settings => frame(kind::SETTINGS, 0, 0, &[]),
            });
        }
        bytes
    }

    /// What follows a burst after a while.
    fn afterwards(self, number: u32) -> Vec<u8> {
        match self {
            Self::ResetLater => self.numbers(number).flat_map(|count| reset(2 * count + 1)).collect(),
            _ => Vec::new(),
        }
    }
}

/// Connections one after the other.
async fn flood(attack: Attack, source: Ipv4Addr, address: &str, key: &ApiKey, seen: &Seen) -> Result<()> {
    loop {
        let (mut read, mut write) = connect_from(source, address).await?.into_split();
        let sending = async {
            write.write_all(&begin(&[])).await?;
            for number in 0.. {
                write.write_all(&attack.burst(number, key)).await?;
                seen.bursts.fetch_add(1, Ordering::Relaxed);
                sleep(attack.pause()).await;
                write.write_all(&attack.afterwards(number)).await?;
            }
            anyhow::Ok(())
        };
        let mut answer = Vec::new();
        let reading = async {
            while read.read_buf(&mut answer).await.is_ok_and(|count| count > 0) {
                if answer.len() > 1 << 20 {
                    answer.drain(..answer.len() - 4096);
                }
            }
        };
        tokio::select! {
            _ = sending => {}
            () = reading => {}
        }
        // What it was told is still to be read, if that was not lost by the reset.
        let _ = timeout(Duration::from_millis(200), read.read_buf(&mut answer)).await;
        let goes = frame(kind::GOAWAY, 0, 0, b"");
        let told = answer.windows(6).any(|six| six == &goes[3..9]);
        seen.told_to_go.fetch_add(usize::from(told), Ordering::Relaxed);
        seen.ended.fetch_add(1, Ordering::Relaxed);
        sleep(AGAIN).await;
    }
}

/// All of them at once. What each has seen.
async fn withstands(scene: &Scene, attacks: &[Attack]) -> Result<Vec<Arc<Seen>>> {
    let seen: Vec<_> = attacks.iter().map(|_| Arc::<Seen>::default()).collect();
    let kinds: Vec<_> = attacks.iter().copied().zip(seen.iter().map(Arc::clone)).collect();
    let (address, key) = (scene.gate.address.clone(), scene.key.clone());
    let start = || {
        Aside::attack(move || async move {
            let mut attackers = JoinSet::new();
            for (attack, seen) in kinds {
                for _ in 0..CONNECTIONS {
                    let (address, key, seen) = (address.clone(), key.clone(), Arc::clone(&seen));
                    attackers.spawn(async move { flood(attack, source(1), &address, &key, &seen).await });
                }
            }
            attackers.join_all().await.into_iter().collect::<Result<()>>()
        })
    };
    let look = async || {
        let all = async || {
            for (attack, seen) in attacks.iter().zip(&seen) {
                let bursts = seen.bursts.load(Ordering::Relaxed);
                ensure!(bursts >= 3 * CONNECTIONS, "{attack:?}: {bursts} bursts");
            }
            Ok(())
        };
        eventually(Duration::from_secs(30), "all attacks go on", all).await
    };
    let ended = scene.withstands(start, look).await;
    for (attack, seen) in attacks.iter().zip(&seen) {
        say(&format!("{attack:?}: {seen:?}"));
    }
    ended.map(|()| seen)
}

#[tokio::test]
async fn whoever_resets_requests_at_once_or_never_ends_a_head_is_told_to_go() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let attacks = [Attack::ResetWithoutKey, Attack::ResetWithKey, Attack::EndlessHead];
    for (attack, seen) in attacks.iter().zip(withstands(&scene, &attacks).await?) {
        let [bursts, ended, told] =
            [&seen.bursts, &seen.ended, &seen.told_to_go].map(|count| count.load(Ordering::Relaxed));
        ensure!(ended >= 2 * CONNECTIONS && bursts <= 2 * (ended + CONNECTIONS), "{attack:?}: {seen:?}");
        ensure!(told == ended, "{attack:?}: {seen:?}");
    }
    // What callers do is counted, not logged: they could fill the disk.
    let logged = scene.gate.process.lines().iter().filter(|line| line.text.contains("h2::")).count();
    ensure!(logged == 0, "{logged} lines of the HTTP library");
    scene.never_grew_by(16)
}

#[tokio::test]
async fn requests_that_are_given_up_and_frames_that_must_be_answered_make_nobody_wait() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let attacks = [Attack::ResetLater, Attack::Ping, Attack::Settings];
    withstands(&scene, &attacks).await?;
    scene.never_grew_by(24)
}

#[tokio::test]
async fn many_frames_at_once_make_nobody_wait() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    withstands(&scene, &[Attack::ManyPings]).await?;
    scene.never_grew_by(16)
}
