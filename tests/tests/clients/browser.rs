//! A browser: pages of another origin, with the Gate that the documentation gives for them.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sidegate_tests::repository;

use crate::scene::{App, GATE, Scene};

/// The Gate `dify/web` of `docs/gates.md`, as it stands there.
fn documented() -> Result<String> {
    let page = std::fs::read_to_string(repository("docs/gates.md"))?;
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let gate = blocks.find(|block| block.contains("metadata: {name: web,"));
    Ok(gate.context("docs/gates.md has no Gate web")?.to_owned())
}

#[tokio::test]
async fn a_page_of_another_origin_calls_as_documented() -> Result<()> {
    let scene = Scene::of(&documented()?, App::Http).await?;
    let seen = scene.node(&["browser.js", "open"]).await?;
    let failed = "TypeError: Failed to fetch";
    let expected = json!({
        "subject": "key:dify.client",
        "key_at_app": null,
        "intact": [0, 1, 65_536, 10_000_000],
        "many": [200],
        "events": {"by_fetch": 10, "event_source_closed": true},
        "sockets": {
            // All that a page is told of a refused handshake.
            "bare": [1006, ""],
            "subject": "key:dify.client",
            "echoed": true,
            "closed": [4001, "as you wish"],
            "again": [1006, ""],
        },
        "abort": "AbortError",
        "no_key": failed,
        "wrong_key": failed,
        "missing_scope": failed,
        "console": 3,
        "network": [401, 403, 403],
        "same_origin": {
            "no_key": [401, "missing_credentials"],
            "wrong_key": [403, "invalid_api_key"],
            "missing_scope": [403, "insufficient_scope"],
            "good": 200,
        },
    });
    assert_eq!(seen, expected, "{seen:#}");
    let preflights: Vec<_> = scene.app.lines().into_iter().map(|line| line.text).collect();
    ensure!(
        preflights.contains(&"PREFLIGHT /api/whoami x-api-key .".to_owned()),
        "a preflight has no key, and the app is told of nobody: {preflights:?}"
    );
    // Chromium opens six connections to a host; what was refused or broken off costs more.
    let connections = scene.connections().await?;
    ensure!(connections < 30, "{connections} connections for 130 requests");
    Ok(())
}

#[tokio::test]
async fn without_a_rule_for_preflights_a_page_fails_as_documented() -> Result<()> {
    let scene = Scene::of(GATE, App::Http).await?;
    let seen = scene.node(&["browser.js", "closed"]).await?;
    assert_eq!(seen, json!({"good_key": "TypeError: Failed to fetch", "console": 1}));
    ensure!(scene.app.lines().is_empty(), "a preflight reached the app");
    Ok(())
}
