//! `up`: the Gates and credentials of YAML files on this machine. The same validation, plans,
//! compile and gate as in a cluster, in one process; only the ends are files.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use sidegate_runtime::{
    admin::{Admin, AdminError},
    shutdown::on_signals,
    telemetry::{self, LogFormat},
};
use sidegate_sidecar::{Metrics, StartError, Workers, audit::Each};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Colour, UpArgs},
    manifest::{Kind, Manifest, Problem, Source, Stored},
    output::{Failure, Palette},
};

mod console;
mod convert;
mod echo;
mod execute;
mod gates;
mod print;
mod reload;
mod session;
mod show;
mod state;

use console::Console;
use gates::{Gates, GatesError, Settings};
use session::{Session, SessionError};
use state::{State, StateError};

/// How often the files are looked at.
const POLL: Duration = Duration::from_millis(300);

/// How things are said.
#[derive(Clone)]
struct Voice {
    console: Console,
    zone: TimeZone,
    /// Of standard output.
    out: Palette,
    /// Of standard error.
    err: Palette,
}

/// Runs until it is told to stop.
pub(crate) fn run(args: &UpArgs, colour: Colour) -> Result<(), Failure> {
    let begun = Instant::now();
    telemetry::init(LogFormat::Pretty, "warn").map_err(Failure::usage)?;
    telemetry::quiet_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::unable(format!("cannot start: {error}")))?;
    let (console, writer) = Console::start(io::stdout());
    let voice = Voice {
        console,
        zone: TimeZone::system(),
        out: Palette::of(colour, &io::stdout()),
        err: Palette::of(colour, &io::stderr()),
    };
    let outcome = runtime.block_on(up(args, &voice, begun));
    drop(runtime);
    drop(voice);
    writer.finish();
    outcome
}

async fn up(args: &UpArgs, voice: &Voice, begun: Instant) -> Result<(), Failure> {
    let stdin = Source::stdin(&args.paths, io::stdin()).map_err(Failure::usage)?;
    let sources = Source::read(&args.paths, stdin.as_ref()).map_err(Failure::usage)?;
    let read =
        |stored: &Stored| Manifest::of(&sources, stored).map_err(|problems| invalid(&problems, voice.err));
    check_gates(args, &read(&Stored::new())?)?;
    let state = State::open(&args.state, args.fresh).map_err(|error| state_failure(args, &error))?;
    let manifest = read(&state.stored())?;
    let stop = on_signals().map_err(|error| Failure::unable(format!("cannot take signals: {error}")))?;
    let files = sources.len();
    let mut reload = reload::Files::new(args.paths.clone(), stdin, sources);
    let mut session = start(args, voice, state, &stop).await?;
    session.apply(manifest).await.map_err(|error| session_failure(args, &error))?;
    voice.console.say(show::banner(args, &session, files, begun.elapsed(), voice.out));
    follow(&mut session, &mut reload, voice, &stop).await;
    session.into_gates().stopped().await;
    Ok(())
}

/// Everything but the objects.
async fn start(
    args: &UpArgs,
    voice: &Voice,
    state: State,
    stop: &CancellationToken,
) -> Result<Session, Failure> {
    let unable = |what: &'static str| move |error: io::Error| Failure::unable(format!("{what}: {error}"));
    let admin = Admin::new();
    let listening = admin.listen(args.admin).await.map_err(|error| match error {
        AdminError::InUse(address) => in_use(args, address, "--admin"),
        AdminError::Listen(..) => Failure::unable(show::chain(&error)),
    })?;
    tokio::spawn(listening.serve(stop.clone()));
    let metrics = Metrics::new();
    admin.register(|registry| registry.register_collector(Box::new(metrics.clone())));
    let (console, zone, palette) = (voice.console.clone(), voice.zone.clone(), voice.out);
    let gates = Gates::new(Settings {
        listen: args.listen,
        apps: args.apps.clone(),
        echo: echo::start().await.map_err(unable("cannot start the built-in app"))?,
        workers: Workers::start(Workers::cores()).map_err(unable("cannot start threads"))?,
        metrics,
        audit: Arc::new(Each(move |seen: &sidegate_sidecar::audit::Seen<'_>| {
            console.mention(|| print::request::line(seen, &zone, palette));
        })),
        admin,
        shutdown: stop.clone(),
    });
    Ok(Session::new(execute::Files::new(state), gates))
}

