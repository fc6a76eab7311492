//! Is the sidecar ready, and if not, why: what the kubelet runs as a probe and shows to people.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use thiserror::Error;

/// How long any step may take: the kubelet's own patience with a probe is a second.
const PATIENCE: Duration = Duration::from_millis(900);
/// More than any answer has.
const MAX_ANSWER: u64 = 64 << 10;

/// Why a sidecar is not ready, in one line.
#[derive(Debug, Error)]
pub enum NotReady {
    /// It says so itself.
    #[error("{0}")]
    Says(String),
    /// Nobody answers.
    #[error("the sidecar does not answer on {0}: {1}")]
    Silent(SocketAddr, io::Error),
    /// Somebody answers who is no sidecar.
    #[error("what listens on {0} is no sidecar")]
    Stranger(SocketAddr),
}

/// Asks the admin port at `admin`.
pub fn ask(admin: SocketAddr) -> Result<(), NotReady> {
    let answer = fetch(admin).map_err(|error| NotReady::Silent(admin, error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(NotReady::Stranger(admin))?;
    match head.get(.."HTTP/1.1 200".len()) {
        Some("HTTP/1.1 200") => Ok(()),
        Some("HTTP/1.1 503") => Err(NotReady::Says(one_line(body))),
        _ => Err(NotReady::Stranger(admin)),
    }
}

fn fetch(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Each line of the answer names what it is about; alone, the name is not needed.
fn one_line(body: &str) -> String {
    let lines: Vec<_> = body.lines().filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [line] => line.split_once(": ").map_or(*line, |(_, why)| why).to_owned(),
        lines => lines.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// Answers one caller with these bytes.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn what_the_admin_port_says_becomes_one_line() {
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\nok\n", None),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\nbundle: no bundle: /b has no bundle.json.gz yet\n",
                Some("no bundle: /b has no bundle.json.gz yet"),
            ),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\nbundle: none\nrules: missing\n",
                Some("bundle: none; rules: missing"),
            ),
        ];
        for (answer, line) in cases {
            let asked = ask(answering(answer)).map_err(|why| why.to_string());
            assert_eq!(asked.err().as_deref(), line, "{answer}");
        }
    }

    #[test]
    fn a_stranger_and_nobody_are_not_ready() {
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0-x\r\n"] {
            assert!(matches!(ask(answering(answer)), Err(NotReady::Stranger(_))), "{answer}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let words = ask(free).unwrap_err().to_string();
        assert!(words.starts_with(&format!("the sidecar does not answer on {free}: ")), "{words}");
    }
}
