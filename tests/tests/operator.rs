//! The operator as a process, with exactly the rights that the chart ships, against a real API server.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sidegate_bundle::{ApiKey, GateBundle, document};
use sidegate_tests::installation::{Installed, SOON};
use sidegate_tests::{Cluster, Installation, eventually};

fn gate(namespace: &str, name: &str, spec: Value) -> String {
    json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": "Gate",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

fn open_gate(namespace: &str) -> String {
    gate(namespace, "api", json!({"ports": [{"port": 8080}]}))
}

fn key(namespace: &str, name: &str, spec: Value) -> String {
    json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": "ApiKey",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

fn own_key(namespace: &str, name: &str) -> String {
    key(namespace, name, json!({"grants": [{"gate": "api"}]}))
}

async fn bundle(cluster: &Cluster, namespace: &str, gate: &str) -> Result<GateBundle> {
    let secret = cluster.object("secret", namespace, &format!("sidegate-bundle-{gate}")).await?;
    let bytes = secret["data"][document::FILE].as_str().context("the Secret has no bundle")?;
    Ok(document::unpack(&BASE64_STANDARD.decode(bytes)?)?)
}

/// Waits until the Gate's bundle is one for which this holds.
async fn bundle_with(
    cluster: &Cluster,
    namespace: &str,
    holds: impl Fn(&GateBundle) -> bool,
) -> Result<GateBundle> {
    eventually(SOON, "the bundle has the change", async || {
        let bundle = bundle(cluster, namespace, "api").await?;
        ensure!(holds(&bundle), "it is {bundle:?}");
        Ok(bundle)
    })
    .await
}

#[tokio::test]
async fn a_key_becomes_a_secret_and_a_line_in_the_bundle() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("mint").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&own_key(&namespace, "ci-key")).await?;

    let text = cluster.key(&namespace, "ci-key").await?;
    let minted: ApiKey = text.parse()?;
    let secret = cluster.object("secret", &namespace, "ci-key-api-key").await?;
    assert_eq!(secret["type"], "sidegate.dev/credential");
    assert_eq!(secret["metadata"]["annotations"]["sidegate.dev/for"], "ApiKey/ci-key");
    let owner = &secret["metadata"]["ownerReferences"][0];
    let object = cluster.object("apikey", &namespace, "ci-key").await?;
    assert_eq!(owner["uid"], object["metadata"]["uid"]);
    assert_eq!(owner["blockOwnerDeletion"], Value::Null);
    assert_eq!(cluster.secret_value(&namespace, "ci-key-api-key", "key-id").await?, minted.id().as_str());

    let status = &object["status"];
    assert_eq!(status["keyId"], minted.id().as_str());
    assert_eq!(status["secretName"], "ci-key-api-key");
    assert_eq!(status["gatesSummary"], "1/1");
    cluster.condition(["apikey", &namespace, "ci-key"], ["Programmed", "True", "BundleWritten"]).await?;
    cluster.condition(["gate", &namespace, "api"], ["Ready", "True", "Ready"]).await?;

    let bundle = bundle(&cluster, &namespace, "api").await?;
    let [line] = bundle.keys.as_slice() else { anyhow::bail!("not one key: {bundle:?}") };
    assert_eq!((line.id, line.hash), (minted.id(), minted.verifier()));
    assert_eq!(line.sub, format!("key:{namespace}.ci-key"));
    assert_eq!(line.tenant, format!("ns:{namespace}"));
    ensure!(!serde_json::to_string(&bundle)?.contains(&text[23..]), "the bundle has the secret");

    // `kubectl get` finds a key that somebody saw in a log.
    let field = format!("--field-selector=status.keyId={}", minted.id());
    let found = cluster.kubectl(&["get", "apikeys", "-A", "-o", "name", &field]).await?.expect_success()?;
    assert_eq!(found.trim(), "apikey.sidegate.dev/ci-key");
    Ok(())
}

