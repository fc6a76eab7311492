//! Large bodies by HTTP/1.1: sent and received piece by piece, and held by nobody.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Check, PIECE, pattern};
use crate::http::{Head, Request, read_head};

/// How a body says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// Chunks.
    Chunks,
}

/// Sends a body of so many bytes of the pattern; the answer's text.
pub async fn upload(stream: TcpStream, request: Request, framing: Framing, count: u64) -> Result<String> {
    let (read, mut write) = stream.into_split();
    let request = match framing {
        Framing::Length => request.header("Content-Length", &count.to_string()),
        Framing::Chunks => request.header("Transfer-Encoding", "chunked"),
    };
    write.write_all(&request.to_bytes("gate")).await?;
    send_pattern(&mut write, framing, count).await?;
    let mut read = BufReader::new(read);
    let head = read_head(&mut read).await?.context("closed without an answer")?;
    let length = head.header("content-length").context("an answer without a length")?.parse()?;
    let mut text = String::new();
    read.take(length).read_to_string(&mut text).await?;
    ensure!(head.second() == "200", "{} {text}", head.start);
    Ok(text)
}

/// Receives an answer whose body is the pattern; its length.
pub async fn download(stream: TcpStream, request: Request) -> Result<u64> {
    let (read, mut write) = stream.into_split();
    write.write_all(&request.to_bytes("gate")).await?;
    let mut read = BufReader::with_capacity(PIECE, read);
    let head = read_head(&mut read).await?.context("closed without an answer")?;
    ensure!(head.second() == "200", "{}", head.start);
    receive_pattern(&mut read, &head).await
}

pub(super) async fn send_pattern(
    stream: &mut (impl AsyncWrite + Unpin),
    framing: Framing,
    count: u64,
) -> Result<()> {
    let mut sent = 0;
    while sent < count {
        // Whoever else is served on this thread has its turn too.
        tokio::task::yield_now().await;
        let left = count - sent;
        match framing {
            Framing::Length => {
                let piece = pattern(sent, left);
                stream.write_all(piece).await?;
                sent += piece.len() as u64;
            }
            Framing::Chunks => {
                // Never as long as anybody's buffer.
                let piece = pattern(sent, left.min(20_011));
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                stream.write_all(piece).await?;
                stream.write_all(b"\r\n").await?;
                sent += piece.len() as u64;
            }
        }
    }
    if framing == Framing::Chunks {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// Reads and compares the body that goes with this head; its length.
pub(super) async fn receive_pattern(stream: &mut (impl AsyncBufRead + Unpin), head: &Head) -> Result<u64> {
    let mut check = Check::default();
    if let Some(length) = head.header("content-length") {
        piece(stream, length.parse()?, &mut check).await?;
    } else if head.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let size = u64::from_str_radix(line.trim_end(), 16)
                .with_context(|| format!("not a chunk's size: {line}"))?;
            piece(stream, size, &mut check).await?;
            let mut end = [0; 2];
            stream.read_exact(&mut end).await?;
            ensure!(&end == b"\r\n", "a chunk longer than its size");
            if size == 0 {
                break;
            }
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
