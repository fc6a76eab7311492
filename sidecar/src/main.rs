//! `sidegate-sidecar`: the data plane as a process. Wiring only.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use sidegate_bundle::GateBundle;
use sidegate_runtime::{
    admin::Admin,
    files,
    follow::{Mount, Newest},
    hardening, shutdown, telemetry,
};
use sidegate_sidecar::{Gate, GateConfig, Limits, Metrics, Workers, audit::Lines, ready};
use tokio_util::sync::CancellationToken;

mod args;

use args::{Command, Run, What};

/// The answer is no.
const NO: u8 = 1;
/// Could not be found out, or could not begin.
const CANNOT: u8 = 3;
/// How long the last audit lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match Command::parse().what {
        What::Run(run) => match serve(*run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(CANNOT, &format!("error: {error:#}")),
        },
        What::Ready { admin } => match ready::ask(admin) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(NO, &why.to_string()),
        },
        What::Drain { pid, wait } => match shutdown::announce(pid) {
            Ok(()) => {
                thread::sleep(wait);
                ExitCode::SUCCESS
            }
            Err(error) => fail(CANNOT, &format!("error: {:#}", anyhow::Error::from(error))),
        },
    }
}

fn fail(code: u8, line: &str) -> ExitCode {
    // Standard error may be closed; the code says the rest.
    let _ = writeln!(io::stderr(), "{line}");
    ExitCode::from(code)
}

fn serve(run: Run) -> anyhow::Result<()> {
    telemetry::init(run.log_format, "info")?;
    telemetry::quiet_panics();
    if let Err(error) = hardening::keep_memory_private() {
        tracing::warn!(%error, "the memory of this process cannot be kept from its user's other processes");
    }
    // A caller's connection and the app's, and some more for all else.
    let needed = 2 * run.max_connections as u64 + 128;
    if let Some(granted) = files::raise_limit().filter(|granted| *granted < needed) {
        tracing::warn!(
            granted,
            needed,
            "too few open files for --max-connections: raise the limit (ulimit -n), or lower the connections"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_stopped(run))
}

async fn until_stopped(run: Run) -> anyhow::Result<()> {
    let Run {
        gate,
        bundle,
        listen,
        app,
        admin: admin_address,
        threads,
        max_connections,
        max_connections_per_source,
        head_timeout,
        idle_timeout,
        body_timeout,
        connect_timeout,
        drain,
        log_format: _,
    } = run;
    let stop = shutdown::on_signals().context("cannot listen for signals")?;
    let announced = shutdown::on_announcement().context("cannot listen for signals")?;
    let admin = Admin::new();
    let metrics = Metrics::new();
    admin.register(|registry| registry.register_collector(Box::new(metrics.clone())));

    // What is in flight when it is asked to stop still ends with its credential.
    let stopped = CancellationToken::new();
    let bundles = Newest::<GateBundle>::new();
    let ours = gate.clone();
    let following = Mount::new(bundle, bundles.clone())
        .unless(move |bundle| (bundle.gate != ours).then(|| format!("is for Gate {}", bundle.gate)))
        .follow(stopped.clone())
        .context("cannot start a thread")?;
    let (stopping, draining) = (stop.clone(), announced.clone());
    admin.readiness_from("drain", move || match (stopping.is_cancelled(), draining.is_cancelled()) {
        (true, _) => Some("stopping".to_owned()),
        (false, true) => Some("draining".to_owned()),
        (false, false) => None,
    });

    let listening = admin.listen(admin_address).await?;
    let (lines, writing) = Lines::start(io::stdout()).context("cannot start a thread")?;
    let workers = Workers::start(threads.unwrap_or_else(Workers::cores)).context("cannot start a thread")?;
    let mut running = Gate::start(GateConfig {
        gate: gate.clone(),
        listen,
        app: app.clone(),
        bundles,
        workers,
        audit: Arc::new(lines),
        metrics,
        limits: Limits {
            head: head_timeout,
            idle: idle_timeout,
            body: body_timeout,
            connections: max_connections,
            connections_per_source: max_connections_per_source,
            connect: connect_timeout,
            ..Limits::default()
        },
        drain,
        shutdown: stop.clone(),
    })?;
    let (state, revision) = (following.state.clone(), running.revisions());
    admin.readiness_from("bundle", move || {
        // What was read is not in force yet.
        state
            .why_not()
            .or_else(|| revision().is_none().then(|| "no bundle: the first is being indexed".to_owned()))
    });
    let (vitals, leaving) = (running.vitals(), running.leaving());
    tokio::spawn(async move {
        announced.cancelled().await;
        leaving.cancel();
    });
    admin.alive_while("gate", move || vitals.why_dead());
    tracing::info!(%gate, listen = %running.local_addr(), %app, admin = %listening.address(), "serving");
    if let Some(why) = following.state.why_not() {
        tracing::warn!("not ready: {why}");
    }

    let admin_port = tokio::spawn(listening.serve(stopped.clone()));
    running.stopped().await;
    stopped.cancel();
    let _ = admin_port.await;
    if !writing.finish(LAST_LINES) {
        tracing::warn!("the last audit lines could not be written in time");
    }
    tracing::info!("stopped");
    Ok(())
}
