//! Being somebody else: in headers, in their other spellings, in trailers, by `Connection`, by the target.

use anyhow::{Context, Result, ensure};
use sidegate_tests::backends::{Record, Server};
use sidegate_tests::naive_proxy::SUBJECT;

use crate::{PATIENCE, Scene, admin_pages, get, send};

/// The one request that reached a handler.
fn only(records: Vec<Record>) -> Result<Record> {
    let [record] = <[Record; 1]>::try_from(records).map_err(|records| anyhow::anyhow!("{records:?}"))?;
    Ok(record)
}

#[tokio::test]
async fn script_name_does_not_move_a_request_to_another_page() -> Result<()> {
    let scene = Scene::before(Server::Flask).await?;
    // gunicorn trusts this header of a peer at 127.0.0.1, and takes it off the path.
    let attack = get("/x/admin", "SCRIPT_NAME: /x\r\n");
    let answer = send(&scene.naive.address(), &attack).await?;
    ensure!(answer.text().contains("the admin page"), "the attack does not work: {}", answer.text());
    admin_pages(&scene.backend, 1).await?;

    for spelling in ["SCRIPT_NAME", "script_name", "Script-Name", "SCRIPT.NAME", "PATH_INFO"] {
        for value in ["/x", "/admin"] {
            let answer =
                send(&scene.gate.address, &get("/x/admin", &format!("{spelling}: {value}\r\n"))).await?;
            ensure!(answer.statuses() == [404], "{spelling}: {value}: {}", answer.text());
        }
    }
    tokio::time::sleep(PATIENCE).await;
    ensure!(scene.backend.admin_pages() == 1, "it led to the admin page");
    Ok(())
}

