//! A bare HTTP/1.1 client: what a test writes is what goes over the wire, and every byte of the answer is
//! there to be looked at. It corrects nothing and adds nothing but `Host` and `Content-Length`.

mod parse;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

pub(crate) use parse::{Head, read_body, read_head};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All header lines in their order, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body, without a chunked transfer's framing.
    pub body: Vec<u8>,
}

/// A connection that several requests can use, one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: BufStream<TcpStream>,
    host: String,
}

/// GET on a connection of its own. The address is `host:port`.
pub async fn get(address: &str, target: &str) -> Result<Response> {
    Request::new("GET", target).send(address).await
}

/// Writes these bytes on a new connection, and reads until the other side closes it or 10 s have passed.
pub async fn exchange(address: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    // What came until then is the answer.
    let _ = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
    Ok(answer)
}

// === impl Request ===

impl Request {
    /// A request without headers of its own and without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// One more header line, which may repeat another's name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body, sent with `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it on a connection of its own.
    pub async fn send(&self, address: &str) -> Result<Response> {
        let request = self.clone().header("Connection", "close");
        Connection::open(address).await?.send(&request).await
    }

    pub(crate) fn to_bytes(&self, host: &str) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.target)];
        if !has("host") {
            lines.push(format!("Host: {host}"));
        }
        if !self.body.is_empty() && !has("content-length") {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let head = lines.join("\r\n") + "\r\n\r\n";
        [head.as_bytes(), &self.body].concat()
    }
}

// === impl Connection ===

impl Connection {
    /// Connects.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = tokio::time::timeout(TIMEOUT, TcpStream::connect(address))
            .await
            .with_context(|| format!("no connection to {address} within {TIMEOUT:?}"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self::on(stream, address))
    }

    /// One that somebody else made. The host is what a request names that names none.
    pub fn on(stream: TcpStream, host: &str) -> Self {
        Self { stream: BufStream::new(stream), host: host.to_owned() }
    }

    /// Sends one request and reads its answer. The connection stays open if the other side leaves it so.
    pub async fn send(&mut self, request: &Request) -> Result<Response> {
        self.write(&request.to_bytes(&self.host)).await?;
        self.read_response(&request.method).await
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads one answer, to a request of this method. Interim answers (1xx) are passed over.
    pub async fn read_response(&mut self, method: &str) -> Result<Response> {
        tokio::time::timeout(TIMEOUT, self.read(method)).await.context("no whole answer within 10 s")?
    }

    async fn read(&mut self, method: &str) -> Result<Response> {
        loop {
            let head = read_head(&mut self.stream).await?.context("closed without an answer")?;
            let status: u16 = head.second().parse().with_context(|| format!("no status: {}", head.start))?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let bodyless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let body = if bodyless { Vec::new() } else { read_body(&mut self.stream, &head, true).await? };
            return Ok(Response { status, headers: head.headers, body });
        }
    }
}

// === impl Response ===

impl Response {
    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}
