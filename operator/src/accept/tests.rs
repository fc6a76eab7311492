use serde_json::json;

use super::*;
use crate::testing;

fn says<T>(accepted: &Result<T, Box<Finding>>) -> String {
    accepted.as_ref().err().map(|finding| finding.message()).unwrap_or_default()
}

/// Every value of a Gate that asks for what is not built yet, and the field that is named.
#[test]
fn what_is_not_built_yet_is_named_on_a_gate() {
    for (spec, field) in [
        (json!({"ports": [{"port": 8080}, {"port": 9090, "protocol": "TCP"}]}), "spec.ports[].protocol"),
        (
            json!({"admit": [{"namespaces": {"from": "Same"}, "maxLifetime": "1h"}]}),
            "spec.admit[].maxLifetime",
        ),
        (
            json!({"admit": [{"namespaces": {"from": "Same"}, "maxCredentials": 5}]}),
            "spec.admit[].maxCredentials",
        ),
        (json!({"tokens": {"accept": true}}), "spec.tokens.accept"),
        (json!({"oauth": {"expose": true}}), "spec.oauth.expose"),
        (json!({"rules": [{"require": {"groups": ["sre"]}}]}), "spec.rules[].require.groups"),
        (json!({"capture": {"mode": "Takeover"}}), "spec.capture.mode: Takeover"),
        (json!({"capture": {"loopback": "Allow"}}), "spec.capture.loopback: Allow"),
    ] {
        let message = says(&gate(&testing::gate("dify/api", spec.clone())));
        assert!(message.starts_with(&format!("{field} is not supported")), "{spec}: {message}");
    }
}

#[test]
fn what_is_not_built_yet_is_named_on_an_api_key() {
    let hash = json!({"keyId": "AAAAAAAAAAAAAAAA", "sha256": "00".repeat(32)});
    let imported = json!({"secretName": "old", "key": "api-key"});
    for (fields, field) in [
        (json!({"rotation": {"interval": "720h"}}), "spec.rotation.interval"),
        (json!({"rotation": {"overlap": "1h"}}), "spec.rotation.overlap"),
        (json!({"rotation": {"generation": 1}}), "spec.rotation.generation"),
        (json!({"credential": {"type": "Imported", "imported": imported}}), "spec.credential.type: Imported"),
        (json!({"credential": {"type": "Hash", "hash": hash}}), "spec.credential.type: Hash"),
    ] {
        let mut spec = json!({"grants": [{"gate": "api"}]});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let message = says(&api_key(&testing::key("team-a/ci", spec)));
        assert!(message.starts_with(&format!("{field} is not supported")), "{fields}: {message}");
    }
}

#[test]
fn a_default_that_is_written_out_asks_for_nothing_new() {
    let written_out = json!({
        "mode": "Enforce",
        "ports": [{"port": 8080, "protocol": "HTTP"}],
        "admit": [{"namespaces": {"from": "Same"}, "maxCredentials": 1000}],
        "tokens": {"accept": false},
        "oauth": {"expose": false},
        "paths": {"encodedSlash": "Refuse", "doubleSlash": "Refuse", "semicolon": "Refuse"},
        "methods": {"extra": []},
        "forward": {"identityHeaders": true, "trustedProxies": [], "removeHeaders": []},
        "upstream": {"keepAlive": "Auto"},
        "audit": {"allow": "Aggregated"},
        "capture": {"mode": "Redirect", "loopback": "Strict"},
    });
    assert_eq!(says(&gate(&testing::gate("dify/api", written_out))), "");
    let written_out = json!({
        "grants": [{"gate": "api", "namespace": ""}],
        "rotation": {"overlap": "24h", "generation": 0},
        "credential": {"type": "Generated"},
        "suspended": false,
    });
    assert_eq!(says(&api_key(&testing::key("team-a/ci", written_out))), "");
}

#[test]
fn what_the_api_server_would_refuse_today_is_refused_with_the_same_words() {
    let broken = json!({"rules": [{"allow": "Anonymous", "require": {"scopes": ["a"]}}]});
    let observed = testing::gate("dify/api", broken);
    let finding = gate(&observed).unwrap_err();
    let Stored::Parsed { violations, .. } = &observed.stored else { panic!() };
    let words = format!("{}: {}", violations[0].path, violations[0].message);
    assert!(finding.message().starts_with(&words), "{}", finding.message());
}

#[test]
fn fields_of_a_newer_definition_are_named_and_the_gate_is_left_as_it_is() {
    let newer = json!({"rules": [{"name": "a", "require": {"roles": ["x"], "scopes": ["s"]}}], "limits": 5});
    let observed = testing::gate("dify/api", newer);
    let Finding::UnknownField { mut fields } = *gate(&observed).unwrap_err() else { panic!() };
    fields.sort();
    assert_eq!(fields, ["spec.limits", "spec.rules[0].require.roles"]);
}

#[test]
fn what_does_not_parse_is_unreadable_whatever_its_status_says() {
    let mut raw = testing::object(&testing::gate_ref("dify/api"), "1", json!({"ports": 8080}));
    raw["status"] = json!({"conditions": "none"});
    let (_, observed) = Observed::<Gate>::read(raw).unwrap();
    assert!(matches!(*gate(&observed).unwrap_err(), Finding::Unreadable { .. }), "{observed:?}");
}

#[test]
fn a_status_that_does_not_parse_is_no_fault_of_the_object() {
    let mut raw = testing::object(&testing::gate_ref("dify/api"), "1", json!({"ports": [{"port": 80}]}));
    raw["status"] = json!({"conditions": "none"});
    let (_, observed) = Observed::<Gate>::read(raw).unwrap();
    assert!(gate(&observed).is_ok(), "{observed:?}");
}
