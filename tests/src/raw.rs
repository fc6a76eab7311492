//! Bytes out, bytes in: for requests that no client can be made to send.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection on which nothing is corrected.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether the other side then closed.
    pub closed: bool,
}

// === impl Raw ===

impl Raw {
    /// Connects.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends these bytes. That the other side has closed is seen in the answer.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads until the other side closes, or says nothing for `patience` after its first byte, or says nothing
    /// at all for `wait`.
    pub async fn answer(&mut self, wait: Duration, patience: Duration) -> Answer {
        let mut bytes = Vec::new();
        loop {
            let timeout = if bytes.is_empty() { wait } else { patience };
            match tokio::time::timeout(timeout, self.stream.read_buf(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => return Answer { bytes, closed: true },
                Ok(Ok(_)) => {}
                Err(_) => return Answer { bytes, closed: false },
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The status of each answer in the bytes, interim ones too.
    pub fn statuses(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut statuses = Vec::new();
        // A body that quotes one is not told apart; the bodies of tests do not.
        for (at, version) in text.match_indices("HTTP/1.") {
            let status = text.get(at + version.len() + 2..at + version.len() + 5);
            statuses.extend(status.and_then(|status| status.parse::<u16>().ok()));
        }
        statuses
    }

    /// The bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
