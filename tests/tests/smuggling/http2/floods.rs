//! Callers that send what costs them little and might cost us much. Whatever becomes of them, the gate's one
//! thread goes on serving others, and what it holds stays small.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sidegate_bundle::gate::Access;
use sidegate_tests::backends::{Backend, Server};
use sidegate_tests::endurance::{Memory, mebibytes};
use sidegate_tests::gated::{Gated, bundle, rule};
use sidegate_tests::raw_http2::{
    END_HEADERS, END_STREAM, PREFACE, RawHttp2, block, data, frame, headers, kind, ping, request, reset,
    settings, window_update,
};
use sidegate_tests::{eventually, http};
use tokio::time::{Instant, sleep, timeout};

use crate::SOON;

/// How long a flood goes on that nobody ends.
const FLOOD: Duration = Duration::from_millis(700);
/// What the gate may ever hold more than it has idle.
const GROWTH: u64 = mebibytes(16);
/// What a good caller may wait while others share our two cores.
const WAIT: Duration = Duration::from_secs(2);

const ENHANCE_YOUR_CALM: u32 = 11;

/// What becomes of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection is ended, soon.
    Ended,
    /// The connection is told that this is too much.
    Calmed,
    /// Nothing: it costs next to nothing, or it is not read faster than it is answered.
    Borne,
}

struct Flood {
    name: &'static str,
    /// Sent once, behind the preface and the settings.
    first: Vec<u8>,
    /// The part with this number, again and again.
    more: Box<dyn Fn(u32) -> Vec<u8> + Send>,
    end: End,
}

fn flood(
    name: &'static str,
    first: &[u8],
    more: &'static (dyn Fn(u32) -> Vec<u8> + Sync),
    end: End,
) -> Flood {
    Flood { name, first: first.to_vec(), more: Box::new(more), end }
}

fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", "/flood", &[]))
}

fn floods() -> Vec<Flood> {
    let begun = frame(kind::HEADERS, END_STREAM, 1, &block(&request("GET", "/flood", &[])));
    let posted = headers(1, 0, &request("POST", "/flood", &[]));
    // A header of 4,000 bytes that is remembered, and a head that repeats it 16,000 times.
    let remembered = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'b'; 4000]].concat();
    let bomb = [
        frame(kind::HEADERS, END_STREAM, 1, &[block(&request("GET", "/flood", &[])), remembered].concat()),
        frame(kind::CONTINUATION, END_HEADERS, 1, &[0xbe; 16_000]),
    ];
    vec![
        flood("continuations without a byte", &begun, &|_| frame(kind::CONTINUATION, 0, 1, b""), End::Calmed),
        flood(
            "continuations of a header each",
            &begun,
            &|_| frame(kind::CONTINUATION, 0, 1, &block(&[(b"x-a", b"b")])),
            End::Calmed,
        ),
        flood("a head that repeats itself", &bomb.concat(), &|_| ping(), End::Ended),
        flood("streams that are reset", b"", &|n| [get(2 * n + 1), reset(2 * n + 1)].concat(), End::Calmed),
        flood(
            "streams that are malformed",
            b"",
            &|n| headers(2 * n + 1, END_STREAM, &request("GET", "/flood", &[(b"te", b"gzip")])),
            End::Calmed,
        ),
        flood(
            "streams with a window of nothing",
            b"",
            &|n| [get(2 * n + 1), window_update(2 * n + 1, 0)].concat(),
            End::Ended,
        ),
        flood("settings", b"", &|_| settings(&[(4, 65_535)]), End::Borne),
        flood(
            "settings that are acknowledged unasked",
            b"",
            &|_| frame(kind::SETTINGS, 1, 0, b""),
            End::Ended,
        ),
        flood("pings", b"", &|_| ping(), End::Borne),
        flood("answers to pings that nobody sent", b"", &|_| frame(kind::PING, 1, 0, &[7; 8]), End::Borne),
        flood("priorities", b"", &|n| frame(kind::PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1]), End::Borne),
        flood("windows", b"", &|_| window_update(0, 1), End::Borne),
        flood("a window of more than there is", b"", &|_| window_update(0, 0x7fff_ffff), End::Ended),
        flood("a window of nothing", b"", &|_| window_update(0, 0), End::Ended),
        flood("bodies without a byte", &posted, &|_| data(1, 0, b""), End::Calmed),
        flood(
            "padding",
            &posted,
            &|_| frame(kind::DATA, 8, 1, &[&[255][..], &[0; 255]].concat()),
            End::Calmed,
        ),
        flood("unknown frames", b"", &|_| frame(0x4a, 0, 1, &[0; 16_000]), End::Borne),
    ]
}

/// One thread, so that good and bad share it.
async fn start() -> Result<(Backend, Gated)> {
    let backend = Backend::start(Server::Node).await?;
    let bundle = bundle(vec![rule("open", None, Access::Anonymous)]);
    let flags = ["--threads", "1", "--head-timeout", "1", "--idle-timeout", "2"];
    let gate = Gated::start_with(backend.address(), bundle, "warn", &flags).await?;
    ensure!(http::get(&gate.address, "/warm").await?.status == 200);
    Ok((backend, gate))
}

