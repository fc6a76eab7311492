//! Callers that speak HTTP/2, and apps that speak gRPC.

use std::{cell::Cell, convert::Infallible, io::Write as _, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self as client2, SendRequest},
    server::conn::http2 as server2,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use sidegate_bundle::gate::{KeepAlive, Standing};
use tokio::{net::TcpStream, runtime::LocalRuntime, task};

use super::{says::saying, *};
use crate::serve::Here;

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// A caller's connection, and the task that ends with it.
pub(super) async fn connect(address: SocketAddr) -> (Sender, task::JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = client2::Builder::new(Here).handshake(TokioIo::new(stream)).await.unwrap();
    (sender, task::spawn_local(connection))
}

pub(super) fn request(method: &str, path: &str, key: bool, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(format!("http://api.example{path}"));
    if key {
        request = request.header("x-api-key", api_key("ci").expose());
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// An app that speaks HTTP/2 and nothing else, on a thread of its own.
fn grpc_app<F, B>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> SocketAddr
where
    F: Future<Output = Response<B>> + 'static,
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        LocalRuntime::new().unwrap().block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                task::spawn_local(
                    server2::Builder::new(Here).serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    address
}

#[test]
fn streams_of_one_connection_are_requests_like_any_other() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        let mut first = request("GET", "/api/v1/apps?x=1", true, "");
        first.headers_mut().insert("x-sidegate-subject", HeaderValue::from_static("key:team-b.boss"));
        let (first, denied, posted) = (
            sender.send_request(first),
            sender.send_request(request("GET", "/api/v1/apps", false, "")),
            sender.send_request(request("POST", "/healthz", false, "body")),
        );
        let (first, denied, posted) = tokio::join!(first, denied, posted);
        let first = text(first.unwrap()).await;
        assert!(first.starts_with("GET /api/v1/apps?x=1 HTTP/1.1\r\n"), "{first}");
        for (name, value) in [("host", "api.example"), ("x-sidegate-subject", "key:team-a.ci")] {
            assert_eq!(client::header(&first, name), Some(value), "{first}");
        }
        assert!(!first.contains(api_key("ci").expose()) && !first.contains("boss"), "{first}");
        let denied = denied.unwrap();
        assert_eq!(denied.status(), 401);
        assert!(denied.headers().contains_key("x-sidegate-request-id"));
        assert!(text(denied).await.contains("missing_credentials"));
        let posted = text(posted.unwrap()).await;
        assert!(posted.starts_with("POST /healthz HTTP/1.1\r\n") && posted.ends_with("body"), "{posted}");
    });
    assert_eq!(setup.told(3).len(), 3);
    assert_eq!(setup.count(|worker| worker.connections_opened.get()), 1);
}

#[test]
fn a_large_body_goes_up_and_comes_down_whole() {
    let backend = Backend::serving(|mut connection, _| {
        while let Some(received) = connection.head() {
            let Some(body) = connection.body(&received) else { return };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    let setup = Setup::new(backend.address());
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        let body = "0123456789".repeat(300_000);
        let answer = sender.send_request(request("POST", "/healthz", false, &body)).await.unwrap();
        assert!(text(answer).await == body);
    });
}

#[test]
fn grpc_goes_on_by_http2_with_its_trailers_and_without_the_key() {
    let app = grpc_app(|request| async move {
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.uri().authority().unwrap(), "api.example");
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["x-sidegate-subject"], "key:team-a.ci");
        assert!(!request.headers().contains_key("x-api-key"));
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-sidegate-subject", HeaderValue::from_static("key:team-b.boss"));
        let text = format!("{path} {}", body.len());
        let frames = [Frame::data(Bytes::from(text)), Frame::trailers(trailers)];
        let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    });
    for (keep_alive, connections) in [(KeepAlive::Auto, 1), (KeepAlive::Off, 3)] {
        grpc_three_times(&saying(app, GateBundle { keep_alive, ..quickstart() }), connections);
    }
}

/// With that many connections to the app.
fn grpc_three_times(setup: &Setup, connections: u64) {
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        for _ in 0..3 {
            let mut call = request("GET", "/api/v1/apps", true, "12345");
            call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
            call.headers_mut().insert("te", HeaderValue::from_static("trailers"));
            let answer = sender.send_request(call).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.unwrap();
            let trailers = body.trailers().unwrap();
            assert_eq!(trailers["grpc-status"], "0");
            assert!(!trailers.contains_key("x-sidegate-subject"));
            assert_eq!(body.to_bytes(), "/api/v1/apps 5");
        }
    });
    assert_eq!(setup.count(|worker| worker.app_connections.get()), connections);
}