#[tokio::test]
async fn the_order_of_creation_does_not_matter() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("order").await?;
    cluster.applied(&own_key(&namespace, "early")).await?;
    let early = ["apikey", &namespace, "early"];
    let message = cluster.condition(early, ["Accepted", "False", "GateNotAvailable"]).await?;
    ensure!(message.contains(&format!("{namespace}/api")) && message.contains("spec.grants[0]"), "{message}");
    cluster.condition(early, ["Ready", "False", "GateNotAvailable"]).await?;

    cluster.applied(&open_gate(&namespace)).await?;
    cluster.key(&namespace, "early").await?;
    Ok(())
}

#[tokio::test]
async fn a_gate_admits_whom_it_names_and_what_it_lists() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let (owner, team) = (cluster.namespace("owner").await?, cluster.namespace("team").await?);
    let admit = |namespaces: Value| json!({"ports": [{"port": 8080}], "admit": [{"namespaces": namespaces, "scopes": ["apps:read"]}]});
    let wanted =
        json!({"grants": [{"gate": "api", "namespace": owner, "scopes": ["apps:read", "apps:admin"]}]});
    cluster.applied(&gate(&owner, "api", admit(json!({"from": "Names", "names": [team]})))).await?;
    cluster.applied(&key(&team, "ci", wanted)).await?;

    let ci = ["apikey", &team, "ci"];
    cluster.condition(ci, ["Accepted", "True", "PartiallyAccepted"]).await?;
    let message = cluster.condition(ci, ["Ready", "False", "PartiallyAccepted"]).await?;
    ensure!(message.contains("apps:read") && message.contains("apps:admin"), "{message}");
    let granted = bundle_with(&cluster, &owner, |bundle| bundle.keys.len() == 1).await?;
    assert_eq!(granted.keys[0].scopes.to_string(), "apps:read");

    // By label, which only counts while the namespace has it.
    let by_label = admit(json!({"from": "Selector", "selector": {"matchLabels": {"partner": "yes"}}}));
    cluster.applied(&gate(&owner, "api", by_label)).await?;
    cluster.condition(ci, ["Accepted", "False", "GateNotAvailable"]).await?;
    bundle_with(&cluster, &owner, |bundle| bundle.keys.is_empty()).await?;
    cluster.kubectl(&["label", "namespace", &team, "partner=yes"]).await?.expect_success()?;
    bundle_with(&cluster, &owner, |bundle| bundle.keys.len() == 1).await?;
    cluster.kubectl(&["label", "namespace", &team, "partner-"]).await?.expect_success()?;
    bundle_with(&cluster, &owner, |bundle| bundle.keys.is_empty()).await?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_needs_the_admins_label() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("tenant").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&key(&namespace, "ci", json!({"grants": [{"gate": "api"}], "tenant": "acme"}))).await?;
    let message =
        cluster.condition(["apikey", &namespace, "ci"], ["Accepted", "False", "TenantNotAllowed"]).await?;
    ensure!(message.contains("tenant.sidegate.dev/acme"), "{message}");
    cluster
        .kubectl(&["label", "namespace", &namespace, "tenant.sidegate.dev/acme="])
        .await?
        .expect_success()?;
    cluster.key(&namespace, "ci").await?;
    assert_eq!(bundle(&cluster, &namespace, "api").await?.keys[0].tenant, "acme");
    Ok(())
}

#[tokio::test]
async fn a_foreign_secret_is_not_touched_and_its_end_heals() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("conflict").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ci-api-key", "namespace": namespace},
        "data": {"password": "Zm9yZWlnbg=="},
    });
    cluster.applied(&foreign.to_string()).await?;
    let before = cluster.object("secret", &namespace, "ci-api-key").await?;
    cluster.applied(&own_key(&namespace, "ci")).await?;
    let ci = ["apikey", &namespace, "ci"];
    let message = cluster.condition(ci, ["Accepted", "False", "SecretConflict"]).await?;
    ensure!(message.contains(&format!("{namespace}/ci-api-key")), "{message}");
    cluster.condition(ci, ["Stalled", "True", "SecretConflict"]).await?;
    assert_eq!(cluster.object("secret", &namespace, "ci-api-key").await?, before);

    cluster.kubectl(&["delete", "secret", "ci-api-key", "-n", &namespace]).await?.expect_success()?;
    // A foreign Secret is in no watch: it is looked at again every 30 s.
    eventually(Duration::from_mins(1), "the conflict heals", async || {
        let text = cluster.secret_value(&namespace, "ci-api-key", "api-key").await?;
        text.parse::<ApiKey>().map(drop).map_err(Into::into)
    })
    .await?;
    cluster.key(&namespace, "ci").await?;
    Ok(())
}

