//! `key mint` and `key hash`: a key that no cluster has ever seen, and the hash that a cluster may see.
//!
//! A key leaves this program in two ways only: on standard output when it is minted, or into a
//! new file that its owner alone can read.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde_json::{Value, json};
use sidegate_bundle::{ApiKey, ScopeSet};
use zeroize::Zeroizing;

use crate::{
    args::{Form, KeyCommand, MintArgs, MintForm},
    manifest::names,
    output::Failure,
};

/// A key has 72 characters; what is longer by far is not one.
const LONGEST_INPUT: u64 = 4096;

/// Said with every ApiKey that has only a hash.
const NOT_YET: &str = "spec.credential.type: Hash is not supported by the operator of this version: until one supports \
     it, the ApiKey stays Accepted=False/NotSupportedYet";

/// Runs one of the two.
pub(crate) fn run(command: KeyCommand) -> Result<(), Failure> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match command {
        KeyCommand::Mint(args) => mint(&args, &ApiKey::mint(&mut rand::rng()), &mut out, &mut err),
        KeyCommand::Hash { from, output } => {
            if from != "-" {
                // Not repeated here: it may be the key.
                return Err(Failure::usage("a key is never an argument: the shell's history would keep it")
                    .help("sidegate key hash - < FILE"));
            }
            hash(output, &mut io::stdin().lock(), &mut out)
        }
    }
}

fn mint(args: &MintArgs, key: &ApiKey, out: &mut impl Write, err: &mut impl Write) -> Result<(), Failure> {
    let (Some(name), Some(gate), Some(file)) = (&args.name, &args.gate, &args.key_file) else {
        return match args.output {
            MintForm::Text => {
                writeln!(out, "{}", key.expose())?;
                Ok(writeln!(err, "{}", hash_line(key))?)
            }
            MintForm::Json => {
                let mut answer = hash_of(key);
                answer["apiKey"] = json!(key.expose());
                Ok(writeln!(out, "{answer}")?)
            }
            MintForm::Yaml => Err(Failure::usage(
                "-o yaml prints an ApiKey, which needs a name, a Gate and a file for the key",
            )
            .help("sidegate key mint -o yaml NAME -n NS --gate NS/NAME --scope SCOPE --key-file FILE")),
        };
    };
    let object = api_key(args, name, gate, key)?;
    let text = match args.output {
        MintForm::Yaml => serde_saphyr::to_string(&object).map_err(Failure::unable)?,
        MintForm::Json => format!("{object}\n"),
        MintForm::Text => {
            return Err(
                Failure::usage("NAME is the name of the ApiKey to print: in which form?").help("add -o yaml")
            );
        }
    };
    write_new(file, key)?;
    out.write_all(text.as_bytes())?;
    Ok(writeln!(err, "note: {NOT_YET}")?)
}

/// The whole ApiKey, with only the hash.
fn api_key(args: &MintArgs, name: &str, gate: &str, key: &ApiKey) -> Result<Value, Failure> {
    let (gate_namespace, gate) = gate.split_once('/').unwrap_or((&args.namespace, gate));
    for (what, text) in [("NAME", name), ("the Gate's name", gate)] {
        names::check_subdomain(text).map_err(|why| Failure::usage(format!("{what} `{text}` {why}")))?;
    }
    for namespace in [&args.namespace, gate_namespace] {
        names::check_label(namespace)
            .map_err(|why| Failure::usage(format!("the namespace `{namespace}` {why}")))?;
    }
    ScopeSet::parse(&args.scopes).map_err(Failure::usage)?;
    let mut grant = json!({ "gate": gate });
    if gate_namespace != args.namespace {
        grant["namespace"] = json!(gate_namespace);
    }
    if !args.scopes.is_empty() {
        grant["scopes"] = json!(args.scopes);
    }
    Ok(json!({
        "apiVersion": "sidegate.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": { "name": name, "namespace": args.namespace },
        "spec": { "grants": [grant], "credential": { "type": "Hash", "hash": hash_of(key) } },
    }))
}

/// Writes the key to a file that did not exist, for its owner alone.
fn write_new(file: &Path, key: &ApiKey) -> Result<(), Failure> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} exists, and is not overwritten", file.display()))
                .help("give --key-file another name")
        }
        _ => Failure::unable(format!("cannot write {}: {error}", file.display())),
    };
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(cannot)?;
    out.write_all(key.expose().as_bytes()).and_then(|()| out.sync_all()).map_err(cannot)
}

fn hash(form: Form, input: &mut impl Read, out: &mut impl Write) -> Result<(), Failure> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    input
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read a key from standard input: {error}")))?;
    let key: ApiKey = text.trim_end_matches(['\r', '\n']).parse().map_err(Failure::usage)?;
    match form {
        Form::Text => writeln!(out, "{}", hash_line(&key))?,
        Form::Json => writeln!(out, "{}", hash_of(&key))?,
    }
    Ok(())
}

/// What `spec.credential.hash` takes.
fn hash_of(key: &ApiKey) -> Value {
    json!({ "keyId": key.id(), "sha256": key.verifier() })
}

fn hash_line(key: &ApiKey) -> String {
    format!("hash: {{keyId: {}, sha256: {}}}", key.id(), key.verifier())
}

#[cfg(test)]
mod tests;
