//! The gate bundle of one Gate.
//!
//! A function of the World and of the bundle in force alone: without a clock, since times are in
//! the bundle and are checked at each request, and in an order of its own, so that the same
//! World gives the same bytes.
//!
//! Of a Gate that is not accepted the bundle in force stays, and so do the keys of an ApiKey that
//! is not accepted; but what is taken away is taken away there too. Nothing is ever added to
//! either.

use std::collections::BTreeSet;

use sidegate_bundle::{
    GateBundle, KeyId,
    gate::{
        Access, AuditAllow, CredentialType, Forward, GateName, KeepAlive, KeyPolicy, Match, Mode, PathMatch,
        Paths, Requirement, Rule,
    },
};
use sidegate_crds::{
    Gate,
    credential::CredentialType as SpecType,
    gate::{self as spec, Allow, ApiKeys, Doubtful, GateRule, PathType, Require},
};

use super::keys::{self, Terms};
use crate::{accept, admit::scope_set, world::World};

/// Compiles the bundle of `name`, which follows `last`, the one in force. `None`: there is no
/// such Gate, or it is not accepted (or is being deleted) and nothing is in force.
pub fn gate(world: &World, name: &GateName, last: Option<&GateBundle>) -> Option<GateBundle> {
    let observed = &world.gate(name)?.value;
    let accepted = accept::gate(observed).ok().filter(|_| !observed.meta.deleting);
    let (mut bundle, terms) = match accepted {
        Some(gate) => (open(name, gate), Terms::Accepted),
        None => (last?.clone(), Terms::still(observed, last?)),
    };
    bundle.keys = keys::keys(world, name, terms, last);
    Some(bundle)
}

/// Leaves those keys in that were in before.
pub fn without_new_keys(bundle: &mut GateBundle, last: Option<&GateBundle>) {
    let before: BTreeSet<KeyId> = last.iter().flat_map(|last| &last.keys).map(|key| key.id).collect();
    bundle.keys.retain(|key| before.contains(&key.id));
}

/// What an accepted Gate says of itself; without keys.
fn open(name: &GateName, gate: &Gate) -> GateBundle {
    let mut bundle = GateBundle::closed(name.clone());
    if let Some(url) = &gate.spec.public_url {
        bundle.realm.clone_from(url);
    }
    bundle.api_keys = key_policy(gate.spec.api_keys.as_ref());
    bundle.mode = match gate.spec.mode.unwrap_or_default() {
        spec::Mode::Enforce => Mode::Enforce,
        spec::Mode::Audit => Mode::Audit,
    };
    bundle.paths = gate.spec.paths.as_ref().map(paths).unwrap_or_default();
    bundle.methods = gate.spec.methods.as_ref().map(|methods| methods.extra.clone()).unwrap_or_default();
    bundle.forward = gate.spec.forward.as_ref().map(forward).unwrap_or_default();
    bundle.keep_alive = match gate.spec.upstream.as_ref().and_then(|upstream| upstream.keep_alive) {
        None | Some(spec::KeepAlive::Auto) => KeepAlive::Auto,
        Some(spec::KeepAlive::Off) => KeepAlive::Off,
    };
    bundle.audit_allow = match gate.spec.audit.as_ref().and_then(|audit| audit.allow) {
        None | Some(spec::AuditAllow::Aggregated) => AuditAllow::Aggregated,
        Some(spec::AuditAllow::Each) => AuditAllow::Each,
        Some(spec::AuditAllow::None) => AuditAllow::None,
    };
    let needs = bundle.features();
    bundle.rules = rules(gate).map(|rule| Rule { needs: needs.clone(), ..rule }).collect();
    bundle
}

fn paths(spec: &spec::Paths) -> Paths {
    let passes = |doubtful: Option<Doubtful>| doubtful == Some(Doubtful::Pass);
    let spec::Paths { encoded_slash, double_slash, semicolon } = spec;
    Paths {
        encoded_slash: passes(*encoded_slash),
        double_slash: passes(*double_slash),
        semicolon: passes(*semicolon),
    }
}

fn forward(spec: &spec::Forward) -> Forward {
    let spec::Forward { identity_headers, trusted_proxies, remove_headers } = spec;
    Forward {
        identity_headers: identity_headers.unwrap_or(true),
        trusted_proxies: trusted_proxies.clone(),
        remove_headers: remove_headers.clone(),
    }
}

fn key_policy(spec: Option<&ApiKeys>) -> KeyPolicy {
    let default = KeyPolicy::default();
    let Some(spec) = spec else { return default };
    KeyPolicy {
        headers: spec.headers.clone().unwrap_or(default.headers),
        bearer: spec.bearer.unwrap_or(default.bearer),
        invalid_status: spec.invalid_status.unwrap_or(default.invalid_status),
    }
}

/// The rules; without any, each valid credential may pass.
fn rules(gate: &Gate) -> impl Iterator<Item = Rule> {
    let default = Rule { name: None, matches: Vec::new(), access: Access::Authenticated, needs: Vec::new() };
    let default = gate.spec.rules.is_none().then_some(default);
    gate.spec.rules.iter().flatten().map(rule).chain(default)
}

fn rule(spec: &GateRule) -> Rule {
    let access = match (spec.allow, &spec.require) {
        (Some(Allow::Anonymous), None) => Access::Anonymous,
        (Some(Allow::Authenticated), None) => Access::Authenticated,
        // `accept` lets only rules through that have exactly one of the two.
        (_, require) => Access::Require(requirement(&require.clone().unwrap_or_default())),
    };
    let matches = spec.matches.iter().flatten().map(|pattern| Match {
        path: pattern.path.as_ref().map(|path| match path.kind {
            PathType::Exact => PathMatch::Exact(path.value.clone()),
            PathType::PathPrefix => PathMatch::Prefix(path.value.clone()),
        }),
        methods: pattern.methods.clone().unwrap_or_default(),
    });
    Rule { name: spec.name.clone(), matches: matches.collect(), access, needs: Vec::new() }
}

fn requirement(require: &Require) -> Requirement {
    Requirement {
        scopes: scope_set(require.scopes.as_deref().unwrap_or_default()),
        any_scopes: scope_set(require.any_scopes.as_deref().unwrap_or_default()),
        tenants: require.tenants.iter().flatten().cloned().collect(),
        types: require.types.iter().flatten().map(|kind| credential_type(*kind)).collect(),
    }
}

pub(super) fn credential_type(kind: SpecType) -> CredentialType {
    match kind {
        SpecType::App => CredentialType::App,
        SpecType::Service => CredentialType::Service,
    }
}

#[cfg(test)]
mod tests;
