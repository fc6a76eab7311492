//! What is told of one request, whatever becomes of it: counters, audit, the answer's own headers.

use std::{net::IpAddr, ops::Deref, rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, Version, header, request::Parts, response};
use jiff::Timestamp;
use sidegate_bundle::{
    Revision, api_key::without_secrets, audit::Decision, denial::Denial, gate::AuditAllow,
};

use crate::{
    Decided, Permit,
    audit::Seen,
    decide::decide,
    forward::{self, AppBody, AppError, Body, Tunnel},
    gate::Worker,
    index::Index,
    request_id::RequestId,
    respond::respond,
    rewrite,
    verify::Principal,
};

/// What an audit line has instead of a method and a path that nobody read.
const UNKNOWN: &str = "-";
const BROKEN_BODY: &str = "the request's body is cut short or badly framed";

/// One request. It is recorded once: when its answer begins, or when this is dropped before that.
pub(super) struct Entry {
    gate: Rc<Worker>,
    client: IpAddr,
    allows: AuditAllow,
    time: Timestamp,
    begun: Instant,
    id: RequestId,
    method: Method,
    revision: Option<Revision>,
    judged: Judged,
    recorded: bool,
}

/// By a bundle, or not at all.
enum Judged {
    Decided(Decided),
    /// The path as it came.
    NoBundle(String),
}

/// Our answer to a head that could not be read. It is recorded without a word of that head.
pub(crate) fn unread(gate: &Worker, peer: IpAddr, denial: &Denial) -> Response<Bytes> {
    let (time, begun) = (Timestamp::now(), Instant::now());
    let index = gate.index();
    let index = index.as_deref().map(Deref::deref);
    let id = gate.new_id();
    let answer = respond(denial, index, &id);
    gate.counters.deny(denial.word());
    let decision = Decision {
        time,
        gate: &gate.shared.gate,
        revision: index.map(Index::revision),
        rule: None,
        denied: Some(denial.word()),
        enforced: true,
        actor: None,
        client: peer,
        method: UNKNOWN,
        path: UNKNOWN,
        request_id: id.as_str(),
        duration: microseconds(begun),
    };
    let status = Some(answer.status().as_u16());
    gate.record(&Seen { decision, denial: Some(denial), status, allows: AuditAllow::default() });
    answer
}

// === impl Entry ===

impl Entry {
    /// Takes the decision: without an index there is none to take.
    pub(super) fn decide(gate: &Rc<Worker>, index: Option<&Index>, peer: IpAddr, head: &Parts) -> Self {
        let time = Timestamp::now();
        let judged = match index {
            Some(index) => Judged::Decided(decide(index, head, time)),
            None => Judged::NoBundle(head.uri.path().to_owned()),
        };
        Self {
            gate: Rc::clone(gate),
            client: index.map_or(peer, |index| index.client(peer, &head.headers)),
            allows: index.map(Index::audit_allow).unwrap_or_default(),
            time,
            begun: Instant::now(),
            id: gate.new_id(),
            method: head.method.clone(),
            revision: index.map(Index::revision),
            judged,
            recorded: false,
        }
    }

    pub(super) fn verdict(&self) -> Result<&Permit, Denial> {
        match &self.judged {
            Judged::Decided(decided) => decided.verdict.as_ref().map_err(Denial::clone),
            Judged::NoBundle(_) => Err(Denial::NoBundle),
        }
    }

    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    /// The app's answer, for the caller.
    pub(super) fn pass(mut self, answer: Response<AppBody>) -> Response<Body> {
        self.record(None, Some(answer.status().as_u16()));
        let (head, body) = answer.into_parts();
        let body = match self.principal() {
            Some(principal) => body.allowed_by(&self.gate, principal),
            None => body,
        };
        Response::from_parts(self.answered(head), Body::App(body))
    }

    /// The app has opened the WebSocket that the caller asked for.
    pub(super) fn open(mut self, head: response::Parts, tunnel: Tunnel) -> Response<Body> {
        self.record(None, Some(head.status.as_u16()));
        let watch = self.principal().map(|principal| self.gate.watch(principal));
        let mut head = self.answered(head);
        forward::mark(&mut head.headers);
        Response::from_parts(head, Body::Tunnel(tunnel, watch))
    }

    /// By whose leave it goes on.
    fn principal(&self) -> Option<&Arc<Principal>> {
        self.verdict().ok().and_then(Permit::principal)
    }

    fn answered(&self, mut head: response::Parts) -> response::Parts {
        // Ours is what the caller speaks with, whatever the app speaks.
        head.version = Version::HTTP_11;
        rewrite::response(&mut head);
        head.headers.insert(rewrite::REQUEST_ID, self.id.header().clone());
        head
    }

    /// Our answer to what is not let through.
    pub(super) fn refuse(mut self, denial: &Denial, index: Option<&Index>) -> Response<Body> {
        let answer = respond(denial, index, &self.id);
        self.gate.counters.deny(denial.word());
        self.record(Some(denial), Some(answer.status().as_u16()));
        self.ours(answer)
    }

    /// Our answer to what was let through and came to nothing.
    pub(super) fn give_up(mut self, error: &AppError, index: &Index) -> Response<Body> {
        tracing::debug!(id = %self.id, error = error as &dyn std::error::Error, "no answer of the app");
        match error {
            AppError::Caller(_) => return self.refuse(&Denial::DoubtfulRequest(BROKEN_BODY), Some(index)),
            AppError::CallerLate => return self.refuse(&Denial::BodyTimeout, Some(index)),
            _ => {}
        }
        self.gate.counters.allowed.add();
        self.gate.counters.app_error(error);
        let denial = Denial::AppUnavailable;
        let answer = respond(&denial, Some(index), &self.id);
        self.record(Some(&denial), Some(answer.status().as_u16()));
        self.ours(answer)
    }

    /// With its body, or with the length that it would have had: hyper sends none for HEAD in HTTP/1, but
    /// does in HTTP/2, where callers take it for an error.
    fn ours(&self, mut answer: Response<Bytes>) -> Response<Body> {
        if self.method != Method::HEAD {
            return answer.map(|bytes| Body::Ours(Some(bytes)));
        }
        let length = HeaderValue::from(answer.body().len());
        answer.headers_mut().insert(header::CONTENT_LENGTH, length);
        answer.map(|_| Body::Ours(None))
    }

    fn record(&mut self, denial: Option<&Denial>, status: Option<u16>) {
        self.recorded = true;
        if denial.is_none() {
            self.gate.counters.allowed.add();
        }
        let (path, rule, principal) = match &self.judged {
            Judged::Decided(decided) => {
                (decided.path(), decided.rule.as_deref(), decided.principal.as_deref())
            }
            Judged::NoBundle(path) => (path.as_str(), None, None),
        };
        let (method, path) = (without_secrets(self.method.as_str()), without_secrets(path));
        let unenforced = self.verdict().ok().and_then(Permit::unenforced).map(Denial::word);
        if let (None, Some(word)) = (denial, unenforced) {
            self.gate.counters.let_through(word);
        }
        let decision = Decision {
            time: self.time,
            gate: &self.gate.shared.gate,
            revision: self.revision,
            rule: rule.map(Into::into),
            denied: denial.map(Denial::word).or(unenforced),
            enforced: denial.is_some(),
            actor: principal.map(Principal::actor),
            client: self.client,
            method: &method,
            path: &path,
            request_id: self.id.as_str(),
            duration: microseconds(self.begun),
        };
        self.gate.record(&Seen { decision, denial, status, allows: self.allows });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.recorded {
            self.gate.counters.abandoned.add();
            self.record(None, None);
        }
    }
}

fn microseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
