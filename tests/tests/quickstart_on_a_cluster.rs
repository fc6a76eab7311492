//! `kubectl apply -f examples/quickstart`, and the way of its key to a gate and out again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sidegate_tests::gate_process::GateProcess;
use sidegate_tests::installation::{Installed, SOON};
use sidegate_tests::{Installation, eventually, repository};

#[tokio::test]
async fn the_quickstarts_key_opens_a_gate_until_it_is_deleted() -> Result<()> {
    let Installed { cluster, .. } = Installation::shared().await?;
    let quickstart = repository("examples/quickstart");
    cluster.kubectl(&["apply", "-f", &quickstart.to_string_lossy()]).await?.expect_success()?;
    let mut gate = GateProcess::of(&cluster, "dify", "api").await?;
    gate.wait_until_ready().await?;
    let key = cluster.key("team-a", "ci-key").await?;
    let apps = "/api/v1/apps";

    eventually(SOON, "the key opens the gate", async || {
        let answer = gate.get(apps, Some(&key)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(())
    })
    .await?;
    let received = gate.app.received();
    let seen = received.last().ok_or_else(|| anyhow::anyhow!("the app saw nothing"))?;
    assert_eq!(seen.header("x-sidegate-subject"), ["key:team-a.ci-key"]);
    assert_eq!(seen.header("x-sidegate-tenant"), ["ns:team-a"]);
    assert_eq!(seen.header("x-sidegate-scopes"), ["apps:read"]);
    assert_eq!(seen.header("x-sidegate-credential"), ["api-key"]);
    assert_eq!(seen.header("x-api-key"), Vec::<&str>::new());
    assert_eq!(received.len(), 1, "only what is allowed reaches the app");

    assert_eq!(gate.get(apps, None).await?.status, 401);
    assert_eq!(gate.send("POST", apps, Some(&key)).await?.status, 403);
    assert_eq!(gate.get(apps, Some("wrong")).await?.status, 403);
    assert_eq!(gate.get("/healthz", None).await?.status, 200);

    // One connection that stays open over the change.
    let mut kept = sidegate_tests::http::Connection::open(&gate.address).await?;
    let request = sidegate_tests::http::Request::new("GET", apps).header("X-API-Key", &key);
    assert_eq!(kept.send(&request).await?.status, 200);

    let revision = async || -> Result<String> {
        let secret = cluster.object("secret", "dify", "sidegate-bundle-api").await?;
        Ok(secret["metadata"]["annotations"]["sidegate.dev/revision"].to_string())
    };
    let before = revision().await?;
    cluster.kubectl(&["delete", "apikey", "ci-key", "-n", "team-a"]).await?.expect_success()?;
    eventually(SOON, "the bundle changes", async || {
        ensure!(revision().await? != before);
        Ok(())
    })
    .await?;
    let changed = Instant::now();
    eventually(Duration::from_secs(2), "the key is shut out", async || {
        let answer = gate.get(apps, Some(&key)).await?;
        ensure!(answer.status == 403 && answer.json()?["error"] == "invalid_api_key", "{}", answer.status);
        Ok(())
    })
    .await?;
    ensure!(changed.elapsed() < Duration::from_secs(2), "it took {:?}", changed.elapsed());
    assert_eq!(kept.send(&request).await?.status, 403, "an open connection is no way round a change");
    Ok(())
}
