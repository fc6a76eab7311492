//! gRPC: Google's library in Python, on both sides of the gate.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use sidegate_tests::eventually;

use crate::scene::{App, GATE, Scene};

const SUBJECT: &str = "key:dify.client";

#[tokio::test]
async fn calls_of_all_four_kinds_pass_with_status_and_trailers() -> Result<()> {
    let scene = Scene::of(GATE, App::Grpc).await?;
    let expected = json!({
        "unary": "hello",
        "trailers": [SUBJECT, "00ff"],
        "server_stream": true,
        "client_stream": "4950",
        // Each in turn, and nothing behind them.
        "bidi": [20, 0],
        "status": ["FAILED_PRECONDITION", "not in this mood: 100%"],
        "unimplemented": "UNIMPLEMENTED",
    });
    assert_eq!(scene.python(&["grpc_client.py", "calls"]).await?, expected);
    let calls: Vec<_> = scene.app.lines().into_iter().map(|line| line.text).collect();
    for name in ["Unary", "Count", "Gather", "Talk", "Refuse"] {
        ensure!(calls.contains(&format!("CALL {name} {SUBJECT} False")), "{name}: {calls:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_denial_is_a_status_of_grpc_and_no_call_reaches_the_app() -> Result<()> {
    let scene = Scene::of(GATE, App::Grpc).await?;
    let seen = scene.python(&["grpc_client.py", "denied"]).await?;
    let codes: Vec<_> = ["no_key", "wrong_key", "missing_scope", "server_stream", "bidi", "large", "waiting"]
        .map(|name| (name, seen[name][0].as_str().unwrap_or_default()))
        .into();
    let expected = [
        ("no_key", "UNAUTHENTICATED"),
        ("wrong_key", "PERMISSION_DENIED"),
        ("missing_scope", "PERMISSION_DENIED"),
        ("server_stream", "PERMISSION_DENIED"),
        ("bidi", "PERMISSION_DENIED"),
        ("large", "PERMISSION_DENIED"),
        // `wait_for_ready` waits for a server, not for a key.
        ("waiting", "UNAUTHENTICATED"),
    ];
    assert_eq!(codes, expected, "{seen:#}");
    assert_eq!(seen["next"], "still here");
    let calls = scene.app.lines().into_iter().filter(|line| line.text.starts_with("CALL")).count();
    assert_eq!(calls, 1, "{}", scene.app.output());
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_late_or_given_up_ends_at_the_app_too() -> Result<()> {
    let scene = Scene::of(GATE, App::Grpc).await?;
    let seen = scene.python(&["grpc_client.py", "ends"]).await?;
    let expected = json!({
        "late": "DEADLINE_EXCEEDED",
        "soon": true,
        "given_up": "CANCELLED",
        "next": "still here",
    });
    assert_eq!(seen, expected);
    eventually(Duration::from_secs(10), "the app leaves off", async || {
        let ended = scene.app.lines().into_iter().filter(|line| line.text == "CANCELLED").count();
        ensure!(ended == 2, "{ended} of 2 calls");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_on_one_channel() -> Result<()> {
    let scene = Scene::of(GATE, App::Grpc).await?;
    let seen = scene.python(&["grpc_client.py", "sizes"]).await?;
    assert_eq!(seen, json!([0, 1, 65_536, 10_000_000]));
    assert_eq!(scene.connections().await?, 1);
    Ok(())
}
