//! An app whose answers do not end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{TICK, WEBSOCKET_ACCEPT, now};
use crate::http::{read_body, read_head};

/// How long the answer to a path that begins with `/slow` takes.
const SLOW: Duration = Duration::from_millis(400);

/// Says the time on `/events`, in every WebSocket and in every gRPC call but those of a path that begins with
/// `/unary`; answers anything else with a few bytes.
#[derive(Debug)]
pub struct StreamingApp {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// A stream is open while this lives.
struct Open(Arc<AtomicUsize>);

// === impl StreamingApp ===

impl StreamingApp {
    /// Listens from when this returns, until it is dropped.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, open) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&open);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, open, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many streams it sends at this moment.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for StreamingApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Open ===

impl Open {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// By what the first bytes say.
async fn serve(stream: TcpStream, open: Arc<AtomicUsize>) {
    let mut begin = [0; 4];
    let served = match stream.peek(&mut begin).await {
        Ok(count) if begin[..count].starts_with(b"PRI") => {
            let answer = move |request| {
                let open = Arc::clone(&open);
                async move { Ok::<_, Infallible>(call(&request, &open)) }
            };
            let connection = http2::Builder::new(TokioExecutor::new());
            connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await.map_err(Into::into)
        }
        _ => requests(stream, &open).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the app ended");
    }
}

/// One request of HTTP/1 after the other.
async fn requests(stream: TcpStream, open: &Arc<AtomicUsize>) -> Result<()> {
    let mut stream = BufStream::new(stream);
    while let Some(head) = read_head(&mut stream).await? {
        read_body(&mut stream, &head, false).await?;
        if head.header("upgrade").is_some() {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
            );
            return say_the_time(stream, open, &answer, |text| [b"\x81", &[length(text)], text].concat())
                .await;
        }
        if head.second().starts_with("/events") {
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = |text: &[u8]| {
                let length = format!("{:x}\r\n", text.len() + b"data: \n\n".len());
                [length.as_bytes(), b"data: ", text, b"\n\n\r\n"].concat()
            };
            return say_the_time(stream, open, answer, chunk).await;
        }
        if head.second().starts_with("/slow") {
            sleep(SLOW).await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        stream.flush().await?;
        if head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

/// Until it is left.
async fn say_the_time(
    mut stream: BufStream<TcpStream>,
    open: &Arc<AtomicUsize>,
    answer: &str,
    frame: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<()> {
    let _open = Open::new(open);
    stream.write_all(answer.as_bytes()).await?;
    loop {
        stream.write_all(&frame(now().to_string().as_bytes())).await?;
        stream.flush().await?;
        tokio::select! {
            () = sleep(TICK) => {}
            // Nobody sends anything but the end.
            _ = stream.fill_buf() => return Ok(()),
        }
    }
}

/// A time has 13 digits.
fn length(text: &[u8]) -> u8 {
    u8::try_from(text.len()).unwrap_or_default()
}

/// One call of gRPC.
fn call(
    request: &Request<Incoming>,
    open: &Arc<AtomicUsize>,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let (ends, open) = (request.uri().path().starts_with("/unary"), Open::new(open));
    let frames = futures::stream::unfold((0_usize, open), move |(number, open)| async move {
        let frame = match (ends, number) {
            (true, 1) => Frame::trailers(HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )])),
            (true, 2) => return None,
            _ => {
                if number > 0 {
                    sleep(TICK).await;
                }
                let text = now().to_string();
                // Not compressed, and its length in four bytes.
                Frame::data([&[0, 0, 0, 0, length(text.as_bytes())], text.as_bytes()].concat().into())
            }
        };
        Some((Ok(frame), (number + 1, open)))
    });
    let mut response = Response::new(StreamBody::new(Box::pin(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
