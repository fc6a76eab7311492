//! No secret byte in any log, metric, error, audit line or answer of the gate's own, whatever way it came and
//! however much is logged.

mod needles;
mod ways;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use needles::Needles;
use sidegate_bundle::gate::{Access, AuditAllow, Key, Standing};
use sidegate_bundle::{ApiKey, GateBundle};
use sidegate_tests::gated::{Gated, bundle, entry, rule, with_the_id_of};
use sidegate_tests::http;
use sidegate_tests::ports::free_port;
use sidegate_tests::process::Signal;
use sidegate_tests::raw::Raw;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use ways::{Way, canary, stream};

const SOON: Duration = Duration::from_secs(10);
/// How long an answer may take to begin: a head that does not end has a second.
const WAIT: Duration = Duration::from_secs(3);
/// So many ways are gone at a time: most of them end in silence.
const AT_ONCE: usize = 16;
/// After its first byte.
const PATIENCE: Duration = Duration::from_millis(60);

/// An app that says again what it was told, in the form that the path names.
async fn app() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufStream::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n")
                    && stream.read_line(&mut head).await.is_ok_and(|read| read > 0)
                {}
                let target = head.split(' ').nth(1).unwrap_or_default();
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", head.len());
                let answer = match path {
                    "/open/header" => format!("{length}X-Echo: {query}\r\n\r\n{head}"),
                    "/open/length" => format!("HTTP/1.1 200 OK\r\nContent-Length: {query}\r\n\r\n"),
                    "/open/garbage" => format!("{query}\r\n\r\n"),
                    "/open/trailer" => format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-echo\r\n\r\n\
                         1\r\na\r\n0\r\nX-Echo: {query}\r\n\r\n"
                    ),
                    "/open/broken" => format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{query}"),
                    "/open/more" => format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na{query}\r\n\r\n"),
                    "/open/switch" => {
                        format!(
                            "HTTP/1.1 101 {query}\r\nConnection: Upgrade\r\nUpgrade: {query}\r\n\r\n{query}"
                        )
                    }
                    _ => format!("{length}\r\n{head}"),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.flush().await;
                if path == "/a" {
                    // For what goes through a tunnel, and for bodies.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
    Ok(address)
}

/// Its keys: one that is good and one that is suspended.
fn keys_known(good: &ApiKey, suspended: &ApiKey) -> GateBundle {
    let rules =
        vec![rule("open", Some("/open"), Access::Anonymous), rule("keys", None, Access::Authenticated)];
    let suspended = Key { standing: Standing::Suspended, ..entry(suspended) };
    let mut bundle =
        GateBundle { keys: vec![entry(good), suspended], audit_allow: AuditAllow::Each, ..bundle(rules) };
    bundle.api_keys.bearer = true;
    bundle
}

/// Keys as they are meant to come, and as they nearly are.
fn with_keys(good: &ApiKey, suspended: &ApiKey) -> Vec<Way> {
    let unknown = ApiKey::mint(&mut rand::rng());
    let wrong = with_the_id_of(good, &unknown);
    let typo = good.expose().to_lowercase();
    let secret = |key: &str| key[23..66].to_owned();
    let mut all = Vec::new();
    for (name, key) in [
        ("good", good.expose()),
        ("suspended", suspended.expose()),
        ("unknown", unknown.expose()),
        ("wrong", &wrong),
        ("a typo", &typo),
    ] {
        let head = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n{rest}\r\n").into_bytes();
        let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let grpc = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a"),
            (":authority", "a"),
            ("content-type", "application/grpc"),
            ("x-api-key", key),
        ];
        let fields = |count: usize| -> Vec<_> {
            let bearer = [("authorization", format!("Bearer {key}"))];
            let own = grpc.iter().map(|(name, value)| (*name, (*value).to_owned()));
            own.filter(|(name, _)| count > 4 || *name != "content-type").chain(bearer).collect()
        };
        let ways = [
            head("GET /a", &format!("X-API-Key: {key}\r\n")),
            head("GET /a", &format!("Authorization: Bearer {key}\r\n")),
            head("GET /open", &format!("X-API-Key: {key}\r\n")),
            head("GET /none/../a%2f", &format!("X-API-Key: {key}\r\n")),
            head("TRACE /a", &format!("X-API-Key: {key}\r\n")),
            head("GET /a", &format!("X-API-Key: {key}\r\n{websocket}")),
            head("POST /a", &format!("X-API-Key: {key}\r\nContent-Length: 9\r\n")),
            stream(&fields(4), None),
            stream(&fields(6), None),
        ];
        all.extend(ways.map(|bytes| Way { name, secret: secret(key), bytes }));
    }
    all
}

/// Sends all of it, and looks into what comes back, if it is the gate that says it.
async fn send(gate: &Gated, ways: &[Way], needles: &Needles) -> Result<()> {
    let ask = async |way: &Way| {
        let mut raw = Raw::open(&gate.address).await?;
        raw.send(&way.bytes).await;
        let answer = raw.answer(WAIT, PATIENCE).await;
        if answer.text().to_lowercase().contains("server: sidegate") {
            let found = needles.find(&answer.bytes);
            ensure!(found.is_empty(), "{}: the gate's own answer has {found:?}", way.name);
        }
        Ok(())
    };
    futures::stream::iter(ways).map(Ok).try_for_each_concurrent(AT_ONCE, ask).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_a_secret_is_written_anywhere_at_any_level() -> Result<()> {
    let (good, suspended) = (ApiKey::mint(&mut rand::rng()), ApiKey::mint(&mut rand::rng()));
    let mut ways = with_keys(&good, &suspended);
    ways.extend(ways::http1());
    ways.extend(ways::http2());
    let mut needles = Needles::default();
    for way in &ways {
        needles.add(way.name, &way.secret);
    }
    let admin = canary();
    needles.add("asked of the admin port", &admin);

    let bundle = keys_known(&good, &suspended);
    let away = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    for app in [app().await?, away] {
        let quick = ["--head-timeout", "1", "--drain", "0.5"];
        let mut gate = Gated::start_with(app, bundle.clone(), "trace", &quick).await?;
        send(&gate, &ways, &needles).await?;
        let mut told = Vec::new();
        for path in
            ["/metrics", "/readyz?verbose", "/livez", &format!("/{admin}"), &format!("/readyz?{admin}")]
        {
            told.extend(
                http::Request::new("GET", path).header("X-API-Key", &admin).send(&gate.admin).await?.body,
            );
        }
        gate.process.signal(Signal::USR1)?;
        send(&gate, &ways[..4], &needles).await?;
        ensure!(gate.process.terminate(SOON).await?.success());
        // All that it wrote has arrived when its last line has.
        gate.process.wait_for_line(SOON, |line| line.contains("\"stopped\"")).await?;
        let output = gate.process.output();
        ensure!(output.contains("TRACE") && output.contains("class_uid"), "nothing was logged");
        for (what, text) in [("its output", output.as_bytes()), ("its admin port", &told)] {
            let found = needles.find(text);
            ensure!(found.is_empty(), "{what} has {found:?}");
        }
    }
    Ok(())
}
