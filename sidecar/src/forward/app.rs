//! Where the app listens.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use http::Uri;
use thiserror::Error;
use tokio::net::TcpStream;

/// The app's address: `127.0.0.1:5001`, `http://localhost:5001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Address(SocketAddr),
    /// Looked up for each new connection.
    Name(String, u16),
}

/// Text that is no app's address.
#[derive(Debug, Error)]
#[error("`{0}` is not the address of an app: write http://HOST:PORT, without a path")]
pub struct AppAddressError(String);

// === impl App ===

impl App {
    /// A new connection.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match &self.place {
            Place::Address(address) => TcpStream::connect(address).await?,
            Place::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
        };
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(crate::accept::UNSENT)?;
        Ok(stream)
    }
}

impl From<SocketAddr> for App {
    fn from(address: SocketAddr) -> Self {
        Self { place: Place::Address(address) }
    }
}

impl FromStr for App {
    type Err = AppAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let error = || AppAddressError(text.to_owned());
        let uri = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = uri.parse().map_err(|_| error())?;
        let plain = uri.scheme_str() == Some("http")
            && matches!(uri.path_and_query().map(ToString::to_string).as_deref(), None | Some("/"));
        let authority = uri.authority().filter(|authority| plain && !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(error)?;
        let port = match (authority.port_u16(), text.contains("://")) {
            (Some(port), _) => port,
            (None, true) => 80,
            (None, false) => return Err(error()),
        };
        if authority.host().is_empty() {
            return Err(error());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(match host.parse() {
            Ok(ip) => SocketAddr::new(ip, port).into(),
            Err(_) => Self { place: Place::Name(host.to_owned(), port) },
        })
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Address(address) => write!(f, "http://{address}"),
            Place::Name(host, port) => write!(f, "http://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_a_host_and_a_port_and_nothing_else() {
        let cases = [
            ("127.0.0.1:5001", Some("http://127.0.0.1:5001")),
            ("http://127.0.0.1:5001", Some("http://127.0.0.1:5001")),
            ("http://127.0.0.1:5001/", Some("http://127.0.0.1:5001")),
            ("http://127.0.0.1", Some("http://127.0.0.1:80")),
            ("[::1]:5001", Some("http://[::1]:5001")),
            ("http://[::1]:5001", Some("http://[::1]:5001")),
            ("localhost:5001", Some("http://localhost:5001")),
            ("http://localhost", Some("http://localhost:80")),
            ("localhost", None),
            ("", None),
            (":5001", None),
            ("https://localhost:5001", None),
            ("http://localhost:5001/api", None),
            ("http://localhost:5001/?a", None),
            ("http://user@localhost:5001", None),
            ("localhost:port", None),
        ];
        for (text, app) in cases {
            assert_eq!(text.parse::<App>().ok().map(|app| app.to_string()).as_deref(), app, "{text}");
        }
    }
}
