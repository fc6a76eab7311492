//! Takes connections at one address, and gives each to the worker that has the fewest.
//!
//! One thread accepts, without `SO_REUSEPORT`: with it another process of the same user could take
//! the connections, and a busy core would keep its own queue. A connection stays on the worker that
//! it was given to. It must never spin: when the system has no descriptor left it waits.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

mod workers;

pub(crate) use workers::Load;
pub use workers::Workers;

/// The kernel's queue of connections that nobody took yet.
const BACKLOG: i32 = 1024;
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
    pub(crate) place: OwnedSemaphorePermit,
}

/// Listens at `address`, and takes nothing yet.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted process need not wait until the connections of the last one are forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts on a thread of its own until `stop` is cancelled; the listener closes then. Worker `i`
/// gets its connections by `queues[i]`.
pub(crate) fn start(
    listener: std::net::TcpListener,
    limit: usize,
    workers: &Workers,
    queues: Vec<mpsc::UnboundedSender<Accepted>>,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let workers = workers.clone();
    thread::Builder::new().name("accept".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(&listener, limit, &workers, &queues) => {}
                () = stop.cancelled() => {}
            }
        });
    })?;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    limit: usize,
    workers: &Workers,
    queues: &[mpsc::UnboundedSender<Accepted>],
) {
    let places = Arc::new(Semaphore::new(limit));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await.and_then(prepare) {
            Ok((stream, peer)) => {
                let (worker, load) = workers.least_loaded();
                let accepted = Accepted { stream, peer, load, place };
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
