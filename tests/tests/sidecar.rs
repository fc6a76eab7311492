//! The gate as a process: what a bundle on disk does to it, whatever becomes of that bundle.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidegate_bundle::gate::{Access, GateName, Standing};
use sidegate_bundle::{ApiKey, GateBundle, Revision, document};
use sidegate_tests::gate_process::GateProcess;
use sidegate_tests::gated::{bundle, entry, rule, with_the_id_of};
use sidegate_tests::http::{Connection, Request, Response, exchange};
use sidegate_tests::kubelet::Projection;
use sidegate_tests::process::Program;
use sidegate_tests::{eventually, http};
use tempfile::TempDir;

/// Longer than a change needs on an idle machine; what a second holds, `a_change_is_in_force…` shows.
const SOON: Duration = Duration::from_secs(10);

/// A gate process, the folder of its bundle, and a key.
struct Setup {
    gate: GateProcess,
    projection: Projection,
    bundle: GateBundle,
    key: ApiKey,
    _folder: TempDir,
}

fn file(bytes: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([(document::FILE.to_owned(), bytes)])
}

// === impl Setup ===

impl Setup {
    /// A gate that has no bundle yet.
    async fn without_bundle() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = folder.path().join("bundle");
        let projection = Projection::create(&mount)?;
        let gate = GateProcess::before(&mount, "dify/api").await?;
        let key = ApiKey::mint(&mut rand::rng());
        let mut bundle = bundle(vec![rule("all", None, Access::Authenticated)]);
        bundle.keys = vec![entry(&key)];
        Ok(Self { gate, projection, bundle, key, _folder: folder })
    }

    /// A gate that is ready.
    async fn start() -> Result<Self> {
        let mut setup = Self::without_bundle().await?;
        setup.publish()?;
        setup.gate.wait_until_ready().await?;
        Ok(setup)
    }

    /// Writes the bundle as it now is, with the next revision.
    fn publish(&mut self) -> Result<()> {
        self.bundle.revision = Revision::next(Some(self.bundle.revision), Timestamp::now());
        self.write(document::pack(&self.bundle)?)
    }

    fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.projection.write(&file(bytes))?)
    }

    async fn status(&self) -> Result<u16> {
        Ok(self.gate.get("/x", Some(self.key.expose())).await?.status)
    }

    /// Long enough for the gate to have looked at the folder several times.
    async fn look(&self) {
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }

    async fn readiness(&self) -> Result<Response> {
        http::get(&self.gate.admin, "/readyz?verbose").await
    }
}

