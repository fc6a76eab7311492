//! What the kernel holds for a process in its sockets' queues. It is not the process's memory, but its pod's.

use std::fs;

use anyhow::{Context, Result};

/// Bytes in the queues of some sockets of this machine, IPv4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// Sockets that are connected.
    pub sockets: usize,
    /// Written, and not yet taken by the other side.
    pub out: u64,
    /// Come, and not yet read.
    pub inward: u64,
}

/// Which end has the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This one: the sockets of a server.
    Ours,
    /// The other: the sockets of a client.
    Theirs,
}

// === impl Queues ===

impl Queues {
    /// Of the connections to or from this port.
    pub fn of(port: u16, end: End) -> Result<Self> {
        let path = "/proc/net/tcp";
        Self::parse(&fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?, port, end)
    }

    fn parse(table: &str, port: u16, end: End) -> Result<Self> {
        const ESTABLISHED: &str = "01";
        let mut sum = Self::default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [_, local, remote, state, queues, ..] = fields[..] else { continue };
            let address = if end == End::Ours { local } else { remote };
            if state != ESTABLISHED || !address.ends_with(&format!(":{port:04X}")) {
                continue;
            }
            let (out, inward) = queues.split_once(':').context("no queues")?;
            sum.sockets += 1;
            sum.out += u64::from_str_radix(out, 16)?;
            sum.inward += u64::from_str_radix(inward, 16)?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_one_ends_connections_are_summed() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000\n\
            1: 0100007F:1F90 0200007F:8001 01 00000010:00000001 00:00000000\n\
            2: 0100007F:1F90 0200007F:8002 01 00000020:00000000 00:00000000\n\
            3: 0200007F:8002 0100007F:1F90 01 00000000:00000100 00:00000000\n";
        let ours = Queues { sockets: 2, out: 0x30, inward: 1 };
        assert_eq!(Queues::parse(table, 0x1f90, End::Ours).unwrap(), ours);
        let theirs = Queues { sockets: 1, out: 0, inward: 0x100 };
        assert_eq!(Queues::parse(table, 0x1f90, End::Theirs).unwrap(), theirs);
    }
}
