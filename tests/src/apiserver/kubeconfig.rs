//! Kubeconfig files, whole in themselves: kubectl, kube and the operator all read the same text.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::pki::Certificate;

/// Who one is.
pub(super) enum Credential {
    Certificate(Certificate),
    Token(String),
}

/// JSON, which is YAML as well.
pub(super) fn render(url: &str, ca: &str, credential: &Credential) -> Result<String> {
    let user = match credential {
        Credential::Certificate(pair) => json!({
            "client-certificate-data": STANDARD.encode(&pair.certificate),
            "client-key-data": STANDARD.encode(&pair.key),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let cluster = json!({ "server": url, "certificate-authority-data": STANDARD.encode(ca) });
    Ok(serde_json::to_string_pretty(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    }))?)
}
