//! What lasts, through the gate as a process: WebSockets, server-sent events and gRPC streams end with their
//! key, with nobody else's, and with the gate in good order.

mod drain;
mod ends;

use anyhow::Result;
use sidegate_bundle::gate::{Access, Key, Requirement};
use sidegate_bundle::{ApiKey, GateBundle, ScopeSet};
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::streams::{KINDS, Kind, Stream, StreamingApp};

/// What the rule asks for.
const SCOPE: &str = "events:read";
/// What the keys have beside it.
const OTHER: &str = "events:write";

fn scopes(names: &[&str]) -> Result<ScopeSet> {
    Ok(ScopeSet::parse(names.iter().map(|name| (*name).to_owned()))?)
}

/// The entry of a key that may read.
fn reader(key: &ApiKey) -> Result<Key> {
    Ok(Key { scopes: scopes(&[SCOPE, OTHER])?, ..entry(key) })
}

/// A bundle in which all of these may read.
fn readable_by(keys: &[&ApiKey]) -> Result<GateBundle> {
    let access = Access::Require(Requirement { scopes: scopes(&[SCOPE])?, ..Requirement::default() });
    let mut bundle = bundle(vec![rule("events", None, access)]);
    bundle.keys = keys.iter().map(|key| reader(key)).collect::<Result<_>>()?;
    Ok(bundle)
}

/// A stream of each kind.
async fn open_all(gate: &Gated, key: &ApiKey) -> Result<Vec<(Kind, Stream)>> {
    let mut streams = Vec::new();
    for kind in KINDS {
        streams.push((kind, Stream::open(kind, &gate.address, key.expose()).await?));
    }
    Ok(streams)
}

/// An app and a gate before it.
async fn start(bundle: GateBundle) -> Result<(StreamingApp, Gated)> {
    start_with(bundle, &[]).await
}

/// The same; the gate has these further arguments.
async fn start_with(bundle: GateBundle, arguments: &[&str]) -> Result<(StreamingApp, Gated)> {
    let app = StreamingApp::start().await?;
    let gate = Gated::start_with(app.address(), bundle, "debug", arguments).await?;
    Ok((app, gate))
}
