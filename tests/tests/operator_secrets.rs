//! What people can do to Secrets, keys and rights while the operator runs, and what must then hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{StreamExt, TryStreamExt, future::try_join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::{Value, json};
use sidegate_bundle::{ApiKey, GateBundle, document};
use sidegate_tests::installation::{Installed, SOON};
use sidegate_tests::{Cluster, Installation, eventually};

const BUNDLE: &str = "sidegate-bundle-api";

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

async fn gate(cluster: &Cluster, namespace: &str, more: Value) -> Result<()> {
    let mut spec = json!({"ports": [{"port": 8080}]});
    spec.as_object_mut().context("a spec")?.extend(more.as_object().context("fields")?.clone());
    cluster.applied(&object("Gate", namespace, "api", &spec)).await
}

async fn key(cluster: &Cluster, namespace: &str, name: &str, more: Value) -> Result<()> {
    let mut spec = json!({"grants": [{"gate": "api"}]});
    spec.as_object_mut().context("a spec")?.extend(more.as_object().context("fields")?.clone());
    cluster.applied(&object("ApiKey", namespace, name, &spec)).await
}

/// A namespace with the Gate `api` and the ready ApiKey `ci`.
async fn settled(cluster: &Cluster, prefix: &str) -> Result<String> {
    let namespace = cluster.namespace(prefix).await?;
    gate(cluster, &namespace, json!({})).await?;
    key(cluster, &namespace, "ci", json!({})).await?;
    cluster.key(&namespace, "ci").await?;
    Ok(namespace)
}

async fn bundle(cluster: &Cluster, namespace: &str) -> Result<GateBundle> {
    let secret = cluster.object("secret", namespace, BUNDLE).await?;
    let bytes = secret["data"][document::FILE].as_str().context("the Secret has no bundle")?;
    Ok(document::unpack(&BASE64_STANDARD.decode(bytes)?)?)
}

async fn bundle_has(cluster: &Cluster, namespace: &str, keys: usize) -> Result<GateBundle> {
    eventually(SOON, &format!("the bundle has {keys} keys"), async || {
        let bundle = bundle(cluster, namespace).await?;
        ensure!(bundle.keys.len() == keys, "it is {bundle:?}");
        Ok(bundle)
    })
    .await
}

async fn patch(cluster: &Cluster, kind: &str, namespace: &str, name: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    cluster
        .kubectl(&["patch", kind, name, "-n", namespace, "--type=merge", "-p", &patch])
        .await?
        .expect_success()
        .map(drop)
}

