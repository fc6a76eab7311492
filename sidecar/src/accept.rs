//! Takes connections at one address, and gives each to the worker that has the fewest.
//!
//! One thread accepts, without `SO_REUSEPORT`: with it another process of the same user could take
//! the connections, and a busy core would keep its own queue. A connection stays on the worker that
//! it was given to. It must never spin: when the system has no descriptor left it waits.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sidegate_runtime::follow::Reader;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::{net::TcpListener, runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{gate::Part, index::Index, metrics::Counters, serve::Limits};

mod places;
mod sources;
mod workers;

use places::Place;
pub(crate) use places::Places;
pub(crate) use sources::Share;
use sources::Sources;

pub(crate) use workers::Load;
pub use workers::Workers;

/// The kernel's queue of connections that nobody took yet.
const BACKLOG: i32 = 1024;
/// When a silent caller is asked whether it is still there, how often then, and how many times.
const ASKED_AFTER: Duration = Duration::from_mins(1);
const ASKED_AGAIN: Duration = Duration::from_secs(15);
const ASKED: u32 = 4;
/// How many bytes the kernel takes for another side, a caller or the app, while as many are still to
/// be sent to it. What it holds is the pod's memory: by itself it takes some megabytes for each that
/// does not read.
#[cfg(target_os = "linux")]
pub(crate) const UNSENT: u32 = 128 << 10;
/// One line in so long about a source that has too many connections.
const WARNING: Duration = Duration::from_secs(10);
/// The pause after an accept that failed.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A connection on its way to the worker that will serve it.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Counts while it lives.
    pub(crate) load: Load,
    /// Its place among the connections that a listener may have.
    pub(crate) place: Place,
    /// Its place among the connections that its source may have; a trusted proxy needs none.
    pub(crate) share: Option<Share>,
}

/// What accepts, on its own thread.
pub(crate) struct Acceptor {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) limits: Limits,
    pub(crate) places: Places,
    pub(crate) workers: Workers,
    /// Worker `i` gets its connections by `queues[i]`.
    pub(crate) queues: Vec<mpsc::UnboundedSender<Accepted>>,
    /// Which sources are trusted proxies.
    pub(crate) index: Reader<Index>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) part: Part,
}

/// Who comes in.
struct Door {
    limits: Limits,
    index: Reader<Index>,
    counters: Arc<Counters>,
    sources: Sources,
    warned: Option<Instant>,
}

/// A source has all the connections that it may have.
struct TooMany;

/// Listens at `address`, and takes nothing yet.
pub(crate) fn listen(address: SocketAddr, limits: &Limits) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted process need not wait until the connections of the last one are forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // On Linux what is accepted has these too.
    let asked = TcpKeepalive::new().with_time(ASKED_AFTER).with_interval(ASKED_AGAIN).with_retries(ASKED);
    socket.set_tcp_keepalive(&asked)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.untaken))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

// === impl Acceptor ===

impl Acceptor {
    /// Accepts on a thread of its own until `stop` is cancelled; the listener closes then.
    pub(crate) fn start(self, stop: CancellationToken) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let Self { listener, limits, places, workers, queues, index, counters, part } = self;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let mut door = Door { limits, index, counters, sources: Sources::default(), warned: None };
        thread::Builder::new().name("accept".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // It only ends when a worker has ended.
                    () = accept(&listener, &places, &mut door, &workers, &queues) => {}
                    () = stop.cancelled() => part.done(),
                }
            });
        })?;
        Ok(())
    }
}

// === impl Door ===

impl Door {
    /// The share of one more connection of this source: none if it needs none. `Err`: it has too many.
    fn admit(&mut self, source: IpAddr) -> Result<Option<Share>, TooMany> {
        if self.index.current().is_some_and(|index| index.is_trusted_proxy(source)) {
            return Ok(None);
        }
        if let Some(share) = self.sources.take(source, self.limits.connections_per_source) {
            return Ok(Some(share));
        }
        self.counters.refused_by_source.add();
        let now = Instant::now();
        if self.warned.is_none_or(|last| now.duration_since(last) >= WARNING) {
            self.warned = Some(now);
            let limit = self.limits.connections_per_source;
            tracing::warn!(
                %source,
                limit,
                "too many connections of one source; a proxy that brings many callers is named in trustedProxies"
            );
        }
        Err(TooMany)
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Places,
    door: &mut Door,
    workers: &Workers,
    queues: &[mpsc::UnboundedSender<Accepted>],
) {
    loop {
        let Some(place) = places.take().await else { return };
        match listener.accept().await.and_then(prepare) {
            Ok((stream, peer)) => {
                let Ok(share) = door.admit(peer.ip()) else { continue };
                let (worker, load) = workers.least_loaded();
                let accepted = Accepted { stream, peer, load, place, share };
                if queues[worker].send(accepted).is_err() {
                    tracing::error!(worker, "a worker has ended");
                    return;
                }
            }
            Err(error) if is_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Free of this thread's runtime, so that a worker's can take it.
fn prepare((stream, peer): (tokio::net::TcpStream, SocketAddr)) -> io::Result<(TcpStream, SocketAddr)> {
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer))
}

/// Is this about a connection that is gone again, and not about us?
fn is_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
