//! Connections to the app that wait for their next request: one small pool a worker.
//!
//! A connection comes back only after a whole request and a whole answer, and leaves again only if
//! nothing has arrived on it since: what an app says unasked must never become the answer to the
//! next caller's request.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response, request::Parts};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    task::{self, AbortHandle},
    time,
};

use super::{App, AppError, RequestBody, Sent, http2, tunnel::Tunnel};
use crate::{metrics::Counters, serve::Limits};

/// How long an idle connection is kept. What the app closes earlier is noticed.
const IDLE: Duration = Duration::from_secs(30);
/// So many idle connections are kept at most.
const MAX_IDLE: usize = 256;
/// How much of an answer's head, and of a body at once, is read ahead.
const BUFFER: usize = 64 << 10;
/// One warning in so long about an app that cannot be reached.
const WARNING: Duration = Duration::from_secs(1);

/// The idle connections of one worker to one app.
#[derive(Debug)]
pub(crate) struct Pool {
    app: App,
    limits: Limits,
    counters: Arc<Counters>,
    /// The one used last stands last and is taken first, so that the others can expire.
    idle: RefCell<Vec<Idle>>,
    http2: http2::Shared,
    warned: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that is out for one request. Dropped, it closes.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Connection,
    pool: Rc<Pool>,
    reused: bool,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<RequestBody>,
    stream: Stream,
    task: Task,
    /// What the app sent behind a 101, once the task has ended by it.
    switched: oneshot::Receiver<Bytes>,
}

/// The socket, for hyper to use and for the pool to look at.
#[derive(Clone, Debug)]
pub(super) struct Stream(Rc<RefCell<TcpStream>>);

/// The task that moves the bytes; it ends with this.
#[derive(Debug)]
struct Task(AbortHandle);

// === impl Pool ===

impl Pool {
    /// Empty.
    pub(crate) fn new(app: App, limits: Limits, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            app,
            limits,
            counters,
            idle: RefCell::default(),
            http2: http2::Shared::default(),
            warned: Cell::default(),
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An idle connection that is still good, or a new one.
    pub(crate) async fn checkout(self: &Rc<Self>) -> Result<Lease, AppError> {
        loop {
            let Some(Idle { mut connection, since }) = self.idle.borrow_mut().pop() else {
                return self.connect().await;
            };
            if since.elapsed() < IDLE && connection.is_clean() {
                return Ok(Lease { connection, pool: Rc::clone(self), reused: true });
            }
        }
    }

    /// A new connection.
    pub(crate) async fn connect(self: &Rc<Self>) -> Result<Lease, AppError> {
        let connected = match time::timeout(self.limits.connect, Connection::open(&self.app)).await {
            Ok(connected) => connected,
            Err(_) => Err(AppError::ConnectTimeout),
        };
        match connected {
            Ok(connection) => {
                self.counters.app_connections.add();
                Ok(Lease { connection, pool: Rc::clone(self), reused: false })
            }
            Err(error) => {
                self.warn(&error);
                Err(error)
            }
        }
    }

    /// Sends a request by HTTP/2.
    pub(super) async fn send_http2(
        &self,
        head: Parts,
        body: RequestBody,
        sent: &Sent,
        again: bool,
    ) -> Result<Response<Incoming>, AppError> {
        let opened = || self.counters.app_connections.add();
        let answer = self.http2.send(&self.app, self.limits.connect, opened, (head, body), sent, again).await;
        if let Err(error @ (AppError::Connect(_) | AppError::ConnectTimeout)) = &answer {
            self.warn(error);
        }
        answer
    }

    /// Closes what nobody needed for a while.
    pub(crate) fn sweep(&self) {
        self.idle.borrow_mut().retain(|idle| idle.since.elapsed() < IDLE);
    }

    /// An app that is away is worth a line, but not one for each request.
    fn warn(&self, error: &AppError) {
        let now = Instant::now();
        if self.warned.get().is_none_or(|last| now.duration_since(last) >= WARNING) {
            self.warned.set(Some(now));
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(app = %self.app, cause, "{error}");
        }
    }
}

// === impl Lease ===

impl Lease {
    /// Sends a request; the error has it again if nothing of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.connection.sender.try_send_request(request).await
    }

