//! curl, as it stands on the machine, over every version of HTTP that it speaks in the clear.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::contract;
use crate::scene::Scene;

const VERSIONS: [(&str, &str); 3] =
    [("--http1.0", "1.0"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];
const LARGE: usize = 10_000_000;

/// What came of a run of curl.
struct Run {
    /// Its exit code; 22 is a bad status with `--fail`.
    code: i32,
    status: u64,
    /// What it counted: `%{json}`.
    counted: Value,
    /// The headers of the last answer, in lower case.
    headers: Value,
    body: Vec<u8>,
}

/// The content of `/api/bytes/<size>`.
fn pattern(size: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251_u32).map(|i| u8::try_from(i * i % 251).unwrap_or_default()).collect();
    period.into_iter().cycle().take(size).collect()
}

// === impl Run ===

impl Run {
    /// What a denial says.
    fn error(&self) -> Result<Value> {
        let problem: Value = serde_json::from_slice(&self.body)?;
        Ok(json!([self.status, problem["error"]]))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers[name][0].as_str()
    }
}

/// curl with these arguments and the good key.
async fn keyed(scene: &Scene, arguments: &[&str], path: &str) -> Result<Run> {
    let key = format!("X-API-Key: {}", scene.key);
    curl(scene, &[&["--header", key.as_str()], arguments].concat(), path).await
}

/// curl with these arguments.
async fn curl(scene: &Scene, arguments: &[&str], path: &str) -> Result<Run> {
    let mut command = Command::new("curl");
    command
        .args(["--disable", "--silent", "--noproxy", "*", "--max-time", "60"])
        .args(["--write-out", "%{stderr}\n%{json}\n%{header_json}\n"])
        .args(arguments)
        .arg(format!("{}{path}", scene.url()))
        .current_dir(scene.folder.path())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(90), command.output()).await??;
    let told = String::from_utf8_lossy(&output.stderr);
    let mut values = serde_json::Deserializer::from_str(told.trim_start()).into_iter::<Value>();
    let counted = values.next().with_context(|| told.to_string())??;
    Ok(Run {
        code: output.status.code().context("curl was killed")?,
        status: counted["http_code"].as_u64().context("no status")?,
        counted,
        headers: values.next().context("no headers")??,
        body: output.stdout,
    })
}

/// Makes a file with this content in the scene's folder.
fn file(scene: &Scene, name: &str, content: &[u8]) -> Result<()> {
    Ok(std::fs::write(scene.folder.path().join(name), content)?)
}

#[tokio::test]
async fn curl_sees_what_the_gate_says_over_every_version() -> Result<()> {
    let scene = Scene::start().await?;
    let wrong = format!("X-API-Key: {}", scene.wrong_key);
    let wrong = ["--header", wrong.as_str()];
    for (option, version) in VERSIONS {
        let good = keyed(&scene, &[option], "/api/whoami?a=%20b").await?;
        ensure!(good.counted["http_version"] == version || version == "1.0", "{}", good.counted);
        let seen: Value = serde_json::from_slice(&good.body)?;
        let mut intact = Vec::new();
        for size in [0, 1, 65_536, LARGE] {
            let body = pattern(size);
            file(&scene, "up", &body)?;
            let up = keyed(&scene, &[option, "--data-binary", "@up"], "/api/echo").await?;
            let down = keyed(&scene, &[option], &format!("/api/bytes/{size}")).await?;
            if up.code == 0 && down.code == 0 && up.body == body && down.body == body {
                intact.push(size);
            }
        }
        file(&scene, "up", &pattern(65_536))?;
        let upload = [option, "--data-binary", "@up", wrong[0], wrong[1]];
        let found = json!({
            "good": [good.status, seen["target"], seen["headers"]["x-sidegate-subject"]],
            "tenant": seen["headers"]["x-sidegate-tenant"],
            "scopes": seen["headers"]["x-sidegate-scopes"],
            "key_at_app": seen["headers"]["x-api-key"],
            "no_key": curl(&scene, &[option], "/api/whoami").await?.error()?,
            "wrong_key": curl(&scene, &[option, wrong[0], wrong[1]], "/api/whoami").await?.error()?,
            "missing_scope": keyed(&scene, &[option], "/admin/x").await?.error()?,
            "denied_upload": curl(&scene, &upload, "/api/echo").await?.error()?,
            "intact": intact,
        });
        assert_eq!(found, contract(), "{option}");
    }
    Ok(())
}

#[tokio::test]
async fn a_hundred_addresses_are_asked_for_on_one_connection() -> Result<()> {
    let scene = Scene::start().await?;
    // Not over HTTP/2: curl 7.88 cannot use a connection of prior knowledge twice, whatever the server.
    let run = keyed(&scene, &["--http1.1"], "/api/bytes/[1001-1100]").await?;
    ensure!(run.code == 0, "{}", run.counted);
    let expected: usize = (1001..=1100).sum();
    assert_eq!((run.body.len(), scene.connections().await?), (expected, 1));
    Ok(())
}

