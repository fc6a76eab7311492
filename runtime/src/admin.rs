//! The admin port: `/livez`, `/readyz`, `/metrics`, for the kubelet and for Prometheus.
//!
//! It answers what it is told and asks nobody: readiness is a list of named gates, each with the
//! reason why it is closed. It must never show a secret, so reasons are words of ours only.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::text, registry::Registry};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// At most so many callers at once; for one more the oldest has to go, so that nobody can keep the
/// kubelet out by never finishing.
const MAX_CONNECTIONS: usize = 64;
/// How long a caller may take for its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after an accept that failed.
const BACK_OFF: Duration = Duration::from_millis(100);
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin port tells. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct Admin {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    registry: RwLock<Registry>,
    gates: RwLock<Vec<Gate>>,
    /// What must run for the process to be worth keeping.
    vital: RwLock<Vec<Gate>>,
}

/// One named condition of readiness, or of life.
struct Gate {
    name: String,
    why_not: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Opens and closes one named gate of readiness.
#[derive(Clone, Debug)]
pub struct Readiness {
    why_not: Arc<Mutex<Option<String>>>,
}

/// An admin port that listens, and answers once it is served.
#[derive(Debug)]
pub struct Listening {
    admin: Admin,
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the admin port is not there.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Somebody else listens there.
    #[error("{0} is in use")]
    InUse(SocketAddr),
    /// The system refuses it for another reason.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

// === impl Admin ===

impl Admin {
    /// Nothing to tell yet, and ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds metrics. It may be done at any time.
    pub fn register<R>(&self, register: impl FnOnce(&mut Registry) -> R) -> R {
        register(&mut self.shared.registry.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a gate of readiness that is closed, as `starting`, until its handle opens it.
    pub fn readiness(&self, name: impl Into<String>) -> Readiness {
        let readiness = Readiness { why_not: Arc::new(Mutex::new(Some("starting".to_owned()))) };
        let asked = readiness.clone();
        self.readiness_from(name, move || asked.why_not());
        readiness
    }

    /// Adds a gate of readiness that is asked each time; `None`: it is open.
    pub fn readiness_from(
        &self,
        name: impl Into<String>,
        why_not: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        let gate = Gate { name: name.into(), why_not: Box::new(why_not) };
        self.shared.gates.write().unwrap_or_else(PoisonError::into_inner).push(gate);
    }

    /// Adds something that must run, and is asked each time; `None`: it does. If it does not, only a
    /// restart of the process helps.
    pub fn alive_while(
        &self,
        name: impl Into<String>,
        why_not: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        let vital = Gate { name: name.into(), why_not: Box::new(why_not) };
        self.shared.vital.write().unwrap_or_else(PoisonError::into_inner).push(vital);
    }

    /// Every gate that is closed, as `name: why`, in the order in which they were added.
    pub fn why_not(&self) -> Vec<String> {
        self.gates().into_iter().filter_map(|(name, why)| Some(format!("{name}: {}", why?))).collect()
    }

    /// All metrics as OpenMetrics text.
    pub fn metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let registry = self.shared.registry.read().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Takes the port.
    pub async fn listen(&self, address: SocketAddr) -> Result<Listening, AdminError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => AdminError::InUse(address),
            _ => AdminError::Listen(address, error),
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Listening { admin: self.clone(), listener, address })
    }

    /// Each gate's name, and why it is closed.
    fn gates(&self) -> Vec<(String, Option<String>)> {
        let gates = self.shared.gates.read().unwrap_or_else(PoisonError::into_inner);
        gates.iter().map(|gate| (gate.name.clone(), (gate.why_not)())).collect()
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match request.uri().path() {
            "/livez" => self.livez(),
            "/readyz" => self.readyz(request.uri().query() == Some("verbose")),
            "/metrics" => match self.metrics() {
                Ok(text) => reply(StatusCode::OK, METRICS_TYPE, text),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n".to_owned()),
            },
            _ => plain(StatusCode::NOT_FOUND, "there is /livez, /readyz and /metrics\n".to_owned()),
        }
    }

    /// One line for each thing that should run and does not.
    fn livez(&self) -> Response<Full<Bytes>> {
        let vital = self.shared.vital.read().unwrap_or_else(PoisonError::into_inner);
        let dead: String = vital
            .iter()
            .filter_map(|vital| Some(format!("{}: {}\n", vital.name, (vital.why_not)()?)))
            .collect();
        if dead.is_empty() {
            plain(StatusCode::OK, "ok\n".to_owned())
        } else {
            plain(StatusCode::SERVICE_UNAVAILABLE, dead)
        }
    }

    /// One line for each closed gate; with `?verbose` for the open ones too.
    fn readyz(&self, verbose: bool) -> Response<Full<Bytes>> {
        let mut text = String::new();
        let mut ready = true;
        for (name, why) in self.gates() {
            ready &= why.is_none();
            let written = match why {
                Some(why) => writeln!(text, "{name}: {why}"),
                None if verbose => writeln!(text, "{name}: ok"),
                None => Ok(()),
            };
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        if ready && !verbose {
            text.push_str("ok\n");
        }
        plain(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

// === impl Readiness ===

impl Readiness {
    /// Opens the gate.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Closes the gate, and says why in words of ours.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    /// Why the gate is closed; `None`: it is open.
    pub fn why_not(&self) -> Option<String> {
        self.why_not.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why_not: Option<String>) {
        *self.why_not.lock().unwrap_or_else(PoisonError::into_inner) = why_not;
    }
}

// === impl Listening ===

impl Listening {
    /// Where it listens, with the port that the system chose if it was asked for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled. What is being answered then is dropped.
    pub async fn serve(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut by_age = VecDeque::new();
        let accept = async {
            loop {
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "the admin port cannot accept a connection");
                        tokio::time::sleep(BACK_OFF).await;
                        continue;
                    }
                };
                while connections.try_join_next().is_some() {}
                by_age.retain(|connection: &AbortHandle| !connection.is_finished());
                if by_age.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = by_age.pop_front()
                {
                    oldest.abort();
                }
                let admin = self.admin.clone();
                by_age.push_back(connections.spawn(async move {
                    let answer = service_fn(move |request| {
                        let answer = admin.answer(&request);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let served = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        // One question each: nobody can put thousands in a row.
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection to the admin port ended");
                    }
                }));
                // Whoever has sent its request already is answered before the next one comes in.
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop.cancelled() => {}
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", text)
}

fn reply(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