/// Kind, name and resourceVersion of everything that the operator may write.
async fn versions(cluster: &Cluster, namespace: &str) -> Result<BTreeSet<String>> {
    let path = "-o=jsonpath={range .items[*]}{.kind}/{.metadata.name}/{.metadata.resourceVersion} {end}";
    let text = cluster.kubectl(&["get", "gates,apikeys,secrets", "-n", namespace, path]).await?;
    Ok(text.expect_success()?.split_whitespace().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_key_counts_from_its_beginning_to_its_end_and_says_so() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("times").await?;
    gate(&cluster, &namespace, json!({})).await?;
    let at = |seconds: i64| Timestamp::now() + SignedDuration::from_secs(seconds);
    let times = json!({"notBefore": at(6).to_string(), "expiresAt": at(10).to_string()});
    key(&cluster, &namespace, "ci", times).await?;
    let ci = ["apikey", &namespace, "ci"];
    for [status, reason] in [["False", "NotYetValid"], ["True", "Ready"], ["False", "Expired"]] {
        cluster.condition(ci, ["Ready", status, reason]).await?;
    }
    let key = bundle(&cluster, &namespace).await?.keys.remove(0);
    ensure!(key.nbf < key.exp && key.exp.is_some_and(|end| end <= Timestamp::now().as_second()), "{key:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_a_finalizer_keeps_is_out_at_once() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = settled(&cluster, "finalizer").await?;
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    patch(&cluster, "apikey", &namespace, "ci", &finalizers(json!(["example.com/theirs"]))).await?;
    let delete = ["delete", "apikey", "ci", "-n", &namespace, "--wait=false"];
    cluster.kubectl(&delete).await?.expect_success()?;
    bundle_has(&cluster, &namespace, 0).await?;
    cluster.object("apikey", &namespace, "ci").await?;
    patch(&cluster, "apikey", &namespace, "ci", &finalizers(Value::Null)).await
}

#[tokio::test]
async fn two_replicas_and_a_hundred_keys_make_one_credential_each() -> Result<()> {
    let installation = Installation::start().await?;
    let cluster = installation.connect().await?;
    let namespace = cluster.namespace("many").await?;
    gate(&cluster, &namespace, json!({})).await?;
    let mut seen = watched(&cluster, &namespace);
    let mut first = installation.operator("first")?;
    first.wait_until_ready().await?;
    let _second = installation.operator("second")?;
    let all: Vec<String> = (0..100)
        .map(|number| {
            object("ApiKey", &namespace, &format!("key-{number}"), &json!({"grants": [{"gate": "api"}]}))
        })
        .collect();
    let create = async |half: &[String]| cluster.applied(&half.join("\n---\n")).await;
    // The leader is killed in the midst of it, and the other goes on.
    create(&all[..60]).await?;
    first.process.kill().await?;
    create(&all[60..]).await?;
    eventually(Duration::from_mins(1), "all keys are in the bundle", async || {
        let keys = bundle(&cluster, &namespace).await?.keys.len();
        ensure!(keys == 100, "{keys}");
        Ok(())
    })
    .await?;
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Ok(Some((secret, id))) = tokio::time::timeout(Duration::from_secs(1), seen.recv()).await {
        ids.entry(secret).or_default().insert(id);
    }
    assert_eq!(ids.len(), 100);
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    ensure!(twice.is_empty(), "minted more than once: {twice:?}");
    Ok(())
}

/// The name and key id of every credential that is ever written.
fn watched(cluster: &Cluster, namespace: &str) -> tokio::sync::mpsc::UnboundedReceiver<(String, String)> {
    let (sender, seen) = tokio::sync::mpsc::unbounded_channel();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let config = Config::default().labels("sidegate.dev/kind=credential");
    tokio::spawn(async move {
        let mut events = watcher(secrets, config).boxed();
        while let Ok(Some(event)) = events.try_next().await {
            let (Event::Apply(secret) | Event::InitApply(secret)) = event else { continue };
            let id = secret.data.and_then(|data| String::from_utf8(data.get("key-id")?.0.clone()).ok());
            let _ = sender.send((secret.metadata.name.unwrap_or_default(), id.unwrap_or_default()));
        }
    });
    seen
}

#[tokio::test]
async fn what_others_put_on_our_objects_causes_no_write() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = settled(&cluster, "foreign").await?;
    let objects = [("apikey", "ci"), ("gate", "api"), ("secret", "ci-api-key"), ("secret", BUNDLE)];
    for round in 0..3 {
        let theirs = json!({"metadata": {
            "labels": {"example.com/theirs": round.to_string()},
            "annotations": {"example.com/theirs": round.to_string()},
        }});
        try_join_all(objects.map(|(kind, name)| patch(&cluster, kind, &namespace, name, &theirs))).await?;
        let after = versions(&cluster, &namespace).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(versions(&cluster, &namespace).await?, after, "round {round}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tampered_bundle_heals_and_its_revision_goes_on() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = settled(&cluster, "tamper").await?;
    let before = bundle(&cluster, &namespace).await?;
    let mut forged = before.clone();
    forged.rules.clear();
    forged.revision.0 += 1;
    let forged = BASE64_STANDARD.encode(document::pack(&forged)?);
    let annotation =
        |revision: &str| json!({"metadata": {"annotations": {"sidegate.dev/revision": revision}}});
    for change in [
        json!({"data": {document::FILE: forged}}),
        json!({"data": {document::FILE: "bm8gZ3ppcA=="}}),
        json!({"data": {document::FILE: null, "other": "eA=="}}),
        json!({"metadata": {"labels": {"sidegate.dev/kind": "credential"}}}),
        json!({"metadata": {"labels": {"sidegate.dev/kind": null}}}),
        json!({"metadata": {"ownerReferences": null}}),
        // A revision that no reader would take must not be gone on from.
        annotation("18446744073709551615"),
        annotation("-1"),
    ] {
        patch(&cluster, "secret", &namespace, BUNDLE, &change).await?;
        eventually(SOON, &format!("{change} heals"), async || {
            let bundle = bundle(&cluster, &namespace).await?;
            let secret = cluster.object("secret", &namespace, BUNDLE).await?;
            let metadata = &secret["metadata"];
            ensure!(bundle.keys == before.keys && bundle.rules == before.rules, "{bundle:?}");
            ensure!(metadata["labels"]["sidegate.dev/kind"] == "bundle", "{metadata}");
            ensure!(metadata["ownerReferences"][0]["kind"] == "Gate", "{metadata}");
            ensure!(
                metadata["annotations"]["sidegate.dev/revision"] == bundle.revision.to_string(),
                "{metadata}"
            );
            ensure!(bundle.revision >= before.revision, "{bundle:?}");
            bundle.revision.supersedes(None, Timestamp::now())?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn at_a_gate_that_is_not_accepted_keys_are_still_taken_away_after_a_restart_too() -> Result<()> {
    let installation = Installation::start().await?;
    let cluster = installation.connect().await?;
    let mut first = installation.operator("one")?;
    first.wait_until_ready().await?;
    let namespace = settled(&cluster, "narrow").await?;
    for name in ["deleted", "suspended"] {
        key(&cluster, &namespace, name, json!({})).await?;
        cluster.key(&namespace, name).await?;
    }
    gate(&cluster, &namespace, json!({"capture": {"mode": "Takeover"}})).await?;
    let message =
        cluster.condition(["gate", &namespace, "api"], ["Accepted", "False", "NotSupportedYet"]).await?;
    ensure!(message.contains("what was in force stays") && message.contains("taken away"), "{message}");
    cluster.kubectl(&["delete", "apikey", "deleted", "-n", &namespace]).await?.expect_success()?;
    bundle_has(&cluster, &namespace, 2).await?;

    ensure!(first.process.terminate(SOON).await?.success());
    let mut second = installation.operator("one")?;
    second.wait_until_ready().await?;
    key(&cluster, &namespace, "suspended", json!({"suspended": true})).await?;
    key(&cluster, &namespace, "new", json!({})).await?;
    eventually(SOON, "the key is suspended and the new one is out", async || {
        let keys = bundle(&cluster, &namespace).await?.keys;
        let standing = |name: &str| {
            let sub = format!("key:{namespace}.{name}");
            keys.iter().find(|key| key.sub == sub).map(|key| format!("{:?}", key.standing))
        };
        ensure!(
            standing("suspended").as_deref() == Some("Suspended")
                && standing("ci").as_deref() == Some("Good")
        );
        ensure!(keys.len() == 2, "{keys:?}");
        Ok(())
    })
    .await?;
    cluster.condition(["apikey", &namespace, "new"], ["Programmed", "False", "WaitingForBundle"]).await?;
    gate(&cluster, &namespace, json!({"tokens": {"accept": false}})).await?;
    bundle_has(&cluster, &namespace, 3).await.map(drop)
}

#[tokio::test]
async fn a_missing_right_is_named_and_its_return_heals() -> Result<()> {
    let installation = Installation::start().await?;
    let cluster = installation.connect().await?;
    let mut operator = installation.operator("one")?;
    operator.wait_until_ready().await?;
    let namespace = settled(&cluster, "rights").await?;
    let role = "clusterrole/sidegate-operator";
    let text = cluster.kubectl(&["get", role, "-o", "json"]).await?.expect_success()?;
    let mut less: Value = serde_json::from_str(&text)?;
    for rule in less["rules"].as_array_mut().context("rules")? {
        if rule["resources"] == json!(["secrets"]) {
            rule["verbs"] = json!(["get", "list", "watch"]);
        }
    }
    cluster.applied(&less.to_string()).await?;
    key(&cluster, &namespace, "denied", json!({})).await?;
    let denied = ["apikey", &namespace, "denied"];
    let message = cluster.condition(denied, ["Accepted", "False", "NoAccess"]).await?;
    let command = format!(
        "kubectl -n {namespace} create rolebinding sidegate-operator --clusterrole=sidegate-operator \
         --serviceaccount=sidegate-system:sidegate-operator"
    );
    ensure!(message.contains("create secrets") && message.ends_with(&command), "{message}");
    cluster.condition(denied, ["Stalled", "True", "NoAccess"]).await?;
    let failed = |metrics: &str| -> u64 {
        let line = metrics.lines().find(|line| line.contains("class=\"user\""));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    };
    let before = failed(&operator.metrics().await?);
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(failed(&operator.metrics().await?) <= before + 1, "it tries without a pause");

    let restored = cluster.install_rbac().await?;
    ensure!(restored.exists());
    eventually(Duration::from_mins(1), "the key is made", async || {
        let text = cluster.secret_value(&namespace, "denied-api-key", "api-key").await?;
        text.parse::<ApiKey>().map(drop).map_err(Into::into)
    })
    .await?;
    cluster.key(&namespace, "denied").await.map(drop)
}

#[tokio::test]
async fn a_secret_dressed_up_as_ours_is_neither_written_nor_deleted_nor_believed() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = cluster.namespace("forged").await?;
    gate(&cluster, &namespace, json!({})).await?;
    let record = json!({"versions": [{
        "id": "AAAAAAAAAAAAAAAA", "hash": "00".repeat(32), "state": "Current", "created": "2020-01-01T00:00:00Z",
    }]});
    let forged = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": "ci-api-key", "namespace": namespace, "labels": {"sidegate.dev/kind": "credential"},
            "annotations": {"sidegate.dev/for": "ApiKey/ci", "sidegate.dev/versions": record.to_string()},
        },
        "data": {"api-key": "Zm9yZWlnbg=="},
    });
    cluster.applied(&forged.to_string()).await?;
    let before = cluster.object("secret", &namespace, "ci-api-key").await?;
    key(&cluster, &namespace, "ci", json!({})).await?;
    cluster.condition(["apikey", &namespace, "ci"], ["Accepted", "False", "SecretConflict"]).await?;
    bundle_has(&cluster, &namespace, 0).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.object("secret", &namespace, "ci-api-key").await?, before);
    Ok(())
}

#[tokio::test]
async fn who_may_edit_a_namespace_writes_neither_gates_nor_any_status() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let namespace = settled(&cluster, "editor").await?;
    let account = format!("--serviceaccount={namespace}:default");
    let bind = ["create", "rolebinding", "edit", "--clusterrole=sidegate-edit", &account, "-n", &namespace];
    cluster.kubectl(&bind).await?.expect_success()?;
    let editor = format!("--as=system:serviceaccount:{namespace}:default");
    for (verb, resource, part, may) in [
        ("create", "apikeys", "", true),
        ("update", "apikeys", "", true),
        ("create", "gates", "", false),
        ("update", "gates", "", false),
        ("patch", "gates", "", false),
        ("delete", "gates", "", false),
        ("update", "gates", "status", false),
        ("patch", "gates", "status", false),
        ("update", "apikeys", "status", false),
        ("patch", "apikeys", "status", false),
    ] {
        let (resource, part) = (format!("{resource}.sidegate.dev"), format!("--subresource={part}"));
        let asked =
            cluster.kubectl(&["auth", "can-i", verb, &resource, &part, "-n", &namespace, &editor]).await?;
        assert_eq!(asked.stdout.trim() == "yes", may, "{verb} {resource} {part}: {asked:?}");
    }
    let status = json!({"status": {"valid": false}}).to_string();
    let write =
        ["patch", "apikey", "ci", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &status];
    let refused = cluster.kubectl(&[&write[..], &[editor.as_str()]].concat()).await?.expect_failure()?;
    ensure!(refused.contains("apikeys/status"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_left_in_peace() -> Result<()> {
    let Installed { cluster, operator } = Installation::shared().await?;
    let namespace = settled(&cluster, "ending").await?;
    // Nobody here carries the deletion out, so that it is as if it hung.
    cluster.kubectl(&["delete", "namespace", &namespace, "--wait=false"]).await?.expect_success()?;
    cluster.kubectl(&["delete", "secret", "ci-api-key", "-n", &namespace]).await?.expect_success()?;
    bundle_has(&cluster, &namespace, 0).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let object = format!("ApiKey {namespace}/ci");
    let lines = operator.process.output();
    let attempts =
        lines.lines().filter(|line| line.contains(&object) && line.contains("not written")).count();
    ensure!((1..=2).contains(&attempts), "{attempts} attempts");
    let conditions = cluster.object("apikey", &namespace, "ci").await?["status"]["conditions"].to_string();
    ensure!(!conditions.contains("NoAccess"), "no right is missing: {conditions}");
    Ok(())
}
