//! The same over HTTP/2: each row frame by frame through the gate, which speaks HTTP/1.1 to the app.

mod floods;
mod rows;

use anyhow::{Context, Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::{Access, KeyPolicy};
use sidegate_tests::backends::{Backend, Record, Server};
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::raw_http2::{END_STREAM, Outcome, RawHttp2, headers, request};
use sidegate_tests::{eventually, http};

use crate::{SOON, canonical};
use rows::{Row, Seen, rows};

/// Where the next request of the same connection goes: far behind all that a row uses.
const NEXT: u32 = 101;

async fn gate_before(backend: &Backend) -> Result<(Gated, ApiKey)> {
    let key = ApiKey::mint(&mut rand::rng());
    let rules =
        vec![rule("keyed", Some("/keyed"), Access::Authenticated), rule("open", None, Access::Anonymous)];
    let mut bundle = bundle(rules);
    bundle.api_keys = KeyPolicy { bearer: true, ..KeyPolicy::default() };
    bundle.keys.push(entry(&key));
    Ok((Gated::start(backend.address(), bundle, "warn").await?, key))
}

/// Everything that is wrong, so that one run shows all of it.
async fn run(server: Server, rows: Vec<Row>) -> Result<()> {
    let backend = Backend::start(server).await?;
    let (gate, _) = gate_before(&backend).await?;
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
    let mut caller = RawHttp2::open(&gate.address).await?;
    caller.send(&row.bytes).await;
    let outcome = caller.outcome(1, SOON).await;
    let mut sentinels = Vec::new();
    if outcome.goaway.is_none() && !outcome.closed {
        // It is one stream that was refused, and no other is hurt.
        let sentinel = format!("/same/{number}");
        caller.send(&headers(NEXT, END_STREAM, &request("GET", &sentinel, &[]))).await;
        let (status, body) = caller.outcome(NEXT, SOON).await.answer().context("the next stream")?;
        ensure!(status == 200 && body.contains(&sentinel), "the next stream got {status} {body}");
        sentinels.push(sentinel);
    }
    let sentinel = format!("/sentinel/{number}");
    let next = http::get(&gate.address, &sentinel).await.context("the next caller")?;
    ensure!(next.status == 200 && next.text().contains(&sentinel), "the next caller got {}", next.text());
    sentinels.push(sentinel);
    let records = eventually(SOON, "the next callers' requests are recorded", async || {
        let records = backend.records()?.split_off(before);
        let seen = |sentinel: &String| records.iter().any(|record| record.target == *sentinel);
        ensure!(sentinels.iter().all(seen), "{records:?}");
        Ok(records)
    })
    .await?;
    for record in &records {
        canonical(record)?;
    }
    let others: Vec<_> = records.iter().filter(|record| !sentinels.contains(&record.target)).collect();
    as_expected(row, &outcome, &others, server != Server::HttpServerIgnoringBodies)
}

/// `others`: what the app saw beside the requests that were sent in order to see what is behind a row.
fn as_expected(row: &Row, outcome: &Outcome, others: &[&Record], bodies: bool) -> Result<()> {
    // A request that broke off may be noticed late; by its missing body it is told apart.
    let whole: Vec<_> = others.iter().copied().filter(|record| record.body.is_some()).collect();
    let nothing = || {
        ensure!(others.is_empty(), "the app saw {others:?}");
        Ok(())
    };
    match row.seen {
        Seen::Refused(expected) => {
            nothing()?;
            let (status, body) = outcome.answer()?;
            ensure!(status == expected && body.contains("\"request_id\""), "answered {status} {body}");
        }
        Seen::Bare(expected) => {
            nothing()?;
            ensure!(outcome.answer()? == (expected, String::new()), "{outcome:?}");
        }
        Seen::Reset => {
            nothing()?;
            ensure!(outcome.reset.is_some() && outcome.goaway.is_none(), "{outcome:?}");
        }
        Seen::Ended => {
            nothing()?;
            // Whoever still sends when the other side closes may lose what that has said.
            ensure!(outcome.closed || outcome.goaway.is_some_and(|code| code != 0), "{outcome:?}");
        }
        Seen::Broken => {
            ensure!(whole.is_empty() && outcome.status != Some(200), "{outcome:?}, the app saw {whole:?}");
        }
        Seen::One(method, target, body) => {
            let [record] = whole[..] else { anyhow::bail!("{outcome:?}, the app saw {whole:?}") };
            let same_body = !bodies || record.body.as_deref() == Some(body);
            ensure!(
                record.method == method && record.target == target && same_body,
                "the app saw {record:?}"
            );
            for (name, values) in row.told {
                ensure!(record.header(name) == *values, "{name}: {record:?}");
            }
            ensure!(outcome.answer()?.0 == 200, "{outcome:?}");
        }
        Seen::AtMostOne => ensure!(whole.len() <= 1, "the app saw {whole:?}"),
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_ignores_bodies_sees_one_canonical_request() -> Result<()> {
    // Who does not look at a body does not see it break off.
    let chosen = rows().into_iter().filter(|row| row.seen != Seen::Broken);
    run(Server::HttpServerIgnoringBodies, chosen.collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_taken_as_it_is_and_not_with_a_blank() -> Result<()> {
    let backend = Backend::start(Server::Node).await?;
    let (gate, key) = gate_before(&backend).await?;
    let text = key.expose();
    let mut caller = RawHttp2::open(&gate.address).await?;
    let cases = [
        ("x-api-key", text.to_owned(), 200),
        ("x-api-key", format!(" {text}"), 403),
        ("x-api-key", format!("{text} "), 403),
        ("x-api-key", format!("\t{text}"), 403),
        ("authorization", format!("Bearer {text}"), 200),
        ("authorization", format!(" Bearer {text}"), 401),
        ("authorization", format!("Bearer  {text}"), 401),
        ("authorization", format!("Bearer {text} "), 401),
    ];
    for (number, (name, value, expected)) in (0..).zip(&cases) {
        let stream = 2 * number + 1;
        let more = [(name.as_bytes(), value.as_bytes())];
        caller.send(&headers(stream, END_STREAM, &request("GET", "/keyed", &more))).await;
        let (status, body) = caller.outcome(stream, SOON).await.answer()?;
        ensure!(status == *expected, "{number}: {status} {body}");
    }
    for record in backend.records()? {
        ensure!(record.header("x-sidegate-subject") == ["key:team-a.ci"], "{record:?}");
        ensure!(
            record.header("x-api-key").is_empty() && record.header("authorization").is_empty(),
            "{record:?}"
        );
    }
    assert_eq!(backend.records()?.len(), 2);
    Ok(())
}
