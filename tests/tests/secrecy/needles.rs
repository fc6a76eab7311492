//! Looks for secrets, in whatever form one could have got there.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// So many bytes of a secret are a leak.
const WINDOW: usize = 8;
/// As many in base64.
const WINDOW_64: usize = 10;

/// What must be found nowhere.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    secrets: Vec<(&'static str, String)>,
}

// === impl Needles ===

impl Needles {
    /// One more secret, by the way that it goes. It has to be random: what is found is then no accident.
    pub(crate) fn add(&mut self, way: &'static str, secret: &str) {
        self.secrets.push((way, secret.to_owned()));
    }

    /// The ways of the secrets of which some bytes are in there, and a form of them that was found.
    pub(crate) fn find(&self, hay: &[u8]) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let hay = Hay::new(hay);
        for (way, secret) in &self.secrets {
            found.extend(forms(secret).into_iter().find(|form| hay.has(form)).map(|form| (*way, form)));
        }
        found
    }
}

/// Text in which can be searched quickly: where each pair of its bytes stands.
struct Hay<'a> {
    text: &'a [u8],
    places: Vec<Vec<u32>>,
}

impl<'a> Hay<'a> {
    fn new(text: &'a [u8]) -> Self {
        let mut places = vec![Vec::new(); 1 << 16];
        for (at, pair) in text.windows(2).enumerate() {
            places[pair_of(pair)].push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        Self { text, places }
    }

    fn has(&self, form: &str) -> bool {
        let form = form.as_bytes();
        self.places[pair_of(form)].iter().any(|at| self.text[*at as usize..].starts_with(form))
    }
}

fn pair_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Any window of it: as it is, percent-encoded, as numbers, in hex, in base64 at each of the three places where it
/// could begin in something longer.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for window in secret.as_bytes().windows(WINDOW) {
        let each = |form: fn(&u8) -> String| window.iter().map(form).collect::<Vec<_>>();
        forms.push(String::from_utf8_lossy(window).into_owned());
        forms.push(
            each(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(*byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .concat(),
        );
        forms.push(each(|byte| format!("{byte:02x}")).concat());
        forms.push(each(|byte| format!("{byte:02X}")).concat());
        forms.push(each(u8::to_string).join(", "));
        forms.push(each(u8::to_string).join(","));
    }
    for before in 0..3 {
        let shifted = [&b"***"[..before], secret.as_bytes()].concat();
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            // The first four and the last four depend on what stands around.
            let own = text.get(4..text.len().saturating_sub(4)).unwrap_or_default();
            forms.extend(
                own.as_bytes().windows(WINDOW_64).map(|window| String::from_utf8_lossy(window).into_owned()),
            );
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_every_form_and_nothing_else_is() {
    let secret = "q7Zt+4kV/9bXwL2pRmN8";
    let mut needles = Needles::default();
    needles.add("here", secret);
    let part = &secret.as_bytes()[3..16];
    let forms = [
        secret.to_owned(),
        format!("a log line with {} in it", &secret[5..13]),
        "q7Zt%2B4kV%2F9bXwL2pRmN8".to_owned(),
        format!("{part:?}"),
        format!("{part:02x?}").replace(", ", ""),
        STANDARD_NO_PAD.encode(format!("user:{secret}")),
        URL_SAFE_NO_PAD.encode(format!("{{\"key\":\"{secret}\"}}")),
    ];
    for form in forms {
        assert_eq!(needles.find(form.as_bytes()).len(), 1, "{form}");
    }
    for other in ["", "q", "q7Zt+4k", "q7Zt 4kV 9bXw L2pR mN8"] {
        assert_eq!(needles.find(other.as_bytes()), [], "{other}");
    }
}
