//! A real Redis in a process of its own.

use super::{DEADLINE, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// A running `redis-server` that keeps nothing on disk; killed when it is dropped.
pub struct Redis {
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// One on a free port.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments.
    pub fn start_with(args: &[&str]) -> Self {
        // The port is free as soon as the listener is dropped; nobody else asks for it by its number.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut redis = Self { port, args, child: None };
        redis.begin();
        redis
    }

    /// Starts it again on its port, empty.
    pub fn begin(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server is installed: tests/run does so"));
        until("Redis", || {
            let answer = TcpStream::connect(self.address()).map(|stream| ask(stream, "PING"));
            answer.is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
        });
    }

    /// Whether it is a server of a Redis Cluster.
    pub fn is_of_cluster(&self) -> bool {
        self.args.iter().any(|arg| arg == "--cluster-enabled")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// What it answers to a command of words without spaces in them.
    pub fn ask(&self, command: &str) -> String {
        ask(TcpStream::connect(self.address()).unwrap(), command)
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stands still, until it [goes on](Self::go_on).
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The first part of the answer to an inline command.
fn ask(mut stream: TcpStream, command: &str) -> String {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    if stream.write_all(format!("{command}\r\n").as_bytes()).is_err() {
        return String::new();
    }
    let mut answer = vec![0; 1 << 16];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
