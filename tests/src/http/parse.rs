//! Reading HTTP/1.1 messages, the way both a client and a server need it.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The head of a message.
#[derive(Debug)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// None if the other side closed the connection before the first byte.
pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Head>> {
    let Some(start) = read_line(stream).await? else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?.context("closed within a head")?;
        if line.is_empty() {
            return Ok(Some(Head { start, headers }));
        }
        let (name, value) = line.split_once(':').with_context(|| format!("not a header: {line}"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// The body that goes with this head. Without a length it goes on to the connection's end if `to_end`, else
/// there is none: that is the difference between an answer and a request.
pub(crate) async fn read_body(
    stream: &mut (impl AsyncBufRead + Unpin),
    head: &Head,
    to_end: bool,
) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        while read_chunk(stream, &mut body).await? {}
        while !read_line(stream).await?.context("closed within trailers")?.is_empty() {}
    } else if let Some(length) = head.header("content-length") {
        body.resize(length.parse().with_context(|| format!("not a length: {length}"))?, 0);
        stream.read_exact(&mut body).await.context("closed within a body")?;
    } else if to_end {
        stream.read_to_end(&mut body).await?;
    }
    Ok(body)
}

// === impl Head ===

impl Head {
    /// The second word of the first line: a status or a target.
    pub(crate) fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<String>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    ensure!(line.pop() == Some(b'\n'), "closed within a line");
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// False after the last chunk.
async fn read_chunk(stream: &mut (impl AsyncBufRead + Unpin), body: &mut Vec<u8>) -> Result<bool> {
    let line = read_line(stream).await?.context("closed before a chunk")?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).with_context(|| format!("not a chunk's size: {line}"))?;
    if size == 0 {
        return Ok(false);
    }
    let start = body.len();
    body.resize(start + size, 0);
    stream.read_exact(&mut body[start..]).await.context("closed within a chunk")?;
    match read_line(stream).await? {
        Some(end) if end.is_empty() => Ok(true),
        _ => bail!("a chunk longer than its size"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(message: &str, to_end: bool) -> Result<String> {
        let mut stream = message.as_bytes();
        let head = read_head(&mut stream).await?.context("no head")?;
        Ok(String::from_utf8(read_body(&mut stream, &head, to_end).await?)?)
    }

    #[tokio::test]
    async fn a_body_ends_where_its_head_says() {
        for (message, to_end, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd", true, "ab"),
            ("HTTP/1.1 200 OK\r\n\r\nabcd", true, "abcd"),
            ("POST / HTTP/1.1\r\n\r\nabcd", false, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\nz",
                true,
                "abcd",
            ),
        ] {
            assert_eq!(body(message, to_end).await.unwrap(), expected, "{message:?}");
        }
    }

    #[tokio::test]
    async fn a_message_cut_short_is_an_error() {
        for message in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcd",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n",
            "HTTP/1.1 200",
        ] {
            assert!(body(message, true).await.is_err(), "{message:?}");
        }
    }
}
