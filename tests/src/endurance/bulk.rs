//! An app for large and slow bodies: it holds none of them.
//!
//! `POST /up` reads a body that is the [`pattern`] and answers how many bytes came. `GET /down/N` answers with
//! so many bytes of it, `GET /chunks/N` without saying beforehand how many. All else is answered with `ok`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Aside, Check, PIECE, pattern};
use crate::http::{Head, read_head};

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
            let count = count.parse()?;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n");
            write.write_all(head.as_bytes()).await?;
            let mut sent = 0;
            while sent < count {
                let piece = pattern(sent, count - sent);
                write.write_all(piece).await?;
                sent += piece.len() as u64;
            }
        } else if let Some(count) = target.strip_prefix("/chunks/") {
            let count = count.parse()?;
            write.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let mut sent = 0;
            while sent < count {
                // Never as long as anybody's buffer.
                let piece = pattern(sent, (count - sent).min(20_011));
                write.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                write.write_all(piece).await?;
                write.write_all(b"\r\n").await?;
                sent += piece.len() as u64;
            }
            write.write_all(b"0\r\n\r\n").await?;
        } else {
            let answer = if target == "/up" {
                told.begun.fetch_add(1, Ordering::SeqCst);
                let received = body(&mut read, &head).await;
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

/// Reads and compares a request's body; its length.
async fn body(stream: &mut (impl AsyncBufRead + Unpin), head: &Head) -> Result<u64> {
    let mut check = Check::default();
    if let Some(length) = head.header("content-length") {
        piece(stream, length.parse()?, &mut check).await?;
    } else if head.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let size = u64::from_str_radix(line.trim_end(), 16)
                .with_context(|| format!("not a chunk's size: {line}"))?;
            if size == 0 {
                break;
            }
            piece(stream, size, &mut check).await?;
            let mut end = [0; 2];
            stream.read_exact(&mut end).await?;
            ensure!(&end == b"\r\n", "a chunk longer than its size");
        }
    }
    Ok(check.taken())
}

async fn piece(stream: &mut (impl AsyncBufRead + Unpin), mut left: u64, check: &mut Check) -> Result<()> {
    while left > 0 {
        let there = stream.fill_buf().await?;
        if there.is_empty() {
            bail!("closed within a body");
        }
        let now = there.len().min(usize::try_from(left)?);
        check.take(&there[..now])?;
        stream.consume(now);
        left -= now as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Connection, Request, exchange};

    #[tokio::test]
    async fn bodies_are_compared_both_ways_and_an_end_too_early_is_counted() {
        let bulk = Bulk::start().unwrap();
        let address = bulk.address().to_string();
        let mut connection = Connection::open(&address).await.unwrap();
        for target in ["/down/100000", "/chunks/100000"] {
            let answer = connection.send(&Request::new("GET", target)).await.unwrap();
            let mut check = Check::default();
            check.take(&answer.body).unwrap();
            assert_eq!(check.taken(), 100_000);
        }
        let body = [pattern(0, 60_000), pattern(60_000, 20_000)].concat();
        let answer = connection.send(&Request::new("POST", "/up").body(body)).await.unwrap();
        assert_eq!(answer.text(), "80000 bytes");
        let chunks = b"POST /up HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = [&chunks[..], b"10\r\n", pattern(0, 16), b"\r\n0\r\n\r\n"].concat();
        let answer = exchange(&address, &chunks).await.unwrap();
        assert!(answer.ends_with(b"16 bytes"));
        assert_eq!((bulk.told().begun(), bulk.told().whole()), (2, 2));
        let wrong = b"POST /up HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz";
        assert_eq!(exchange(&address, wrong).await.unwrap(), b"");
        assert_eq!(bulk.told().broken(), 1);
    }
}
