//! What lasts: WebSockets and server-sent events, each with two clients.

use anyhow::Result;
use serde_json::{Value, json};

use crate::scene::Scene;

const SUBJECT: &str = "key:dify.client";

fn denials() -> Value {
    json!({"no_key": [401, "missing_credentials"], "wrong_key": [403, "invalid_api_key"]})
}

#[tokio::test]
async fn websockets_talks_both_ways_and_closes_either_way() -> Result<()> {
    let scene = Scene::start().await?;
    let expected = json!({
        "subject": SUBJECT,
        "subprotocol": "echo",
        // Up to 1 MiB, text and binary.
        "messages": [true, true, true, true, true, true],
        "both_ways": true,
        "pinged": true,
        "ponged": "pong came",
        "closed": [4001, "as you wish"],
        "closed_by_us": 4002,
    });
    assert_eq!(scene.python(&["websocket_client.py", "talk"]).await?, expected);
    assert_eq!(scene.python(&["websocket_client.py", "denied"]).await?, denials());
    Ok(())
}

#[tokio::test]
async fn ws_talks_both_ways_and_closes_either_way() -> Result<()> {
    let scene = Scene::start().await?;
    let talk = |deflated: bool| {
        json!({
            "subject": SUBJECT,
            "subprotocol": "echo",
            "deflated": deflated,
            "messages": [true, true, true, true, true],
            "pong": "are you there",
            "pinged": "pong came",
            "closed": [4001, "as you wish"],
            "closed_by_us": [4002, "mine"],
        })
    };
    let seen = scene.node(&["websocket.js", "talk"]).await?;
    assert_eq!(seen, json!({"plain": talk(false), "deflated": talk(true)}));
    assert_eq!(scene.node(&["websocket.js", "denied"]).await?, denials());
    Ok(())
}

#[tokio::test]
async fn an_eventsource_comes_back_and_goes_on_but_not_after_a_denial() -> Result<()> {
    let scene = Scene::start().await?;
    let seen = scene.node(&["eventsource.js", "follow"]).await?;
    assert_eq!(seen, json!({"in_order": true, "requests": [null, "20", "40"]}));
    let seen = scene.node(&["eventsource.js", "denied"]).await?;
    assert_eq!(seen, json!({"code": 401, "closed": true, "requests": [null]}));
    Ok(())
}

#[tokio::test]
async fn httpx_sse_reads_events_and_sees_a_denial() -> Result<()> {
    let scene = Scene::start().await?;
    let event = |id: usize| json!(["tick", id.to_string(), format!("first of {id}\nsecond")]);
    let expected = json!({"events": (1..=50).map(event).collect::<Vec<_>>(), "denied": 401});
    assert_eq!(scene.python(&["sse_client.py"]).await?, expected);
    Ok(())
}
