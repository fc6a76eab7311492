//! Node: its own fetch.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::scene::Scene;
use crate::{contract, many};

#[tokio::test]
async fn fetch_sees_what_the_gate_says() -> Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(scene.node(&["fetch.js", "contract"]).await?, contract());
    Ok(())
}

#[tokio::test]
async fn fetch_keeps_its_connections_whatever_is_answered() -> Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(scene.node(&["fetch.js", "many"]).await?, many());
    // It opens a second one before Node's own server too.
    let connections = scene.connections().await?;
    ensure!(connections <= 2, "{connections} connections");
    Ok(())
}

#[tokio::test]
async fn fetch_streams_both_ways() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({
        "up": [10_000_000, true],
        "down": [10_000_000, true, "chunked"],
        "in_pieces": true,
    });
    assert_eq!(scene.node(&["fetch.js", "streams"]).await?, expected);
    Ok(())
}

#[tokio::test]
async fn the_app_is_told_when_fetch_gives_up() -> Result<()> {
    let scene = Scene::start().await?;
    let expected =
        json!({"before": "AbortError", "inside": "AbortError", "late": "TimeoutError", "gone": "2"});
    assert_eq!(scene.node(&["fetch.js", "abort"]).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_denied_upload_of_fetch_ends() -> Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(scene.node(&["fetch.js", "large_denied"]).await?, json!({"status": 403, "next": 200}));
    Ok(())
}
