//! Streams of the three kinds that last, an app that sends them, and callers that read them: WebSocket,
//! server-sent events, gRPC.
//!
//! The app says the time, again and again, until it is left. So a caller can tell what was sent now from what
//! was under way for a while, and a stream that goes on from one that has only not been read to its end.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod app;
mod caller;

pub use app::StreamingApp;
pub use caller::{End, Stream};

/// How often the app says the time.
const TICK: Duration = Duration::from_millis(25);
/// What callers send to open a WebSocket, and what the app answers (the example of RFC 6455 §1.3).
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 6455, over HTTP/1.1.
    WebSocket,
    /// `text/event-stream`, over HTTP/1.1.
    Events,
    /// A call whose answer is a stream of messages, over HTTP/2.
    Grpc,
}

/// All of them.
pub const KINDS: [Kind; 3] = [Kind::WebSocket, Kind::Events, Kind::Grpc];

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