/// Good callers come one after the other as long as the bad one is at it: each is served.
async fn beside<T>(gate: &str, bad: impl Future<Output = Result<T>>) -> Result<T> {
    let good = async {
        loop {
            let answer = timeout(WAIT, http::get(gate, "/good")).await.context("a good caller waits")??;
            ensure!(answer.status == 200, "a good caller got {}", answer.status);
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = bad => result,
        result = good => result,
    }
}

async fn run(address: &str, flood: &Flood) -> Result<()> {
    let mut caller = RawHttp2::open(address).await?;
    let mut open = caller.send(&flood.first).await;
    let begun = Instant::now();
    let mut number = 0;
    while open && begun.elapsed() < FLOOD {
        let parts: Vec<u8> = (number..number + 50).flat_map(|number| (flood.more)(number)).collect();
        number += 50;
        // Whoever is not read cannot send; that too is an end.
        open = timeout(FLOOD, caller.send(&parts)).await.unwrap_or(true);
    }
    match flood.end {
        End::Borne => ensure!(open, "it was ended: {:?}", caller.outcome(u32::MAX, FLOOD).await),
        end => {
            let outcome = caller.outcome(u32::MAX, SOON).await;
            let calmed = outcome.goaway == Some(ENHANCE_YOUR_CALM) || outcome.goaway.is_none();
            ensure!(
                outcome.closed || outcome.goaway.is_some_and(|code| code != 0),
                "it goes on: {outcome:?}"
            );
            ensure!(end != End::Calmed || calmed, "{outcome:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_ended_or_borne_and_others_are_served() -> Result<()> {
    let (_backend, mut gate) = start().await?;
    let memory = Memory::idle(gate.process.id())?;
    let mut wrong = Vec::new();
    for flood in &floods() {
        if let Err(error) = beside(&gate.address, run(&gate.address, flood)).await {
            wrong.push(format!("{}: {error:#}", flood.name));
        }
        let grown = memory.peak_growth()?;
        if grown > GROWTH {
            wrong.push(format!("{}: the gate has grown by {} KiB", flood.name, grown >> 10));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_to_nothing_are_ended_in_time() -> Result<()> {
    let (_backend, gate) = start().await?;
    let whole = [PREFACE, &settings(&[])].concat();
    let used = [whole.clone(), get(1)].concat();
    let half = |flags| frame(kind::HEADERS, flags, 3, &block(&request("GET", "/flood", &[])));
    let mut cut = half(END_STREAM | END_HEADERS);
    cut.truncate(20);
    let trickle = block(&[(b"x-a", &[b'b'; 300])]);
    let mut long = frame(kind::CONTINUATION, END_HEADERS, 3, &trickle);
    long.truncate(9);
    // What comes first, and what comes again and again. A head has 1 s, a pause 2 s, a goodbye 1 s.
    let cases: [(&str, Vec<u8>, Vec<u8>, u64); 11] = [
        ("half a preface", PREFACE[..10].to_vec(), vec![], 1),
        ("a preface and nothing", PREFACE.to_vec(), vec![], 1),
        ("a preface and pings", PREFACE.to_vec(), ping(), 1),
        ("settings and nothing", whole.clone(), vec![], 1),
        ("settings and pings", whole, ping(), 1),
        ("a head without an end", [used.clone(), half(END_STREAM)].concat(), vec![], 1),
        ("a frame of a head without an end", [used.clone(), cut].concat(), vec![], 1),
        ("a head that comes by bytes", [used.clone(), half(END_STREAM), long].concat(), b"b".to_vec(), 1),
        ("pings behind an answer", used.clone(), ping(), 2),
        ("settings behind an answer", used.clone(), settings(&[]), 2),
        (
            "windows and priorities behind an answer",
            used,
            [window_update(0, 1), frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 1, 1])].concat(),
            2,
        ),
    ];
    let run = async |(name, first, more, least): &(&str, Vec<u8>, Vec<u8>, u64)| {
        let begun = Instant::now();
        let mut caller = RawHttp2::connect(&gate.address).await?;
        caller.send(first).await;
        while begun.elapsed() < SOON {
            let open = more.is_empty() || caller.send(more).await;
            if !open || caller.closes(Instant::now() + Duration::from_millis(100)).await {
                let after = begun.elapsed();
                ensure!(after >= Duration::from_secs(*least), "{name}: {after:?}");
                return Ok(());
            }
        }
        anyhow::bail!("{name}: it is kept")
    };
    let all = async {
        let ends = futures::future::join_all(cases.iter().map(run)).await;
        let wrong: Vec<_> = ends.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    };
    beside(&gate.address, all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_a_hundred_streams_at_once_and_one_more_is_refused() -> Result<()> {
    let (backend, gate) = start().await?;
    let mut caller = RawHttp2::open(&gate.address).await?;
    let post = |stream| headers(stream, 0, &request("POST", "/open", &[]));
    for stream in (1..=201).step_by(2) {
        caller.send(&post(stream)).await;
    }
    // REFUSED_STREAM, and the others are whole.
    assert_eq!(caller.outcome(201, SOON).await.reset, Some(7));
    caller.send(&data(199, END_STREAM, b"abc")).await;
    let (status, body) = caller.outcome(199, SOON).await.answer()?;
    ensure!(status == 200 && body.contains("abc"), "{status} {body}");
    eventually(SOON, "the app has seen one whole request", async || {
        let records = backend.records()?;
        let whole = records.iter().filter(|record| record.target == "/open" && record.body.is_some());
        ensure!(whole.count() == 1, "{records:?}");
        Ok(())
    })
    .await
}
