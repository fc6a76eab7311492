//! Callers that begin and do not go on: each is sent away when its time is over, with an answer if it can be
//! given, and nobody waits for them.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Aside, connect_from, source};
use sidegate_tests::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::scene::{Scene, say};

/// The limits of the gate under test.
const LIMIT: Duration = Duration::from_secs(1);
const LIMITS: [&str; 6] = ["--head-timeout", "1", "--body-timeout", "1", "--idle-timeout", "1"];
/// How much later than that a caller may be sent away on a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// Of each kind at once.
const CALLERS: u32 = 40;
/// An HTTP/2 connection's first bytes: the preface, and SETTINGS without any.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What a caller does.
#[derive(Clone, Debug)]
struct Stall {
    name: &'static str,
    /// What it sends at once.
    begin: Vec<u8>,
    /// What it sends then, a byte at a time.
    drip: &'static [u8],
    /// The status of the answer, and the word of the reason that is counted; none: it is closed without one.
    answer: Option<(u16, &'static str)>,
}

#[derive(Debug, Default)]
struct Seen {
    sent_away: usize,
    wrong: Vec<String>,
}

// === impl Seen ===

impl Seen {
    fn note(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.sent_away += 1,
            Err(error) if self.wrong.len() < 10 => self.wrong.push(format!("{name}: {error:#}")),
            Err(_) => {}
        }
    }
}

fn stalls(key: &ApiKey) -> Vec<Stall> {
    let stall = |name, begin: &[u8], drip, answer| Stall { name, begin: begin.to_vec(), drip, answer };
    let with_key = |line: &str, rest: &str| {
        format!("{line} HTTP/1.1\r\nHost: gate\r\nX-API-Key: {}\r\n{rest}", key.expose()).into_bytes()
    };
    let head = Some((408, "head_timeout"));
    let body = Some((408, "body_timeout"));
    let slowly: &[u8] = &[b'a'; 1000];
    vec![
        stall("says nothing", b"", b"", None),
        stall("half a preface", &HTTP2[..10], b"", None),
        stall("half a TLS record", b"\x16", b"", None),
        stall("half a line", b"GET / HT", b"", head),
        stall("half a head", &with_key("GET /", "X-More: "), b"", head),
        stall("a head a byte at a time", &with_key("GET /", "X-More: "), slowly, head),
        stall("a line a byte at a time", b"GET /", slowly, head),
        stall(
            "a second head a byte at a time",
            &with_key("GET /", "\r\n"),
            b"GET /second HTTP/1.1\r\nX-More: ",
            head,
        ),
        stall("half a head right behind another", &with_key("GET /", "\r\nGET /second"), b"", head),
        stall("waits for ever", &with_key("GET /", "\r\n"), b"", None),
        stall("HTTP/2 without a request", HTTP2, b"", None),
        stall("half an HTTP/2 frame", &[HTTP2, b"\0\0\x40\x01"].concat(), b"", None),
        stall("no body", &with_key("POST /up", "Content-Length: 100\r\n\r\n"), b"", body),
        stall("no chunk", &with_key("POST /up", "Transfer-Encoding: chunked\r\n\r\n"), b"", body),
        stall("half a chunk", &with_key("POST /up", "Transfer-Encoding: chunked\r\n\r\n64\r\n"), b"", body),
        stall(
            "a body without a key",
            b"POST /up HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n",
            b"",
            None,
        ),
    ]
}

/// Callers of all kinds, again and again.
async fn stall(source: Ipv4Addr, address: String, kinds: Vec<Stall>, seen: Arc<Mutex<Seen>>) -> Result<()> {
    let mut callers = JoinSet::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        for caller in 0..CALLERS {
            let (address, kind, seen) = (address.clone(), kind.clone(), Arc::clone(&seen));
            // Each source has less than its share.
            let source = Ipv4Addr::from_bits(source.to_bits() + u32::try_from(number / 4)?);
            // One after the other, not all in the same moment.
            let first = LIMIT.mul_f64(f64::from(caller) / f64::from(CALLERS));
            callers.spawn(async move {
                sleep(first).await;
                loop {
                    let outcome = once(source, &address, &kind).await;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).note(kind.name, outcome);
                    sleep(Duration::from_millis(100)).await;
                }
            });
        }
    }
    callers.join_all().await;
    Ok(())
}

/// One caller, to its end.
async fn once(source: Ipv4Addr, address: &str, kind: &Stall) -> Result<()> {
    // For the gate it begins when the kernel has the connection, which may be before this knows of it.
    let begun = Instant::now();
    let (mut read, mut write) = connect_from(source, address).await?.into_split();
    write.write_all(&kind.begin).await?;
    let drip = async {
        let mut tick = interval(Duration::from_millis(50));
        for byte in kind.drip {
            tick.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let ended = tokio::select! {
        // That it was reset is an end too.
        ended = timeout(LIMIT + SOON, read.read_to_end(&mut answer)) => ended,
        () = drip => unreachable!("it has no end"),
    };
    let text = String::from_utf8_lossy(&answer);
    ensure!(ended.is_ok(), "not sent away within {:?}: {text}", LIMIT + SOON);
    if let Some((status, _)) = kind.answer {
        ensure!(text.contains(&format!("HTTP/1.1 {status} ")), "sent away with {text:?}");
    } else if text.contains("HTTP/1.1 408") {
        bail!("sent away with {text:?}");
    }
    let is_too_soon = begun.elapsed() < LIMIT / 2 && !text.contains("HTTP/1.1 401");
    ensure!(!is_too_soon, "sent away after {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn whoever_begins_and_does_not_go_on_is_sent_away_in_time_and_nobody_waits_for_them() -> Result<()> {
    let scene = Scene::start(&LIMITS).await?;
    let kinds = stalls(&scene.key);
    let (address, seen) = (scene.gate.address.clone(), Arc::<Mutex<Seen>>::default());
    let (callers, told) = (kinds.clone(), Arc::clone(&seen));
    scene
        .withstands(
            || Aside::attack(move || stall(source(1), address, callers, told)),
            async || {
                for (_, word) in kinds.iter().filter_map(|kind| kind.answer) {
                    let label = format!("reason=\"{word}\"");
                    scene.counted("sidegate_denials_total", &label, u64::from(CALLERS)).await?;
                }
                let all = async || {
                    let sent_away = seen.lock().unwrap_or_else(PoisonError::into_inner).sent_away;
                    ensure!(sent_away >= 2 * CALLERS as usize * kinds.len(), "{sent_away} were sent away");
                    Ok(())
                };
                eventually(Duration::from_secs(30), "each was sent away twice", all).await?;
                Ok(())
            },
        )
        .await?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    say(&format!("{} were sent away", seen.sent_away));
    ensure!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    let told = scene.app.told();
    ensure!(told.whole() == 0 && told.broken() > 0, "the app took half a body for one: {told:?}");
    scene.never_grew_by(32)
}