/// Applies edits until it is told to stop.
async fn follow(session: &mut Session, reload: &mut reload::Files, voice: &Voice, stop: &CancellationToken) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The last thing that went wrong: said once, not three times a second.
    let mut wrong: Option<String> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (edited, outcome) = match reload.poll(session.manifest()) {
            reload::Edit::None => (false, session.tick(Timestamp::now()).await),
            reload::Edit::Apply(manifest) => (true, session.apply(*manifest).await),
            reload::Edit::Refuse(mistake) => {
                show::refused(&mistake, voice);
                wrong = Some(String::new());
                continue;
            }
        };
        match outcome {
            Ok(applied) => {
                show::applied(&applied, session, voice);
                if edited && wrong.take().is_some() && applied.changes.is_empty() {
                    show::mended(voice);
                }
            }
            Err(error) => {
                let said = show::chain(&error);
                if edited || wrong.as_ref() != Some(&said) {
                    show::failed(&said, voice);
                }
                wrong = Some(said);
            }
        }
    }
}

/// There has to be a Gate, and every `--app` has to be for one.
fn check_gates(args: &UpArgs, manifest: &Manifest) -> Result<(), Failure> {
    let gates: Vec<_> = manifest.objects.iter().filter(|object| object.kind == Kind::Gate).collect();
    if gates.is_empty() {
        return Err(Failure::usage(format!("there is no Gate in {}", said(&args.paths)))
            .help("the smallest one: https://sidegate.dev/docs/gates"));
    }
    for app in &args.apps {
        let matching = gates.iter().filter(|gate| app.is_for(&convert::to_gate(&gate.name))).count();
        if matching == 0 {
            let all: Vec<_> = gates.iter().map(|gate| gate.name.to_string()).collect();
            return Err(Failure::usage(format!("--app names {app}, and there is no such Gate"))
                .help(format!("there are: {}", all.join(", "))));
        }
        if matching > 1 {
            return Err(Failure::usage(format!(
                "--app names {app}, and there are {matching} Gates of that name"
            ))
            .help(format!("--app NAMESPACE/{}=URL", app.gate)));
        }
    }
    Ok(())
}

fn invalid(problems: &[Problem], palette: Palette) -> Failure {
    show::problems(problems, palette);
    // All is said already.
    Failure::usage("")
}

fn state_failure(args: &UpArgs, error: &StateError) -> Failure {
    let failure = Failure::unable(error);
    match error {
        StateError::InUse { .. } => failure
            .help(format!("{} --state DIR --listen 127.0.0.1:0 --admin 127.0.0.1:0", command(&args.paths))),
        StateError::NotOurs(_) => {
            Failure::usage(error).help(format!("{} --state DIR, a new or empty one", command(&args.paths)))
        }
        StateError::Io { .. } => failure,
    }
}

fn session_failure(args: &UpArgs, error: &SessionError) -> Failure {
    match error {
        SessionError::Gates(GatesError::Start(StartError::InUse(address))) => {
            in_use(args, *address, "--listen")
        }
        error => Failure::unable(show::chain(error)),
    }
}

fn in_use(args: &UpArgs, address: std::net::SocketAddr, flag: &str) -> Failure {
    let first = if flag == "--admin" { args.admin } else { args.listen };
    let other = std::net::SocketAddr::new(first.ip(), first.port().checked_add(10).unwrap_or(0));
    let mut again = format!("{} {flag} {other}", command(&args.paths));
    for (name, given, usual) in [
        ("--listen", args.listen.to_string(), "127.0.0.1:8080"),
        ("--admin", args.admin.to_string(), "127.0.0.1:15821"),
        ("--state", args.state.display().to_string(), ".sidegate"),
    ] {
        if name != flag && given != usual {
            again = format!("{again} {name} {given}");
        }
    }
    let apps = if args.apps.is_empty() { "" } else { ", and --app as before" };
    Failure::unable(format!("{address} is in use")).help(format!("{again}{apps}"))
}

fn command(paths: &[PathBuf]) -> String {
    format!("sidegate up {}", typed(paths))
}

/// The paths as they were typed.
fn typed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// The paths, as one says them.
fn said(paths: &[PathBuf]) -> String {
    let said = |path: &PathBuf| match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    };
    paths.iter().map(said).collect::<Vec<_>>().join(", ")
}
