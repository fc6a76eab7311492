//! The gate bundle of one Gate.
//!
//! A function of the World alone: without a clock, since times are in the bundle and are
//! checked at each request, and in an order of its own, so that the same World gives the same
//! bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sidegate_bundle::{
    GateBundle, KeyId,
    gate::{Access, CredentialType, GateName, Key, KeyPolicy, Match, PathMatch, Requirement, Rule, Standing},
    record::{State, Version},
};
use sidegate_crds::{
    ApiKey, Gate,
    credential::CredentialType as SpecType,
    gate::{Allow, ApiKeys, GateRule, PathType, Require},
};

use crate::{
    accept,
    admit::{self, scope_set},
    credential,
    world::{ObjectName, Observed, World},
};

/// Compiles the bundle of `name`; `None` if there is no such Gate or it is not accepted.
pub fn gate(world: &World, name: &GateName) -> Option<GateBundle> {
    let gate = accept::gate(&world.gate(name)?.value).ok()?;
    let mut bundle = GateBundle::closed(name.clone());
    if let Some(url) = &gate.spec.public_url {
        bundle.realm.clone_from(url);
    }
    bundle.api_keys = key_policy(gate.spec.api_keys.as_ref());
    bundle.rules = rules(gate);
    bundle.keys = keys(world, name);
    Some(bundle)
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
fn rules(gate: &Gate) -> Vec<Rule> {
    match &gate.spec.rules {
        Some(rules) => rules.iter().map(rule).collect(),
        None => {
            vec![Rule { name: None, matches: Vec::new(), access: Access::Authenticated, needs: Vec::new() }]
        }
    }
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

fn credential_type(kind: SpecType) -> CredentialType {
    match kind {
        SpecType::App => CredentialType::App,
        SpecType::Service => CredentialType::Service,
    }
}

/// The keys that the Gate admits, each id once: of two credentials with one id the older is in.
fn keys(world: &World, name: &GateName) -> Vec<Key> {
    let mut owners: Vec<(&ObjectName, &Observed<ApiKey>)> =
        world.api_keys_of(name).map(|(key, known)| (key, &known.value)).collect();
    owners.sort_by_key(|(key, observed)| (observed.meta.created, observed.meta.uid.as_str(), *key));
    let mut keys: BTreeMap<KeyId, Key> = BTreeMap::new();
    for (owner, observed) in owners {
        for key in keys_of(world, name, owner, observed) {
            keys.entry(key.id).or_insert(key);
        }
    }
    keys.into_values().collect()
}

/// The versions of one ApiKey that this Gate should know.
fn keys_of(world: &World, name: &GateName, owner: &ObjectName, observed: &Observed<ApiKey>) -> Vec<Key> {
    let Some(key) = accept::api_key(observed).ok().filter(|_| !observed.meta.deleting) else {
        return Vec::new();
    };
    let Some(grant) = key.spec.grants.iter().find(|grant| grant.gate_name(&owner.namespace) == *name) else {
        return Vec::new();
    };
    let Ok(admitted) = admit::grant(world, owner, &key.spec, grant) else { return Vec::new() };
    let Some(record) = credential::record(world, owner, observed) else { return Vec::new() };
    let key_of = |version: &Version| Key {
        id: version.id,
        hash: version.hash,
        sub: format!("key:{}.{}", owner.namespace, owner.name),
        tenant: key.spec.tenant(&owner.namespace),
        kind: credential_type(key.spec.credential_type()),
        scopes: admitted.scopes.clone(),
        nbf: key.spec.not_before.max(version.not_before).map(not_earlier),
        exp: key.spec.expires_at.into_iter().chain(version.expires_at).min().map(Timestamp::as_second),
        owner: key.spec.owner.clone(),
        standing: if version.state == State::Revoked {
            Standing::Revoked
        } else if key.spec.suspended() {
            Standing::Suspended
        } else {
            Standing::Good
        },
    };
    let known = |version: &&Version| version.state.is_live() || version.state == State::Revoked;
    record.versions.iter().filter(known).map(key_of).collect()
}

/// The first whole second that is not before `time`: bundles count in seconds, and a key is
/// never taken early.
fn not_earlier(time: Timestamp) -> i64 {
    time.as_second() + i64::from(time.subsec_nanosecond() > 0)
}

#[cfg(test)]
mod tests;
