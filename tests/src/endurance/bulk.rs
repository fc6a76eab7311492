//! An app for large and slow bodies: it holds none of them.
//!
//! `POST /up` reads a body that is the pattern and answers how many bytes came. `GET /down/N` answers with
//! so many bytes of it, `GET /chunks/N` without saying beforehand how many. `/stuck` is
//! neither read nor answered. All else is answered with `ok`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::transfer::{receive_pattern, send_pattern};
use super::{Aside, Framing, PIECE};
use crate::http::read_head;

/// The app, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Bulk {
    address: SocketAddr,
    told: Arc<Told>,
    _aside: Aside<()>,
}

/// What it was sent.
#[derive(Debug, Default)]
pub struct Told {
    begun: AtomicUsize,
    whole: AtomicUsize,
    broken: AtomicUsize,
}

// === impl Bulk ===

impl Bulk {
    /// Listens from when this returns.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let told = Arc::<Told>::default();
        let ours = Arc::clone(&told);
        let aside = Aside::start(move || listen(listener, ours))?;
        Ok(Self { address, told, _aside: aside })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was sent so far.
    pub fn told(&self) -> &Told {
        &self.told
    }
}

// === impl Told ===

impl Told {
    /// Bodies that began.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Bodies that came to their end.
    pub fn whole(&self) -> usize {
        self.whole.load(Ordering::SeqCst)
    }

    /// Bodies that were broken off.
    pub fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }
}

async fn listen(listener: std::net::TcpListener, told: Arc<Told>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let told = Arc::clone(&told);
        connections.spawn(async move {
            if let Err(error) = serve(stream, &told).await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, told: &Told) -> Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(PIECE, read);
    while let Some(head) = read_head(&mut read).await? {
        let target = head.second();
        if let Some(count) = target.strip_prefix("/down/") {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n");
            write.write_all(head.as_bytes()).await?;
            send_pattern(&mut write, Framing::Length, count.parse()?).await?;
        } else if let Some(count) = target.strip_prefix("/chunks/") {
            write.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            send_pattern(&mut write, Framing::Chunks, count.parse()?).await?;
        } else if target == "/stuck" {
            std::future::pending::<()>().await;
        } else {
            let answer = if target == "/up" {
                told.begun.fetch_add(1, Ordering::SeqCst);
                let received = receive_pattern(&mut read, &head).await;
                let ended = if received.is_ok() { &told.whole } else { &told.broken };
                ended.fetch_add(1, Ordering::SeqCst);
                format!("{} bytes", received?)
            } else {
                "ok".to_owned()
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
            write.write_all(head.as_bytes()).await?;
        }
        if head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endurance::{Check, download, pattern, upload};
    use crate::http::{Connection, Request, exchange};

    #[tokio::test]
    async fn bodies_are_compared_both_ways_and_an_end_too_early_is_counted() {
        let bulk = Bulk::start().unwrap();
        let address = bulk.address().to_string();
        let connect = || TcpStream::connect(&address);
        for target in ["/down/100000", "/chunks/100000"] {
            let answer = Connection::open(&address).await.unwrap().send(&Request::new("GET", target)).await;
            let mut check = Check::default();
            check.take(&answer.unwrap().body).unwrap();
            assert_eq!(check.taken(), 100_000);
            let count = download(connect().await.unwrap(), Request::new("GET", target)).await;
            assert_eq!(count.unwrap(), 100_000);
        }
        for framing in [Framing::Length, Framing::Chunks] {
            let request = Request::new("POST", "/up");
            let told = upload(connect().await.unwrap(), request, framing, 100_000).await;
            assert_eq!(told.unwrap(), "100000 bytes");
        }
        let body = [pattern(0, 60_000), pattern(60_000, 20_000)].concat();
        let answer = Request::new("POST", "/up").body(body).send(&address).await.unwrap();
        assert_eq!(answer.text(), "80000 bytes");
        assert_eq!((bulk.told().begun(), bulk.told().whole()), (3, 3));
        let wrong = b"POST /up HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz";
        assert_eq!(exchange(&address, wrong).await.unwrap(), b"");
        assert_eq!(bulk.told().broken(), 1);
    }
}