#[test]
fn an_app_that_does_not_speak_http2_is_a_502_for_grpc_alone() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        let mut call = request("POST", "/healthz", false, "12345");
        call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        assert_eq!(sender.send_request(call).await.unwrap().status(), 502);
        assert_eq!(sender.send_request(request("GET", "/healthz", false, "")).await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_of_grpc_that_stops_coming_is_a_408() {
    let app = grpc_app(|request| async move {
        let _ = request.into_body().collect().await;
        Response::new(Full::new(Bytes::new()))
    });
    let limits = Limits { body: Duration::from_millis(100), ..Limits::default() };
    let setup = Setup::without_bundle(app, limits);
    setup.put_in_force(1);
    LocalRuntime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(setup.gate.local_addr()).await.unwrap();
        let (mut sender, connection) =
            client2::Builder::new(Here).handshake(TokioIo::new(stream)).await.unwrap();
        task::spawn_local(connection);
        let first = Frame::data(Bytes::from_static(b"begin"));
        let body = futures::StreamExt::chain(
            futures::stream::iter([Ok::<_, Infallible>(first)]),
            futures::stream::pending(),
        );
        let mut call = Request::new(StreamBody::new(body));
        *call.method_mut() = http::Method::POST;
        *call.uri_mut() = "http://api/healthz".parse().unwrap();
        call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        assert_eq!(sender.send_request(call).await.unwrap().status(), 408);
    });
    assert_eq!(setup.told(1)[0].denied, Some("body_timeout"));
}

#[test]
fn a_stream_of_grpc_ends_with_its_key_and_its_connection_goes_on() {
    let app = grpc_app(|request| async move {
        let endless = request.headers().contains_key("x-endless");
        let number = Cell::new(0);
        let frames = futures::stream::unfold(number, move |number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            number.set(number.get() + 1);
            let more = endless || number.get() < 3;
            more.then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"message"))), number))
        });
        Response::new(StreamBody::new(Box::pin(frames)))
    });
    let setup = Rc::new(Setup::new(app));
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        let mut call = request("GET", "/api/v1/apps", true, "");
        call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        call.headers_mut().insert("x-endless", HeaderValue::from_static("1"));
        let mut body = sender.send_request(call).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        let mut bundle = GateBundle { revision: Revision(2), ..quickstart() };
        let id = api_key("ci").id();
        bundle.keys.iter_mut().filter(|key| key.id == id).for_each(|key| key.standing = Standing::Suspended);
        setup.bundles.offer(bundle, Timestamp::now()).unwrap();
        let end = async {
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok::<_, hyper::Error>(())
        };
        let end = tokio::time::timeout(Duration::from_secs(5), end).await.expect("it goes on");
        assert!(end.is_err(), "it ended in good order");
        let next = sender.send_request(request("GET", "/api/v1/apps", true, "")).await.unwrap();
        assert_eq!(next.status(), 403);
    });
}

#[test]
fn asked_to_stop_streams_in_flight_are_finished_and_the_connection_ends() {
    let backend = Backend::serving(|mut connection, requests| {
        connection.head();
        requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        thread::sleep(Duration::from_millis(300));
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
    });
    let setup = Setup::new(backend.address());
    LocalRuntime::new().unwrap().block_on(async {
        let (mut sender, connection) = connect(setup.gate.local_addr()).await;
        let (_idle, idle_connection) = connect(setup.gate.local_addr()).await;
        let asked = sender.send_request(request("GET", "/healthz", false, ""));
        let stopping = async {
            while backend.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let begun = Instant::now();
            setup.stop.cancel();
            idle_connection.await.unwrap().unwrap();
            assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        };
        let (answer, ()) = tokio::join!(asked, stopping);
        assert_eq!(text(answer.unwrap()).await, "done");
        connection.await.unwrap().unwrap();
    });
    assert!(setup.stop() < Duration::from_secs(1));
}

