//! The binary as the kubelet runs it.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use sidegate_bundle::{
    GateBundle, Revision,
    document::{FILE, pack},
    gate::{Access, GateName, Rule},
};

const BINARY: &str = env!("CARGO_BIN_EXE_sidegate-sidecar");

struct Sidecar {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Sidecar {
    fn run(bundle: &Path, app: SocketAddr) -> Self {
        let (listen, admin) = (free(), free());
        let child = Command::new(BINARY)
            .args(["run", "--gate", "dify/api", "--threads", "2"])
            .args(["--bundle".as_ref(), bundle.as_os_str()])
            .args(["--listen", &listen.to_string(), "--admin", &admin.to_string()])
            .args(["--app", &app.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let sidecar = Self { child, listen, admin };
        until(|| TcpStream::connect(admin).is_ok() && TcpStream::connect(listen).is_ok());
        sidecar
    }

    fn ready(&self) -> Output {
        Command::new(BINARY).args(["ready", "--admin", &self.admin.to_string()]).output().unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: status, standard output, standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut texts = [String::new(), String::new()];
        self.child.stdout.take().unwrap().read_to_string(&mut texts[0]).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut texts[1]).unwrap();
        let [out, err] = texts;
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It is over already where a test waited for that.
        let _ = self.child.kill();
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing happened");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Takes a while for each answer.
fn slow_app(delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]).unwrap();
                thread::sleep(delay);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            });
        }
    });
    address
}

/// Lets everybody in.
fn write_bundle(folder: &Path, gate: GateName) {
    let bundle = GateBundle {
        revision: Revision(7),
        rules: vec![Rule {
            name: Some("all".into()),
            matches: vec![],
            access: Access::Anonymous,
            needs: vec![],
        }],
        ..GateBundle::closed(gate)
    };
    let next = folder.join("next");
    fs::write(&next, pack(&bundle).unwrap()).unwrap();
    fs::rename(next, folder.join(FILE)).unwrap();
}

fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: api\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn not_ready_then_ready_then_drained() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::run(folder.path(), slow_app(Duration::from_millis(300)));
    let answer = sidecar.ready();
    let why = format!("no bundle: {} has no bundle.json.gz yet\n", folder.path().display());
    assert_eq!((answer.status.code(), String::from_utf8(answer.stderr).unwrap()), (Some(1), why));
    assert_eq!(ask(sidecar.listen), "HTTP/1.1 503 Service Unavailable\r\n");

    write_bundle(folder.path(), GateName::new("shop", "web"));
    until(|| {
        let why = String::from_utf8(sidecar.ready().stderr).unwrap();
        why == "no bundle: bundle.json.gz is for Gate shop/web\n"
    });
    write_bundle(folder.path(), GateName::new("dify", "api"));
    until(|| sidecar.ready().status.success());

    let listen = sidecar.listen;
    let in_flight = thread::spawn(move || ask(listen));
    thread::sleep(Duration::from_millis(100));
    sidecar.signal("-TERM");
    let (code, audit, log) = sidecar.end();
    assert_eq!(in_flight.join().unwrap(), "HTTP/1.1 200 OK\r\n");
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<_> = audit.lines().collect();
    assert_eq!(lines.len(), 2, "{audit}");
    assert!(lines[0].contains("\"no_bundle\"") && lines[1].contains("\"rule\":\"all\""), "{audit}");
}

#[test]
fn its_memory_is_its_own_and_tls_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path(), GateName::new("dify", "api"));
    let sidecar = Sidecar::run(folder.path(), slow_app(Duration::ZERO));
    until(|| sidecar.ready().status.success());
    if cfg!(target_os = "linux") {
        let limits = fs::read_to_string(format!("/proc/{}/limits", sidecar.child.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    }
    let mut stream = TcpStream::connect(sidecar.listen).unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or_default(), 0);
    let port = sidecar.listen.port();
    sidecar.signal("-TERM");
    let (_, _, log) = sidecar.end();
    assert!(log.contains(&format!("TLS on port {port}: terminate it before the pod")), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path(), GateName::new("dify", "api"));
    let sidecar = Sidecar::run(folder.path(), slow_app(Duration::from_mins(1)));
    let mut stream = TcpStream::connect(sidecar.listen).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: api\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    sidecar.signal("-TERM");
    until(|| TcpStream::connect(sidecar.listen).is_err());
    sidecar.signal("-INT");
    assert_eq!(sidecar.end().0, Some(130));
}

#[test]
fn a_port_in_use_is_named_and_is_exit_3() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (listen, admin) in [(taken, free()), (free(), taken)] {
        let output = Command::new(BINARY)
            .args(["run", "--gate", "dify/api", "--app", "127.0.0.1:1", "--bundle"])
            .arg(folder.path())
            .args(["--listen", &listen.to_string(), "--admin", &admin.to_string()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.ends_with(&format!("error: {taken} is in use\n")), "{error}");
    }
}

#[test]
fn wrong_usage_is_exit_2_and_nobody_to_ask_is_exit_1() {
    let usage = Command::new(BINARY).args(["run", "--gate", "api"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    let nobody = Command::new(BINARY).args(["ready", "--admin", &free().to_string()]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8(nobody.stderr).unwrap().starts_with("the sidecar does not answer on "));
}
