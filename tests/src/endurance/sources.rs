//! Many sources on one machine, and files enough for their connections.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

/// In bytes; less the kernel does not take.
const NARROW: u32 = 4096;

/// One of the loopback addresses. Number 0 is 127.0.0.2: 127.0.0.1 is whoever does not choose.
pub fn source(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number.saturating_add(2))
}

/// A connection from this address.
pub async fn connect_from(source: Ipv4Addr, address: &str) -> Result<TcpStream> {
    connect(TcpSocket::new_v4()?, source, address).await
}

/// One whose kernel takes only a little before somebody reads it.
pub async fn connect_narrow(source: Ipv4Addr, address: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(NARROW)?;
    connect(socket, source, address).await
}

async fn connect(socket: TcpSocket, source: Ipv4Addr, address: &str) -> Result<TcpStream> {
    let to: SocketAddr = address.parse().with_context(|| format!("no address: {address}"))?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(to).await.with_context(|| format!("cannot connect from {source} to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Raises this process's limit of open files, which its children get too, as far as it may go. What it then is.
pub fn open_file_limit() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // It is what it was if this is refused, and the number says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
