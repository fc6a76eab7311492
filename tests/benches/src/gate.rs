//! `cargo xtask bench gate`: throughput, processor time, added delay and memory, beside peers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::keys::Keys;
use crate::peers::{self, Peer, Place};
use crate::process::Running;
use crate::{Args, open_loop};

/// How long after one connection that will be idle the next one comes.
const APART: Duration = Duration::from_millis(2);
/// How long connections are idle before what they hold is measured.
const SETTLED: Duration = Duration::from_secs(3);

/// What one round measured of one peer.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    requests_a_second: f64,
    /// Processor microseconds a request; of the peer alone.
    cpu_a_request: f64,
    p50: Duration,
    p90: Duration,
    p99: Duration,
    start: Duration,
    idle: u64,
    loaded: u64,
    /// Resident bytes for each of 1,000 connections that made a request and are idle since.
    connection: u64,
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = Keys::mint(args.keys);
    let app = peers::free_address()?;
    let threads = std::thread::available_parallelism()?.get();
    let place = Place { folder: folder.path(), app: &app, sidecar: &args.sidecar, threads };
    let script = folder.path().join("keys.lua");
    std::fs::write(&script, keys.wrk())?;
    let (_app, _) = Running::start(&mut peers::app(&place)?, || TcpStream::connect(&app).is_ok())?;
    let (mut all, missing) = peers::all(&place, &keys)?;
    if !args.only.is_empty() {
        all.retain(|peer| args.only.iter().any(|name| name == peer.name));
    }
    for name in missing {
        println!("{name} is not installed: left out");
    }
    let texts: Vec<String> = keys.texts().take(64).map(str::to_owned).collect();
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); all.len()];
    for round in 1..=args.rounds {
        for (peer, measured) in all.iter_mut().zip(&mut rounds) {
            let result = measure(peer, args, &script, &texts).with_context(|| peer.name)?;
            println!("round {round} {:8} {:8.0} requests/s", peer.name, result.requests_a_second);
            measured.push(result);
        }
    }
    println!("\nload average {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    print(&all, &rounds);
    Ok(())
}

fn measure(peer: &mut Peer, args: &Args, script: &Path, keys: &[String]) -> Result<Measured> {
    let mut measured = Measured::default();
    let key = keys.first().context("no key")?;
    let running = match &mut peer.command {
        Some(command) => {
            let (running, start) = Running::start(command, || asked(&peer.address, key).is_ok())?;
            measured.start = start;
            Some(running)
        }
        None => None,
    };
    std::thread::sleep(Duration::from_millis(300));
    measured.idle = running.as_ref().map_or(0, |running| running.used().resident);

    let before = running.as_ref().map(Running::used).unwrap_or_default();
    let (requests, seconds) = wrk(&peer.address, args, script)?;
    let after = running.as_ref().map(Running::used).unwrap_or_default();
    measured.requests_a_second = requests / seconds;
    measured.cpu_a_request = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / requests;
    measured.loaded = after.resident;

    let length = Duration::from_secs(args.seconds);
    let delays = open_loop::run(&peer.address, keys, args.rate, 64, length)?;
    (measured.p50, measured.p90, measured.p99) =
        (delays.quantile(0.5), delays.quantile(0.9), delays.quantile(0.99));
    if let Some(running) = &running {
        let before = running.used().resident;
        let mut idle: Vec<TcpStream> = Vec::new();
        for _ in 0..1000 {
            idle.push(asked(&peer.address, key)?);
            std::thread::sleep(APART);
        }
        std::thread::sleep(SETTLED);
        measured.connection = running.used().resident.saturating_sub(before) / idle.len() as u64;
    }
    Ok(measured)
}

/// A connection that has its answer.
fn asked(address: &str, key: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /api/v1/apps HTTP/1.1\r\nHost: app\r\nX-API-Key: {key}\r\n\r\n")?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..length]));
    Ok(stream)
}

/// Requests and seconds of a closed loop; every answer must be a good one.
fn wrk(address: &str, args: &Args, script: &Path) -> Result<(f64, f64)> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{}", args.connections), &format!("-d{}s", args.seconds), "-s"])
        .arg(script)
        .arg(format!("http://{address}"))
        .output()
        .context("cannot start wrk: apt-get install wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !text.contains("Non-2xx"), "wrk: {text}");
    // "  123456 requests in 4.00s, 12.34MB read"
    let line = text.lines().find(|line| line.contains(" requests in ")).with_context(|| text.to_string())?;
    let mut words = line.split_whitespace();
    let requests = words.next().context("no count")?.parse()?;
    let seconds = words.nth(2).context("no time")?.trim_end_matches(['s', ',']).parse()?;
    Ok((requests, seconds))
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn print(peers: &[Peer], rounds: &[Vec<Measured>]) {
    println!(
        "\n| | requests/s | µs CPU/request | p50 µs | p90 µs | p99 µs | start ms | idle MiB | loaded MiB | KiB/connection |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (peer, rounds) in peers.iter().zip(rounds) {
        let of = |value: fn(&Measured) -> f64| median(rounds.iter().map(value).collect());
        println!(
            "| {} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            peer.name,
            of(|m| m.requests_a_second),
            of(|m| m.cpu_a_request),
            of(|m| m.p50.as_secs_f64() * 1e6),
            of(|m| m.p90.as_secs_f64() * 1e6),
            of(|m| m.p99.as_secs_f64() * 1e6),
            of(|m| m.start.as_secs_f64() * 1e3),
            of(|m| mebibytes(m.idle)),
            of(|m| mebibytes(m.loaded)),
            of(|m| mebibytes(m.connection) * 1024.0),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
