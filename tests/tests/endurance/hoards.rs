//! Answers that nobody takes, by the thousand: what is held of them together has a limit, as heads have, and
//! whoever has a key cannot fill the pod's memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use sidegate_tests::endurance::{connect_from, connect_narrow, mebibytes, source};
use sidegate_tests::eventually;
use sidegate_tests::http::Request;
use sidegate_tests::raw_http2::{END_HEADERS, END_STREAM, frame, kind};
use tokio::io::AsyncWriteExt;

use crate::http2::{begin, get};
use crate::scene::{Scene, say, with_key};

/// In MiB: what may be held of all bodies and heads, and some for connections.
const MOST: u64 = 64;
const ANSWERS: usize = 1_000;
/// SETTINGS_INITIAL_WINDOW_SIZE: how much may be sent of each answer.
const WINDOW: u16 = 4;
const ANSWER: &str = "/down/100000000";

/// Waits until so many answers have begun and memory grows no more, and compares.
async fn settles(scene: &Scene) -> Result<()> {
    let all_have_begun = async || {
        let asked = scene.counters().await?.sum("sidegate_requests_total", "decision=\"allow\"")?;
        ensure!(asked >= ANSWERS as u64, "{asked} requests were allowed");
        Ok(())
    };
    eventually(Duration::from_secs(20), "all requests are let through", all_have_begun).await?;
    let mut last = scene.memory.growth()?;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = scene.memory.growth()?;
        if now <= last + mebibytes(1) {
            break;
        }
        last = now;
    }
    // Somebody with a small request is still served.
    let answer = with_key(&scene.key, Request::new("GET", "/")).send(&scene.gate.address).await?;
    ensure!(answer.status == 200, "answered {}", answer.status);
    say(&format!("{ANSWERS} answers that nobody takes"));
    scene.never_grew_by(MOST)
}

#[tokio::test]
async fn a_thousand_answers_that_nobody_takes_are_held_within_a_limit() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let request = format!("GET {ANSWER} HTTP/1.1\r\nHost: gate\r\nX-API-Key: {}\r\n\r\n", scene.key.expose());
    let mut open = Vec::new();
    for number in 0..ANSWERS {
        let source = source(1 + u8::try_from(number / 200)?);
        let mut stream = connect_narrow(source, &scene.gate.address).await?;
        stream.write_all(request.as_bytes()).await?;
        open.push(stream);
    }
    settles(&scene).await
}

#[tokio::test]
async fn a_thousand_streams_that_nobody_takes_are_held_within_a_limit() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let mut open = Vec::new();
    for _ in 0..ANSWERS / 100 {
        let mut stream = connect_from(source(1), &scene.gate.address).await?;
        stream.write_all(&begin(&[(WINDOW, 1)])).await?;
        for number in 0..100 {
            let fields = get(ANSWER, Some(&scene.key));
            let head = frame(kind::HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &fields);
            stream.write_all(&head).await?;
        }
        open.push(stream);
    }
    settles(&scene).await
}