#[tokio::test]
async fn without_a_bundle_all_is_refused_and_it_says_why() -> Result<()> {
    let mut setup = Setup::without_bundle().await?;
    let answer = setup.gate.get("/x", Some(setup.key.expose())).await?;
    assert_eq!((answer.status, answer.json()?["error"].clone()), (503, json!("no_bundle")));
    ensure!(answer.header("retry-after").is_some());
    let ready = setup.readiness().await?;
    ensure!(ready.status == 503 && ready.text().contains("no bundle"), "{} {}", ready.status, ready.text());

    let ask = || {
        Program::of_workspace("sidegate-sidecar")
            .map(|program| program.args(["ready", "--admin", &setup.gate.admin]))
    };
    let mut asked = ask()?.start()?;
    assert_eq!(asked.wait(SOON).await?.code(), Some(1));
    ensure!(asked.lines().len() == 1 && asked.output().contains("no bundle"), "{}", asked.output());

    setup.publish()?;
    setup.gate.wait_until_ready().await?;
    assert_eq!(setup.status().await?, 200);
    let admin = setup.gate.admin.clone();
    let mut asked = Program::of_workspace("sidegate-sidecar")?.args(["ready", "--admin", &admin]).start()?;
    assert_eq!(asked.wait(SOON).await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn ready_is_only_said_when_requests_are_decided() -> Result<()> {
    let mut setup = Setup::without_bundle().await?;
    // It takes a while to make an index of so many.
    let many: Vec<_> = (0..20_000).map(|_| entry(&ApiKey::mint(&mut rand::rng()))).collect();
    setup.bundle.keys.extend(many);
    setup.publish()?;
    let start = Instant::now();
    while http::get(&setup.gate.admin, "/readyz").await?.status != 200 {
        ensure!(start.elapsed() < SOON, "it is never ready");
    }
    assert_eq!(setup.status().await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_is_cut_short_older_unknown_foreign_or_gone_changes_nothing() -> Result<()> {
    let mut setup = Setup::start().await?;
    assert_eq!(setup.status().await?, 200);

    let good = document::pack(&setup.bundle)?;
    let closed = GateBundle { keys: vec![], ..setup.bundle.clone() };
    let newer = Revision(setup.bundle.revision.0 + 1000);
    let older = GateBundle { revision: Revision(setup.bundle.revision.0 - 1), ..closed.clone() };
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(25);
    let ahead = GateBundle { revision: Revision::next(None, tomorrow), ..closed.clone() };
    let foreign = GateBundle { revision: newer, gate: GateName::new("dify", "other"), ..closed.clone() };
    let mut unknown: Value = serde_json::to_value(GateBundle { revision: newer, ..closed })?;
    unknown["format"] = json!(2);
    for (what, bytes) in [
        ("cut short", good[..good.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("no gzip", b"{}".to_vec()),
        ("older", document::pack(&older)?),
        ("ahead of the clock", document::pack(&ahead)?),
        ("another Gate's", document::pack(&foreign)?),
        ("of an unknown format", document::pack(&unknown)?),
    ] {
        setup.write(bytes)?;
        setup.look().await;
        ensure!(setup.status().await? == 200, "a bundle that is {what} was taken");
        ensure!(setup.readiness().await?.status == 200, "a bundle that is {what} ended readiness");
    }
    setup.projection.write(&BTreeMap::new())?;
    setup.look().await;
    assert_eq!(setup.status().await?, 200, "a bundle that is gone was missed");

    setup.bundle.keys.clear();
    setup.publish()?;
    eventually(SOON, "a good bundle is taken again", async || {
        ensure!(setup.status().await? == 403);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_is_in_force_within_a_second_on_a_connection_that_stays_open() -> Result<()> {
    let mut setup = Setup::start().await?;
    let mut kept = Connection::open(&setup.gate.address).await?;
    let request = Request::new("GET", "/x").header("X-API-Key", setup.key.expose());
    assert_eq!(kept.send(&request).await?.status, 200);
    let mut took = Vec::new();
    for round in 0..6 {
        let suspended = round % 2 == 0;
        setup.bundle.keys[0].standing = if suspended { Standing::Suspended } else { Standing::Good };
        setup.publish()?;
        let wanted = if suspended { 403 } else { 200 };
        let start = Instant::now();
        while kept.send(&request).await?.status != wanted {
            ensure!(start.elapsed() < SOON, "round {round} was never in force");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took.push(start.elapsed());
    }
    took.sort();
    ensure!(took[3] < Duration::from_secs(1), "it took {took:?}");
    Ok(())
}

#[tokio::test]
async fn every_request_is_answered_while_bundles_come_and_go() -> Result<()> {
    let mut setup = Setup::start().await?;
    let other = ApiKey::mint(&mut rand::rng());
    let address = setup.gate.address.clone();
    let request = Request::new("GET", "/x").header("X-API-Key", setup.key.expose());
    let load = tokio::spawn(async move {
        let mut connection = Connection::open(&address).await?;
        let end = Instant::now() + Duration::from_secs(4);
        let mut count = 0;
        while Instant::now() < end {
            let answer = connection.send(&request).await?;
            ensure!(answer.status == 200, "request {count} on one connection: {}", answer.status);
            count += 1;
        }
        Ok(count)
    });
    let mut published = 0;
    while !load.is_finished() {
        let both = published % 2 == 0;
        setup.bundle.keys.truncate(1);
        setup.bundle.keys.extend(both.then(|| entry(&other)));
        setup.publish()?;
        published += 1;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let answered: u32 = load.await??;
    ensure!(answered > 100 && published > 50, "{answered} answers, {published} bundles");
    Ok(())
}

#[tokio::test]
async fn a_malformed_an_unknown_and_a_wrong_key_get_the_same_bytes() -> Result<()> {
    let setup = Setup::start().await?;
    let unknown = ApiKey::mint(&mut rand::rng());
    let wrong = with_the_id_of(&setup.key, &unknown);
    let mut answers = Vec::new();
    for key in ["wrong", unknown.expose(), &wrong, &setup.key.expose().to_lowercase()] {
        let request = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(exchange(&setup.gate.address, request.as_bytes()).await?)?;
        let id =
            answer.lines().find_map(|line| line.strip_prefix("x-sidegate-request-id: ")).unwrap_or_default();
        ensure!(id.len() >= 16, "no request id: {answer}");
        let date = answer.lines().find(|line| line.starts_with("date: ")).unwrap_or_default();
        answers.push(answer.replace(id, "ID").replace(date, "DATE"));
    }
    ensure!(answers[0].starts_with("HTTP/1.1 403 "), "{}", answers[0]);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    ensure!(setup.gate.app.received().is_empty(), "something reached the app");
    Ok(())
}

#[tokio::test]
async fn a_key_with_another_keys_id_is_well_formed_and_still_wrong() -> Result<()> {
    let setup = Setup::start().await?;
    assert_eq!(with_the_id_of(&setup.key, &setup.key), setup.key.expose());
    Ok(())
}

#[tokio::test]
async fn times_are_checked_at_each_request_without_a_new_bundle() -> Result<()> {
    let mut setup = Setup::start().await?;
    let now = Timestamp::now().as_second();
    setup.bundle.keys[0].nbf = Some(now + 2);
    setup.bundle.keys[0].exp = Some(now + 5);
    setup.publish()?;
    let detail = async |wanted: &str| {
        eventually(SOON, wanted, async || {
            let answer = setup.gate.get("/x", Some(setup.key.expose())).await?;
            let detail = if answer.status == 200 { json!("ok") } else { answer.json()?["detail"].clone() };
            ensure!(detail == wanted, "{} {detail}", answer.status);
            Ok(())
        })
        .await
    };
    detail("the key is not valid yet").await?;
    detail("ok").await?;
    detail("the key has expired").await?;
    ensure!(Timestamp::now().as_second() >= now + 5, "it expired too early");
    Ok(())
}

#[tokio::test]
async fn the_audit_line_says_who_and_why_and_no_secret() -> Result<()> {
    let mut setup = Setup::start().await?;
    let stranger = ApiKey::mint(&mut rand::rng());
    setup.bundle.keys[0].standing = Standing::Suspended;
    setup.publish()?;
    eventually(SOON, "it is suspended", async || {
        ensure!(setup.status().await? == 403);
        Ok(())
    })
    .await?;
    let answer = setup.gate.get("/secret?token=querysecret", Some(stranger.expose())).await?;
    let id = answer.header("x-sidegate-request-id").unwrap_or_default().to_owned();
    let line = setup
        .gate
        .process
        .wait_for_line(SOON, |line| line.contains("class_uid") && line.contains(&id))
        .await?;
    let event: Value = serde_json::from_str(&line)?;
    assert_eq!(event["status_detail"], "unknown_key");
    assert_eq!(event["http_request"]["url_path"], "/secret");
    assert_eq!(event["unmapped"]["gate"], "dify/api");
    let line = setup.gate.process.wait_for_line(SOON, |line| line.contains("\"suspended\"")).await?;
    let event: Value = serde_json::from_str(&line)?;
    assert_eq!(event["user"]["uid"], "key:team-a.ci");
    assert_eq!(event["user"]["credential_uid"], setup.key.id().as_str());

    setup.gate.process.terminate(SOON).await?;
    let output = setup.gate.process.output();
    for secret in [&setup.key.expose()[23..], &stranger.expose()[23..], stranger.id().as_str(), "querysecret"]
    {
        ensure!(!output.contains(secret), "the output has {secret}");
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_lets_what_is_under_way_finish() -> Result<()> {
    let mut setup = Setup::start().await?;
    let mut slow = Connection::open(&setup.gate.address).await?;
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\nContent-Length: 4\r\n\r\nab",
        setup.key.expose()
    );
    slow.write(head.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    setup.gate.process.signal(sidegate_tests::process::Signal::TERM)?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    slow.write(b"cd").await?;
    let answer = slow.read_response("POST").await?;
    assert_eq!((answer.status, answer.json()?["body"].clone()), (200, json!("abcd")));
    assert_eq!(setup.gate.process.wait(SOON).await?.code(), Some(0));
    ensure!(Connection::open(&setup.gate.address).await.is_err(), "it still listens");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut process = Program::of_workspace("sidegate-sidecar")?
        .args([
            "run",
            "--gate",
            "dify/api",
            "--bundle",
            "/nonexistent",
            "--app",
            "127.0.0.1:1",
            "--admin",
            "127.0.0.1:0",
        ])
        .args(["--listen", &address])
        .start()?;
    assert_eq!(process.wait(SOON).await?.code(), Some(3));
    ensure!(
        process.output().contains(&address) && process.output().contains("in use"),
        "{}",
        process.output()
    );
    Ok(())
}
