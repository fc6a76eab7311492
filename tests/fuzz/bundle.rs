//! The bundle loader: bytes are refused or become a bundle that decides; none makes it stop, and one of another
//! format is never taken.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use flate2::{Compression, write::GzEncoder};
use http::Request;
use jiff::Timestamp;
use serde_json::Value;
use sidegate_bundle::GateBundle;
use sidegate_bundle::document::{FORMAT, ReadError, pack, unpack};
use sidegate_sidecar::{Index, fuzz};

use crate::{here, lines, run};

const CORPUS: &str = include_str!("corpus/bundle.txt");
const TOKENS: [&str; 30] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "é",
    "\"format\":1",
    "\"format\":2",
    "\"rules\":[]",
    "\"Anonymous\"",
    "\"Authenticated\"",
    "{\"Require\":{}}",
    "{\"Exact\":\"/a//b\"}",
    "{\"Prefix\":\"/\"}",
    "{\"Prefix\":\"\"}",
    "\"methods\":[\"GET\",\"get\",\"BREW\"]",
    "\"needs\":[\"x\"]",
    "\"headers\":[\"host\",\"content-length\",\"é\"]",
    "\"invalidStatus\":99999",
    "\"keys\":[]",
];

fn gzip(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json).unwrap();
    encoder.finish().unwrap()
}

fn check(bytes: &[u8]) -> Result<(), ReadError> {
    let bundle: GateBundle = unpack(bytes)?;
    assert_eq!(bundle.format, FORMAT);
    let again: GateBundle = unpack(&pack(&bundle).unwrap()).expect("what was read can be read again");
    assert_eq!(again, bundle);
    let index = Index::new(&bundle);
    assert!(index.key_count() <= bundle.keys.len());
    for target in ["/", "/healthz", "/api/v1", "/%40"] {
        for key in ["", "sk-sg_0123456789abcdef_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1o6iEC"] {
            let request = Request::get(target).header("host", "a").header("x-api-key", key);
            let head = request.body(()).unwrap().into_parts().0;
            let passed = fuzz::pass(&index, head, Timestamp::UNIX_EPOCH, IpAddr::V4(Ipv4Addr::LOCALHOST));
            assert!(passed.is_err() || !bundle.rules.is_empty(), "a Gate without rules let something in");
        }
    }
    Ok(())
}

/// What stands in a text, if it is JSON, decides which format it is of.
fn check_json(json: &str) {
    let read = check(&gzip(json.as_bytes()));
    // A number beyond all numbers is passed over where nobody asks for it.
    let Ok(value) = serde_json::from_str::<Value>(json) else { return };
    // A list reads like an object whose fields come in their order.
    let format = value.get("format").or_else(|| value.get(0)).and_then(Value::as_u64);
    match read {
        Ok(()) => assert_eq!(format, Some(u64::from(FORMAT)), "{json}"),
        Err(ReadError::UnknownFormat(named)) => assert_eq!(format, Some(u64::from(named)), "{json}"),
        Err(_) => {}
    }
}

#[test]
fn bundle() {
    let seeds = lines(CORPUS);
    for seed in &seeds {
        check_json(seed);
    }
    let good = gzip(seeds[0].as_bytes());
    check(&good).expect("the first of the corpus is a bundle");
    run(here!(), |choices| {
        if choices.below(4) == 0 {
            // Damaged on its way: the outcome is a bundle or an error, and both are fine.
            let _ = check(&choices.bytes(&[&good, b""], &[b"\x1f\x8b\x08", b"\0\0\0\0", b"\xff\xff"]));
        } else {
            check_json(&choices.text(&seeds, &TOKENS));
        }
    });
}