#[test]
fn streams_that_are_reset_as_fast_as_they_come_end_the_connection() {
    let backend = Backend::serving(|mut connection, _| while connection.head().is_some() {});
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // :method GET, :scheme http, :path /healthz, :authority api.
    let block = b"\x82\x86\x44\x08/healthz\x41\x03api";
    for stream in (1..4_000_u32).step_by(2) {
        bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(block);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend([0, 0, 0, 8]);
    }
    // The gate may have closed before it has all of it.
    let _ = client.stream.write_all(&bytes);
    let rest = client.rest();
    // GOAWAY, for ENHANCE_YOUR_CALM.
    assert!(rest.windows(4).any(|window| window == [0, 0, 0, 11]), "{rest:?}");
    assert!(backend.connections() < 1_000, "{}", backend.connections());
    until(|| setup.count(|worker| worker.connections_closed.get()) == 1);
    assert_eq!(setup.client().ask("GET /none", "", "").status, 401);
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_ended_and_one_in_use_is_not() {
    let backend = Backend::serving(|mut connection, _| {
        while connection.head().is_some() {
            thread::sleep(Duration::from_millis(400));
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
        }
    });
    let limits =
        Limits { head: Duration::from_millis(150), idle: Duration::from_millis(700), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    LocalRuntime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(setup.gate.local_addr()).await.unwrap();
        let (mut sender, connection) = client2::Builder::new(Here)
            .timer(hyper_util::rt::TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(40))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = task::spawn_local(connection);
        for _ in 0..2 {
            let answer = sender.send_request(request("GET", "/healthz", false, "")).await.unwrap();
            assert_eq!(text(answer).await, "done");
            // A ping is no beginning of a head.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        let ended = tokio::time::timeout(Duration::from_secs(3), connection).await;
        assert!(ended.expect("it is kept").unwrap().is_ok());
    });
}

/// A caller that writes frame by frame, behind the preface and these settings.
pub(super) fn framing(setup: &Setup, settings: &[u8]) -> Client {
    let mut client = setup.client();
    client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    client.stream.write_all(&frame(4, 0, 0, settings)).unwrap();
    client
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// :method GET, :scheme http, :path /healthz, :authority api.
pub(super) const GET: &[u8] = b"\x82\x86\x44\x08/healthz\x41\x03api";

#[test]
fn a_head_that_does_not_end_ends_its_connection_and_is_told() {
    let backend = Backend::echo();
    let limits = Limits { head: Duration::from_millis(400), ..Limits::default() };
    for cut in [GET.len(), GET.len() - 1] {
        let setup = Setup::without_bundle(backend.address(), limits.clone());
        setup.put_in_force(1);
        let mut client = framing(&setup, b"");
        // One that ends comes before it, so that the connection is not a new one.
        client.stream.write_all(&frame(1, 5, 1, GET)).unwrap();
        until(|| setup.count(|worker| worker.allowed.get()) == 1);
        let mut begun = frame(1, if cut == GET.len() { 1 } else { 5 }, 3, GET);
        begun.truncate(9 + cut);
        client.stream.write_all(&begun).unwrap();
        let start = Instant::now();
        client.rest();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
        assert_eq!(setup.told(2)[1].denied, Some("head_timeout"));
    }
}

#[test]
fn an_answer_that_nobody_takes_is_left_and_its_connection_goes_on() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::serving(move |mut connection, _| {
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let much = vec![b'x'; 65_536];
        while connection.send(&much).is_ok() {}
        gone.lock().unwrap().send(()).unwrap();
    });
    let limits = Limits { untaken: Duration::from_millis(400), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    // No window for any stream.
    let mut client = framing(&setup, &[0, 4, 0, 0, 0, 0]);
    for stream in [1, 3] {
        client.stream.write_all(&frame(1, 5, stream, GET)).unwrap();
        assert!(left.recv_timeout(Duration::from_secs(5)).is_ok());
        // RST_STREAM, for CANCEL.
        let reset = [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 8]].concat();
        let mut come = Vec::new();
        while !come.ends_with(&reset) {
            come.extend(client.read(1));
        }
    }
    assert_eq!(setup.count(|worker| worker.connections_closed.get()), 0);
}

#[test]
fn bodies_that_no_app_takes_are_held_back_and_small_requests_pass() {
    let backend = Backend::serving(|mut connection, _| {
        let received = connection.head().unwrap();
        if received.header("x-deaf").is_some() {
            // Until the gate leaves.
            let mut byte = [0];
            while connection.stream.peek(&mut byte).is_ok_and(|count| count > 0) {
                thread::sleep(Duration::from_millis(20));
            }
        } else if let Some(body) = connection.body(&received) {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = connection.send(&[head.as_bytes(), &body].concat());
        }
    });
    let limits = Limits { buffers: 128 << 10, ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let address = setup.gate.local_addr();
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let deaf = thread::spawn(move || {
        LocalRuntime::new().unwrap().block_on(async {
            let much = "0123456789".repeat(1_600_000);
            for _ in 0..4 {
                let (mut sender, _connection) = connect(address).await;
                for _ in 0..4 {
                    let mut post = request("POST", "/healthz", false, &much);
                    post.headers_mut().insert("x-deaf", HeaderValue::from_static("1"));
                    let asked = sender.send_request(post);
                    task::spawn_local(async move { drop(asked.await) });
                }
            }
            let _ = left.await;
        });
    });
    until(|| setup.count(|worker| worker.heads_held_back.get()) > 0);
    LocalRuntime::new().unwrap().block_on(async {
        for _ in 0..5 {
            let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
            let asked = sender.send_request(request("POST", "/healthz", false, "small"));
            let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("it waits");
            assert_eq!(text(answer.unwrap()).await, "small");
        }
        drop(leave);
        deaf.join().unwrap();
        // Nobody waits for those who left: that is not seen before a ping of theirs is missed.
        let body = "0123456789".repeat(50_000);
        let (mut sender, _connection) = connect(setup.gate.local_addr()).await;
        for _ in 0..3 {
            let asked = sender.send_request(request("POST", "/healthz", false, &body));
            let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("it waits");
            assert!(text(answer.unwrap()).await == body);
        }
    });
}
