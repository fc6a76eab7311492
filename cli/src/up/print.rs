//! The first thing that `up` says: what runs, and what to type to see it.

use std::{fmt::Write as _, path::Path, time::Duration};

use sidegate_crds::condition::Reason;

use super::state::State;
use crate::{
    manifest::{Kind, Manifest, Object},
    output::{Palette, Tone},
};

pub(super) mod change;
pub(super) mod request;
pub(super) mod standing;
pub(super) mod tries;

use standing::Standing;
use tries::Tries;

/// The port that the example of `--app` names.
const EXAMPLE_APP: &str = "http://127.0.0.1:5001";

/// A Gate that runs.
#[derive(Clone, Debug)]
pub(super) struct GateRow {
    /// `<namespace>/<name>`.
    pub(super) name: String,
    /// What `--app` calls it.
    pub(super) short: String,
    /// `http://…`.
    pub(super) url: String,
    /// `None`: the built-in one.
    pub(super) app: Option<String>,
    pub(super) standing: Standing,
}

/// An ApiKey.
#[derive(Clone, Debug)]
pub(super) struct KeyRow {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    /// The folder that the key is in.
    pub(super) folder: Option<String>,
    pub(super) standing: Standing,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Banner<'a> {
    pub(super) files: usize,
    pub(super) manifest: &'a Manifest,
    pub(super) took: Duration,
    pub(super) gates: Vec<GateRow>,
    pub(super) keys: Vec<KeyRow>,
    pub(super) tries: Option<Tries>,
    /// The paths as they were typed.
    pub(super) paths: String,
}

// === impl Banner ===

impl Banner<'_> {
    /// The whole text.
    pub(super) fn text(&self, palette: Palette) -> String {
        let mut text = self.headline(palette);
        text.push('\n');
        let kind = |kind: &str| palette.paint(Tone::Faint, format!("{kind:<6}"));
        let names = self.gates.iter().map(|gate| &gate.name).chain(self.keys.iter().map(|key| &key.name));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        for gate in &self.gates {
            let GateRow { name, short, url, app, standing } = gate;
            let target = app.as_deref().unwrap_or("built-in echo app");
            let yours = match app {
                Some(_) => String::new(),
                None => palette.paint(Tone::Faint, format!("   (yours: --app {short}={EXAMPLE_APP})")),
            };
            push(&mut text, format_args!("  {}  {name:<width$}  {url} -> {target}{yours}", kind("Gate")));
            for problem in standing.problem().into_iter().chain(standing.remarks()) {
                push(
                    &mut text,
                    format_args!(
                        "  {}  {:<width$}  {}",
                        kind(""),
                        "",
                        palette.paint(Tone::Doubtful, problem)
                    ),
                );
            }
        }
        let scopes_of =
            |key: &KeyRow| if key.scopes.is_empty() { "no scopes".to_owned() } else { key.scopes.join(" ") };
        let scopes_width = self.keys.iter().map(|key| scopes_of(key).chars().count()).max().unwrap_or(0);
        for key in &self.keys {
            let folder = key.folder.as_deref().unwrap_or("no key");
            let line = format!("{:<scopes_width$}   {folder}", scopes_of(key));
            match key.standing.problem() {
                None => push(
                    &mut text,
                    format_args!(
                        "  {}  {:<width$}  {}  {line}",
                        kind("ApiKey"),
                        key.name,
                        palette.paint(Tone::Good, "Ready")
                    ),
                ),
                Some(problem) => {
                    let problem = palette.paint(Tone::Doubtful, problem);
                    push(&mut text, format_args!("  {}  {:<width$}  {problem}", kind("ApiKey"), key.name));
                    if let Some(hint) = self.unlabelled(key) {
                        let hint = palette.paint(Tone::Doubtful, hint);
                        push(&mut text, format_args!("  {}  {:<width$}  {hint}", kind(""), ""));
                    }
                    if key.folder.is_some() {
                        push(&mut text, format_args!("  {}  {:<width$}         {line}", kind(""), ""));
                    }
                }
            }
        }
        if let Some(tries) = &self.tries {
            text.push_str("\nIn another terminal, in this folder:\n");
            text.push_str(&tries.text(palette));
        }
        let Self { paths, .. } = self;
        push(
            &mut text,
            format_args!(
                "Save a change in {paths} and it is in force. Ctrl-C stops. On a cluster: {}",
                kubectl(paths)
            ),
        );
        text
    }

    /// Is no Gate there for it that chooses namespaces by labels, and its own has none that is written?
    fn unlabelled(&self, key: &KeyRow) -> Option<String> {
        let (namespace, _) = key.name.split_once('/')?;
        let refused = key.standing.problem()?.starts_with(Reason::GateNotAvailable.as_str());
        let mut objects = self.manifest.objects.iter();
        let written = |object: &Object| object.kind == Kind::Namespace && object.name.name == namespace;
        let by_labels = |object: &Object| {
            let mut admit = object.value["spec"]["admit"].as_array().into_iter().flatten();
            admit.any(|entry| entry["namespaces"]["from"] == "Selector")
        };
        if !refused || objects.clone().any(written) || !objects.any(by_labels) {
            return None;
        }
        Some(format!("No file has Namespace {namespace}: where a Gate chooses by labels, it has none here"))
    }

    fn headline(&self, palette: Palette) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let title = palette.paint(Tone::Strong, format!("Sidegate {version}"));
        let (files, objects) = (count(self.files, "file"), count(self.manifest.count, "object"));
        let mut text = format!("{title}: {files}, {objects}, ready in {} ms", self.took.as_millis());
        let skipped: Vec<_> =
            self.manifest.skipped.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !skipped.is_empty() {
            let _ = write!(text, "   (skipped: {})", skipped.join(", "));
        }
        text.push('\n');
        for (kind, name) in &self.manifest.not_built {
            push(&mut text, format_args!("  {kind} {name}: skipped, not supported yet"));
        }
        text
    }
}

/// The command that does the same on a cluster.
fn kubectl(paths: &str) -> String {
    let flags: Vec<_> = paths.split(' ').map(|path| format!("-f {path}")).collect();
    format!("kubectl apply {}", flags.join(" "))
}

/// The folder of a Secret, as it can be typed.
pub(super) fn secret_folder(state_folder: &Path, namespace: &str, secret: &str) -> String {
    format!("{}/", state_folder.join("secrets").join(namespace).join(secret).display())
}

/// The rows of all ApiKeys.
pub(super) fn key_rows(state: &State, state_folder: &Path) -> Vec<KeyRow> {
    let keys = state.objects().filter(|(kind, ..)| *kind == crate::manifest::Kind::ApiKey);
    keys.map(|(_, name, object)| {
        let secret = object["status"]["secretName"].as_str().filter(|secret| {
            let secret =
                crate::manifest::ObjectName { namespace: name.namespace.clone(), name: (*secret).to_owned() };
            state.secret(&secret).is_some()
        });
        KeyRow {
            name: name.to_string(),
            scopes: standing::scopes(object),
            folder: secret.map(|secret| secret_folder(state_folder, &name.namespace, secret)),
            standing: Standing::of(object),
        }
    })
    .collect()
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(line.to_string().trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests;