#[tokio::test]
async fn an_underscore_does_not_make_a_header_of_ours() -> Result<()> {
    let scene = Scene::before(Server::GunicornMappingUnderscores).await?;
    let attack = get("/x", "X_Sidegate_Subject: key:root.root\r\n");
    let (_, records) = scene.through_naive(&attack).await?;
    let subject = only(records)?.header("x-sidegate-subject").join(",");
    ensure!(subject.contains("key:root.root"), "the attack does not work: {subject}");

    for spelling in [
        "X_Sidegate_Subject",
        "X-Sidegate_Subject",
        "x_sidegate-subject",
        "X-Sidegate-Subject",
        "x.sidegate.subject",
    ] {
        let attack = get("/x", &format!("{spelling}: key:root.root\r\n"));
        let (_, records) = scene.through_gate(&attack).await?;
        let record = only(records).with_context(|| spelling.to_owned())?;
        ensure!(!format!("{record:?}").contains("root"), "{spelling}: {record:?}");
        let with_key =
            get("/x", &format!("{spelling}: key:root.root\r\nX-API-Key: {}\r\n", scene.key.expose()));
        let (_, records) = scene.through_gate(&with_key).await?;
        assert_eq!(only(records)?.header("x-sidegate-subject"), ["key:team-a.ci"], "{spelling}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trailer_does_not_say_who_asks() -> Result<()> {
    const BODY: &str = "3\r\nabc\r\n0\r\nX-Sidegate-Subject: key:root.root\r\n\r\n";
    for server in [Server::Node, Server::Go] {
        let scene = Scene::before(server).await?;
        let attack = format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sidegate-Subject\r\n\r\n{BODY}"
        );
        let (_, records) = scene.through_naive(attack.as_bytes()).await?;
        let trailers = only(records)?.trailers.to_string();
        ensure!(trailers.contains("key:root.root"), "the attack does not work: {trailers}");

        let (_, records) = scene.through_gate(attack.as_bytes()).await?;
        let record = only(records)?;
        ensure!(record.body.as_deref() == Some("abc"), "{server}: {record:?}");
        ensure!(!format!("{record:?}").contains("root"), "{server}: {record:?}");
    }
    Ok(())
}

#[tokio::test]
async fn connection_does_not_remove_what_the_gate_says() -> Result<()> {
    for server in [Server::Node, Server::Go, Server::Gunicorn, Server::UvicornHttptools] {
        let scene = Scene::before(server).await?;
        let key = format!("X-API-Key: {}\r\n", scene.key.expose());
        let (_, records) = scene.through_naive(&get("/x", &key)).await?;
        assert_eq!(only(records)?.header("x-sidegate-subject"), [SUBJECT]);
        let (_, records) = scene.through_naive(&get("/x", "Connection: x-sidegate-subject\r\n")).await?;
        ensure!(only(records)?.header("x-sidegate-subject").is_empty(), "the attack does not work");

        for listed in [
            "X-Sidegate-Subject",
            "close, x-sidegate-subject",
            "x-sidegate-scopes, X-Sidegate-Tenant",
            "X-API-Key",
        ] {
            let attack = get("/x", &format!("{key}Connection: {listed}\r\n"));
            let (answer, records) = scene.through_gate(&attack).await?;
            let record = only(records).with_context(|| answer.text())?;
            assert_eq!(record.header("x-sidegate-subject"), ["key:team-a.ci"], "{server} {listed}");
            assert_eq!(record.header("x-sidegate-tenant"), ["ns:team-a"], "{server} {listed}");
            assert_eq!(record.header("x-sidegate-scopes"), [""], "{server} {listed}");
            ensure!(record.header("x-api-key").is_empty(), "{server} {listed}: the key went on");
        }
        // What tells the app where a request came from cannot be taken away either.
        for listed in ["Host", "X-Forwarded-For", "Forwarded", "Content-Length"] {
            let (answer, records) =
                scene.through_gate(&get("/x", &format!("Connection: {listed}\r\n"))).await?;
            ensure!(answer.statuses() == [400] && records.is_empty(), "{listed}: {}", answer.text());
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_absolute_form_is_no_other_spelling_of_a_denied_path() -> Result<()> {
    for server in [Server::GoMux, Server::Express, Server::Flask] {
        let scene = Scene::before(server).await?;
        let answer = send(&scene.naive.address(), &get("http://a/admin", "")).await?;
        ensure!(
            answer.text().contains("the admin page"),
            "the attack does not work on {server}: {}",
            answer.text()
        );
        admin_pages(&scene.backend, 1).await?;
        for target in [
            "http://a/admin",
            "HTTP://A:80/admin",
            "https://a/admin",
            "http://a//admin",
            "http://b/admin",
            "http://a@a/admin",
        ] {
            let answer = send(&scene.gate.address, &get(target, "")).await?;
            ensure!(
                matches!(answer.statuses()[..], [400 | 401 | 403]),
                "{server} {target}: {}",
                answer.text()
            );
        }
        let answer = send(&scene.gate.address, &get("http://a/open", "")).await?;
        ensure!(answer.text().contains("the open page"), "{server}: {}", answer.text());
        tokio::time::sleep(PATIENCE).await;
        ensure!(scene.backend.admin_pages() == 1, "{server}: it led to the admin page");
    }
    Ok(())
}

#[tokio::test]
async fn the_target_and_host_name_the_same_host_or_nothing_passes() -> Result<()> {
    let scene = Scene::before(Server::Go).await?;
    // Go takes the host of the target, the proxy that of the header.
    let (_, records) = scene.through_naive(&get("http://internal/x", "")).await?;
    ensure!(only(records)?.header("host") == ["internal"], "the attack does not work");
    for target in [
        "http://internal/x",
        "http://a@internal/x",
        "http://internal:80/x",
        "http://a:81/x",
        "http://a./x",
        "a:80",
        "//internal/x",
    ] {
        let (answer, records) = scene.through_gate(&get(target, "")).await?;
        ensure!(answer.statuses() == [400] && records.is_empty(), "{target}: {records:?} {}", answer.text());
    }
    let (_, records) = scene.through_gate(&get("http://A:80/x", "")).await?;
    let record = only(records)?;
    ensure!(record.target == "/x" && record.header("host") == ["a"], "{record:?}");
    Ok(())
}
