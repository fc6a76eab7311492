//! Answers to heads that the HTTP library could not read: in the same words as any other of ours,
//! written by hand on the socket that it gave back.

use std::{future::pending, io, io::Write as _, net::IpAddr, time::Duration};

use bytes::Bytes;
use http::Response;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use sidegate_bundle::denial::Denial;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{gate::Worker, request};

/// How long a caller may take to read the answer and to see the end.
const LINGER: Duration = Duration::from_secs(1);
/// What is still read of a caller that goes on sending.
const STILL_READ: usize = 16 << 20;

/// Why a head was not read, by the status that the HTTP library has for it, and what it had read.
pub(super) fn denial(status: u16, read: &[u8]) -> Denial {
    match status {
        // Its first line was not over when there was no more room.
        431 if !read.contains(&b'\n') => Denial::TargetTooLong,
        431 => Denial::HeadTooLarge,
        414 => Denial::TargetTooLong,
        _ => Denial::DoubtfulRequest("the request's head is not well-formed HTTP/1.1"),
    }
}

/// Answers, records, and closes.
pub(super) async fn answer(gate: &Worker, peer: IpAddr, denial: &Denial, stream: TcpStream) {
    let bytes = encoded(&request::unread(gate, peer, denial), Timestamp::now());
    match time::timeout(LINGER, write(stream, &bytes)).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a caller did not take its answer"),
    }
}

async fn write(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    read_on(stream).await
}

/// Takes leave of a caller that has its last answer and may be sending still, and that was told that
/// nothing more will come: a connection that is closed before all was read is reset, and the caller
/// loses what it had not read.
pub(super) async fn linger(stream: TcpStream) {
    // It has left by itself if it fails.
    let _ = time::timeout(LINGER, read_on(stream)).await;
}

/// Reads on until the caller has seen the end. Who sends very much is held up, and read no further.
async fn read_on(mut stream: TcpStream) -> io::Result<()> {
    let (mut rest, mut buf) = (STILL_READ, [0; 2048]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            count if count >= rest => pending().await,
            count => rest -= count,
        }
    }
}

/// The last answer of a connection, as HTTP/1.1 has it.
fn encoded(answer: &Response<Bytes>, now: Timestamp) -> Vec<u8> {
    let (status, body) = (answer.status(), answer.body());
    let mut text = Vec::with_capacity(512 + body.len());
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    // Writing to a Vec does not fail.
    let _ =
        write!(text, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    for (name, value) in answer.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let _ = write!(text, "content-length: {}\r\ndate: {date}\r\n\r\n", body.len());
    text.extend_from_slice(body);
    text
}
