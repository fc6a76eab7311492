//! What parsers disagree about, sent byte by byte through the gate to other people's servers: each sees one
//! request, the canonical one, or nothing; and the next caller gets the answer to its own.

mod http2;
mod table;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sidegate_bundle::gate::Access;
use sidegate_tests::backends::{Backend, Record, Server};
use sidegate_tests::gated::{Gated, bundle, rule};
use sidegate_tests::raw::Raw;
use sidegate_tests::{eventually, http};

use table::{Row, Seen, rows};

const SOON: Duration = Duration::from_secs(10);
/// A gate that says nothing for so long says nothing more.
const PATIENCE: Duration = Duration::from_millis(120);

/// Belong to one connection or one parser, or say who asks.
const NEVER: [&str; 16] = [
    "upgrade",
    "http2-settings",
    "te",
    "trailer",
    "expect",
    "keep-alive",
    "proxy-connection",
    "x-sidegate-subject",
    "x-sidegate-tenant",
    "x-sidegate-credential",
    "x-forwarded-user",
    "remote-user",
    "x-auth-request-email",
    "x-original-url",
    "x-http-method-override",
    "script-name",
];

/// Everything that is wrong, so that one run shows all of it.
async fn run(server: Server, rows: Vec<Row>) -> Result<()> {
    let backend = Backend::start(server).await?;
    let gate =
        Gated::start(backend.address(), bundle(vec![rule("open", None, Access::Anonymous)]), "warn").await?;
    let mut wrong = Vec::new();
    ensure!(!rows.is_empty(), "no rows");
    for (number, row) in rows.iter().enumerate() {
        let result = one(&backend, &gate, server, number, row).await;
        wrong.extend(result.err().map(|error| format!("{}: {error:#}", row.name)));
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} rows before {server}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    Ok(())
}

async fn one(backend: &Backend, gate: &Gated, server: Server, number: usize, row: &Row) -> Result<()> {
    let before = backend.records()?.len();
    let mut caller = Raw::open(&gate.address).await?;
    caller.send(&row.bytes).await;
    let answer = caller.answer(SOON, PATIENCE).await;
    let sentinel = format!("/sentinel/{number}");
    let next = http::get(&gate.address, &sentinel).await.context("the next caller")?;
    ensure!(
        next.status == 200 && next.text().contains(&sentinel),
        "the next caller got {} {}",
        next.status,
        next.text()
    );
    let records = eventually(SOON, "the next caller's request is recorded", async || {
        let records = backend.records()?.split_off(before);
        ensure!(records.iter().any(|record| record.target == sentinel), "{records:?}");
        Ok(records)
    })
    .await?;
    // A request that broke off may be noticed late; by its missing body it is told apart.
    let whole: Vec<_> =
        records.iter().filter(|record| record.body.is_some() && record.target != sentinel).collect();
    for record in &records {
        canonical(record)?;
    }
    let status = answer.statuses();
    let bodies = server != Server::HttpServerIgnoringBodies;
    let is = |record: &Record, method: &str, target: &str, body: &str| {
        let same_body = !bodies || record.body.as_deref() == Some(body);
        record.method == method && record.target == target && same_body
    };
    match (&row.seen, whole.as_slice()) {
        (Seen::Refused(expected), []) => ensure!(
            records.len() == 1 && status.first().is_some_and(|status| expected.contains(status)),
            "answered {status:?}, not {expected:?}: {}",
            answer.text()
        ),
        (Seen::One(method, target, body), [record]) => {
            ensure!(is(record, method, target, body), "the app saw {record:?}");
            ensure!(status.contains(&200), "answered {}", answer.text());
        }
        (Seen::Two(first, second), [one, two]) => {
            ensure!(is(one, "GET", first, "") && is(two, "GET", second, ""), "the app saw {whole:?}");
        }
        (Seen::AtMostOne, [] | [_]) | (Seen::Broken, []) => {}
        (seen, whole) => {
            anyhow::bail!("{seen:?} was expected, the app saw {whole:?}; answered {}", answer.text())
        }
    }
    Ok(())
}

/// What every request at the app is, whatever came.
fn canonical(record: &Record) -> Result<()> {
    for (name, value) in &record.headers {
        let plain =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        ensure!(plain && !NEVER.contains(&name.as_str()), "the app saw the header {name}: {value}");
    }
    ensure!(record.header("host").len() == 1, "Host: {record:?}");
    ensure!(record.header("x-sidegate-scopes") == [""], "scopes: {record:?}");
    ensure!(record.header("x-sidegate-request-id").len() == 1, "request id: {record:?}");
    let (lengths, encodings) = (record.header("content-length"), record.header("transfer-encoding"));
    ensure!(lengths.len() + encodings.len() <= 1, "framing: {record:?}");
    ensure!(encodings.iter().all(|encoding| *encoding == "chunked"), "encoding: {record:?}");
    let digits = |length: &&str| length.parse().is_ok_and(|number: u64| number.to_string() == **length);
    ensure!(lengths.iter().all(digits), "length: {record:?}");
    ensure!(record.header("connection").iter().all(|value| *value == "close"), "connection: {record:?}");
    ensure!(record.script.is_empty(), "script name: {record:?}");
    let trailers = record.trailers.as_object().is_none_or(serde_json::Map::is_empty);
    ensure!(trailers, "trailers: {record:?}");
    Ok(())
}

macro_rules! before {
    ($($name:ident: $server:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Result<()> {
            run(Server::$server, rows()).await
        }
    )*};
}

before! {
    pythons_http_server_sees_one_canonical_request: HttpServer,
    gunicorn_sees_one_canonical_request: Gunicorn,
    uvicorn_on_h11_sees_one_canonical_request: UvicornH11,
    uvicorn_on_httptools_sees_one_canonical_request: UvicornHttptools,
    node_sees_one_canonical_request: Node,
    go_sees_one_canonical_request: Go,
}

fn is_post(row: &Row) -> bool {
    row.bytes.starts_with(b"POST")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_ignores_bodies_sees_one_canonical_request() -> Result<()> {
    run(Server::HttpServerIgnoringBodies, rows().into_iter().filter(|row| !is_post(row)).collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_ignores_the_body_of_post_sees_one_canonical_request() -> Result<()> {
    // Who does not look at a body does not see it break off.
    let chosen = rows().into_iter().filter(|row| is_post(row) && row.seen != Seen::Broken);
    run(Server::HttpServerIgnoringBodies, chosen.collect()).await
}
