//! An upgrade to h2c opens a connection on which a proxy sees nothing any more.

use anyhow::{Result, ensure};
use sidegate_tests::backends::{Record, Server};
use sidegate_tests::raw::Raw;

use crate::{PATIENCE, SOON, Scene};

const UPGRADE: &str = "GET /open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                       HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";

/// The preface, our SETTINGS, and GET /admin as stream 3 (RFC 9113 §3.4, §6.2; RFC 7541 §6.2.2: literals).
fn hidden_request() -> Vec<u8> {
    let mut block = vec![0x82, 0x86]; // :method GET, :scheme http
    for (name, value) in [(":path", "/admin"), (":authority", "a"), ("x-sidegate-subject", "key:root.root")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or_default());
            block.extend(text.bytes());
        }
    }
    let length = u8::try_from(block.len()).unwrap_or_default();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let headers = [0, 0, length, 1, 0x05, 0, 0, 0, 3];
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &headers, &block].concat()
}

/// Asks for the upgrade, then sends the hidden request whatever the answer is; what the app saw.
async fn attack(scene: &Scene, address: &str, upgrade: &str) -> Result<(Vec<u16>, Vec<Record>)> {
    let before = scene.backend.records()?.len();
    let mut caller = Raw::open(address).await?;
    caller.send(upgrade.as_bytes()).await;
    let mut statuses = caller.answer(SOON, PATIENCE).await.statuses();
    caller.send(&hidden_request()).await;
    statuses.extend(caller.answer(PATIENCE * 4, PATIENCE).await.statuses());
    tokio::time::sleep(PATIENCE).await;
    Ok((statuses, scene.backend.records()?.split_off(before)))
}

#[tokio::test]
async fn an_upgrade_to_h2c_opens_no_tunnel() -> Result<()> {
    let scene = Scene::before(Server::Hypercorn).await?;
    let (statuses, records) = attack(&scene, &scene.naive.address(), UPGRADE).await?;
    ensure!(statuses.contains(&101), "the attack does not work: {statuses:?}");
    let hidden = records.iter().find(|record| record.target == "/admin");
    ensure!(
        hidden.is_some_and(|record| record.header("x-sidegate-subject") == ["key:root.root"]),
        "the attack does not work: {records:?}"
    );

    let spellings = [
        UPGRADE.to_owned(),
        UPGRADE.replace("Upgrade: h2c", "Upgrade: H2C"),
        UPGRADE.replace("Upgrade: h2c", "Upgrade: websocket, h2c"),
        UPGRADE.replace("Upgrade: h2c", "Upgrade: websocket\r\nUpgrade: h2c"),
        UPGRADE.replace(
            "Connection: Upgrade, HTTP2-Settings",
            "Connection: Upgrade\r\nConnection: HTTP2-Settings",
        ),
        UPGRADE.replace("GET /open", "OPTIONS /open"),
    ];
    for upgrade in spellings {
        let (statuses, records) = attack(&scene, &scene.gate.address, &upgrade).await?;
        ensure!(!statuses.contains(&101), "{upgrade}: {statuses:?}");
        ensure!(records.iter().all(|record| record.target == "/open"), "{upgrade}: {records:?}");
        ensure!(records.iter().all(|record| record.header("upgrade").is_empty()), "{upgrade}: {records:?}");
    }
    Ok(())
}
