//! A request's head, as it is written.

use http::header;

use crate::rewrite::Outbound;

/// Writes the head of a request that has no body. Names and values have been looked at: neither holds
/// the end of a line.
pub(in crate::forward) fn write(to: &mut Vec<u8>, request: &Outbound) {
    let Outbound { method, target, lines } = request;
    let lines_length: usize = lines.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    to.reserve(method.as_str().len() + target.as_str().len() + lines_length + 14);
    to.extend_from_slice(method.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(target.as_str().as_bytes());
    to.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in lines {
        // It would be waited for.
        if name != header::TRANSFER_ENCODING {
            to.extend_from_slice(name.as_str().as_bytes());
            to.extend_from_slice(b": ");
            to.extend_from_slice(value.as_bytes());
            to.extend_from_slice(b"\r\n");
        }
    }
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};

    use super::*;

    fn written(method: Method, target: &'static str, lines: &[(&'static str, &'static str)]) -> String {
        let lines = lines.iter();
        let lines =
            lines.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let target = PathAndQuery::from_static(target);
        let mut to = Vec::new();
        write(&mut to, &Outbound { method, target, lines: lines.collect() });
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_head_is_a_line_for_each_value_and_an_empty_one() {
        let lines = [("host", "app"), ("x-a", "1"), ("x-a", "")];
        assert_eq!(
            written(Method::GET, "/a?b", &lines),
            "GET /a?b HTTP/1.1\r\nhost: app\r\nx-a: 1\r\nx-a: \r\n\r\n"
        );
        assert_eq!(written(Method::OPTIONS, "*", &[]), "OPTIONS * HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_body_that_does_not_come_is_not_announced() {
        let lines = [("transfer-encoding", "chunked"), ("content-length", "0")];
        assert_eq!(written(Method::GET, "/", &lines), "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    }
}
