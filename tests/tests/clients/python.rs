//! Python: requests and httpx.

use anyhow::Result;
use serde_json::json;

use crate::scene::Scene;
use crate::{contract, many};

#[tokio::test]
async fn requests_sees_what_the_gate_says() -> Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(scene.python(&["requests_client.py", "contract"]).await?, contract());
    Ok(())
}

#[tokio::test]
async fn a_session_of_requests_keeps_its_connection_whatever_is_answered() -> Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(scene.python(&["requests_client.py", "many"]).await?, many());
    assert_eq!(scene.connections().await?, 1);
    Ok(())
}

#[tokio::test]
async fn requests_streams_both_ways() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({"up": [10_000_000, true], "down": [10_000_000, true, "chunked"]});
    assert_eq!(scene.python(&["requests_client.py", "streams"]).await?, expected);
    Ok(())
}

#[tokio::test]
async fn httpx_sees_what_the_gate_says_over_both_protocols() -> Result<()> {
    let scene = Scene::start().await?;
    for protocol in ["1", "2"] {
        let seen = scene.python(&["httpx_client.py", protocol, "contract"]).await?;
        assert_eq!(seen, contract(), "HTTP/{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn httpx_keeps_its_connection_and_streams() -> Result<()> {
    for (protocol, version) in [("1", "HTTP/1.1"), ("2", "HTTP/2")] {
        let scene = Scene::start().await?;
        assert_eq!(scene.python(&["httpx_client.py", protocol, "many"]).await?, many());
        assert_eq!(scene.connections().await?, 1, "{version}");
        let expected = json!({"up": [10_000_000, true], "down": [10_000_000, true], "version": version});
        assert_eq!(scene.python(&["httpx_client.py", protocol, "streams"]).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn httpx_asks_fifty_things_at_once() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({"200": 40, "401": 10});
    assert_eq!(scene.python(&["httpx_client.py", "1", "concurrent"]).await?, expected);
    let before = scene.connections().await?;
    assert_eq!(scene.python(&["httpx_client.py", "2", "concurrent"]).await?, expected);
    assert_eq!(scene.connections().await? - before, 1, "HTTP/2 needs one connection");
    Ok(())
}

#[tokio::test]
async fn a_denied_upload_of_requests_ends_and_is_not_tried_again() -> Result<()> {
    let scene = Scene::start().await?;
    let seen = scene.python(&["requests_client.py", "large_denied"]).await?;
    assert_eq!(seen, json!({"lost": {"length": 403, "chunked": 403}, "next": 200}));
    assert_eq!(scene.python(&["requests_client.py", "retries"]).await?, json!([401, 403]));
    Ok(())
}
