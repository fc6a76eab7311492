//! Apps that speak HTTP/2 badly: what becomes of a call, and of the calls beside and behind it.

use std::io::Read as _;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tokio::runtime::LocalRuntime;

use super::{
    http2::{connect, frame, request},
    *,
};

/// :status 200, and no more.
const OK: &[u8] = b"\x88";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What the caller of a bad app gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// 502, in our words.
    Unavailable,
    /// An answer that breaks off.
    Broken,
    /// All of it.
    Whole,
}

struct Bad {
    name: &'static str,
    /// What the app sends when its first call is there, on this stream.
    sends: fn(u32) -> Vec<u8>,
    /// Does it close then?
    closes: bool,
    gets: Gets,
}

fn good(stream: u32) -> Vec<u8> {
    [frame(1, END_HEADERS, stream, OK), frame(0, END_STREAM, stream, b"good")].concat()
}

/// So many headers of 1 KiB, in as many frames as it takes.
fn bomb(count: usize, flags: u8, stream: u32, first: &[u8]) -> Vec<u8> {
    let field = [&b"\0\x03x-b\x7f\x81\x07"[..], &[b'b'; 1024]].concat();
    let block = [first, &field.repeat(count)].concat();
    let last = block.chunks(16_384).count() - 1;
    let frames = block.chunks(16_384).enumerate().map(|(number, part)| {
        let (kind, begun) = if number == 0 { (1, flags) } else { (9, 0) };
        frame(kind, begun | if number == last { END_HEADERS } else { 0 }, stream, part)
    });
    frames.collect::<Vec<_>>().concat()
}

const BAD: [Bad; 18] = [
    Bad { name: "closes", sends: |_| vec![], closes: true, gets: Gets::Unavailable },
    Bad {
        name: "resets",
        sends: |stream| frame(3, 0, stream, &[0, 0, 0, 2]),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "resets behind its answer's head",
        sends: |stream| [frame(1, END_HEADERS, stream, OK), frame(3, 0, stream, &[0, 0, 0, 2])].concat(),
        closes: false,
        gets: Gets::Broken,
    },
    Bad {
        name: "resets within its answer",
        sends: |stream| {
            let begun = [frame(1, END_HEADERS, stream, OK), frame(0, 0, stream, b"go")];
            [begun.concat(), frame(3, 0, stream, &[0, 0, 0, 2])].concat()
        },
        closes: false,
        gets: Gets::Broken,
    },
    Bad {
        name: "resets behind its whole answer",
        sends: |stream| [good(stream), frame(3, 0, stream, &[0, 0, 0, 0])].concat(),
        closes: false,
        gets: Gets::Whole,
    },
    Bad {
        name: "says that it goes, and answers",
        sends: |stream| {
            let last = [&stream.to_be_bytes()[..], &[0; 4]].concat();
            [frame(7, 0, 0, &last), good(stream)].concat()
        },
        closes: true,
        gets: Gets::Whole,
    },
    Bad {
        name: "says that it goes within its answer, and closes",
        sends: |stream| {
            let last = [&stream.to_be_bytes()[..], &[0; 4]].concat();
            let begun = [frame(1, END_HEADERS, stream, OK), frame(0, 0, stream, b"go")];
            [begun.concat(), frame(7, 0, 0, &last)].concat()
        },
        closes: true,
        gets: Gets::Broken,
    },
    Bad {
        name: "says that it goes for an error",
        sends: |stream| frame(7, 0, 0, &[&stream.to_be_bytes()[..], &[0, 0, 0, 2]].concat()),
        closes: true,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "answers with far more headers than are read",
        sends: |stream| [bomb(70, 0, stream, OK), frame(0, END_STREAM, stream, b"good")].concat(),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "answers with more headers than are read",
        sends: |stream| [bomb(20, 0, stream, OK), frame(0, END_STREAM, stream, b"good")].concat(),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "ends with more trailers than are read",
        sends: |stream| {
            let begun = [frame(1, END_HEADERS, stream, OK), frame(0, 0, stream, b"good")];
            [begun.concat(), bomb(20, END_STREAM, stream, b"")].concat()
        },
        closes: false,
        // Those that are read pass, and the others are cut off.
        gets: Gets::Whole,
    },
    Bad {
        name: "ends with far more trailers than are read",
        sends: |stream| {
            let begun = [frame(1, END_HEADERS, stream, OK), frame(0, 0, stream, b"good")];
            [begun.concat(), bomb(70, END_STREAM, stream, b"")].concat()
        },
        closes: false,
        gets: Gets::Broken,
    },
    Bad {
        name: "begins a head without an end, and closes",
        sends: |stream| frame(1, 0, stream, OK),
        closes: true,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "continues a head for ever",
        sends: |stream| [frame(1, 0, stream, OK), frame(9, 0, stream, b"").repeat(1000)].concat(),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "sends more than there is a window for",
        sends: |stream| {
            let much = frame(0, 0, stream, &[b'x'; 16_384]).repeat(80);
            [frame(1, END_HEADERS, stream, OK), much].concat()
        },
        closes: false,
        gets: Gets::Broken,
    },
    Bad {
        name: "promises what nobody asked for",
        sends: |stream| frame(5, END_HEADERS, stream, b"\0\0\0\x02\x82\x86\x84\x41\x01a"),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "speaks HTTP/1",
        sends: |_| b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood".to_vec(),
        closes: false,
        gets: Gets::Unavailable,
    },
    Bad {
        name: "answers without a status",
        sends: |stream| frame(1, END_STREAM | END_HEADERS, stream, b"\0\x03x-a\x01b"),
        closes: false,
        gets: Gets::Unavailable,
    },
];

