//! What is said at which moment: puts together what [`print`](super::print) words.

use std::{error::Error, io, time::Duration};

use jiff::Timestamp;

use super::{
    Voice,
    print::{
        Banner, GateRow, key_rows,
        request::clock,
        standing::Standing,
        tries::{Holder, Tries},
    },
    reload::Mistake,
    session::{Applied, Session},
    typed,
};
use crate::{
    args::UpArgs,
    manifest::{Kind, ObjectName, Problem},
    output::{Palette, Tone},
};

/// The first text.
pub(super) fn banner(
    args: &UpArgs,
    session: &Session,
    files: usize,
    took: Duration,
    palette: Palette,
) -> String {
    let gates: Vec<_> = session.gates().all().collect();
    let alone = |name: &str| gates.iter().filter(|(gate, ..)| gate.name == name).count() == 1;
    let rows = gates.iter().map(|(gate, url, app, _)| GateRow {
        name: gate.to_string(),
        short: if alone(&gate.name) { gate.name.clone() } else { gate.to_string() },
        url: url.clone(),
        app: app.map(str::to_owned),
        standing: standing(session, Kind::Gate, &gate.namespace, &gate.name),
    });
    let tries = gates.iter().find_map(|(_, url, _, bundle)| {
        let bundle = bundle.as_deref()?;
        let mut places: Vec<_> =
            bundle.keys.iter().filter_map(|key| Some((place(args, session, &key.sub)?, key))).collect();
        places.sort_by(|(one, _), (other, _)| one.cmp(other));
        let holders: Vec<_> = places
            .iter()
            .map(|(place, key)| Holder { key, namespace_folder: &place.folder, file: &place.file })
            .collect();
        Tries::of(bundle, url, &holders, Timestamp::now(), &mut rand::rng())
    });
    Banner {
        files,
        manifest: session.manifest(),
        took,
        gates: rows.collect(),
        keys: session.files().with(|state| key_rows(state, &args.state)),
        tries,
        paths: typed(&args.paths),
    }
    .text(palette)
}

/// Where a key stands; those of ApiKeys that are ready come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    unready: bool,
    /// The folder of its namespace,
    folder: String,
    /// and the file in it.
    file: String,
}

fn place(args: &UpArgs, session: &Session, subject: &str) -> Option<Place> {
    let (namespace, name) = subject.strip_prefix("key:")?.split_once('.')?;
    let name = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
    session.files().with(|state| {
        let object = state.object(Kind::ApiKey, &name)?;
        let secret = object["status"]["secretName"].as_str()?;
        let key = object["spec"]["credential"]["generated"]["keys"]["apiKey"].as_str().unwrap_or("api-key");
        Some(Place {
            unready: Standing::of(object).problem().is_some(),
            folder: args.state.join("secrets").join(namespace).display().to_string(),
            file: format!("{secret}/{key}"),
        })
    })
}

/// A line for each change that came in force.
pub(super) fn applied(applied: &Applied, session: &Session, voice: &Voice) {
    let time = clock(Timestamp::now(), &voice.zone);
    let took = format!("in force after {} ms", applied.took.as_millis().max(1));
    for (change, standing) in &applied.changes {
        let mut line = format!("{time} {}  {}: {}, {took}", change.file, change.object(), change.what);
        if change.what == "new" && change.kind == Kind::Gate {
            let url = session.gates().all().find(|(gate, ..)| gate.to_string() == change.name.to_string());
            line.push_str(&url.map(|(_, url, ..)| format!(" at {url}")).unwrap_or_default());
        }
        for problem in standing.problem().into_iter().chain(standing.remarks()) {
            line = format!("{line}; {}", voice.out.paint(Tone::Doubtful, problem));
        }
        voice.console.say(line);
    }
    for (object, standing) in &applied.affected {
        let words = standing.problem().map_or_else(
            || voice.out.paint(Tone::Good, "Ready"),
            |problem| voice.out.paint(Tone::Doubtful, problem),
        );
        voice.console.say(format!("{time} {object}: {words}"));
    }
}

/// An edit that is wrong.
pub(super) fn refused(mistake: &Mistake, voice: &Voice) {
    match mistake {
        Mistake::Unreadable(what) => eprint(&format!("{} {what}\n", voice.err.paint(Tone::Bad, "error:"))),
        Mistake::Wrong(list) => problems(list, voice.err),
    }
    stays(voice);
}

/// An edit, or what time brought, that could not be carried out.
pub(super) fn failed(what: &str, voice: &Voice) {
    eprint(&format!("{} {what}\n", voice.err.paint(Tone::Bad, "error:")));
    stays(voice);
}

/// After a mistake the files say again what is in force.
pub(super) fn mended(voice: &Voice) {
    let time = clock(Timestamp::now(), &voice.zone);
    voice.console.say(format!("{time} the files say what is in force"));
}

/// All mistakes, on standard error.
pub(super) fn problems(problems: &[Problem], palette: Palette) {
    let mut text = Vec::new();
    for problem in problems {
        // A Vec takes everything.
        let _ = problem.write(&mut text, palette);
    }
    eprint(&String::from_utf8_lossy(&text));
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn stays(voice: &Voice) {
    let time = clock(Timestamp::now(), &voice.zone);
    eprint(&format!("{time} not applied: what was in force stays in force\n"));
}

fn standing(session: &Session, kind: Kind, namespace: &str, name: &str) -> Standing {
    let name = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
    session.files().with(|state| state.object(kind, &name).map(Standing::of)).unwrap_or_default()
}

/// Who closed standard error does not want to read this.
fn eprint(text: &str) {
    use io::Write as _;
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
