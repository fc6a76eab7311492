//! The app behind a gate: it answers with what it received, as JSON, and remembers it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::http::{read_body, read_head};

/// An app on a loopback port of its own, until it is dropped.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

/// A request as it reached the app. This, as JSON, is also the app's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The request target, unchanged.
    pub target: String,
    /// All header lines in their order, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

// === impl App ===

impl App {
    /// Listens from when this returns.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::default();
        let task = tokio::spawn(listen(listener, Arc::clone(&received)));
        Ok(Self { address, received, task })
    }

    /// Where it listens, as `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that reached it, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Received ===

impl Received {
    /// All values of this header, its name in any case.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

async fn listen(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>) {
    // In a set, so that connections end with the app.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        connections.spawn(async move {
            if let Err(error) = serve(stream, &received).await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
    }
}

async fn serve(stream: TcpStream, received: &Mutex<Vec<Received>>) -> Result<()> {
    let mut stream = BufStream::new(stream);
    while let Some(head) = read_head(&mut stream).await? {
        if head.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            stream.flush().await?;
        }
        let body = read_body(&mut stream, &head, false).await?;
        let request = Received {
            method: head.start.split(' ').next().unwrap_or_default().to_owned(),
            target: head.second().to_owned(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let answer = serde_json::to_vec_pretty(&request)?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let bodyless = request.method == "HEAD";
        let close = request.header("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
        received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        stream.write_all(head.as_bytes()).await?;
        if !bodyless {
            stream.write_all(&answer).await?;
        }
        stream.flush().await?;
        if close {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Connection, Request};

    #[tokio::test]
    async fn the_app_answers_with_what_it_received() {
        let app = App::start().await.unwrap();
        let address = app.address().to_string();
        let request =
            Request::new("POST", "/a?b=%20").header("X-Twice", "1").header("x-twice", "2").body("hi");
        let mut connection = Connection::open(&address).await.unwrap();
        for _ in 0..2 {
            let answer = connection.send(&request).await.unwrap();
            assert_eq!(answer.status, 200);
            let echoed: Received = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                (echoed.method.as_str(), echoed.target.as_str(), echoed.body.as_str()),
                ("POST", "/a?b=%20", "hi")
            );
            assert_eq!(echoed.header("X-TWICE"), ["1", "2"]);
            assert_eq!(app.received().last(), Some(&echoed));
        }
        assert_eq!(app.received().len(), 2);
        assert_eq!(Request::new("HEAD", "/").send(&address).await.unwrap().body, b"");
    }

    #[tokio::test]
    async fn an_app_that_is_dropped_closes_its_connections() {
        let app = App::start().await.unwrap();
        let mut connection = Connection::open(&app.address().to_string()).await.unwrap();
        connection.send(&Request::new("GET", "/")).await.unwrap();
        drop(app);
        assert!(connection.send(&Request::new("GET", "/")).await.is_err());
    }
}
