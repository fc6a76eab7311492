use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Asks over a real socket: status line, and the body.
async fn ask(address: SocketAddr, line: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().trim_start_matches("HTTP/1.1 ");
    (status[..3].to_owned(), body.to_owned())
}

#[tokio::test]
async fn each_path_answers() {
    let admin = Admin::new();
    let lists = admin.readiness("lists");
    let lease = admin.readiness("lease");
    lease.ready();
    let counter = Counter::<u64>::default();
    admin.register(|registry| registry.register("sidegate_writes", "Writes", counter.clone()));
    counter.inc();
    let listening = admin.listen(ANY).await.unwrap();
    let address = listening.address();
    let stop = CancellationToken::new();
    let served = tokio::spawn(listening.serve(stop.clone()));

    let metrics =
        "# HELP sidegate_writes Writes.\n# TYPE sidegate_writes counter\nsidegate_writes_total 1\n# EOF\n";
    let before = [
        ("GET /livez", "200", "ok\n"),
        ("GET /readyz", "503", "lists: starting\n"),
        ("GET /readyz?verbose", "503", "lists: starting\nlease: ok\n"),
        ("HEAD /readyz", "503", ""),
        ("GET /metrics", "200", metrics),
        ("POST /livez", "405", "only GET\n"),
        ("GET /", "404", "there is /livez, /readyz and /metrics\n"),
    ];
    for (line, status, body) in before {
        assert_eq!(ask(address, line).await, (status.to_owned(), body.to_owned()), "{line}");
    }
    lists.ready();
    let after = [("GET /readyz", "ok\n"), ("GET /readyz?verbose", "lists: ok\nlease: ok\n")];
    for (line, body) in after {
        assert_eq!(ask(address, line).await, ("200".to_owned(), body.to_owned()), "{line}");
    }
    lists.not_ready("the watch of Gates is 40 s old");
    assert_eq!(admin.why_not(), ["lists: the watch of Gates is 40 s old"]);
    stop.cancel();
    served.await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Admin::new().listen(ANY).await.unwrap();
    let second = Admin::new().listen(first.address()).await;
    assert_eq!(second.unwrap_err().to_string(), format!("{} is in use", first.address()));
}

#[tokio::test]
async fn callers_that_say_nothing_do_not_keep_others_out_for_good() {
    let admin = Admin::new();
    let listening = admin.listen(ANY).await.unwrap();
    let address = listening.address();
    let stop = CancellationToken::new();
    tokio::spawn(listening.serve(stop.clone()));
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let waiting = tokio::spawn(async move { ask(address, "GET /livez").await });
    silent.truncate(1);
    assert_eq!(waiting.await.unwrap().0, "200");
    stop.cancel();
}

#[tokio::test]
async fn a_connection_has_one_answer() {
    let listening = Admin::new().listen(ANY).await.unwrap();
    let mut caller = TcpStream::connect(listening.address()).await.unwrap();
    tokio::spawn(listening.serve(CancellationToken::new()));
    caller.write_all("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3).as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    // The requests that nobody read may end it with a reset.
    let _ = caller.read_to_end(&mut answers).await;
    assert_eq!(String::from_utf8(answers).unwrap().matches("HTTP/1.1 200 OK").count(), 1);
}

#[tokio::test]
async fn callers_that_never_finish_make_room_for_new_ones() {
    let admin = Admin::new();
    let listening = admin.listen(ANY).await.unwrap();
    let address = listening.address();
    let stop = CancellationToken::new();
    tokio::spawn(listening.serve(stop.clone()));
    let mut stuck = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET /metrics HT").await.unwrap();
        stuck.push(caller);
    }
    let answer = tokio::time::timeout(HEAD_TIMEOUT / 2, ask(address, "GET /livez")).await;
    assert_eq!(answer.unwrap().0, "200");
    assert_eq!(stuck[0].read(&mut [0]).await.unwrap_or_default(), 0, "the oldest had to go");
    stop.cancel();
}

#[tokio::test]
async fn what_must_run_and_does_not_is_named() {
    let admin = Admin::new();
    let dead = Arc::new(Mutex::new(None::<String>));
    let asked = Arc::clone(&dead);
    admin.alive_while("gate", move || asked.lock().unwrap().clone());
    let listening = admin.listen(ANY).await.unwrap();
    let address = listening.address();
    tokio::spawn(listening.serve(CancellationToken::new()));
    assert_eq!(ask(address, "GET /livez").await, ("200".to_owned(), "ok\n".to_owned()));
    *dead.lock().unwrap() = Some("a worker has ended".to_owned());
    let said = ("503".to_owned(), "gate: a worker has ended\n".to_owned());
    assert_eq!(ask(address, "GET /livez").await, said);
    assert_eq!(ask(address, "GET /readyz").await.0, "200");
}
