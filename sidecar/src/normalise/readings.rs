//! Every way in which a server could read a path that has an encoded slash, two slashes in a row,
//! or a semicolon, and passes; or an encoded delimiter (`%3B`, `%3F`, `%23`) or percent sign, which
//! always passes and which a server that decodes too early, or twice, takes for what it stands for.
//!
//! Each step is what some server does; they are done in every order, until nothing new comes of
//! it. What a step would turn into a dot segment is refused: no rule can say where it leads.

use std::borrow::Cow;

use sidegate_bundle::gate::Paths;

const HIDDEN_DOTS: &str = "the path has a dot segment behind an encoded slash or before a semicolon";
const TOO_MANY: &str = "the path can be read in too many ways";

/// More than a path has that somebody needs.
const MOST: usize = 64;

const STEPS: [fn(&str) -> String; 10] = [
    decoded_slashes,
    decoded_backslashes,
    decoded_again,
    decoded_semicolons,
    up_to_encoded_query,
    without_last_parameters,
    without_parameters,
    up_to_semicolon,
    with_single_slashes,
    without_authority,
];

/// Is there more than one way to read this normalised path?
pub(super) fn are_several(normal: &str) -> bool {
    let encoded = || ["%2F", "%5C", "%3B", "%3F", "%23", "%25"].iter().any(|code| normal.contains(code));
    normal.contains(';') || normal.contains("//") || (normal.contains('%') && encoded())
}

/// The other readings of a normalised path.
pub(super) fn of(normal: &str) -> Result<Box<[String]>, &'static str> {
    let mut readings = vec![normal.to_owned()];
    let mut next = 0;
    while next < readings.len() {
        for step in STEPS {
            let reading = step(&readings[next]);
            if reading.split('/').any(super::is_dots) {
                return Err(HIDDEN_DOTS);
            }
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        next += 1;
        if readings.len() > MOST {
            return Err(TOO_MANY);
        }
    }
    readings.remove(0);
    Ok(readings.into())
}

/// Servers that decode before they route.
fn decoded_slashes(path: &str) -> String {
    path.replace("%2F", "/")
}

/// Those that take a backslash for a slash.
fn decoded_backslashes(path: &str) -> String {
    path.replace("%5C", "/")
}

/// Text that is encoded twice and hides a dot or a slash is refused before.
fn decoded_again(path: &str) -> String {
    const ALL: Paths = Paths { encoded_slash: true, double_slash: true, semicolon: true };
    if !path.contains("%25") {
        return path.to_owned();
    }
    super::path_passing(&path.replace("%25", "%"), ALL).map_or_else(|_| path.to_owned(), Cow::into_owned)
}

fn decoded_semicolons(path: &str) -> String {
    path.replace("%3B", ";")
}

fn up_to_encoded_query(path: &str) -> String {
    let end = [path.find("%3F"), path.find("%23")].into_iter().flatten().min();
    path[..end.unwrap_or(path.len())].to_owned()
}

/// RFC 1808 §2.4.4: parameters belong to the last segment.
fn without_last_parameters(path: &str) -> String {
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[last..].find(';') {
        Some(at) => path[..last + at].to_owned(),
        None => path.to_owned(),
    }
}

/// Servlets: every segment may have parameters.
fn without_parameters(path: &str) -> String {
    let names: Vec<_> =
        path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name)).collect();
    names.join("/")
}

/// Routers for which a semicolon begins the query.
fn up_to_semicolon(path: &str) -> String {
    path.split_once(';').map_or(path, |(before, _)| before).to_owned()
}

fn with_single_slashes(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !single.ends_with('/') {
            single.push(character);
        }
    }
    single
}

/// Apps that resolve the target as a reference: `//name/path` names a host.
fn without_authority(path: &str) -> String {
    match path.strip_prefix("//") {
        Some(rest) => {
            let rest = rest.trim_start_matches('/');
            rest.find('/').map_or_else(|| "/".to_owned(), |slash| rest[slash..].to_owned())
        }
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_in_every_way_that_servers_read_it() {
        for (path, expected) in [
            ("/a%2Fb", &["/a/b"][..]),
            ("/a%5Cb", &["/a/b"]),
            ("/a;x", &["/a"]),
            ("/a;x/b", &["/a/b", "/a"]),
            ("/a;x/b;y", &["/a;x/b", "/a/b", "/a"]),
            ("/a//b", &["/a/b"]),
            ("/a/", &[]),
            ("//a/b", &["/a/b", "/b"]),
            ("//a", &["/a", "/"]),
            ("///a//b", &["/a/b", "//b", "/b", "/"]),
            ("/a%2F%2Fb", &["/a//b", "/a/b"]),
            ("/%2Fa/b", &["//a/b", "/a/b", "/b"]),
            ("/%2561%252562", &["/a%2562", "/ab"]),
            ("/100%25", &[]),
            ("/a%3Bb", &["/a;b", "/a"]),
            ("/a%3Fb", &["/a"]),
            ("/a%23b%3Fc", &["/a"]),
            // Parameters may be cut off before or after a slash in them is decoded.
            ("/a;x%2Fb", &["/a;x/b", "/a", "/a/b"]),
            ("/a/;x/b", &["/a//b", "/a/", "/a/b"]),
        ] {
            assert_eq!(*of(path).unwrap(), *expected, "{path}");
        }
    }

    #[test]
    fn a_dot_segment_in_any_reading_is_refused() {
        for path in ["/a/..;/b", "/a/.;x", "/a%2F..%2Fb", "/a/..%2Fb", "/a%5C..", "/..;a%2F;b//c", "/;/..;"] {
            assert_eq!(of(path), Err(HIDDEN_DOTS), "{path}");
        }
        for path in ["/a/...;/b", "/a%2F..b", "/a;../b", "/a;..", "/.a;b"] {
            assert!(of(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_number_of_readings_does_not_grow_with_the_path() {
        let long = "/%2Fa;b%5C//c;d".repeat(200);
        let readings = of(&long).map(|readings| readings.len());
        assert!(readings == Err(TOO_MANY) || readings.is_ok_and(|count| count <= MOST), "{readings:?}");
    }
}
