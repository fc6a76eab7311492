//! Too many connections: one source has its share, the silent are sent away, and thousands that wait cost little.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Aside, connect_from, open_file_limit, source};
use sidegate_tests::eventually;
use sidegate_tests::http::{Connection, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::scene::{Scene, say, with_key};

/// Callers at once, more than one source may have.
const FLOODING: usize = 320;
/// Before a caller whom the gate has sent away comes again.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that say nothing, or what the attack has them say.
async fn open(source: Ipv4Addr, address: &str, count: usize, say: &[u8]) -> Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut stream = connect_from(source, address).await?;
        stream.write_all(say).await?;
        open.push(stream);
    }
    Ok(open)
}

/// Some thousand new connections a second, each of which is held until the gate closes it.
async fn flood(source: Ipv4Addr, address: String, say: &'static [u8]) -> Result<()> {
    let mut callers = JoinSet::new();
    for _ in 0..FLOODING {
        let address = address.clone();
        callers.spawn(async move {
            loop {
                // The gate may be so quick that not even the first bytes can be sent.
                if let Ok(mut stream) = connect_from(source, &address).await {
                    let _ = stream.write_all(say).await;
                    while stream.read(&mut [0; 512]).await.is_ok_and(|count| count > 0) {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    callers.join_all().await;
    Ok(())
}

#[tokio::test]
async fn a_flood_from_one_source_has_its_share_and_no_more() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let address = scene.gate.address.clone();
    scene
        .withstands(
            || Aside::attack(move || flood(source(1), address, b"")),
            async || {
                let counters = scene.counted("sidegate_source_refusals_total", "", 1_000).await?;
                let open = counters.sum("sidegate_connections", "")?;
                let refused = counters.sum("sidegate_source_refusals_total", "")?;
                say(&format!("{open} connections are open, {refused} were refused"));
                ensure!((256..=256 + 8).contains(&open), "{open} connections are open");
                Ok(())
            },
        )
        .await?;
    scene.never_grew_by(16)
}

#[tokio::test]
async fn a_flood_of_tls_is_closed_counted_and_said_once_in_a_while() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let address = scene.gate.address.clone();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    scene
        .withstands(
            || Aside::attack(move || flood(source(1), address, hello)),
            async || {
                scene.counted("sidegate_tls_connections_total", "", 1_000).await?;
                Ok(())
            },
        )
        .await?;
    let said = scene.gate.process.output().matches("terminate it before the pod").count();
    ensure!((1..=4).contains(&said), "it was said {said} times");
    scene.never_grew_by(16)
}

#[tokio::test]
async fn when_all_places_are_taken_whoever_has_one_is_served_and_the_rest_when_the_silent_are_gone()
-> Result<()> {
    let scene = Scene::start(&["--max-connections", "300", "--head-timeout", "2"]).await?;
    let mut before = Connection::open(&scene.gate.address).await?;
    let good = with_key(&scene.key, Request::new("GET", "/"));
    ensure!(before.send(&good).await?.status == 200);
    let mut silent = open(source(1), &scene.gate.address, 200, b"").await?;
    silent.extend(open(source(2), &scene.gate.address, 200, b"").await?);
    let is_full = async || {
        let open = scene.counters().await?.sum("sidegate_connections", "")?;
        ensure!(open == 300, "{open} connections are open");
        Ok(())
    };
    eventually(Duration::from_secs(2), "all places are taken", is_full).await?;
    ensure!(before.send(&good).await?.status == 200);
    let mut late = Connection::open(&scene.gate.address).await?;
    ensure!(late.send(&good).await?.status == 200);
    drop(silent);
    scene.never_grew_by(16)
}

#[tokio::test]
async fn when_all_places_are_taken_by_callers_that_only_wait_one_of_them_gives_way() -> Result<()> {
    let scene = Scene::start(&["--max-connections", "300"]).await?;
    let mut waiting = Vec::new();
    for number in 0..300_u16 {
        let stream = connect_from(source(1 + u8::from(number % 2 == 0)), &scene.gate.address).await?;
        let mut connection = Connection::on(stream, "gate");
        // A key is not needed to take a place.
        let refused = timeout(Duration::from_secs(2), connection.send(&Request::new("GET", "/"))).await;
        // The last ones are those that wait: some places are not the attacker's.
        if let Ok(refused) = refused {
            ensure!(refused?.status == 401);
            waiting.push(connection);
        } else {
            break;
        }
    }
    let good = with_key(&scene.key, Request::new("GET", "/"));
    let answer = timeout(Duration::from_secs(2), good.send(&scene.gate.address)).await;
    ensure!(answer.is_ok(), "{} callers that only wait have all places", waiting.len());
    ensure!(answer??.status == 200);
    Ok(())
}

#[tokio::test]
async fn no_more_files_than_the_system_first_grants_are_no_limit() -> Result<()> {
    let limits = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(200), maximum: limits.maximum };
    let scene = Scene::start_with_files(few, &["--max-connections-per-source", "400"]).await?;
    let _open = open(source(1), &scene.gate.address, 300, b"").await?;
    let good = with_key(&scene.key, Request::new("GET", "/"));
    ensure!(good.send(&scene.gate.address).await?.status == 200);
    ensure!(scene.counters().await?.sum("sidegate_connections", "")? >= 300);
    ensure!(!scene.gate.process.output().contains("cannot accept"), "{}", scene.gate.process.output());
    Ok(())
}

const IDLE: usize = 10_000;
const SOURCES: u8 = 10;
/// What one that waits may cost, in bytes. The tests run a build that is not optimised.
const MOST_FOR_ONE: u64 = 32 << 10;

/// Opens so many that have made a request, and are kept.
async fn open_used(address: &str, key: &ApiKey, count: usize) -> Result<Vec<Connection>> {
    let mut open = Vec::new();
    let request = with_key(key, Request::new("GET", "/"));
    for number in 0..count {
        let source = source(10 + u8::try_from(number % usize::from(SOURCES))?);
        let mut connection = Connection::on(connect_from(source, address).await?, address);
        let answer = connection.send(&request).await?;
        ensure!(answer.status == 200, "answered {}", answer.status);
        open.push(connection);
    }
    Ok(open)
}

#[tokio::test]
async fn ten_thousand_connections_that_wait_cost_little_and_nobody_waits_for_them() -> Result<()> {
    let files = open_file_limit();
    ensure!(files > IDLE as u64 + 500, "{files} files may be open, 10,500 are needed: ulimit -Hn");
    let limits = ["--max-connections", "12000", "--max-connections-per-source", "2000"];
    let scene = Scene::start(&[&limits[..], &["--head-timeout", "60"]].concat()).await?;
    let (address, key) = (scene.gate.address.clone(), scene.key.clone());
    let (memory, begun) = (scene.memory, scene.memory.resident()?);
    let attack = move || {
        Aside::attack(move || async move {
            let mut silent = Vec::new();
            for number in 0..SOURCES {
                let source = source(10 + number);
                silent.extend(open(source, &address, IDLE / 2 / usize::from(SOURCES), b"").await?);
                tokio::time::sleep(PAUSE).await;
            }
            let after = memory.resident()?;
            let used = open_used(&address, &key, IDLE / 2).await?;
            let each = |now: u64, before: u64| now.saturating_sub(before) / (IDLE as u64 / 2);
            let (silents, useds) = (each(after, begun), each(memory.resident()?, after));
            say(&format!(
                "a silent connection takes {silents} bytes, one that waits for its next request {useds}"
            ));
            ensure!(silents <= MOST_FOR_ONE && useds <= MOST_FOR_ONE, "{silents} {useds}");
            std::future::pending::<()>().await;
            drop((silent, used));
            Ok(())
        })
    };
    scene
        .withstands(attack, async || scene.counted("sidegate_connections", "", IDLE as u64).await.map(drop))
        .await?;
    scene.never_grew_by((IDLE as u64 * MOST_FOR_ONE) >> 20)
}
