//! A forwarding proxy as one writes it in an afternoon: it reads as little as it can, decides by the text of the
//! path, and hands on what it read. An attack that does not work through it proves nothing about the gate.
//!
//! It denies `/admin` and what is below it, replaces `X-Sidegate-Subject` by its own, and keeps one connection to
//! the app for all callers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

/// What the proxy says about every caller.
pub const SUBJECT: &str = "key:team-a.ci";

type Upstream = Arc<Mutex<Option<BufReader<TcpStream>>>>;

/// A running proxy, until it is dropped.
#[derive(Debug)]
pub struct NaiveProxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// A message, its head's lines and its body's bytes as they came.
struct Message {
    start: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

// === impl NaiveProxy ===

impl NaiveProxy {
    /// Stands before the app at this address.
    pub async fn start(app: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let upstream = Upstream::default();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = Arc::clone(&upstream);
                connections.spawn(async move {
                    if let Err(error) = serve(stream, app, upstream).await {
                        tracing::debug!(%error, "a connection to the proxy ended");
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// Where callers connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for NaiveProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, app: SocketAddr, upstream: Upstream) -> Result<()> {
    let mut caller = BufReader::new(stream);
    while let Some(mut request) = Message::read(&mut caller, false).await? {
        let target = request.second();
        if target == "/admin" || target.starts_with("/admin/") {
            caller.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        request.introduce();
        let mut kept = upstream.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(app).await?),
        };
        connection.write_all(&request.bytes()).await?;
        let answer = Message::read(&mut connection, true).await?.context("the app closed")?;
        caller.write_all(&answer.bytes()).await?;
        if answer.second() == "101" {
            drop(kept);
            tokio::io::copy_bidirectional(&mut caller, &mut connection).await?;
            return Ok(());
        }
        if !answer.says("connection: close") {
            *kept = Some(connection);
        }
    }
    Ok(())
}

// === impl Message ===

impl Message {
    async fn read(stream: &mut BufReader<TcpStream>, is_answer: bool) -> Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            match (line.is_empty(), lines.is_empty()) {
                (true, true) => {}
                (true, false) => break,
                _ => lines.push(line),
            }
        }
        let mut message = Self { start: lines.remove(0), headers: lines, body: Vec::new() };
        let lower = |line: &str| line.to_ascii_lowercase();
        let length = message
            .headers
            .iter()
            .find_map(|line| lower(line).strip_prefix("content-length:")?.trim().parse().ok());
        if message.says("transfer-encoding: chunked") {
            // To the last chunk, and what is behind it, as it is.
            while !message.body.ends_with(b"\r\n0\r\n") && message.body != b"0\r\n" {
                stream.read_until(b'\n', &mut message.body).await?;
            }
            let mut trailers = 0;
            while trailers != 2 {
                trailers = stream.read_until(b'\n', &mut message.body).await?;
            }
        } else if let Some(length) = length {
            message.body.resize(length, 0);
            stream.read_exact(&mut message.body).await?;
        } else if is_answer && !matches!(message.second(), "101" | "204" | "304") {
            let to_end = stream.read_to_end(&mut message.body);
            let _ = tokio::time::timeout(Duration::from_secs(2), to_end).await;
        }
        Ok(Some(message))
    }

    /// Says who asks, then forgets what `Connection` lists: the wrong way round.
    fn introduce(&mut self) {
        self.headers.retain(|line| !line.to_ascii_lowercase().starts_with("x-sidegate-subject:"));
        self.headers.push(format!("X-Sidegate-Subject: {SUBJECT}"));
        let listed = self
            .headers
            .iter()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("connection:").map(ToOwned::to_owned));
        for name in listed.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !matches!(name, "upgrade" | "keep-alive" | "close" | "http2-settings") {
                self.headers.retain(|line| !line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            }
        }
    }

    /// A target, or a status.
    fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    fn says(&self, line: &str) -> bool {
        self.headers
            .iter()
            .any(|header| header.to_ascii_lowercase().replace(": ", ":") == line.replace(": ", ":"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = self.start.clone();
        for line in &self.headers {
            head.push_str("\r\n");
            head.push_str(line);
        }
        head.push_str("\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}