    /// Did it carry a request before this one?
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    /// The app has switched protocols: what is left is the socket. `None`: it has closed.
    pub(super) async fn into_tunnel(self) -> Option<Tunnel> {
        let Connection { sender: _sender, stream, task: _task, switched } = self.connection;
        let early = switched.await.ok()?;
        Some(Tunnel::new(stream, early))
    }

    /// Ready for another request, some time.
    pub(super) fn give_back(self) {
        let Self { connection, pool, reused: _ } = self;
        let mut idle = pool.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }
}

// === impl Connection ===

impl Connection {
    async fn open(app: &App) -> Result<Self, AppError> {
        let stream = app.connect().await.map_err(AppError::Connect)?;
        stream.set_nodelay(true).map_err(AppError::Connect)?;
        let stream = Stream(Rc::new(RefCell::new(stream)));
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream.clone()))
            .await
            .map_err(AppError::BrokeOff)?;
        let (behind, switched) = oneshot::channel();
        let task = task::spawn_local(async move {
            match connection.without_shutdown().await {
                // Closed by whoever has the socket: the lease, or a tunnel.
                Ok(parts) => drop(behind.send(parts.read_buf)),
                Err(error) => tracing::debug!(%error, "a connection to the app ended"),
            }
        });
        Ok(Self { sender, stream, task: Task(task.abort_handle()), switched })
    }

    /// Open, ready, and silent since the last answer.
    fn is_clean(&mut self) -> bool {
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).now_or_never();
        matches!(ready, Some(Ok(()))) && !self.task.0.is_finished() && self.stream.is_silent()
    }
}

// === impl Stream ===

impl Stream {
    /// Is there nothing to read, not even the end?
    fn is_silent(&self) -> bool {
        let stream = self.0.borrow();
        let peeked = SockRef::from(&*stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

// === impl Task ===

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{Shutdown, TcpListener},
        thread,
    };

    use tokio::runtime::LocalRuntime;

    use super::*;

    /// What becomes of a connection that came back, if the app then does this to it. Nothing is
    /// polled in between, so only the pool itself can have noticed.
    fn reused_after(app: impl FnOnce(&mut std::net::TcpStream)) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        LocalRuntime::new().unwrap().block_on(async {
            let pool = Pool::new(address.into(), Limits::default(), Arc::default());
            let lease = pool.connect().await.unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            task::yield_now().await;
            lease.give_back();
            app(&mut stream);
            thread::sleep(Duration::from_millis(20));
            pool.checkout().await.unwrap().reused()
        })
    }

    #[test]
    fn a_silent_connection_is_used_again_and_no_other() {
        assert!(reused_after(|_| {}));
        assert!(!reused_after(|app| app.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap()));
        assert!(!reused_after(|app| app.shutdown(Shutdown::Write).unwrap()));
    }

    #[test]
    fn what_nobody_needed_for_a_while_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        LocalRuntime::new().unwrap().block_on(async {
            let pool = Pool::new(address.into(), Limits::default(), Arc::default());
            pool.connect().await.unwrap().give_back();
            pool.sweep();
            assert_eq!(pool.idle.borrow().len(), 1);
            pool.idle.borrow_mut()[0].since -= IDLE;
            pool.sweep();
            assert_eq!(pool.idle.borrow().len(), 0);
        });
    }

    #[test]
    fn an_app_that_does_not_take_connections_is_given_up_in_time() {
        // A full queue: on Linux nobody answers the next one.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        LocalRuntime::new().unwrap().block_on(async {
            let limits = Limits { connect: Duration::from_millis(50), ..Limits::default() };
            let pool = Pool::new(address.into(), limits, Arc::default());
            let mut held = Vec::new();
            for _ in 0..8 {
                match pool.connect().await {
                    Ok(lease) => held.push(lease),
                    Err(error) => return assert!(matches!(error, AppError::ConnectTimeout), "{error}"),
                }
            }
            panic!("the queue took {} connections", held.len());
        });
    }
}
