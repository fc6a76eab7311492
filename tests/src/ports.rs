//! Free loopback ports.
//!
//! They are taken from below the range that outgoing connections use, so that nothing but another test can
//! take one between here and the server that it is for. A server that finds its port taken is started again
//! with another by whoever starts it.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Linux gives outgoing connections 32768 and up, macOS 49152 and up.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port at 127.0.0.1 where nothing listens at this moment.
pub fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let port = rand::random_range(RANGE);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on loopback in {RANGE:?}")
}
