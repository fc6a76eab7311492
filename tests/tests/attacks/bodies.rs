//! A body that the app does not read, as the next caller's request.

use anyhow::{Result, ensure};
use sidegate_tests::backends::Server;

use crate::{Scene, get, send};

const INNER: &str = "GET /admin/secret HTTP/1.1\r\nHost: a\r\nX-Sidegate-Subject: key:root.root\r\n\r\n";

fn with_body(method: &str) -> Vec<u8> {
    format!("{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{INNER}", INNER.len()).into_bytes()
}

fn chunked(method: &str) -> Vec<u8> {
    // The first chunk's line is a request line of its own kind; what counts is what follows it.
    let body = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    format!("{method} /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

async fn run(methods: &[&str]) -> Result<()> {
    let scene = Scene::before(Server::HttpServerIgnoringBodies).await?;
    let (_, records) = scene.through_naive(&with_body(methods[0])).await?;
    ensure!(
        records.iter().any(|record| record.target == "/admin/secret"),
        "the attack does not work: {records:?}"
    );
    let next = send(&scene.naive.address(), &get("/mine", "")).await?;
    ensure!(next.text().contains("/admin/secret"), "the next caller got its own answer: {}", next.text());

    for method in methods {
        for attack in [with_body(method), chunked(method)] {
            for _ in 0..3 {
                let (answer, records) = scene.through_gate(&attack).await?;
                ensure!(answer.statuses().first() == Some(&200), "{method}: {}", answer.text());
                ensure!(records.len() == 1 && records[0].target == "/x", "{method}: the app saw {records:?}");
                let (next, records) = scene.through_gate(&get("/mine", "")).await?;
                ensure!(next.text().contains("/mine"), "{method}: the next caller got {}", next.text());
                ensure!(
                    records.len() == 1 && records[0].method == "GET",
                    "{method}: the next caller's request is {records:?}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unread_body_is_not_the_next_callers_request() -> Result<()> {
    run(&["GET", "DELETE", "OPTIONS"]).await
}

#[tokio::test]
async fn an_unread_body_of_post_is_not_the_next_callers_request() -> Result<()> {
    run(&["POST", "PUT", "PATCH"]).await
}
