//! Other people's clients, as they are, through the gate to a real app. Each program does what its users do and
//! prints what came of it; what is right stands here.
//!
//! What clients of HTTP have in common is one value, [`contract`]: a client that sees anything else is named.

mod browser;
mod curl;
mod documented;
mod go;
mod grpc;
mod live;
mod node;
mod python;
mod scene;

use serde_json::{Value, json};

/// What a client of HTTP sees of the gate, whichever it is: [`scene::GATE`] with the key that may read.
fn contract() -> Value {
    json!({
        "good": [200, "/api/whoami?a=%20b", "key:dify.client"],
        "tenant": "ns:dify",
        "scopes": "orders:read",
        "key_at_app": null,
        "no_key": [401, "missing_credentials"],
        "wrong_key": [403, "invalid_api_key"],
        "missing_scope": [403, "insufficient_scope"],
        "denied_upload": [403, "invalid_api_key"],
        // Both ways.
        "intact": [0, 1, 65_536, 10_000_000],
    })
}

/// A hundred requests, a quarter of them without a key.
fn many() -> Value {
    json!({"200": 75, "401": 25})
}