#[tokio::test]
async fn a_large_upload_waits_for_leave_and_is_not_sent_when_denied() -> Result<()> {
    let scene = Scene::start().await?;
    file(&scene, "large", &pattern(LARGE))?;
    // It would send the body after that time if nobody answered.
    let upload =
        ["--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "50", "-T", "large"];
    let run = keyed(&scene, &upload, "/api/digest").await?;
    let digest: Value = serde_json::from_slice(&run.body)?;
    assert_eq!((run.status, &digest["size"]), (200, &json!(LARGE)));
    ensure!(run.counted["time_total"].as_f64().is_some_and(|time| time < 40.0), "{}", run.counted);

    let denied = curl(&scene, &upload, "/api/digest").await?;
    assert_eq!((denied.error()?, denied.code), (json!([401, "missing_credentials"]), 0));
    assert_eq!(denied.counted["size_upload"], 0);
    assert_eq!(denied.header("connection"), Some("close"));
    ensure!(denied.counted["time_total"].as_f64().is_some_and(|time| time < 40.0), "{}", denied.counted);
    Ok(())
}

#[tokio::test]
async fn a_denied_upload_that_did_not_wait_gets_its_answer() -> Result<()> {
    let scene = Scene::start().await?;
    file(&scene, "large", &pattern(LARGE))?;
    // Not over HTTP/2: curl 7.88 loses an answer that comes while it sends, whatever the server.
    for framing in ["Expect:", "Transfer-Encoding: chunked"] {
        let upload = ["--http1.1", "--header", "Expect:", "--header", framing, "-T", "large"];
        let denied = curl(&scene, &upload, "/api/digest").await?;
        assert_eq!(denied.error()?, json!([401, "missing_credentials"]), "{framing}");
        assert_eq!(denied.header("connection"), Some("close"), "{framing}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chunked_upload_arrives_whole() -> Result<()> {
    let scene = Scene::start().await?;
    // Not an empty one: curl 7.88 never ends it, whatever the server.
    for size in [1, 65_536, LARGE] {
        let body = pattern(size);
        file(&scene, "up", &body)?;
        let chunked = ["--http1.1", "--header", "Transfer-Encoding: chunked", "-T", "up"];
        let run = keyed(&scene, &chunked, "/api/echo").await?;
        ensure!(run.status == 200 && run.body == body, "{size}: {}", run.counted);
    }
    Ok(())
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() -> Result<()> {
    let scene = Scene::start().await?;
    for (option, _) in VERSIONS {
        let run = keyed(&scene, &[option, "--head", "--output", "head"], "/api/bytes/12345").await?;
        assert_eq!((run.code, run.status, run.header("content-length")), (0, 200, Some("12345")), "{option}");
        assert_eq!(run.counted["size_download"], 0);
        let denied = curl(&scene, &[option, "--head", "--output", "head"], "/api/bytes/1").await?;
        assert_eq!((denied.code, denied.status), (0, 401), "{option}");
        let length = curl(&scene, &[option], "/api/bytes/1").await?.body.len().to_string();
        assert_eq!(denied.header("content-length"), Some(&*length), "{option}");
        assert_eq!(denied.counted["size_download"], 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_download_that_broke_off_is_resumed() -> Result<()> {
    let scene = Scene::start().await?;
    let whole = pattern(LARGE);
    for (option, _) in VERSIONS {
        file(&scene, "part", &whole[..4_000_000])?;
        let resume = [option, "--continue-at", "-", "--output", "part"];
        let run = keyed(&scene, &resume, "/api/bytes/10000000").await?;
        assert_eq!((run.code, run.status, &run.counted["size_download"]), (0, 206, &json!(6_000_000)));
        ensure!(std::fs::read(scene.folder.path().join("part"))? == whole, "{option}: it is damaged");
        let run = keyed(&scene, &[option, "--range", "10-19"], "/api/bytes/100").await?;
        assert_eq!((run.status, run.body.as_slice()), (206, &whole[10..20]));
        assert_eq!(run.header("content-range"), Some("bytes 10-19/100"));
    }
    Ok(())
}

#[tokio::test]
async fn an_offer_of_http_2_is_answered_in_http_1() -> Result<()> {
    let scene = Scene::start().await?;
    // curl sends `Upgrade: h2c`.
    let run = keyed(&scene, &["--http2"], "/api/whoami").await?;
    let seen: Value = serde_json::from_slice(&run.body)?;
    assert_eq!((run.code, &run.counted["http_version"]), (0, &json!("1.1")));
    for name in ["upgrade", "http2-settings"] {
        ensure!(seen["headers"][name].is_null(), "{name} reached the app: {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_denial_is_not_tried_again() -> Result<()> {
    let scene = Scene::start().await?;
    let retry = ["--retry", "3", "--retry-delay", "1", "--fail-with-body"];
    for (path, status) in [("/api/whoami", 401), ("/admin/x", 403)] {
        let run = if status == 401 {
            curl(&scene, &retry, path).await?
        } else {
            keyed(&scene, &retry, path).await?
        };
        assert_eq!((run.code, run.status, &run.counted["num_retries"]), (22, status, &Value::Null));
        assert_eq!(run.header("content-type"), Some("application/problem+json"));
    }
    Ok(())
}
