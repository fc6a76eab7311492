//! `inspect request`: would this request be let through, and why? The bundle is one that a sidecar
//! reads; the answer is that of the sidecar's own decision.
//!
//! A key comes from standard input only, is shown to nobody, and is gone when the answer is there.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use jiff::Timestamp;
use sidegate_bundle::{
    GateBundle, KeyId,
    document::{self, FILE},
};
use sidegate_sidecar::{Index, foresee};
use zeroize::Zeroizing;

use super::words::Account;
use crate::{
    args::{Form, RequestArgs},
    output::Failure,
};

/// A key has 72 characters; what is longer by far is not one.
const LONGEST_INPUT: u64 = 4096;

/// Answers, and fails where the answer is no.
pub(super) fn run(args: &RequestArgs, input: &mut impl Read, out: &mut impl Write) -> Result<(), Failure> {
    let bundle = read(&args.bundle)?;
    let head = head(args, &bundle, input)?;
    let supposed = args.key_id.as_deref().map(key_id).transpose()?;
    let now = args.at.unwrap_or_else(Timestamp::now);
    let foreseen = foresee(&Index::new(&bundle), &head, supposed, now);
    let account = Account { bundle: &bundle, head: &head, foreseen: &foreseen, now };
    match args.output {
        Form::Text => out.write_all(account.text().as_bytes())?,
        Form::Json => writeln!(out, "{}", account.json())?,
    }
    if foreseen.verdict.is_ok() { Ok(()) } else { Err(Failure::no()) }
}

fn read(folder: &Path) -> Result<GateBundle, Failure> {
    let file = folder.join(FILE);
    let bytes = fs::read(&file).map_err(|error| {
        Failure::unable(format!("cannot read {}: {error}", file.display()))
            .help("give the folder of one Gate's bundle, such as .sidegate/bundles/dify/api that `sidegate up` writes")
    })?;
    document::unpack(&bytes).map_err(|error| Failure::unable(format!("{}: {error}", file.display())))
}

fn key_id(text: &str) -> Result<KeyId, Failure> {
    text.parse().map_err(|_| {
        // Not repeated here: it may be the key.
        Failure::usage("--key-id takes the 16 letters and digits that stand between sk-sg_ and the next _")
            .help("for a whole key: --key - < FILE")
    })
}

/// The request's head, as a gate would be given it.
fn head(args: &RequestArgs, bundle: &GateBundle, input: &mut impl Read) -> Result<Parts, Failure> {
    let method = Method::from_bytes(args.method.as_bytes())
        .map_err(|_| Failure::usage(format!("`{}` is not a method", args.method.escape_debug())))?;
    let absolute = args.path.starts_with("http://") || args.path.starts_with("https://");
    if !(args.path.starts_with('/') || absolute || args.path == "*") {
        return Err(Failure::usage(format!("`{}` is not a path", args.path.escape_debug()))
            .help(format!("begin it with a slash: '/{}'", args.path.escape_debug())));
    }
    let uri: Uri = args.path.parse().map_err(|_| {
        Failure::usage(format!("`{}` is not a request target", args.path.escape_debug()))
            .help("percent-encode what is not printable ASCII, and double quotes, < and >")
    })?;
    let mut head = Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, uri);
    for line in &args.headers {
        let (name, value) = header_line(line)?;
        if is_ours(bundle, &name, &value) {
            return Err(Failure::usage(format!(
                "a key is never an argument, and {name} is where this Gate takes one: the shell's history would keep it"
            ))
            .help("--key - < FILE, or --key-id ID"));
        }
        head.headers.append(name, value);
    }
    if !head.headers.contains_key(header::HOST) {
        let host = head.uri.authority().map_or_else(|| bundle.gate.name.clone(), ToString::to_string);
        head.headers.insert(header::HOST, HeaderValue::try_from(host).map_err(Failure::usage)?);
    }
    if let Some(from) = &args.key {
        if from != "-" {
            // Not repeated here: it may be the key.
            return Err(Failure::usage("a key is never an argument: the shell's history would keep it")
                .help("--key - < FILE, or --key-id ID"));
        }
        let (name, value) = key(bundle, input)?;
        head.headers.append(name, value);
    }
    Ok(head)
}

fn header_line(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    // Not repeated here: a line may hold a secret of the app's.
    let form = || Failure::usage("a header is written as 'Name: value'");
    let (name, value) = line.split_once(':').ok_or_else(form)?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| form())?;
    let value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| form())?;
    Ok((name, value))
}

fn is_ours(bundle: &GateBundle, name: &HeaderName, value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().get(.."bearer".len());
    let bearer = bundle.api_keys.bearer
        && *name == header::AUTHORIZATION
        && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
    bearer || bundle.api_keys.headers.iter().any(|header| header.eq_ignore_ascii_case(name.as_str()))
}

/// The key on standard input, in the header that this Gate takes it from.
fn key(bundle: &GateBundle, input: &mut impl Read) -> Result<(HeaderName, HeaderValue), Failure> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    input
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read a key from standard input: {error}")))?;
    let text = text.trim_end_matches(['\r', '\n']);
    let name = bundle.api_keys.headers.iter().find_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let (name, value) = match name {
        Some(name) => (name, HeaderValue::from_str(text)),
        None if bundle.api_keys.bearer => {
            (header::AUTHORIZATION, HeaderValue::from_str(&Zeroizing::new(format!("Bearer {text}"))))
        }
        None => return Err(Failure::usage(format!("Gate {} takes no keys", bundle.gate))),
    };
    let mut value =
        value.map_err(|_| Failure::usage("what came on standard input is more than one line of text"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests;
