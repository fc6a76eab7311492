//! Connections to the app that wait for their next request: one small pool a worker.
//!
//! A connection comes back only after a whole request and a whole answer, and leaves again only if
//! nothing has arrived on it since: what an app says unasked must never become the answer to the
//! next caller's request.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Response, request::Parts};
use hyper::body::Incoming;
use tokio::time;

use super::{
    App, AppError, RequestBody, Sent,
    alone::Alone,
    http2,
    kept::{Connection, Kept},
    piece::Holding,
    spare::Spare,
};
use crate::{
    metrics::Counters,
    serve::{Buffers, Limits},
};

/// For how many sweeps an idle connection is kept; there is one a second. What the app closes
/// earlier is noticed.
const IDLE: u64 = 30;
/// So many idle connections are kept at most.
const MAX_IDLE: usize = 256;
/// One warning in so long about an app that cannot be reached.
const WARNING: Duration = Duration::from_secs(1);

/// The idle connections of one worker to one app.
#[derive(Debug)]
pub(crate) struct Pool {
    app: App,
    limits: Limits,
    counters: Arc<Counters>,
    buffers: Buffers,
    spare: Spare,
    /// The one used last stands last and is taken first, so that the others can expire.
    idle: RefCell<Vec<Idle>>,
    /// How many there were.
    sweeps: Cell<u64>,
    http2: http2::Shared,
    warned: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// How many sweeps there had been.
    since: u64,
}

// === impl Pool ===

impl Pool {
    /// Empty.
    pub(crate) fn new(app: App, limits: Limits, buffers: Buffers, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            app,
            limits,
            counters,
            buffers,
            spare: Spare::default(),
            idle: RefCell::default(),
            sweeps: Cell::default(),
            http2: http2::Shared::default(),
            warned: Cell::default(),
        })
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    pub(super) fn spare(&self) -> &Spare {
        &self.spare
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// For a body.
    pub(super) fn holding(&self) -> Holding {
        Holding::new(self.buffers.clone())
    }

    /// An idle connection that is still good, or a new one.
    pub(super) async fn checkout(self: &Rc<Self>) -> Result<Kept, AppError> {
        loop {
            let Some(Idle { connection, .. }) = self.idle.borrow_mut().pop() else {
                return Box::pin(self.connect()).await;
            };
            if connection.is_clean() {
                return Ok(Kept::new(connection, Rc::clone(self), true));
            }
        }
    }

    /// A new connection, to be kept for more requests.
    pub(super) async fn connect(self: &Rc<Self>) -> Result<Kept, AppError> {
        let connection = self.open(Connection::open(&self.app)).await?;
        Ok(Kept::new(connection, Rc::clone(self), false))
    }

    /// A new connection for one request.
    pub(super) async fn connect_alone(&self) -> Result<Alone, AppError> {
        self.open(Alone::open(&self.app, &self.buffers)).await
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

    /// Takes a connection back whose answer is over.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: self.sweeps.get() });
        }
    }

    /// Closes what nobody needed for a while, and what the app has closed.
    pub(crate) fn sweep(&self) {
        let now = self.sweeps.get() + 1;
        self.sweeps.set(now);
        self.idle.borrow_mut().retain(|idle| now - idle.since <= IDLE && idle.connection.is_clean());
    }

    /// In time, and counted.
    async fn open<T>(&self, opening: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
        let opened =
            time::timeout(self.limits.connect, opening).await.unwrap_or(Err(AppError::ConnectTimeout));
        match &opened {
            Ok(_) => self.counters.app_connections.add(),
            Err(error) => self.warn(error),
        }
        opened
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

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{Read, Write},
        net::{Shutdown, SocketAddr, TcpListener},
        pin::pin,
        task::{Context, Waker},
        thread,
    };

    use http::{Method, uri::PathAndQuery};
    use tokio::{
        runtime::LocalRuntime,
        task::{self, coop},
    };

    use super::*;
    use crate::rewrite::Outbound;

    /// What becomes of a connection that came back, if the app then does this to it. Nothing is
    /// polled in between, so only the pool itself can have noticed.
    fn reused_after(app: impl FnOnce(&mut std::net::TcpStream)) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        LocalRuntime::new().unwrap().block_on(async {
            let pool =
                Pool::new(address.into(), Limits::default(), Buffers::new(0, Arc::default()), Arc::default());
            let connection = Connection::open(&pool.app).await.unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            pool.give_back(connection);
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

    /// Begins to answer each connection's one request, and keeps it open.
    fn answering() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1").unwrap();
                kept.push(stream);
            }
        });
        address
    }

    #[test]
    fn an_answer_is_not_missed_by_who_has_used_up_its_turn() {
        let address = answering();
        LocalRuntime::new().unwrap().block_on(async {
            let (limits, buffers) = (Limits::default(), Buffers::new(1, Arc::default()));
            let pool = Pool::new(address.into(), limits, buffers, Arc::default());
            // More is not done in one turn.
            for used in 0..128 {
                let mut kept = pool.connect().await.unwrap();
                let target = PathAndQuery::from_static("/");
                let request = Outbound { method: Method::GET, target, lines: Vec::new() };
                let answer = task::spawn_local(async move {
                    let mut sending = pin!(kept.send(&request));
                    poll_fn(|cx| {
                        for _ in 0..used {
                            let mut nobody = Context::from_waker(Waker::noop());
                            let _ = pin!(coop::consume_budget()).poll(&mut nobody);
                        }
                        sending.as_mut().poll(cx)
                    })
                    .await
                });
                let answer = time::timeout(Duration::from_secs(5), answer).await;
                assert!(answer.is_ok_and(|answer| answer.is_ok()), "{used}");
            }
        });
    }

    #[test]
    fn what_nobody_needed_for_a_while_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        LocalRuntime::new().unwrap().block_on(async {
            let pool =
                Pool::new(address.into(), Limits::default(), Buffers::new(0, Arc::default()), Arc::default());
            pool.give_back(Connection::open(&pool.app).await.unwrap());
            (0..IDLE).for_each(|_| pool.sweep());
            assert_eq!(pool.idle.borrow().len(), 1);
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
            let pool = Pool::new(address.into(), limits, Buffers::new(0, Arc::default()), Arc::default());
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
