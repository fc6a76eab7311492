//! The rules about an ApiKey.

use std::collections::BTreeMap;

use super::{Report, syntax};
use crate::{
    Duration,
    api_key::ApiKeySpec,
    credential::{Credential, CredentialSource, Generated, Grant, Rotation, SecretKeys},
    law,
};

/// The beginning of the year 2000, in unix seconds.
const FIRST_TIME: i64 = 946_684_800;
/// The beginning of the year 3000.
const END_OF_TIMES: i64 = 32_503_680_000;

pub(super) fn spec(spec: &ApiKeySpec, report: &mut Report) {
    grants(&spec.grants, report);
    report.hold_if(spec.tenant.as_deref(), syntax::word, "spec.tenant", &law::TENANT);
    report.hold_if(spec.owner.as_deref(), syntax::visible, "spec.owner", &law::OWNER);
    for (time, path) in [(spec.expires_at, "spec.expiresAt"), (spec.not_before, "spec.notBefore")] {
        let years = FIRST_TIME..END_OF_TIMES;
        report.hold_if(time.as_ref(), |time| years.contains(&time.as_second()), path, &law::TIME);
    }
    let ordered = spec.expires_at.zip(spec.not_before).is_none_or(|(expires, begins)| expires > begins);
    report.hold(ordered, "spec.expiresAt", &law::EXPIRES_AFTER_NOT_BEFORE);
    if let Some(rotation) = &spec.rotation {
        let by_itself = rotation.interval.is_some() || rotation.generation.is_some();
        let generated = spec.source() == CredentialSource::Generated;
        report.hold(generated || !by_itself, "spec.rotation", &law::ROTATION_OF_GENERATED);
        rotate(rotation, report);
    }
    if let Some(given) = &spec.credential {
        credential(given, report);
    }
}

/// What may not change.
pub(super) fn change(new: &ApiKeySpec, old: &ApiKeySpec, report: &mut Report) {
    report.hold(new.source() == old.source(), "spec.credential", &law::SOURCE_FIXED);
    report.hold(new.tenant == old.tenant, "spec.tenant", &law::TENANT_FIXED);
    report.hold(new.credential_type() == old.credential_type(), "spec.type", &law::TYPE_FIXED);
}

fn grants(grants: &[Grant], report: &mut Report) {
    let namespace = |grant: &Grant| grant.namespace.clone().unwrap_or_default();
    let one = grants.iter().all(|grant| namespace(grant) == namespace(&grants[0]));
    report.hold(one, "spec.grants", &law::GRANTS_OF_ONE_NAMESPACE);
    for (index, grant) in grants.iter().enumerate() {
        let path = format!("spec.grants[{index}]");
        report.hold(syntax::dns_subdomain(&grant.gate), format_args!("{path}.gate"), &law::GRANT_GATE);
        report.hold_if(
            grant.namespace.as_deref(),
            |namespace| namespace.is_empty() || syntax::dns_label(namespace),
            format_args!("{path}.namespace"),
            &law::GRANT_NAMESPACE,
        );
        let scopes = grant.scopes.iter().all(|scope| syntax::scope(scope));
        report.hold(scopes, format_args!("{path}.scopes"), &law::SCOPES);
    }
}

fn rotate(rotation: &Rotation, report: &mut Report) {
    let interval = Duration::from_minutes(10)..=Duration::from_hours(87_600);
    let overlap = Duration::from_minutes(5)..=Duration::from_hours(8_760);
    report.hold_if(
        rotation.interval.as_ref(),
        |length| interval.contains(length),
        "spec.rotation.interval",
        &law::INTERVAL,
    );
    report.hold_if(
        rotation.overlap.as_ref(),
        |length| overlap.contains(length),
        "spec.rotation.overlap",
        &law::OVERLAP,
    );
    report.hold_if(
        rotation.interval.as_ref(),
        |interval| interval.as_millis() >= 2 * rotation.overlap().as_millis(),
        "spec.rotation",
        &law::INTERVAL_HOLDS_OVERLAP,
    );
}

fn credential(credential: &Credential, report: &mut Report) {
    let Credential { source, generated, imported, hash } = credential;
    let source = source.unwrap_or_default();
    let path = "spec.credential";
    let made_here = source == CredentialSource::Generated;
    report.hold(generated.is_none() || made_here, path, &law::GENERATED_WITH_TYPE);
    report.hold(imported.is_some() == (source == CredentialSource::Imported), path, &law::IMPORTED_WITH_TYPE);
    report.hold(hash.is_some() == (source == CredentialSource::Hash), path, &law::HASH_WITH_TYPE);
    if let Some(secret) = generated {
        written(secret, report);
    }
    if let Some(imported) = imported {
        secret_name(&imported.secret_name, "spec.credential.imported.secretName", report);
        let good = syntax::secret_key(&imported.key);
        report.hold(good, "spec.credential.imported.key", &law::SECRET_KEY_READ);
    }
    if let Some(hash) = hash {
        report.hold(syntax::key_id(&hash.key_id), "spec.credential.hash.keyId", &law::KEY_ID);
        report.hold(syntax::sha256(&hash.sha256), "spec.credential.hash.sha256", &law::SHA256);
    }
}

fn written(secret: &Generated, report: &mut Report) {
    if let Some(name) = &secret.secret_name {
        secret_name(name, "spec.credential.generated.secretName", report);
    }
    if let Some(keys) = &secret.keys {
        secret_keys(keys, report);
    }
    marks(&secret.labels, "spec.credential.generated.labels", report);
    let values = secret.labels.values().all(|value| value.is_empty() || syntax::word(value));
    report.hold(values, "spec.credential.generated.labels", &law::LABEL_VALUES);
    marks(&secret.annotations, "spec.credential.generated.annotations", report);
}

fn secret_name(name: &str, path: &str, report: &mut Report) {
    report.hold(syntax::dns_subdomain(name), path, &law::SECRET_NAME);
    let free = !name.starts_with("sidegate-bundle-") && !name.starts_with("sidegate-issuer");
    report.hold(free, path, &law::SECRET_NAME_FREE);
}

fn secret_keys(keys: &SecretKeys, report: &mut Report) {
    let good =
        |key: &str| syntax::secret_key(key) && !key.starts_with("next-") && !key.starts_with("previous-");
    let path = "spec.credential.generated.keys";
    report.hold_if(keys.api_key.as_deref(), good, format_args!("{path}.apiKey"), &law::SECRET_KEY);
    report.hold_if(keys.key_id.as_deref(), good, format_args!("{path}.keyId"), &law::SECRET_KEY);
    report.hold(keys.api_key() != keys.key_id(), path, &law::SECRET_KEYS_DISTINCT);
}

fn marks(map: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    report.hold(map.keys().all(|key| syntax::label_key(key)), path, &law::LABEL_KEYS);
    report.hold(!map.keys().any(|key| syntax::is_a_mark(key)), path, &law::MARKS_FREE);
}
