//! Where a server listens: several addresses, names, both families, Unix sockets, sockets that systemd passes. At each place a player gets what is pushed
//! at each other one.

mod activation;
mod pauses;
mod tcp;
mod unix;

use gannet::config::{Endpoint, Listen};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `listen` as a configuration has it.
pub fn listen(texts: &[&str]) -> Listen {
    texts.iter().map(|text| text.parse::<Endpoint>().unwrap()).collect()
}

/// Only for addresses of TCP.
fn ips(endpoints: &[Endpoint]) -> Vec<SocketAddr> {
    let ip = |endpoint: &Endpoint| match endpoint {
        Endpoint::Ip(address) => *address,
        other => panic!("{other} is no address"),
    };
    endpoints.iter().map(ip).collect()
}

/// A folder of its own for sockets, removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-listening-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A socket in it, as a configuration has it.
    pub fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
