//! One etcd for one API server. Nothing that it holds is worth a disk's flush.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::spawn;
use crate::ports::free_port;
use crate::tether::Tethered;

#[derive(Debug)]
pub(super) struct Etcd {
    process: Tethered,
    url: String,
}

impl Etcd {
    pub(super) fn start(tools: &Path, folder: &Path) -> Result<Self> {
        let (url, peer) = (loopback(free_port()?), loopback(free_port()?));
        let mut command = Command::new(tools.join("etcd"));
        command
            .arg(format!("--data-dir={}", folder.join("etcd").display()))
            .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        Ok(Self { process: spawn(command, folder, "etcd")?, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn process(&mut self) -> &mut Tethered {
        &mut self.process
    }
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
