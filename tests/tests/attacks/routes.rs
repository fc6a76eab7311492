//! Spellings of `/admin` that a router takes for it and a rule does not.

use anyhow::{Context, Result, ensure};
use sidegate_tests::backends::Server;

use crate::{PATIENCE, Scene, admin_pages, get, send};

const SPELLINGS: [&str; 20] = [
    "/ADMIN",
    "/ADMIN/",
    "/Admin",
    "/admin/",
    "//admin",
    "///admin",
    "/./admin",
    "/api/../admin",
    "/%61dmin",
    "/%61dmin/",
    "/admin%0a",
    "/admin%20",
    "/admin%00",
    "/admin%2f",
    "/%2fadmin",
    "/admin;x",
    "/%2561dmin",
    "/admin%3f",
    "/..;/admin",
    "/\\admin",
];

/// Each spelling through both; those in `open` must be the ones that lead to the page through the naive proxy.
async fn run(server: Server, open: &[&str]) -> Result<()> {
    let scene = Scene::before(server).await?;
    let mut worked = Vec::new();
    for spelling in SPELLINGS {
        let before = scene.backend.admin_pages();
        let answer = send(&scene.naive.address(), &get(spelling, "")).await?;
        if answer.text().contains("the admin page") {
            worked.push(spelling);
            admin_pages(&scene.backend, before + 1).await?;
        }
    }
    ensure!(worked == open, "through the naive proxy {server} serves its admin page at {worked:?}");

    let before = scene.backend.admin_pages();
    for spelling in SPELLINGS {
        let answer = send(&scene.gate.address, &get(spelling, "")).await?;
        let status = answer.statuses();
        ensure!(!answer.text().contains("the admin page"), "{spelling} leads to the admin page");
        ensure!(
            !worked.contains(&spelling) || matches!(status.first(), Some(400 | 401 | 403)),
            "{spelling}: {}",
            answer.text()
        );
    }
    tokio::time::sleep(PATIENCE).await;
    ensure!(scene.backend.admin_pages() == before, "an admin page was served, and not answered");

    // It was the gate that refused: with a key the page is there, and without one the other.
    let with_key = get("/admin", &format!("X-API-Key: {}\r\n", scene.key.expose()));
    let answer = send(&scene.gate.address, &with_key).await?;
    ensure!(answer.text().contains("the admin page"), "with a key: {}", answer.text());
    let answer = send(&scene.gate.address, &get("/open", "")).await?;
    ensure!(answer.text().contains("the open page"), "without a key: {}", answer.text());
    admin_pages(&scene.backend, before + 1).await.context("with a key")
}

#[tokio::test]
async fn express_serves_no_other_spelling_of_a_denied_path() -> Result<()> {
    run(Server::Express, &["/ADMIN", "/ADMIN/", "/Admin"]).await
}

#[tokio::test]
async fn fastify_serves_no_other_spelling_of_a_denied_path() -> Result<()> {
    run(Server::Fastify, &["/%61dmin"]).await
}

#[tokio::test]
async fn flask_serves_no_other_spelling_of_a_denied_path() -> Result<()> {
    run(Server::Flask, &["//admin", "///admin", "/%61dmin", "/%2fadmin"]).await
}

#[tokio::test]
async fn starlette_serves_no_other_spelling_of_a_denied_path() -> Result<()> {
    run(Server::Starlette, &["/%61dmin", "/admin%0a"]).await
}

#[tokio::test]
async fn gos_mux_serves_no_other_spelling_of_a_denied_path() -> Result<()> {
    run(Server::GoMux, &["/%61dmin"]).await
}
