//! A request's head, as it is written.

use http::{header, request::Parts};

/// Writes the head of a request that has no body. Names and values have been looked at: neither holds
/// the end of a line.
pub(in crate::forward) fn write(to: &mut Vec<u8>, head: &Parts) {
    to.extend_from_slice(head.method.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(head.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    to.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
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
    use http::Request;

    use super::*;

    fn written(request: http::request::Builder) -> String {
        let mut to = Vec::new();
        write(&mut to, &request.body(()).unwrap().into_parts().0);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_head_is_a_line_for_each_value_and_an_empty_one() {
        let request = Request::get("/a?b").header("host", "app").header("x-a", "1").header("x-a", "");
        assert_eq!(written(request), "GET /a?b HTTP/1.1\r\nhost: app\r\nx-a: 1\r\nx-a: \r\n\r\n");
        assert_eq!(written(Request::options("*")), "OPTIONS * HTTP/1.1\r\n\r\n");
        assert_eq!(written(Request::post("http://app")), "POST / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_body_that_does_not_come_is_not_announced() {
        let request = Request::get("/").header("transfer-encoding", "chunked").header("content-length", "0");
        assert_eq!(written(request), "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    }
}
