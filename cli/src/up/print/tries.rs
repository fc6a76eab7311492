//! The lines to paste into another terminal. They are not guessed: each is decided by the
//! gate's own `decide`, with a stand-in for the key, so that its remark is what will happen.

use std::fmt::Write as _;

use http::{Method, Request, header::HeaderName, request::Parts};
use jiff::Timestamp;
use rand::CryptoRng;
use sidegate_bundle::{
    ApiKey, GateBundle,
    denial::Denial,
    gate::{Key, PathMatch},
};
use sidegate_sidecar::{Index, decide};

use crate::output::{Palette, Tone};

/// The methods that are tried, in this order.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tries {
    /// `U=… S=…`.
    variables: String,
    /// What to type, and what comes of it.
    lines: Vec<(String, String)>,
}

/// A key, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    /// Its key at the Gate.
    pub(crate) key: &'a Key,
    /// The folder of all Secrets of its namespace, as it can be typed.
    pub(crate) namespace_folder: &'a str,
    /// The Secret, and the key in it.
    pub(crate) file: &'a str,
}

/// Asks the gate's own decision.
struct Oracle {
    index: Index,
    header: HeaderName,
    /// Valid in the bundle that `index` was made from, and nowhere else.
    stand_in: ApiKey,
    bearer: bool,
    now: Timestamp,
}

// === impl Tries ===

impl Tries {
    /// The lines for a Gate at `url`, for the first of `holders` that may do something.
    pub(crate) fn of(
        bundle: &GateBundle,
        url: &str,
        holders: &[Holder<'_>],
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Option<Self> {
        holders.iter().find_map(|holder| Self::for_holder(bundle, url, *holder, now, rng))
    }

    fn for_holder(
        bundle: &GateBundle,
        url: &str,
        holder: Holder<'_>,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Option<Self> {
        let oracle = Oracle::new(bundle, holder.key, now, rng)?;
        let candidates = candidates(bundle);
        let needs_key = |(path, method): &(String, &str)| {
            matches!(oracle.ask(path, method, None), Err(Denial::MissingCredentials))
        };
        let allowed = |(path, method): &(String, &str)| {
            let key = oracle.stand_in.expose();
            oracle.ask(path, method, Some(key)).is_ok()
        };
        let (path, method) =
            candidates.iter().find(|candidate| needs_key(candidate) && allowed(candidate))?;
        let header = |value: &str| {
            let name = bundle.api_keys.headers.first().map_or("", String::as_str);
            if oracle.bearer {
                format!("\"Authorization: Bearer {value}\"")
            } else {
                format!("\"{name}: {value}\"")
            }
        };
        let own = header(&format!("$(cat $S/{})", holder.file));
        let curl = |path: &str, method: &str, rest: &str| {
            let target = if path.is_empty() { "$U".to_owned() } else { quoted(&format!("{url}{path}")) };
            let method = if method == "GET" { String::new() } else { format!(" -X {method}") };
            format!("curl -i {target}{rest}{method}")
        };
        let with = |value: &str| format!(" -H {value}");
        let mut lines = vec![
            (curl("", method, ""), "401 no credential".to_owned()),
            (curl("", method, &with(&own)), "200, and what the app receives".to_owned()),
        ];
        let refused = |candidate: &&(String, &str)| {
            matches!(
                oracle.ask(&candidate.0, candidate.1, Some(oracle.stand_in.expose())),
                Err(Denial::InsufficientScope { .. })
            )
        };
        let here = candidates.iter().filter(|candidate| candidate.0 == *path).find(refused);
        if let Some((other, method)) = here.or_else(|| candidates.iter().find(refused)) {
            let target = if other == path { "" } else { other.as_str() };
            lines.push((curl(target, method, &with(&own)), "403 insufficient scope".to_owned()));
        }
        let bad = if oracle.bearer { 401 } else { bundle.api_keys.invalid_status };
        lines.push((curl("", method, &with(&header("wrong"))), format!("{bad} invalid key")));
        let variables =
            format!("U={} S={}", quoted(&format!("{url}{path}")), quoted(holder.namespace_folder));
        Some(Self { variables, lines })
    }

    /// The text, indented.
    pub(crate) fn text(&self, palette: Palette) -> String {
        let width = self.lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0) + 3;
        let mut text = format!("  {}\n", self.variables);
        for (line, remark) in &self.lines {
            let space = " ".repeat(width - line.chars().count());
            let remark = palette.paint(Tone::Faint, format!("# {remark}"));
            // A String takes everything.
            let _ = writeln!(text, "  {line}{space}{remark}");
        }
        text
    }
}

// === impl Oracle ===

impl Oracle {
    /// `None`: the Gate takes no keys.
    fn new(bundle: &GateBundle, key: &Key, now: Timestamp, rng: &mut dyn CryptoRng) -> Option<Self> {
        let (header, bearer) = match bundle.api_keys.headers.first() {
            Some(header) => (header.parse().ok()?, false),
            None if bundle.api_keys.bearer => (http::header::AUTHORIZATION, true),
            None => return None,
        };
        let stand_in = ApiKey::mint(rng);
        let key = Key { id: stand_in.id(), hash: stand_in.verifier(), ..key.clone() };
        let index = Index::new(&GateBundle { keys: vec![key], ..bundle.clone() });
        Some(Self { index, header, stand_in, bearer, now })
    }

    fn ask(&self, path: &str, method: &str, key: Option<&str>) -> Result<(), Denial> {
        let head = self.head(path, method, key).ok_or(Denial::NoRule)?;
        decide(&self.index, &head, self.now).verdict.map(drop)
    }

    fn head(&self, path: &str, method: &str, key: Option<&str>) -> Option<Parts> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).ok()?)
            .uri(path)
            .header(http::header::HOST, "127.0.0.1");
        if let Some(key) = key {
            let value = if self.bearer { format!("Bearer {key}") } else { key.to_owned() };
            request = request.header(&self.header, value);
        }
        request.body(()).ok().map(|request| request.into_parts().0)
    }
}

/// Paths and methods that the rules name, and `/`.
fn candidates(bundle: &GateBundle) -> Vec<(String, &'static str)> {
    let matches = bundle.rules.iter().flat_map(|rule| &rule.matches);
    let mut paths: Vec<String> = matches
        .filter_map(|entry| match entry.path.as_ref()? {
            PathMatch::Exact(path) | PathMatch::Prefix(path) => Some(path.clone()),
        })
        .collect();
    paths.push("/".to_owned());
    METHODS.iter().flat_map(|method| paths.iter().map(move |path| (path.clone(), *method))).collect()
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=~".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;
