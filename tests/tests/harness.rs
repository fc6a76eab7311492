//! The harness itself: what every other test here relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use sidegate_tests::cluster::{self, Cluster};
use sidegate_tests::{ApiServer, Kubelet, eventually};

const SOON: Duration = Duration::from_secs(10);

async fn shared() -> Result<Cluster> {
    ApiServer::shared().await?.connect().await
}

async fn config_maps(client: Client, namespace: &str) -> Result<Vec<String>> {
    let api: Api<ConfigMap> = Api::namespaced(client, namespace);
    Ok(api
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .collect())
}

fn secret(name: &str, value: &str) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([("bundle.json.gz".to_owned(), ByteString(value.into()))])),
        ..Default::default()
    }
}

#[tokio::test]
async fn two_servers_at_once_are_two_worlds() -> Result<()> {
    let (one, two) = tokio::try_join!(ApiServer::start(), ApiServer::start())?;
    assert_ne!(one.url(), two.url());
    let (one, two) = (one.connect().await?, two.connect().await?);
    one.ensure_namespace("only-here").await?;
    one.kubectl(&["get", "namespace", "only-here"]).await?.expect_success()?;
    let error = two.kubectl(&["get", "namespace", "only-here"]).await?.expect_failure()?;
    assert!(error.contains("not found"), "{error}");
    Ok(())
}

#[tokio::test]
async fn namespaces_of_one_prefix_are_apart() -> Result<()> {
    let cluster = shared().await?;
    let (one, two) = (cluster.namespace("same").await?, cluster.namespace("same").await?);
    assert_ne!(one, two);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n";
    cluster.kubectl_with(&["apply", "-n", &one, "-f", "-"], map).await?.expect_success()?;
    assert_eq!(config_maps(cluster.client(), &one).await?, ["mine"]);
    assert_eq!(config_maps(cluster.client(), &two).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn what_kubectl_is_refused_is_told() -> Result<()> {
    let cluster = shared().await?;
    let wrong = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NOT_A_NAME, namespace: default}\n";
    let error = cluster.apply(wrong).await?.expect_failure()?;
    assert!(error.contains("NOT_A_NAME"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_crds_are_applied_by_their_folder() -> Result<()> {
    let cluster = shared().await?;
    cluster.apply_crds().await?;
    let kinds =
        cluster.kubectl(&["api-resources", "--api-group=sidegate.dev", "-o=name"]).await?.expect_success()?;
    assert!(kinds.contains("gates.sidegate.dev") && kinds.contains("apikeys.sidegate.dev"), "{kinds}");
    Ok(())
}

#[tokio::test]
async fn a_service_account_has_its_own_rights_and_no_others() -> Result<()> {
    let cluster = shared().await?;
    let namespace = cluster.namespace("account").await?;
    let kubeconfig = cluster.service_account_kubeconfig(&namespace, "nobody").await?;
    let client = cluster::client(&kubeconfig).await?;
    let refused = config_maps(client.clone(), &namespace).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("system:serviceaccount:{namespace}:nobody")), "{refused}");
    let role = ["create", "role", "reader", "--verb=list", "--resource=configmaps", "-n", &namespace];
    cluster.kubectl(&role).await?.expect_success()?;
    let account = format!("--serviceaccount={namespace}:nobody");
    let bind = ["create", "rolebinding", "reader", "--role=reader", "-n", &namespace, &account];
    cluster.kubectl(&bind).await?.expect_success()?;
    eventually(SOON, "the right to list", async || config_maps(client.clone(), &namespace).await).await?;
    Ok(())
}

#[tokio::test]
async fn the_operators_account_has_the_rights_that_the_chart_ships() -> Result<()> {
    let cluster = shared().await?;
    cluster.apply_crds().await?;
    let kubeconfig = cluster.install_rbac().await?;
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    for (what, allowed) in [("gates.sidegate.dev", true), ("nodes", false)] {
        let arguments = [&kubeconfig, "auth", "can-i", "list", what, "--all-namespaces"];
        let answer = cluster.kubectl(&arguments).await?;
        assert_eq!(answer.success, allowed, "list {what}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_kubelet_projects_each_state_of_a_secret() -> Result<()> {
    let cluster = shared().await?;
    let namespace = cluster.namespace("volume").await?;
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), &namespace);
    let temp = tempfile::tempdir()?;
    let volume = temp.path().join("volume");
    let kubelet = Kubelet::project(cluster.client(), &namespace, "bundle", &volume).await?;
    let file = volume.join("bundle.json.gz");
    assert!(volume.join("..data").is_dir() && !file.exists(), "an optional source that is not there");

    secrets.create(&PostParams::default(), &secret("other", "no")).await?;
    secrets.create(&PostParams::default(), &secret("bundle", "1")).await?;
    kubelet.wait_for_file("bundle.json.gz", true, SOON).await?;
    assert_eq!(std::fs::read_to_string(&file)?, "1");

    secrets.patch("bundle", &PatchParams::default(), &Patch::Merge(secret("bundle", "2"))).await?;
    let content = eventually(SOON, "the second state", async || {
        let content = std::fs::read_to_string(&file)?;
        anyhow::ensure!(content != "1", "still the first");
        Ok(content)
    });
    assert_eq!(content.await?, "2");

    secrets.delete("bundle", &DeleteParams::default()).await?;
    kubelet.wait_for_file("bundle.json.gz", false, SOON).await?;
    Ok(())
}

/// A reader may look while the old state is being removed, and find it gone; it looks again, as with a real
/// kubelet. What it finds is always whole, and of one state.
#[tokio::test]
async fn a_reader_of_the_volume_never_sees_a_mixture() -> Result<()> {
    const STATES: usize = 300;
    let temp = tempfile::tempdir()?;
    let mut projection = sidegate_tests::kubelet::Projection::create(temp.path())?;
    let state = |size: usize| BTreeMap::from(["a", "b"].map(|name| (name.to_owned(), vec![b'x'; size])));
    projection.write(&state(1))?;
    let folder = temp.path().to_owned();
    let reader = std::thread::spawn(move || -> Result<BTreeSet<usize>> {
        let mut seen = BTreeSet::new();
        while !seen.contains(&STATES) {
            let data = folder.join(std::fs::read_link(folder.join("..data"))?);
            if let (Ok(a), Ok(b)) = (std::fs::read(data.join("a")), std::fs::read(data.join("b"))) {
                anyhow::ensure!(a == b && !a.is_empty(), "{} and {} bytes", a.len(), b.len());
                seen.insert(a.len());
            }
        }
        Ok(seen)
    });
    for size in 2..=STATES {
        projection.write(&state(size))?;
    }
    let seen = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    assert!(seen.len() > 1, "the reader looked only once");
    Ok(())
}
