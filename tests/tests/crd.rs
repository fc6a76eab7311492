//! The API server enforces the rules of `crds/`, says what a user reads, and explains every field.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use sidegate_tests::{ApiServer, Cluster, eventually, repository};

/// One case of `crds/tests/corpus`, where its fields are explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    called: Option<String>,
    object: Value,
    old: Option<Value>,
    refused: Option<Refused>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    path: Option<String>,
    message: String,
    /// What the Rust twin says; for its own test.
    #[allow(dead_code)]
    twin: Option<String>,
}

async fn cluster() -> Result<Cluster> {
    let cluster = ApiServer::start().await?.connect().await?;
    cluster.apply_crds().await?;
    Ok(cluster)
}

fn corpus(kind: &str) -> Result<Vec<Case>> {
    let path = repository(&format!("crds/tests/corpus/{kind}.yaml"));
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(path)?)?)
}

fn object(kind: &str, name: &str, spec: &Value) -> Result<DynamicObject> {
    let metadata = json!({"name": name, "namespace": "default"});
    let whole =
        json!({"apiVersion": "sidegate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    Ok(serde_json::from_value(whole)?)
}

fn api(client: Client, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("sidegate.dev", "v1alpha1", kind));
    Api::namespaced_with(client, "default", &resource)
}

/// What the API server says to this case: nothing, or its refusal.
async fn verdict(api: &Api<DynamicObject>, kind: &str, number: usize, case: &Case) -> Result<Option<String>> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let unique = format!("case-{number}");
    let answer = match &case.old {
        None => {
            api.create(&dry, &object(kind, case.called.as_deref().unwrap_or(&unique), &case.object)?).await
        }
        Some(old) => {
            let stored = api.create(&PostParams::default(), &object(kind, &unique, old)?).await?;
            let mut new = object(kind, &unique, &case.object)?;
            new.metadata.resource_version = stored.metadata.resource_version;
            api.replace(&unique, &dry, &new).await
        }
    };
    match answer {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message)),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn the_api_server_judges_the_whole_corpus_as_written() -> Result<()> {
    let cluster = cluster().await?;
    let mut wrong = Vec::new();
    for (kind, file) in [("Gate", "gate"), ("ApiKey", "api_key")] {
        let api = api(cluster.client(), kind);
        let cases = corpus(file)?;
        ensure!(cases.len() > 50, "{file} has only {} cases", cases.len());
        for (number, case) in cases.iter().enumerate() {
            let said = verdict(&api, kind, number, case).await.with_context(|| case.name.clone())?;
            match (&case.refused, said) {
                (None, None) => {}
                (Some(refused), Some(said)) => {
                    let path = refused.path.as_deref().unwrap_or_default();
                    if !said.contains(&refused.message) || !said.contains(path) {
                        wrong.push(format!("{kind}, {}: {said}", case.name));
                    }
                }
                (expected, said) => wrong.push(format!("{kind}, {}: {expected:?}, but {said:?}", case.name)),
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn every_field_is_explained() -> Result<()> {
    let cluster = cluster().await?;
    for kind in ["gates", "apikeys"] {
        let crd = cluster
            .kubectl(&["get", "crd", &format!("{kind}.sidegate.dev"), "-o", "json"])
            .await?
            .expect_success()?;
        let crd: Value = serde_json::from_str(&crd)?;
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut fields = Vec::new();
        for part in ["spec", "status"] {
            collect(&schema["properties"][part], &format!("{kind}.{part}"), &mut fields);
        }
        ensure!(fields.len() > 30, "{fields:?}");
        // The server publishes its schemas a moment after it serves the resource.
        let published = async || explain(&cluster, format!("{kind}.spec")).await;
        eventually(Duration::from_secs(20), "the schema is published", published).await?;
        stream::iter(fields)
            .map(|field| explain(&cluster, field))
            .buffer_unordered(4)
            .try_collect::<Vec<()>>()
            .await?;
    }
    Ok(())
}

async fn explain(cluster: &Cluster, field: String) -> Result<()> {
    let text = cluster.kubectl(&["explain", &field]).await?.expect_success()?;
    let (_, description) = text.split_once("DESCRIPTION:").with_context(|| format!("{field}: {text}"))?;
    let first = description.split("\n\n").next().unwrap_or_default().trim();
    ensure!(first.len() > 10 && !first.contains("<empty>"), "{field} is not explained: {text}");
    Ok(())
}

/// The paths of all fields below a schema.
fn collect(schema: &Value, path: &str, fields: &mut Vec<String>) {
    fields.push(path.to_owned());
    let inner = if schema["items"].is_object() { &schema["items"] } else { schema };
    for (name, property) in inner["properties"].as_object().into_iter().flatten() {
        collect(property, &format!("{path}.{name}"), fields);
    }
}

#[tokio::test]
async fn the_yaml_of_docs_and_examples_applies_as_written() -> Result<()> {
    let cluster = cluster().await?;
    for namespace in ["dify", "team-a"] {
        cluster.ensure_namespace(namespace).await?;
    }
    let mut pages = 0;
    for entry in std::fs::read_dir(repository("docs"))?.chain(std::fs::read_dir(repository("."))?) {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        for (number, block) in text.split("```yaml\n").skip(1).enumerate() {
            let (yaml, _) = block.split_once("\n```").context("a block without an end")?;
            let applied = cluster.apply(yaml).await?;
            ensure!(applied.success, "{} block {number}: {}", path.display(), applied.stderr);
            pages += 1;
        }
    }
    ensure!(pages >= 6, "only {pages} blocks of YAML were found");
    let quickstart = repository("examples/quickstart");
    cluster.kubectl(&["apply", "-f", &quickstart.to_string_lossy()]).await?.expect_success()?;
    Ok(())
}

#[tokio::test]
async fn the_smallest_objects_apply_and_are_shown() -> Result<()> {
    let cluster = cluster().await?;
    for namespace in ["dify", "team-a"] {
        cluster.ensure_namespace(namespace).await?;
    }
    let smallest = r"
apiVersion: sidegate.dev/v1alpha1
kind: Gate
metadata: {name: api, namespace: dify}
spec:
  ports: [{port: 8080}]
---
apiVersion: sidegate.dev/v1alpha1
kind: ApiKey
metadata: {name: ci-key, namespace: dify}
spec:
  grants: [{gate: api}]
---
apiVersion: sidegate.dev/v1alpha1
kind: ApiKey
metadata: {name: ci-key, namespace: team-a}
spec:
  grants: [{gate: api, namespace: dify, scopes: [apps:read]}]
";
    cluster.applied(smallest).await?;
    for (resource, columns) in [
        ("gates", "NAME READY REASON PODS MODE AGE"),
        ("ak", "NAME READY REASON KEY-ID GATES EXPIRES LAST-USED AGE"),
    ] {
        let table = cluster.kubectl(&["get", resource, "-n", "dify"]).await?.expect_success()?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(lines.next().unwrap_or_default().join(" "), columns);
        let row = lines.next().unwrap_or_default();
        ensure!(row.contains(&"Unknown") && row.contains(&"Pending"), "before the operator saw it: {table}");
    }
    let wide = cluster.kubectl(&["get", "ak", "-n", "dify", "-o", "wide"]).await?.expect_success()?;
    ensure!(wide.contains("SECRET") && wide.contains("NEXT-ROTATION") && wide.contains("MESSAGE"), "{wide}");
    // kubectl asks for strict validation: a mistyped field is refused by name, not pruned.
    let typo = smallest.replace("spec:\n  ports", "spec:\n  mod: Audit\n  ports");
    let said = cluster.apply(&typo).await?.expect_failure()?;
    ensure!(said.contains("spec.mod"), "{said}");
    Ok(())
}
