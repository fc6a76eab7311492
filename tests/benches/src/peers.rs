//! Who is measured, and how each is started for the same task: know the keys, refuse others, tell
//! the app who called, and take the key away.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::keys::Keys;

/// Where everything is in this run.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) app: &'a str,
    pub(crate) sidecar: &'a Path,
    pub(crate) threads: usize,
}

/// A way to the app.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Where its callers connect.
    pub(crate) address: String,
    /// What starts it; nothing is started for the way without a gate.
    pub(crate) command: Option<Command>,
}

/// All peers that are installed, and the names of those that are not.
pub(crate) fn all(place: &Place<'_>, keys: &Keys) -> Result<(Vec<Peer>, Vec<&'static str>)> {
    let mut peers =
        vec![Peer { name: "direct", address: place.app.to_owned(), command: None }, gate(place, keys)?];
    let mut missing = Vec::new();
    for (name, program, make) in [
        ("haproxy", "haproxy", haproxy as fn(&Place<'_>, &Keys, &Path) -> Result<Peer>),
        ("nginx", "nginx", nginx),
        ("caddy", "caddy", caddy),
        ("envoy", "envoy", envoy),
        ("traefik", "traefik", traefik),
    ] {
        match find(program) {
            Some(program) => peers.push(make(place, keys, &program)?),
            None => missing.push(name),
        }
    }
    Ok((peers, missing))
}

/// The app that stands behind all of them.
pub(crate) fn app(place: &Place<'_>) -> Result<Command> {
    let config = place.write("app.conf", include_str!("../peers/app.conf"), place.app, &[])?;
    let mut command = Command::new(find("nginx").context("the app is nginx: apt-get install nginx")?);
    command.arg("-c").arg(config);
    Ok(command)
}

fn gate(place: &Place<'_>, keys: &Keys) -> Result<Peer> {
    let address = free_address()?;
    let bundle = place.folder.join("bundle");
    keys.bundle(&bundle)?;
    let mut command = Command::new(place.sidecar);
    command.args(["run", "--gate", "dify/api", "--listen", &address, "--app", place.app]);
    command
        // All load comes from one address.
        .args(["--max-connections-per-source", "4096"])
        .args(["--admin", &free_address()?, "--threads", &place.threads.to_string(), "--bundle"])
        .arg(bundle);
    Ok(Peer { name: "gate", address, command: Some(command) })
}

fn haproxy(place: &Place<'_>, keys: &Keys, program: &Path) -> Result<Peer> {
    let address = free_address()?;
    let map = place.file("haproxy.map", &keys.haproxy())?;
    let config = place.write(
        "haproxy.cfg",
        include_str!("../peers/haproxy.cfg"),
        &address,
        &[("@MAP@", path(&map)?)],
    )?;
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(config);
    Ok(Peer { name: "haproxy", address, command: Some(command) })
}

fn nginx(place: &Place<'_>, keys: &Keys, program: &Path) -> Result<Peer> {
    let address = free_address()?;
    let map = place.file("nginx.map", &keys.nginx())?;
    let config = place.write(
        "nginx.conf",
        include_str!("../peers/nginx.conf"),
        &address,
        &[("@MAP@", path(&map)?)],
    )?;
    let mut command = Command::new(program);
    command.arg("-c").arg(config);
    Ok(Peer { name: "nginx", address, command: Some(command) })
}

fn caddy(place: &Place<'_>, keys: &Keys, program: &Path) -> Result<Peer> {
    let address = free_address()?;
    let map = place.file("caddy.map", &keys.caddy())?;
    let fields = [("@MAP@", path(&map)?)];
    let config = place.write("Caddyfile", include_str!("../peers/Caddyfile"), &address, &fields)?;
    let mut command = Command::new(program);
    command.env("GOMAXPROCS", place.threads.to_string()).env("HOME", place.folder);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    Ok(Peer { name: "caddy", address, command: Some(command) })
}

fn envoy(place: &Place<'_>, keys: &Keys, program: &Path) -> Result<Peer> {
    let address = free_address()?;
    let (app_host, app_port) = place.app.split_once(':').context("an address has a port")?;
    let fields = [("@APPHOST@", app_host), ("@APPPORT@", app_port), ("@KEYS@", &keys.envoy())];
    let config = place.write("envoy.yaml", include_str!("../peers/envoy.yaml"), &address, &fields)?;
    let mut command = Command::new(program);
    command.args([
        "--concurrency",
        &place.threads.to_string(),
        "--log-level",
        "off",
        "--use-dynamic-base-id",
        "-c",
    ]);
    command.arg(config);
    Ok(Peer { name: "envoy", address, command: Some(command) })
}

fn traefik(place: &Place<'_>, keys: &Keys, program: &Path) -> Result<Peer> {
    let address = free_address()?;
    let routes = place.file("traefik-routes.yaml", &keys.traefik(place.app))?;
    let config = place.write(
        "traefik.yaml",
        include_str!("../peers/traefik.yaml"),
        &address,
        &[("@ROUTES@", path(&routes)?)],
    )?;
    let mut command = Command::new(program);
    command.env("GOMAXPROCS", place.threads.to_string()).arg("--configFile").arg(config);
    Ok(Peer { name: "traefik", address, command: Some(command) })
}

// === impl Place ===

impl Place<'_> {
    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A configuration with its `@FIELDS@` filled in.
    fn write(&self, name: &str, template: &str, listen: &str, fields: &[(&str, &str)]) -> Result<PathBuf> {
        let threads = self.threads.to_string();
        let (host, port) = listen.split_once(':').context("an address has a port")?;
        let common = [
            ("@LISTEN@", listen),
            ("@HOST@", host),
            ("@PORT@", port),
            ("@APP@", self.app),
            ("@FOLDER@", path(self.folder)?),
            ("@THREADS@", &threads),
        ];
        let fields = fields.iter().chain(&common);
        let filled = fields.fold(template.to_owned(), |text, (field, value)| text.replace(field, value));
        self.file(name, &filled)
    }
}

/// An address on loopback where nothing listens at this moment.
pub(crate) fn free_address() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// A program of this name on PATH, or where Debian puts servers.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
