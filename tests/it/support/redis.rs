//! A real Redis in a process of its own.

use super::{DEADLINE, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

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
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        // Another process may have taken the port meanwhile.
        let tries = (0..10).map(|_| Self { port: free_port(), args: args.clone(), child: None });
        let begun = tries.into_iter().find_map(|mut redis| redis.begins().then_some(redis));
        begun.unwrap_or_else(|| panic!("redis-server ends at once: {args:?}"))
    }

    /// Starts it again on its port, empty.
    pub fn begin(&mut self) {
        assert!(self.begins(), "redis-server ended: is port {} taken?", self.port);
    }

    /// Whether it runs, and answers.
    fn begins(&mut self) -> bool {
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
        let child = self.child.insert(command.spawn().expect("redis-server is installed: tests/run does so"));
        let (address, mut has_ended) = (SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), false);
        until("Redis", || {
            has_ended = child.try_wait().unwrap().is_some();
            let answer = || TcpStream::connect(address).map(|stream| ask(stream, "PING"));
            let answers = |answer: String| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH");
            has_ended || answer().is_ok_and(answers)
        });
        !has_ended
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

/// A port that is free, and so is the one that a server of a Redis Cluster has beside it. The kernel gives neither to anybody: they lie below
/// `ip_local_port_range` (ip(7)), so that a server that was killed finds them free too.
fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 8_000;
    const BESIDE: u16 = 10_000;
    static LAST: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id().wrapping_mul(97) as u16;
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let port = FIRST + first.wrapping_add(LAST.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if is_free(port) && is_free(port + BESIDE) {
            return port;
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
