//! Callers of the app.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Kind, WEBSOCKET_ACCEPT, WEBSOCKET_KEY, now};
use crate::http::read_head;

/// Longer than any answer takes to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that was opened.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Http1(Box<BufStream<TcpStream>>),
    Http2 { body: Incoming, read: BytesMut, _sender: http2::SendRequest<Empty<Bytes>> },
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// As the kind has it, and not broken off. A WebSocket's has no such end here.
    pub in_order: bool,
}

/// The next thing that a stream says.
enum Next {
    /// The time at which the app sent it.
    Tick(u64),
    End(End),
}

// === impl Stream ===

impl Stream {
    /// Asks for one, with this key; gives the answer's status, and the stream if it is one.
    pub async fn ask(kind: Kind, address: &str, key: &str) -> Result<(u16, Option<Self>)> {
        let asked = async {
            match kind {
                Kind::WebSocket | Kind::Events => Self::ask_http1(kind, address, key).await,
                Kind::Grpc => Self::ask_http2(address, key, "/events").await,
            }
        };
        timeout(PATIENCE, asked).await.with_context(|| format!("{kind}: no answer"))?
    }

    /// Opens one, which has to be granted.
    pub async fn open(kind: Kind, address: &str, key: &str) -> Result<Self> {
        match Self::ask(kind, address, key).await? {
            (_, Some(mut stream)) => {
                stream.goes_on().await?;
                Ok(stream)
            }
            (status, None) => bail!("{kind}: answered {status}"),
        }
    }

    async fn ask_http1(kind: Kind, address: &str, key: &str) -> Result<(u16, Option<Self>)> {
        let mut stream = BufStream::new(TcpStream::connect(address).await?);
        let upgrade = match kind {
            Kind::WebSocket => format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {WEBSOCKET_KEY}\r\n"
            ),
            _ => String::new(),
        };
        let head = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n{upgrade}\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        let head = read_head(&mut stream).await?.context("closed without an answer")?;
        let status: u16 = head.second().parse()?;
        let granted = match kind {
            Kind::WebSocket => status == 101,
            _ => status == 200,
        };
        if granted && kind == Kind::WebSocket {
            ensure!(head.header("sec-websocket-accept") == Some(WEBSOCKET_ACCEPT), "not for this opening");
        }
        Ok((status, granted.then(|| Self { kind, source: Source::Http1(Box::new(stream)) })))
    }

    async fn ask_http2(address: &str, key: &str, path: &str) -> Result<(u16, Option<Self>)> {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{address}{path}"))
            .header("x-api-key", key)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Empty::new())?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let granted = head.status == 200;
        let source = Source::Http2 { body, read: BytesMut::new(), _sender: sender };
        Ok((head.status.as_u16(), granted.then(|| Self { kind: Kind::Grpc, source })))
    }

    /// Is what is sent from now on still received?
    pub async fn goes_on(&mut self) -> Result<()> {
        let (kind, since) = (self.kind, now());
        let fresh = async {
            loop {
                match self.next().await {
                    Next::Tick(sent) if sent >= since => return Ok(()),
                    Next::Tick(_) => {}
                    Next::End(end) => bail!("{kind}: it has ended: {end:?}"),
                }
            }
        };
        timeout(PATIENCE, fresh).await.with_context(|| format!("{kind}: it has stalled"))?
    }

    /// Reads to its end.
    pub async fn end(&mut self, within: Duration) -> Result<End> {
        let kind = self.kind;
        let deadline = Instant::now() + within;
        loop {
            let next = tokio::time::timeout_at(deadline, self.next()).await;
            match next.with_context(|| format!("{kind}: it has not ended within {within:?}"))? {
                Next::Tick(_) => {}
                Next::End(end) => return Ok(end),
            }
        }
    }

    async fn next(&mut self) -> Next {
        let said = match &mut self.source {
            Source::Http1(stream) if self.kind == Kind::WebSocket => message(stream).await,
            Source::Http1(stream) => event(stream).await,
            Source::Http2 { body, read, .. } => call_message(body, read).await,
        };
        match said {
            Ok(Some(sent)) => Next::Tick(sent),
            Ok(None) => Next::End(End { at: now(), in_order: true }),
            Err(_) => Next::End(End { at: now(), in_order: false }),
        }
    }
}

/// One frame of a WebSocket: the app's are short, whole and not masked.
async fn message(stream: &mut BufStream<TcpStream>) -> Result<Option<u64>> {
    ensure!(stream.read_u8().await? == 0x81, "no text");
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    Ok(Some(std::str::from_utf8(&text)?.parse()?))
}

/// One event, which the app sends as one chunk.
async fn event(stream: &mut BufStream<TcpStream>) -> Result<Option<u64>> {
    let mut size = String::new();
    stream.read_line(&mut size).await?;
    ensure!(size.ends_with("\r\n"), "broken off");
    if size == "0\r\n" {
        return Ok(None);
    }
    let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16)? + 2];
    stream.read_exact(&mut chunk).await?;
    let text = std::str::from_utf8(&chunk)?;
    Ok(Some(text.trim().strip_prefix("data: ").context("no data")?.parse()?))
}

/// One message of a call.
async fn call_message(body: &mut Incoming, read: &mut BytesMut) -> Result<Option<u64>> {
    loop {
        if let Some(&length) = read.get(4)
            && read.len() >= 5 + usize::from(length)
        {
            read.advance(5);
            let text = read.split_to(usize::from(length));
            return Ok(Some(std::str::from_utf8(&text)?.parse()?));
        }
        match body.frame().await {
            Some(frame) => read.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new())),
            None => return Ok(None),
        }
    }
}
