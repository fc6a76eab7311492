//! Other people's servers as the app behind the gate: what a request means is what they make of it.
//!
//! Each prints a line `RECORD {…}` for every request that reaches its handler, so that a test asks the server,
//! not the answer, what it saw.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::install::Installed;
use crate::ports::free_port;
use crate::process::Program;
use crate::{Process, eventually};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `http.server` of Python.
    HttpServer,
    /// The same, with an app that never reads a body and keeps the connection.
    HttpServerIgnoringBodies,
    /// gunicorn with threads, which keeps connections.
    Gunicorn,
    /// The same, taking `_` and `-` in header names for the same, as older ones do.
    GunicornMappingUnderscores,
    /// uvicorn on h11.
    UvicornH11,
    /// uvicorn on httptools.
    UvicornHttptools,
    /// hypercorn, which takes an upgrade to h2c.
    Hypercorn,
    /// Node's `http`.
    Node,
    /// Go's `net/http`.
    Go,
    /// Flask on gunicorn, with a page at `/admin`.
    Flask,
    /// Starlette on uvicorn, with a page at `/admin`.
    Starlette,
    /// Express, with a page at `/admin`.
    Express,
    /// Fastify, with a page at `/admin`.
    Fastify,
    /// Go's `ServeMux`, with a page at `/admin`.
    GoMux,
}

/// A running server.
#[derive(Debug)]
pub struct Backend {
    process: Process,
    address: SocketAddr,
}

/// A request as a handler saw it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Names in lower case; in WSGI, `_` and `-` are the same and shown as `-`.
    pub headers: Vec<(String, String)>,
    /// None if it broke off.
    pub body: Option<String>,
    /// WSGI's `SCRIPT_NAME`.
    #[serde(default)]
    pub script: String,
    /// WSGI's `PATH_INFO`.
    #[serde(default)]
    pub path: String,
    /// What came behind the body, where the server shows it.
    #[serde(default)]
    pub trailers: serde_json::Value,
}

// === impl Server ===

impl Server {
    fn program(self, installed: &Installed, port: u16) -> Program {
        let port = port.to_string();
        let python = |arguments: &[&str]| {
            Program::at(installed.python())
                .args(arguments.iter().copied())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .current_dir(installed.source("python"))
        };
        let node = |file: &str| {
            Program::at("/usr/bin/env")
                .args(["node", file, &port])
                .env("NODE_PATH", installed.node_modules())
                .current_dir(installed.source("node"))
        };
        let bind = format!("127.0.0.1:{port}");
        let gunicorn = |app: &str| {
            python(&[
                "-m",
                "gunicorn",
                "--bind",
                &bind,
                "--worker-class",
                "gthread",
                "--threads",
                "4",
                "--keep-alive",
                "60",
                app,
            ])
        };
        let uvicorn = |app: &str, http: &str| {
            python(&["-m", "uvicorn", "--port", &port, "--http", http, "--timeout-keep-alive", "60", app])
        };
        match self {
            Self::HttpServer => python(&["plain.py", &port]),
            Self::HttpServerIgnoringBodies => python(&["plain.py", &port, "ignore"]),
            Self::Gunicorn => gunicorn("wsgi:app"),
            Self::GunicornMappingUnderscores => gunicorn("wsgi:app").args(["--header-map", "dangerous"]),
            Self::Flask => gunicorn("flask_app:app"),
            Self::UvicornH11 => uvicorn("asgi:app", "h11"),
            Self::UvicornHttptools => uvicorn("asgi:app", "httptools"),
            Self::Starlette => uvicorn("starlette_app:app", "h11"),
            // Without workers: they would outlive a process that is killed.
            Self::Hypercorn => python(&["-m", "hypercorn", "--workers", "0", "--bind", &bind, "asgi:app"]),
            Self::Node => node("echo.js"),
            Self::Express => node("express.js"),
            Self::Fastify => node("fastify.js"),
            Self::Go => Program::at(installed.go("backends")).args(["echo", &port]),
            Self::GoMux => Program::at(installed.go("backends")).args(["mux", &port]),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

// === impl Backend ===

impl Backend {
    /// Installs it if need be, starts it, and waits until it listens.
    pub async fn start(server: Server) -> Result<Self> {
        static INSTALLED: OnceLock<Result<Installed, String>> = OnceLock::new();
        let install =
            || INSTALLED.get_or_init(|| Installed::ensure("backends").map_err(|error| format!("{error:#}")));
        let installed =
            tokio::task::spawn_blocking(install).await?.as_ref().map_err(|error| anyhow!("{error}"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let process = server.program(installed, address.port()).start()?;
        let backend = Self { process, address };
        let wait = eventually(Duration::from_secs(30), "the backend listens", async || {
            TcpStream::connect(address).await?;
            Ok(())
        });
        wait.await.with_context(|| format!("{server}: {}", backend.process.output()))?;
        Ok(backend)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that reached its handler, oldest first.
    pub fn records(&self) -> Result<Vec<Record>> {
        let lines = self.process.lines();
        let records = lines.iter().filter_map(|line| line.text.strip_prefix("RECORD "));
        records.map(|json| serde_json::from_str(json).with_context(|| json.to_owned())).collect()
    }

    /// How often its page at `/admin` was served.
    pub fn admin_pages(&self) -> usize {
        self.process.lines().iter().filter(|line| line.text == "ADMIN").count()
    }
}

// === impl Record ===

impl Record {
    /// All values of this header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }
}
