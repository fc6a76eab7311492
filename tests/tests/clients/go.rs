//! Go: net/http.

use anyhow::Result;
use serde_json::json;

use crate::scene::Scene;
use crate::{contract, many};

const PROTOCOLS: [(&str, &str); 2] = [("1", "HTTP/1.1"), ("2", "HTTP/2.0")];

#[tokio::test]
async fn go_sees_what_the_gate_says_over_both_protocols() -> Result<()> {
    let scene = Scene::start().await?;
    for (protocol, version) in PROTOCOLS {
        assert_eq!(scene.go(&[protocol, "contract"]).await?, contract(), "{version}");
    }
    Ok(())
}

#[tokio::test]
async fn go_keeps_its_connection_and_streams() -> Result<()> {
    for (protocol, version) in PROTOCOLS {
        let scene = Scene::start().await?;
        assert_eq!(scene.go(&[protocol, "many"]).await?, many(), "{version}");
        assert_eq!(scene.connections().await?, 1, "{version}");
        let expected = json!({"up": [10_000_000, true], "down": [10_000_000, true, -1], "version": version});
        assert_eq!(scene.go(&[protocol, "streams"]).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn go_asks_fifty_things_at_once() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({"200": 40, "401": 10});
    assert_eq!(scene.go(&["1", "concurrent"]).await?, expected);
    let before = scene.connections().await?;
    assert_eq!(scene.go(&["2", "concurrent"]).await?, expected);
    assert_eq!(scene.connections().await? - before, 1, "HTTP/2 needs one connection");
    Ok(())
}

#[tokio::test]
async fn go_receives_the_trailers_of_the_app() -> Result<()> {
    let scene = Scene::start().await?;
    // Over HTTP/1 only those who ask are sent any (RFC 9110 §6.5.1).
    for (protocol, unasked) in [("1", ""), ("2", "of a body")] {
        let seen = scene.go(&[protocol, "trailers"]).await?;
        let expected = json!({"asked_for": ["a body", "of a body"], "not_asked_for": ["a body", unasked]});
        assert_eq!(seen, expected, "HTTP/{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn go_sends_a_body_when_it_may_and_not_a_byte_when_denied() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({
        "good": [200, 10_000_000, true],
        "denied": [403, 0, true],
        "again": [200, 10_000_000, true],
    });
    assert_eq!(scene.go(&["1", "expect"]).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_denied_upload_of_go_ends() -> Result<()> {
    let scene = Scene::start().await?;
    for (protocol, version) in PROTOCOLS {
        let seen = scene.go(&[protocol, "large_denied"]).await?;
        assert_eq!(seen, json!({"status": 403, "lost": false, "next": 200}), "{version}");
    }
    Ok(())
}
