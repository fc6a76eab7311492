//! Many large heads at once: those together that are not answered yet are held within a limit, the small ones
//! of others never wait, and the large ones are answered when there is room again.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Aside, connect_from, source};
use sidegate_tests::http::{Connection, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::scene::{Scene, say, with_key};

const SOURCES: u8 = 6;
const CALLERS: u8 = 200;
/// Less than a head may have in all.
const LARGE: usize = 60 << 10;
/// What all of them together may take, in MiB.
const BUDGET: u64 = 24;
/// What is read of each without asking, and what a connection takes besides, in KiB.
const FOR_EACH: u64 = 40;

/// A head of 60 KiB, in lines of 2 KiB, without its end.
fn bomb(key: &ApiKey) -> Vec<u8> {
    let head = format!("GET /good HTTP/1.1\r\nHost: gate\r\nX-API-Key: {}\r\n", key.expose());
    let line = format!("X-More: {}\r\n", "x".repeat(2000));
    [head.as_bytes(), line.repeat(LARGE / line.len()).as_bytes()].concat()
}

/// One caller, until it is sent away; then again.
async fn send(source: Ipv4Addr, address: String, bomb: Arc<Vec<u8>>) -> Result<()> {
    loop {
        let (mut read, mut write) = connect_from(source, &address).await?.into_split();
        let mut answer = [0; 4096];
        let send = async {
            let _ = write.write_all(&bomb).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = send => {}
            _ = read.read(&mut answer) => {}
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn many_large_heads_at_once_are_held_within_a_limit_and_small_ones_never_wait() -> Result<()> {
    let scene = Scene::start(&["--head-timeout", "3"]).await?;
    let (address, bomb) = (scene.gate.address.clone(), Arc::new(bomb(&scene.key)));
    let bombs = Arc::clone(&bomb);
    let attack = || {
        Aside::attack(move || async move {
            let mut callers = JoinSet::new();
            for number in 0..SOURCES {
                for _ in 0..CALLERS {
                    callers.spawn(send(source(1 + number), address.clone(), Arc::clone(&bombs)));
                }
            }
            callers.join_all().await.into_iter().collect::<Result<()>>()
        })
    };
    scene
        .withstands(attack, async || {
            let counters = scene.counted("sidegate_heads_held_back_total", "", 200).await?;
            let waited = counters.sum("sidegate_heads_held_back_total", "")?;
            let open =
                scene.counted("sidegate_connections", "", 1_000).await?.sum("sidegate_connections", "")?;
            say(&format!("{open} connections are open, heads waited {waited} times"));
            Ok(())
        })
        .await?;
    // Now that the others are gone there is room again, for a large head that is whole.
    let large = [&bomb[..], b"\r\n"].concat();
    let mut connection = Connection::open(&scene.gate.address).await?;
    connection.write(&large).await?;
    let answer = connection.read_response("GET").await?;
    ensure!(answer.status == 200, "answered {} {}", answer.status, answer.text());
    let all = u64::from(SOURCES) * u64::from(CALLERS);
    scene.never_grew_by(BUDGET + ((all * FOR_EACH) >> 10))
}

#[tokio::test]
async fn large_heads_that_are_whole_are_all_answered() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let mut callers = JoinSet::new();
    let value = "x".repeat(2000);
    let request = (0..LARGE / 2000)
        .fold(with_key(&scene.key, Request::new("GET", "/")), |request, _| request.header("X-More", &value));
    for number in 0..u8::try_from(4 * 60)? {
        let (address, request) = (scene.gate.address.clone(), request.clone());
        callers.spawn(async move {
            let stream = connect_from(source(1 + number % 4), &address).await?;
            let mut connection = Connection::on(stream, &address);
            for _ in 0..5 {
                let answer = connection.send(&request).await?;
                ensure!(answer.status == 200, "answered {} {}", answer.status, answer.text());
            }
            Ok(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<()>>()?;
    // Each is there twice, as it came and as it goes on, besides what the library needs to read it.
    scene.never_grew_by(3 * BUDGET)
}
