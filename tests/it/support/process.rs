//! The real program in a process of its own.

use super::{DEADLINE, Ports, WallClock, open_files};
use gannet::config::Config;
use gannet::{App, Server};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Names, for this binary run once more, the configuration of the server that it is to be.
const SERVE: &str = "GANNET_IT_SERVE";

/// What the last line of the banner begins with.
const LAST_OF_BANNER: &str = "  try ";

/// The address of a port that has none.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// A running `gannet serve`; killed when it is dropped. Its [`Ports`] are at hand on it.
pub struct ServerProcess {
    child: Child,
    ports: Ports,
    /// Its configuration file, where it has one of its own.
    config: Option<PathBuf>,
    /// Everything it has said on both streams.
    said: Arc<Mutex<String>>,
    /// Ends when both streams have.
    silence: Receiver<()>,
}

impl ServerProcess {
    /// `gannet serve ARGS` on free ports, with `config` as its configuration file.
    pub fn start(args: &[&str], config: &str) -> Self {
        Self::start_limited(None, args, config)
    }

    /// The same with at most `open_files` descriptors.
    pub fn start_limited(open_files: Option<u32>, args: &[&str], config: &str) -> Self {
        let path = written(config);
        let limit = open_files.map_or(String::new(), |files| format!("ulimit -n {files} && "));
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limit}exec \"$@\""), "sh", env!("CARGO_BIN_EXE_gannet"), "serve"])
            .args(["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"])
            .arg("--config")
            .arg(&path)
            .args(args);
        Self::spawn(command.stdin(Stdio::null()), Some(path))
    }

    /// `gannet serve ARGS` on free ports, with `config` as its configuration file, and these variables in its environment.
    pub fn start_in(variables: &[(&str, &str)], args: &[&str], config: &str) -> Self {
        let path = written(config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config"]);
        command.arg(&path).args(args).envs(variables.iter().copied());
        Self::spawn(command.stdin(Stdio::null()), Some(path))
    }

    /// The same with a wall clock that the test sets through [`WallClock`].
    pub fn start_with_clock(clock: &WallClock, args: &[&str], config: &str) -> Self {
        let path = written(config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config"]);
        Self::spawn(clock.preloaded(command.arg(&path).args(args)).stdin(Stdio::null()), Some(path))
    }

    /// The same under a service manager that listens at `socket` and has a watchdog of `watchdog_us`.
    pub fn start_managed(socket: &Path, watchdog_us: u32, config: &str) -> Self {
        let path = written(config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config"]).arg(&path);
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", watchdog_us.to_string());
        Self::spawn(command.stdin(Stdio::null()), Some(path))
    }

    /// The same, with standard error left to the test: what it does not read fills the pipe.
    pub fn start_unheard(args: &[&str], config: &str) -> (Self, ChildStderr) {
        let path = written(config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config"]);
        let mut started =
            Self::spawn_with(command.arg(&path).args(args).stdin(Stdio::null()), Some(path), false);
        let stderr = started.child.stderr.take().unwrap();
        (started, stderr)
    }

    /// This test binary once more, which runs only `test`; that calls [`serve_if_asked`] first. So a server that is
    /// embedded, with an app of the test's, has a process of its own.
    pub fn embedded(test: &str, config: &str) -> Self {
        let path = written(config);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(SERVE, &path);
        Self::spawn(command.stdin(Stdio::null()), Some(path))
    }

    /// `gannet serve ARGS` on free ports, with a pipe that holds `input` as its standard input.
    pub fn start_fed(input: &str, args: &[&str]) -> Self {
        let (reader, mut writer) = io::pipe().unwrap();
        // All of it fits into the pipe before anybody reads.
        writer.write_all(input.as_bytes()).unwrap();
        drop(writer);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"]).args(args);
        Self::spawn(command.stdin(reader), None)
    }

    /// `gannet serve ARGS` that listens where these say. Its [`Ports`] are the first addresses, if any.
    pub fn start_at(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        Self::spawn(command.arg("serve").args(args).stdin(Stdio::null()), None)
    }

    /// The program that `command` becomes.
    pub fn start_by(mut command: Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()), None)
    }

    /// `gannet serve` with a configuration with which it does not start: what it says.
    pub fn refuses_to_start(config: &str) -> String {
        let path = written(config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&path).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that starts says so on standard output and stays.
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let _ = fs::remove_file(&path);
        assert_eq!(first, "", "it started");
        String::from_utf8(output.stderr).unwrap()
    }

    fn spawn(command: &mut Command, config: Option<PathBuf>) -> Self {
        Self::spawn_with(command, config, true)
    }

    fn spawn_with(command: &mut Command, config: Option<PathBuf>, hears_errors: bool) -> Self {
        open_files();
        // A test that does other things answers no pings of its links, unless it is about that.
        let says = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("link_idle_ms"));
        if !config.as_ref().is_some_and(says) {
            let times = [("PING", 3_600_000), ("IDLE", 7_200_000)];
            let variable =
                |(name, ms): (&str, u32)| (format!("GANNET_TIMEOUTS__LINK_{name}_MS"), ms.to_string());
            command.envs(times.map(variable));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (ports, addresses) = mpsc::channel();
        let (talking, silence) = mpsc::channel();
        listen(child.stdout.take().unwrap(), Arc::clone(&said), Some(ports), talking.clone());
        if hears_errors {
            listen(child.stderr.take().unwrap(), Arc::clone(&said), None, talking);
        }
        let Ok(ports) = addresses.recv_timeout(DEADLINE) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not start:\n{}", said.lock().unwrap());
        };
        Self { child, ports, config, said, silence }
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        self.config.as_deref().expect("it was fed its configuration")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it as a debugger or a paused machine does, and waits until it stands.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let started = Instant::now();
        while self.state() != 'T' {
            assert!(started.elapsed() < DEADLINE, "the server does not stand");
            thread::yield_now();
        }
    }

    /// It gets no more than `most` descriptors until what is returned is dropped.
    pub fn limit_open_files(&self, most: u64) -> LimitedFiles {
        let pid = Some(Pid::from_child(&self.child));
        let before = getrlimit(Resource::Nofile);
        let limited = Rlimit { current: Some(most), maximum: before.maximum };
        let before = prlimit(pid, Resource::Nofile, limited).unwrap();
        LimitedFiles { pid, before }
    }

    /// It goes on after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The letter of proc_pid_stat(5).
    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name of the program is in brackets and may hold anything.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.chars().next().unwrap()
    }

    /// Waits for its end: how it exited and what it said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        // Nobody sends: the channel ends with the streams.
        let waited = self.silence.recv_timeout(DEADLINE);
        assert_eq!(
            waited,
            Err(mpsc::RecvTimeoutError::Disconnected),
            "the server did not end: {}",
            self.said()
        );
        (self.child.wait().unwrap(), self.said())
    }

    /// Waits for the end of its process alone, whose streams another may still have: its exit code, and the signal that
    /// ended it.
    pub fn ended(&mut self) -> (Option<i32>, Option<i32>) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), status.signal());
            }
            assert!(started.elapsed() < DEADLINE, "the server did not end");
            thread::yield_now();
        }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.pid())
    }

    /// The most resident memory it ever had, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// The bytes that its threads with this name have got from read(2): files and pipes, not sockets.
    pub fn bytes_read_by(&self, name: &str) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let reads = threads.filter_map(|thread| {
            let thread = thread.unwrap().path();
            let comm = fs::read_to_string(thread.join("comm")).ok()?;
            (comm.trim_end() == name).then(|| {
                let io = fs::read_to_string(thread.join("io")).unwrap();
                let read = io.lines().find_map(|line| line.strip_prefix("rchar:")).unwrap();
                read.trim().parse::<u64>().unwrap()
            })
        });
        let reads: Vec<u64> = reads.collect();
        assert!(!reads.is_empty(), "no thread is called {name}");
        reads.into_iter().sum()
    }

    /// Its open descriptors.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