#[tokio::test]
async fn a_secret_deleted_by_hand_is_made_again_with_a_new_key() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("again").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&own_key(&namespace, "ci")).await?;
    let first: ApiKey = cluster.key(&namespace, "ci").await?.parse()?;
    cluster.kubectl(&["delete", "secret", "ci-api-key", "-n", &namespace]).await?.expect_success()?;
    let bundle =
        bundle_with(&cluster, &namespace, |bundle| bundle.keys.iter().any(|key| key.id != first.id()))
            .await?;
    let second: ApiKey = cluster.key(&namespace, "ci").await?.parse()?;
    ensure!(second.id() != first.id());
    ensure!(bundle.keys.iter().any(|key| key.hash == second.verifier()), "{bundle:?}");
    Ok(())
}

#[tokio::test]
async fn the_secrets_look_follows_the_spec_and_the_key_stays() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("look").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&own_key(&namespace, "ci")).await?;
    let text = cluster.key(&namespace, "ci").await?;
    let generated = json!({"keys": {"apiKey": "SHOP_KEY"}, "labels": {"app": "shop"}});
    let credential = json!({"type": "Generated", "generated": generated});
    cluster
        .applied(&key(&namespace, "ci", json!({"grants": [{"gate": "api"}], "credential": credential})))
        .await?;
    eventually(SOON, "the Secret is as the spec says", async || {
        ensure!(cluster.secret_value(&namespace, "ci-api-key", "SHOP_KEY").await? == text);
        let secret = cluster.object("secret", &namespace, "ci-api-key").await?;
        ensure!(
            secret["metadata"]["labels"]["app"] == "shop" && secret["data"]["api-key"] == Value::Null,
            "{secret}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_not_built_yet_is_said_and_nothing_is_made() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("later").await?;
    cluster
        .applied(&gate(
            &namespace,
            "api",
            json!({"ports": [{"port": 8080}], "capture": {"mode": "Takeover"}}),
        ))
        .await?;
    let message =
        cluster.condition(["gate", &namespace, "api"], ["Accepted", "False", "NotSupportedYet"]).await?;
    ensure!(message.contains("spec.capture.mode"), "{message}");
    let rotated = json!({"grants": [{"gate": "api"}], "rotation": {"interval": "720h"}});
    cluster.applied(&key(&namespace, "ci", rotated)).await?;
    let message =
        cluster.condition(["apikey", &namespace, "ci"], ["Accepted", "False", "NotSupportedYet"]).await?;
    ensure!(message.contains("spec.rotation.interval"), "{message}");
    let secrets =
        cluster.kubectl(&["get", "secrets", "-n", &namespace, "-o", "name"]).await?.expect_success()?;
    assert_eq!(secrets, "");
    Ok(())
}

#[tokio::test]
async fn a_settled_installation_is_left_alone_and_a_restart_changes_nothing() -> Result<()> {
    let installation = Installation::start().await?;
    let cluster = installation.connect().await?;
    let namespace = cluster.namespace("rest").await?;
    let mut first = installation.operator("first")?;
    cluster.applied(&open_gate(&namespace)).await?;
    for number in 0..5 {
        cluster.applied(&own_key(&namespace, &format!("key-{number}"))).await?;
    }
    for number in 0..5 {
        cluster.key(&namespace, &format!("key-{number}")).await?;
    }
    bundle_with(&cluster, &namespace, |bundle| bundle.keys.len() == 5).await?;
    let versions = async || -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for kind in ["gates", "apikeys", "secrets"] {
            let path =
                "-o=jsonpath={range .items[*]}{.kind}/{.metadata.name}/{.metadata.resourceVersion} {end}";
            let text = cluster.kubectl(&["get", kind, "-n", &namespace, path]).await?.expect_success()?;
            all.extend(text.split_whitespace().map(str::to_owned));
        }
        Ok(all)
    };
    let settled = versions().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(versions().await?, settled, "a settled installation was written to");

    // A second one waits; when the first is gone for good it goes on from where that stood.
    let mut second = installation.operator("second")?;
    second.process.wait_until_ready(&second.admin.to_string(), "/livez", SOON).await?;
    ensure!(first.process.terminate(SOON).await?.success());
    cluster.applied(&own_key(&namespace, "by-the-second")).await?;
    cluster.key(&namespace, "by-the-second").await?;
    cluster.kubectl(&["delete", "apikey", "by-the-second", "-n", &namespace]).await?.expect_success()?;
    bundle_with(&cluster, &namespace, |bundle| bundle.keys.len() == 5).await?;

    second.process.kill().await?;
    let before = versions().await?;
    let mut third = installation.operator("third")?;
    third.wait_until_ready().await?;
    cluster.applied(&own_key(&namespace, "by-the-third")).await?;
    eventually(Duration::from_secs(40), "the third leads", async || {
        cluster.secret_value(&namespace, "by-the-third-api-key", "api-key").await
    })
    .await?;
    cluster.key(&namespace, "by-the-third").await?;
    let after = versions().await?;
    let untouched =
        before.iter().filter(|version| !version.contains("bundle") && !version.starts_with("Gate/"));
    for version in untouched {
        ensure!(after.contains(version), "{version} was written by the restart");
    }
    Ok(())
}

#[tokio::test]
async fn what_does_not_parse_is_skipped_and_harms_nobody() -> Result<()> {
    let installation = Installation::start().await?;
    let cluster = installation.connect().await?;
    let namespace = cluster.namespace("broken").await?;
    // An older or newer CRD may have let in what this operator cannot read.
    let crd: Value = serde_json::from_str(
        &cluster.kubectl(&["get", "crd", "apikeys.sidegate.dev", "-o", "json"]).await?.expect_success()?,
    )?;
    let loose = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    ensure!(crd["spec"]["versions"][0]["name"] == "v1alpha1");
    let patch = ["patch", "crd", "apikeys.sidegate.dev", "--type=json", "-p", &loose.to_string()];
    cluster.kubectl(&patch).await?.expect_success()?;
    eventually(SOON, "the loose schema takes it", async || {
        cluster.applied(&key(&namespace, "broken", json!({"grants": "everything"}))).await
    })
    .await?;
    cluster.applied(&key(&namespace, "rule-breaker", json!({"grants": []}))).await?;

    let mut operator = installation.operator("one")?;
    operator.wait_until_ready().await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&own_key(&namespace, "good")).await?;
    cluster.key(&namespace, "good").await?;
    assert_eq!(bundle(&cluster, &namespace, "api").await?.keys.len(), 1);
    operator.process.wait_for_line(SOON, |line| line.contains("broken")).await?;
    cluster.condition(["apikey", &namespace, "rule-breaker"], ["Accepted", "False", "Invalid"]).await?;
    Ok(())
}

