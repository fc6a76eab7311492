//! Is an object understood and allowed as it is? The first step of every plan and compile.
//!
//! What is not accepted is neither minted for nor compiled. A value whose feature is not built
//! yet is named, never silently ignored: the two tables at the end are the whole list.

use sidegate_crds::{
    ApiKey, Gate,
    api_key::ApiKeySpec,
    condition::Finding,
    credential::{CredentialSource, Rotation},
    gate::{AuditAllow, CaptureMode, Doubtful, GateSpec, KeepAlive, Loopback, Mode, Protocol},
};

use crate::world::{Observed, Stored};

/// The Gate, if it is accepted; else why not.
pub fn gate(observed: &Observed<Gate>) -> Result<&Gate, Box<Finding>> {
    let gate = lawful(observed)?;
    if !observed.unknown().is_empty() {
        return Err(Box::new(Finding::UnknownField { fields: observed.unknown().to_vec() }));
    }
    supported(&unsupported_in_gate(&gate.spec))?;
    Ok(gate)
}

/// The ApiKey, if it is accepted by itself, whatever the Gates say; else why not.
pub fn api_key(observed: &Observed<ApiKey>) -> Result<&ApiKey, Box<Finding>> {
    let key = lawful(observed)?;
    supported(&unsupported_in_api_key(&key.spec))?;
    Ok(key)
}

/// The object, if it parses and keeps the rules of the API.
fn lawful<T>(observed: &Observed<T>) -> Result<&T, Box<Finding>> {
    let finding = match &observed.stored {
        Stored::Unparsable { why, .. } => Finding::Unreadable { message: why.clone() },
        Stored::Parsed { object, violations, .. } => match violations.first() {
            Some(first) => Finding::Invalid { path: first.path.clone(), message: first.message.clone() },
            None => return Ok(object),
        },
    };
    Err(Box::new(finding))
}

fn supported(fields: &[(bool, &str)]) -> Result<(), Box<Finding>> {
    match fields.iter().find(|(asked, _)| *asked) {
        Some((_, field)) => Err(Box::new(Finding::NotSupportedYet { field: (*field).to_owned() })),
        None => Ok(()),
    }
}

/// What a Gate may ask for that is not built yet: is it asked for, and where?
fn unsupported_in_gate(spec: &GateSpec) -> Vec<(bool, &'static str)> {
    let passes = |doubtful: Option<Doubtful>| doubtful == Some(Doubtful::Pass);
    let paths = spec.paths.clone().unwrap_or_default();
    let forward = spec.forward.clone().unwrap_or_default();
    let capture = spec.capture.clone().unwrap_or_default();
    let admit = || spec.admit.iter().flatten();
    let required = || spec.rules.iter().flatten().filter_map(|rule| rule.require.as_ref());
    vec![
        (spec.ports.iter().any(|port| port.protocol() != Protocol::HTTP), "spec.ports[].protocol"),
        (spec.mode == Some(Mode::Audit), "spec.mode: Audit"),
        (admit().any(|entry| entry.max_lifetime.is_some()), "spec.admit[].maxLifetime"),
        (
            admit().any(|entry| entry.max_credentials.is_some_and(|most| most != 1000)),
            "spec.admit[].maxCredentials",
        ),
        (spec.tokens.as_ref().and_then(|tokens| tokens.accept) == Some(true), "spec.tokens.accept"),
        (spec.oauth.as_ref().and_then(|oauth| oauth.expose) == Some(true), "spec.oauth.expose"),
        (required().any(|require| require.groups.is_some()), "spec.rules[].require.groups"),
        (passes(paths.encoded_slash), "spec.paths.encodedSlash: Pass"),
        (passes(paths.double_slash), "spec.paths.doubleSlash: Pass"),
        (passes(paths.semicolon), "spec.paths.semicolon: Pass"),
        (spec.methods.as_ref().is_some_and(|methods| !methods.extra.is_empty()), "spec.methods.extra"),
        (forward.identity_headers == Some(false), "spec.forward.identityHeaders: false"),
        (!forward.trusted_proxies.is_empty(), "spec.forward.trustedProxies"),
        (!forward.remove_headers.is_empty(), "spec.forward.removeHeaders"),
        (
            spec.upstream.as_ref().and_then(|upstream| upstream.keep_alive) == Some(KeepAlive::Off),
            "spec.upstream.keepAlive: Off",
        ),
        (
            spec.audit.as_ref().and_then(|audit| audit.allow).unwrap_or_default() != AuditAllow::Aggregated,
            "spec.audit.allow",
        ),
        (capture.mode == Some(CaptureMode::Takeover), "spec.capture.mode: Takeover"),
        (capture.loopback == Some(Loopback::Allow), "spec.capture.loopback: Allow"),
    ]
}

/// What an ApiKey may ask for that is not built yet.
fn unsupported_in_api_key(spec: &ApiKeySpec) -> Vec<(bool, &'static str)> {
    let rotation = spec.rotation.clone().unwrap_or_default();
    vec![
        (rotation.interval.is_some(), "spec.rotation.interval"),
        (rotation.overlap() != Rotation::DEFAULT_OVERLAP, "spec.rotation.overlap"),
        (rotation.generation.unwrap_or_default() != 0, "spec.rotation.generation"),
        (spec.source() == CredentialSource::Imported, "spec.credential.type: Imported"),
        (spec.source() == CredentialSource::Hash, "spec.credential.type: Hash"),
    ]
}

#[cfg(test)]
mod tests;
