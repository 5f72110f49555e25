//! A network of its own, from which two paths lead to this machine. Each can be made to swallow everything, without either side
//! hearing of it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// See the module. It is gone when it is dropped.
pub struct Network {
    name: String,
    /// Between 0 and 255: of this process, so that others at work on the machine have other addresses.
    number: u8,
    folder: PathBuf,
}

impl Network {
    /// A namespace and two pairs of interfaces. Needs root.
    pub fn new() -> Self {
        let process = std::process::id();
        let network = Self {
            name: format!("gannet{process}"),
            number: (process % 256) as u8,
            folder: std::env::temp_dir().join(format!("gannet-network-{process}")),
        };
        fs::create_dir_all(&network.folder).unwrap();
        ip(&format!("netns add {}", network.name));
        ip(&format!("-n {} link set lo up", network.name));
        for path in [0, 1] {
            let (here, there) = (network.interface(path, "h"), network.interface(path, "n"));
            let name = &network.name;
            ip(&format!("link add {here} type veth peer name {there} netns {name}"));
            ip(&format!("addr add {}/30 dev {here}", network.address(path, 1)));
            ip(&format!("-n {name} addr add {}/30 dev {there}", network.address(path, 2)));
            ip(&format!("link set {here} up"));
            ip(&format!("-n {name} link set {there} up"));
        }
        network
    }

    /// This machine's addresses, as they are called in there.
    pub fn hosts(&self) -> [Ipv4Addr; 2] {
        [self.address(0, 1), self.address(1, 1)]
    }

    /// A program that runs in there.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// A file of the test's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A way from in there to `address` that is none of the two paths: a Unix socket, as `gannet` takes it.
    pub fn relay(&self, address: SocketAddr) -> String {
        let path = self.file("backend.sock");
        relay(UnixListener::bind(&path).unwrap(), address);
        format!("unix:{}", path.to_str().unwrap())
    }

    /// Whether the path swallows everything.
    pub fn swallow(&self, path: u8, swallows: bool) {
        let state = if swallows { "down" } else { "up" };
        ip(&format!("link set {} {state}", self.interface(path, "h")));
    }

    fn interface(&self, path: u8, side: &str) -> String {
        format!("g{}{side}{path}", std::process::id())
    }

    fn address(&self, path: u8, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, 4 * path + host)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its interfaces go with it, and so do their ends here.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(Path::new(&self.folder));
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn relay(listener: UnixListener, address: SocketAddr) {
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(address).unwrap());
            carry(client, server);
        }
    });
}

/// Carries both directions to their ends, each on a thread. Either side may have gone: then there is nothing more to carry.
fn carry(client: UnixStream, server: TcpStream) {
    use std::net::Shutdown::Write;
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Write);
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Write);
    });
}
