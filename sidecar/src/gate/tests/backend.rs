//! An app as simple as can be: plain sockets, a thread a connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Listens, counts, and answers by a function.
pub(super) struct Backend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

/// One connection at the app.
pub(super) struct Connection {
    pub(super) reader: BufReader<TcpStream>,
    pub(super) stream: TcpStream,
}

/// One request as the app read it.
pub(super) struct Received {
    pub(super) head: String,
}

// === impl Backend ===

impl Backend {
    /// Gives each connection to `serve`, which answers as it likes.
    pub(super) fn serving(serve: impl Fn(Connection, &AtomicUsize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, heard) = (Arc::clone(&connections), Arc::clone(&requests));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (serve, heard) = (Arc::clone(&serve), Arc::clone(&heard));
                thread::spawn(move || {
                    let reader = BufReader::new(stream.try_clone().unwrap());
                    serve(Connection { reader, stream }, &heard);
                });
            }
        });
        Self { address, connections, requests }
    }

    /// Reads whole requests, and answers each with its head and its body.
    pub(super) fn echo() -> Self {
        Self::serving(|mut connection, requests| {
            while let Some(received) = connection.head() {
                let Some(body) = connection.body(&received) else { return };
                requests.fetch_add(1, Ordering::SeqCst);
                let text = [received.head.as_bytes(), &body].concat();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                if connection.send(&[head.as_bytes(), &text].concat()).is_err() {
                    return;
                }
            }
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

// === impl Connection ===

impl Connection {
    /// The next request's head; `None`: the gate closed.
    pub(super) fn head(&mut self) -> Option<Received> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(Received { head })
    }

    /// Its body, by either framing; `None`: the gate closed before its end.
    pub(super) fn body(&mut self, received: &Received) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = received.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.reader.read_exact(&mut body).ok()?;
        } else if received.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut size = String::new();
                self.reader.read_line(&mut size).ok()?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                let mut chunk = vec![0; size + 2];
                self.reader.read_exact(&mut chunk).ok()?;
                body.extend(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(body)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }
}

// === impl Received ===

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        super::client::header(&self.head, name)
    }
}