/// The resident memory of a process, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    // The figure in `status` is batched for each processor and off by as much as the sessions cost.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// See [`ServerProcess::limit_open_files`].
pub struct LimitedFiles {
    pid: Option<Pid>,
    before: Rlimit,
}

impl Drop for LimitedFiles {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = prlimit(self.pid, Resource::Nofile, self.before);
    }
}

impl Deref for ServerProcess {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.ports
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.config.as_ref().map(fs::remove_file);
        if thread::panicking() {
            eprintln!("the server said:\n{}", self.said());
        }
    }
}

/// In a process that [`ServerProcess::embedded`] has started: is that server, and does not return.
pub fn serve_if_asked(make_app: impl Fn(usize) -> Box<dyn App> + Send + Sync) {
    let Some(path) = std::env::var_os(SERVE) else { return };
    let mut config = Config::from_toml(&fs::read_to_string(path).unwrap()).unwrap();
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    // As for the others.
    let times = &mut config.timeouts;
    (times.link_ping, times.link_idle) = (Duration::from_secs(3_600), Duration::from_secs(7_200));
    let server = Server::bind(config).unwrap();
    println!("ws://{} http://{}", server.client_addr(), server.backend_addr());
    server.run(make_app).unwrap();
    std::process::exit(0);
}

/// `config` without pings, and so without an end for who does not answer any, unless it says something of them: however long
/// a test takes on a busy machine.
pub fn without_pings(config: &str) -> String {
    const NONE: &str = "ping_ms = 3600000\nidle_ms = 7200000\n";
    const TABLE: &str = "[timeouts]\n";
    if config.contains("ping_ms") {
        config.to_owned()
    } else if config.contains(TABLE) {
        config.replacen(TABLE, &format!("{TABLE}{NONE}"), 1)
    } else {
        format!("{config}\n{TABLE}{NONE}")
    }
}

/// `config` in a file of its own.
fn written(config: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gannet-it-{}-{number}.toml", std::process::id()));
    // An empty file would be refused.
    fs::write(&path, format!("{config}\n# All else is the default.\n")).unwrap();
    path
}

/// Gathers what comes on one stream, and looks for the addresses of the banner where they are asked for.
fn listen(
    stream: impl Read + Send + 'static,
    said: Arc<Mutex<String>>,
    ports: Option<mpsc::Sender<Ports>>,
    talking: mpsc::Sender<()>,
) {
    thread::spawn(move || {
        let (mut client, mut backend) = (None, None);
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            client = client.or(address(&line, "ws://")).or(address(&line, "wss://"));
            backend = backend.or(address(&line, "http://")).or(address(&line, "https://"));
            let is_last = line.starts_with(LAST_OF_BANNER);
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
            let found = match (client, backend) {
                (Some(client), Some(backend)) => Some(Ports { client, backend }),
                _ if is_last => {
                    Some(Ports { client: client.unwrap_or(NOWHERE), backend: backend.unwrap_or(NOWHERE) })
                }
                _ => None,
            };
            if let (Some(ports), Some(found)) = (&ports, found) {
                // Later lines say it again to nobody.
                let _ = ports.send(found);
            }
        }
        drop(talking);
    });
}

/// The address behind `scheme` in a line of the banner.
fn address(line: &str, scheme: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(scheme)?;
    let end = rest.find(|char: char| !char.is_ascii_digit() && !".:[]".contains(char)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
