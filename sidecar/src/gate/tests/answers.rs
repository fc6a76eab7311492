//! Answers of an app to a request without a body: what the caller gets, and whether the next request
//! goes by the same connection.

use super::*;

/// An answer, however it is framed.
struct Row {
    name: &'static str,
    /// What is asked first; then it is `GET`.
    line: &'static str,
    /// What the app sends for it.
    sends: &'static [u8],
    /// What the caller gets: status and body.
    gets: (u16, &'static str),
    again: bool,
}

const GET: &str = "GET /healthz";
const HEAD: &str = "HEAD /healthz";

const ROWS: [Row; 17] = [
    Row {
        name: "a length",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        gets: (200, "one"),
        again: true,
    },
    Row {
        name: "no body",
        line: GET,
        sends: b"HTTP/1.1 204 No Content\r\n\r\n",
        gets: (204, ""),
        again: true,
    },
    Row {
        name: "chunks",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n2\r\nne\r\n0\r\n\r\n",
        gets: (200, "one"),
        again: true,
    },
    Row {
        name: "chunks and trailers",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-A: b\r\n\r\n",
        gets: (200, "one"),
        again: true,
    },
    Row {
        name: "hints before it",
        line: GET,
        sends: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        gets: (200, "one"),
        again: true,
    },
    Row {
        name: "to HEAD, with its length alone",
        line: HEAD,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        gets: (200, ""),
        again: true,
    },
    Row {
        name: "it says that it closes",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
        gets: (200, "one"),
        again: false,
    },
    Row {
        name: "HTTP/1.0",
        line: GET,
        sends: b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none",
        gets: (200, "one"),
        again: false,
    },
    Row {
        name: "two ends, of which the chunks' counts",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        gets: (200, "one"),
        again: false,
    },
    Row {
        name: "another behind its length",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        gets: (200, "one"),
        again: false,
    },
    Row {
        name: "another behind its last chunk",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        gets: (200, "one"),
        again: false,
    },
    Row {
        name: "a body where there is none",
        line: GET,
        sends: b"HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        gets: (204, ""),
        again: false,
    },
    Row {
        name: "a body to HEAD",
        line: HEAD,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        gets: (200, ""),
        again: false,
    },
    Row {
        name: "two lengths",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nones",
        gets: (502, ""),
        again: false,
    },
    Row {
        name: "another coding",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        gets: (502, ""),
        again: false,
    },
    Row {
        name: "a folded header",
        line: GET,
        sends: b"HTTP/1.1 200 OK\r\nX-A: b\r\n Content-Length: 9\r\nContent-Length: 3\r\n\r\none",
        gets: (502, ""),
        again: false,
    },
    Row {
        name: "protocols switched unasked",
        line: GET,
        sends: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        gets: (502, ""),
        again: false,
    },
];

#[test]
fn every_answer_has_one_end_and_what_is_behind_it_is_nobodys() {
    for Row { name, line, sends, gets: (status, body), again } in ROWS {
        let backend = Backend::serving(move |mut connection, requests| {
            while connection.head().is_some() {
                let first = requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
                let next = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";
                let _ = connection.send(if first { sends } else { next });
            }
        });
        let setup = Setup::new(backend.address());
        // One connection is one worker's, which has one pool.
        let mut client = setup.client();
        let answer = client.ask(line, "", "");
        assert_eq!(answer.status, status, "{name}");
        if status != 502 {
            assert_eq!(answer.text(), body, "{name}");
        }
        assert_eq!(client.ask(GET, "", "").text(), "next", "{name}");
        assert_eq!(backend.connections(), if again { 1 } else { 2 }, "{name}");
    }
}

#[test]
fn a_head_without_an_end_is_given_up() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        let line = format!("X-A: {}\r\n", "a".repeat(1000));
        let _ = connection.send(b"HTTP/1.1 200 OK\r\n");
        // Ends when the gate has left.
        while connection.send(line.as_bytes()).is_ok() {}
    });
    let setup = Setup::new(backend.address());
    assert_eq!(setup.client().ask(GET, "", "").status, 502);
}

#[test]
fn an_app_that_answers_before_it_has_read_a_large_head_is_heard_and_left() {
    let backend = Backend::serving(|mut connection, requests| {
        if requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            // Nothing is read of it but that it has come.
            connection.stream.peek(&mut [0]).unwrap();
            connection.send(b"HTTP/1.1 431 No\r\nContent-Length: 3\r\n\r\none").unwrap();
            thread::sleep(Duration::from_millis(100));
            return;
        }
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").unwrap();
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let large = format!("X-A: {}\r\n", "a".repeat(60_000));
    let answer = client.ask(GET, &large, "");
    assert_eq!((answer.status, answer.text()), (431, "one"));
    thread::sleep(Duration::from_millis(150));
    assert_eq!(client.ask(GET, "", "").text(), "next");
}