#[tokio::test]
async fn no_secret_byte_is_in_a_log_a_status_a_metric_or_an_annotation() -> Result<()> {
    let Installed { cluster, operator } = Installation::shared().await?;
    let namespace = cluster.namespace("canary").await?;
    cluster.applied(&open_gate(&namespace)).await?;
    cluster.applied(&own_key(&namespace, "ci")).await?;
    let text = cluster.key(&namespace, "ci").await?;
    let canary = &text[23..];
    let encoded = BASE64_STANDARD.encode(&text);
    let decimal = canary.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");

    let mut places = vec![("log", operator.process.output()), ("metrics", operator.metrics().await?)];
    for kind in ["gates", "apikeys", "events"] {
        places.push((kind, cluster.kubectl(&["get", kind, "-A", "-o", "yaml"]).await?.expect_success()?));
    }
    let mut secret = cluster.object("secret", &namespace, "ci-api-key").await?;
    secret["data"] = Value::Null;
    places.push(("the Secret's metadata", secret.to_string()));
    places.push(("bundle", format!("{:?}", bundle(&cluster, &namespace, "api").await?)));
    for (place, content) in places {
        ensure!(content.len() > 20, "{place} is empty: {content}");
        for form in [canary, &encoded, &encoded[24..80], &decimal] {
            ensure!(!content.contains(form), "{place} has the secret");
        }
    }
    Ok(())
}
