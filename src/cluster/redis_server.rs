//! A real redis-server in a process of its own, for tests. tests/it reads this file too, so it names nothing of the crate.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How often another port is tried where something took the free one first.
const TRIES: usize = 5;

/// A running redis-server (Debian: `redis-server`); killed when it is dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    args: Vec<String>,
    /// Its working directory, where its Unix socket is too.
    folder: PathBuf,
}

impl RedisServer {
    /// One that keeps nothing on the disk, with these arguments besides. It takes connections.
    pub fn start(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gannet-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        for _ in 0..TRIES {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            if let Some(child) = spawn(port, &args, &folder) {
                return Self { child, port, args, folder };
            }
        }
        panic!("redis-server did not start with {args:?}");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its port.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    /// Ends it as a crash does (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port after [`kill`](Self::kill), with nothing of what it held.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.args, &self.folder).expect("its port is still free");
    }

    /// Stops it: the kernel goes on taking connections and bytes for it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process that takes connections; `None` if it ended first, as it does where its port is taken.
fn spawn(port: u16, args: &[String], folder: &Path) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--unixsocket", "redis.sock", "--logfile", "", "--loglevel", "notice"]).args(args);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("redis-server is installed");
    let mut log = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    // It ignores SIGPIPE: what it says when nothing reads its log any more is lost.
    while log.read_line(&mut line).unwrap() > 0 {
        // It says so for its last socket at the end.
        if line.contains("The server is now ready to accept connections at") {
            return Some(child);
        }
        line.clear();
    }
    child.wait().unwrap();
    None
}
