//! The app that stands behind a Gate when nobody names another one: it answers with what it
//! received, so that a reader sees the credential gone and who called.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// Starts it on a loopback port that is free, and says which. It runs as long as the runtime.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let served = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service_fn(answer));
                    tokio::spawn(async move {
                        if let Err(error) = served.await {
                            tracing::debug!(%error, "a connection to the echo app ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the echo app cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    let mut answer = json!({
        "app": "sidegate's built-in echo app",
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
        "headers": headers(&head.headers),
    });
    if length > 0 {
        answer["bodyBytes"] = json!(length);
    }
    let mut response = Response::new(Full::new(Bytes::from(format!("{answer:#}\n"))));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Name to value; to a list where a name stands more than once.
fn headers(all: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in all.keys() {
        let mut values: Vec<Value> =
            all.get_all(name).iter().map(|value| json!(String::from_utf8_lossy(value.as_bytes()))).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        map.insert(name.as_str().to_owned(), value);
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_stands_twice_is_a_list() {
        let mut all = HeaderMap::new();
        all.append("x-one", "1".parse().unwrap());
        all.append("x-two", "a".parse().unwrap());
        all.append("x-two", "b".parse().unwrap());
        assert_eq!(headers(&all), json!({"x-one": "1", "x-two": ["a", "b"]}));
    }
}
