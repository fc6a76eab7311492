//! Is an object understood and allowed as it is? The first step of every plan and compile.
//!
//! For what is not accepted nothing is minted, and nothing of it is added to a bundle; what was
//! in force stays, less what is taken away (see [`compile`](crate::compile)). A value whose
//! feature is not built yet is named, never silently ignored: the two tables at the end are the
//! whole list.

use sidegate_crds::{
    ApiKey, Gate,
    api_key::ApiKeySpec,
    condition::Finding,
    credential::{CredentialSource, Rotation},
    gate::{CaptureMode, GateSpec, Loopback, Protocol},
};

use crate::world::{Observed, Stored};

/// The Gate, if it is accepted; else why not.
pub fn gate(observed: &Observed<Gate>) -> Result<&Gate, Box<Finding>> {
    let gate = lawful(observed, |message| Finding::Unreadable { message })?;
    known(observed)?;
    supported(&unsupported_in_gate(&gate.spec))?;
    Ok(gate)
}

/// The ApiKey, if it is accepted by itself, whatever the Gates say; else why not.
pub fn api_key(observed: &Observed<ApiKey>) -> Result<&ApiKey, Box<Finding>> {
    let key = lawful(observed, |message| Finding::CredentialUnreadable { message })?;
    known(observed)?;
    supported(&unsupported_in_api_key(&key.spec))?;
    Ok(key)
}

/// The object, if it parses and keeps the rules of the API.
fn lawful<T>(observed: &Observed<T>, unreadable: impl FnOnce(String) -> Finding) -> Result<&T, Box<Finding>> {
    let finding = match &observed.stored {
        Stored::Unparsable { why, .. } => unreadable(why.clone()),
        Stored::Parsed { object, violations, .. } => match violations.first() {
            Some(first) => Finding::Invalid { path: first.path.clone(), message: first.message.clone() },
            None => return Ok(object),
        },
    };
    Err(Box::new(finding))
}

/// Are all its fields known?
fn known<T>(observed: &Observed<T>) -> Result<(), Box<Finding>> {
    match observed.unknown() {
        [] => Ok(()),
        fields => Err(Box::new(Finding::UnknownField { fields: fields.to_vec() })),
    }
}

fn supported(fields: &[(bool, &str)]) -> Result<(), Box<Finding>> {
    match fields.iter().find(|(asked, _)| *asked) {
        Some((_, field)) => Err(Box::new(Finding::NotSupportedYet { field: (*field).to_owned() })),
        None => Ok(()),
    }
}

/// What a Gate may ask for that is not built yet: is it asked for, and where?
fn unsupported_in_gate(spec: &GateSpec) -> Vec<(bool, &'static str)> {
    let capture = spec.capture.clone().unwrap_or_default();
    let admit = || spec.admit.iter().flatten();
    let required = || spec.rules.iter().flatten().filter_map(|rule| rule.require.as_ref());
    vec![
        (spec.ports.iter().any(|port| port.protocol() != Protocol::HTTP), "spec.ports[].protocol"),
        (admit().any(|entry| entry.max_lifetime.is_some()), "spec.admit[].maxLifetime"),
        (
            admit().any(|entry| entry.max_credentials.is_some_and(|most| most != 1000)),
            "spec.admit[].maxCredentials",
        ),
        (spec.tokens.as_ref().and_then(|tokens| tokens.accept) == Some(true), "spec.tokens.accept"),
        (spec.oauth.as_ref().and_then(|oauth| oauth.expose) == Some(true), "spec.oauth.expose"),
        (required().any(|require| require.groups.is_some()), "spec.rules[].require.groups"),
        (capture.mode == Some(CaptureMode::Takeover), "spec.capture.mode: Takeover"),
        (capture.loopback == Some(Loopback::Allow), "spec.capture.loopback: Allow"),
    ]
}

/// What an ApiKey may ask for that is not built yet.
fn unsupported_in_api_key(spec: &ApiKeySpec) -> Vec<(bool, &'static str)> {
    let rotation = spec.rotation.clone().unwrap_or_default();
    vec![
        (spec.owner.is_some(), "spec.owner"),
        (rotation.interval.is_some(), "spec.rotation.interval"),
        (rotation.overlap() != Rotation::DEFAULT_OVERLAP, "spec.rotation.overlap"),
        (rotation.generation.unwrap_or_default() != 0, "spec.rotation.generation"),
        (spec.source() == CredentialSource::Imported, "spec.credential.type: Imported"),
        (spec.source() == CredentialSource::Hash, "spec.credential.type: Hash"),
    ]
}

#[cfg(test)]
mod tests;
