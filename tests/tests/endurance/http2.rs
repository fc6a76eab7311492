//! Callers that speak HTTP/2 with prior knowledge: one that is a client, and what one sends that is none.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Check, pattern};
use sidegate_tests::raw_http2::{PREFACE, block, request as fields, settings};
use tokio::net::TcpStream;

/// So many bytes of the pattern.
struct Patterned {
    sent: u64,
    count: u64,
}

// === impl Patterned ===

impl Body for Patterned {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = pattern(self.sent, self.count - self.sent);
        self.sent += piece.len() as u64;
        let frame = (!piece.is_empty()).then(|| Ok(Frame::data(Bytes::from_static(piece))));
        Poll::Ready(frame)
    }
}

/// Sends a body of so many bytes of the pattern; the answer's text.
pub(crate) async fn upload(address: &str, key: &ApiKey, path: &str, count: u64) -> Result<String> {
    let answer = send(address, request("POST", address, path, key, Patterned { sent: 0, count })?).await?;
    Ok(String::from_utf8_lossy(&answer.collect().await?.to_bytes()).into_owned())
}

/// Receives an answer whose body is the pattern; its length.
pub(crate) async fn download(address: &str, key: &ApiKey, path: &str) -> Result<u64> {
    let mut answer = send(address, request("GET", address, path, key, Empty::<Bytes>::new())?).await?;
    let mut check = Check::default();
    while let Some(frame) = answer.frame().await {
        if let Ok(data) = frame?.into_data() {
            check.take(&data)?;
        }
    }
    Ok(check.taken())
}

/// What a connection begins with, with these settings.
pub(crate) fn begin(with: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &settings(with)].concat()
}

/// The header block of a GET, with this key if there is one.
pub(crate) fn get(path: &str, key: Option<&ApiKey>) -> Vec<u8> {
    let key = key.map(|key| (&b"x-api-key"[..], key.expose().as_bytes()));
    block(&fields("GET", path, key.as_slice()))
}

fn request<B>(method: &str, address: &str, path: &str, key: &ApiKey, body: B) -> Result<http::Request<B>> {
    let uri = format!("http://{address}{path}");
    Ok(http::Request::builder().method(method).uri(uri).header("x-api-key", key.expose()).body(body)?)
}

async fn send<B>(address: &str, request: http::Request<B>) -> Result<Incoming>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "answered {}", answer.status());
    Ok(answer.into_body())
}