/// An app that answers the first call that it sees badly, and the others well.
fn app(sends: fn(u32) -> Vec<u8>, closes: bool) -> Backend {
    Backend::serving(move |mut connection, requests| {
        let mut preface = [0; 24];
        if connection.reader.read_exact(&mut preface).is_err() {
            return;
        }
        connection.send(&frame(4, 0, 0, b"")).unwrap();
        let mut head = [0; 9];
        while connection.reader.read_exact(&mut head).is_ok() {
            let [a, b, c, kind, flags, id @ ..] = head;
            let length = u32::from_be_bytes([0, a, b, c]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            if connection.reader.read_exact(&mut payload).is_err() {
                return;
            }
            let answer = match kind {
                // A call is there when its body is.
                0 if flags & END_STREAM == 0 => continue,
                0 if requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => {
                    // What comes may be refused before all of it is out.
                    let _ = connection.send(&sends(u32::from_be_bytes(id)));
                    if closes {
                        connection.stream.shutdown(std::net::Shutdown::Write).unwrap();
                        // Closed with something unread, it would take back what it has said.
                        let _ = connection.reader.read_to_end(&mut Vec::new());
                        return;
                    }
                    continue;
                }
                0 => good(u32::from_be_bytes(id)),
                4 if flags == 0 => frame(4, 1, 0, b""),
                6 if flags == 0 => frame(6, 1, 0, &payload),
                _ => continue,
            };
            if connection.send(&answer).is_err() {
                return;
            }
        }
    })
}

fn call() -> Request<Full<Bytes>> {
    let mut call = request("POST", "/healthz", false, "call");
    call.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    call
}

async fn calls(sender: &mut SendRequest<Full<Bytes>>) -> Gets {
    let call = tokio::time::timeout(Duration::from_secs(5), sender.send_request(call()));
    // A reset may overtake the head before it.
    let Ok(answer): hyper::Result<Response<Incoming>> = call.await.expect("no answer") else {
        return Gets::Broken;
    };
    let status = answer.status();
    let body = tokio::time::timeout(Duration::from_secs(5), answer.into_body().collect()).await;
    match (status.as_u16(), body.expect("no end")) {
        (502, Ok(body)) => {
            let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            assert!(text.contains("\"request_id\""), "{text}");
            Gets::Unavailable
        }
        (200, Ok(body)) => {
            assert_eq!(body.to_bytes(), "good");
            Gets::Whole
        }
        (200, Err(_)) => Gets::Broken,
        (other, _) => panic!("{other}"),
    }
}

#[test]
fn a_bad_answer_is_one_calls_and_the_next_is_served() {
    let mut wrong = Vec::new();
    for Bad { name, sends, closes, gets } in BAD {
        let app = app(sends, closes);
        let setup = Setup::new(app.address());
        LocalRuntime::new().unwrap().block_on(async {
            let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
            for (which, expected) in [("first", gets), ("second", Gets::Whole)] {
                let mut got = calls(&mut sender).await;
                // That the connection is broken may be known a moment later than the call that broke
                // it: one that falls in between is told that it may try again, and only that one.
                if which == "second" && gets == Gets::Broken && got == Gets::Unavailable {
                    got = calls(&mut sender).await;
                }
                if got != expected {
                    wrong.push(format!("an app that {name}: the {which} call: {got:?}"));
                }
            }
        });
        assert!(app.connections() <= 2, "{name}: {}", app.connections());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_app_that_says_nothing_holds_its_own_calls_alone() {
    // It takes the connection, and not even its settings come.
    let app = Backend::serving(|mut connection, requests| {
        let mut begin = [0; 3];
        if connection.reader.read_exact(&mut begin).is_err() {
            return;
        }
        if &begin == b"PRI" {
            requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = connection.reader.read_to_end(&mut Vec::new());
        } else {
            connection.head();
            let _ = connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood");
        }
    });
    let setup = Setup::new(app.address());
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, connection) = connect(setup.gate.local_addr()).await;
        let held: Vec<_> = (0..3).map(|_| sender.send_request(call())).collect();
        let plain = sender.send_request(request("GET", "/healthz", false, ""));
        let asked = futures::future::select(futures::future::join_all(held), Box::pin(plain));
        let futures::future::Either::Right((plain, held)) = asked.await else { panic!("it answered") };
        assert_eq!(plain.unwrap().status(), 200);
        // Whoever goes is not waited for.
        drop((held, sender));
        connection.abort();
        let _ = connection.await;
    });
    until(|| app.requests() == 1);
    until(|| setup.count(|worker| worker.connections_closed.get()) == 1);
    until(|| setup.count(|worker| worker.abandoned.get()) == 3);
}
