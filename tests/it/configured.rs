//! Where a configuration comes from, and the files that it names: each is read once, so that any may be a pipe, and what
//! could not be read starts no server.

use crate::support::tls::{CertFiles, TlsStream, connect, shake};
use crate::support::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "a-key-that-is-long-and-random";

/// A folder of its own, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-configured-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A named pipe that gives `content` once, to the first who reads it.
    fn pipe(&self, name: &str, content: Vec<u8>) -> PathBuf {
        let path = self.0.join(name);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let writer = path.clone();
        // It waits for a reader, and is not waited for.
        thread::spawn(move || fs::write(writer, content));
        path
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The status of an upgrade without a token.
fn stranger(server: &ServerProcess) -> u16 {
    server.try_player("/ws?user=eve").map_or_else(|refused| refused.status(), |_| 101)
}

/// The status of a request to the backend port without a key.
fn keyless(server: &ServerProcess) -> u16 {
    server.backend().request("GET", "/v1/sessions").status
}

#[test]
fn a_configuration_from_a_pipe_is_the_one_that_is_obeyed() {
    let config = format!("[backend]\nkey = '{KEY}'\n[apps.default]\nsecrets = ['{SECRET}']\n");
    for name in ["/dev/stdin", "/proc/self/fd/0", "-"] {
        let server = ServerProcess::start_fed(&config, &["--config", name]);
        assert_eq!((stranger(&server), keyless(&server)), (401, 401), "--config {name}");
    }
    let folder = Folder::new("named");
    let path = folder.pipe("gannet.toml", config.into_bytes());
    let server = ServerProcess::start_fed("", &["--config", text(&path)]);
    assert_eq!((stranger(&server), keyless(&server)), (401, 401));
}

#[test]
fn keys_and_secrets_from_pipes_are_those_that_are_asked_for() {
    let folder = Folder::new("secrets");
    let secrets = folder.pipe("secrets", SECRET.into());
    let config =
        format!("[backend]\nkey_file = '/dev/stdin'\n[apps.default]\nsecrets_file = '{}'\n", text(&secrets));
    let config = folder.file("gannet.toml", &config);
    let server = ServerProcess::start_fed(KEY, &["--config", text(&config)]);
    assert_eq!((stranger(&server), keyless(&server)), (401, 401));
}

#[test]
fn certificates_from_pipes_serve_both_ports_and_are_not_waited_for_again() {
    let files = CertFiles::new(&["localhost"]);
    let folder = Folder::new("tls");
    let cert = folder.pipe("cert.pem", fs::read(&files.cert).unwrap());
    let key = folder.pipe("key.pem", fs::read(&files.key).unwrap());
    let config = format!("[tls]\ncert = '{}'\nkey = '{}'\nbackend = true\n", text(&cert), text(&key));
    let server = ServerProcess::start_fed(&config, &["--config", "/dev/stdin"]);
    for address in [server.client, server.backend] {
        let mut stream: TlsStream = connect(address);
        shake(&mut stream).unwrap();
        assert_eq!(stream.conn.peer_certificates().unwrap()[0], files.der);
    }

    server.signal(Signal::HUP);
    until("word of the certificates", || server.said().contains("reload: everything stays as it was"));
    assert!(server.said().contains("it is no regular file, and was read once already"), "{}", server.said());
    shake(&mut connect(server.client)).unwrap();
    server.signal(Signal::TERM);
    let (status, said) = server.wait();
    assert!(status.success(), "{said}");
}

/// `gannet ARGS` with a pipe that holds `input` as its standard input; it is expected to end.
fn run(input: &[u8], args: &[&str]) -> Output {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(input).unwrap();
    drop(writer);
    let mut child = Command::new(env!("CARGO_BIN_EXE_gannet"))
        .args(args)
        .stdin(reader)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A server that starts prints its banner and goes on: then there is more to read than nothing.
    let mut said = [0];
    if child.stdout.as_mut().unwrap().read(&mut said).unwrap() > 0 && args[0] == "serve" {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("a server started with {args:?}");
    }
    child.wait_with_output().unwrap()
}

#[test]
fn what_could_not_be_read_starts_no_server() {
    let folder = Folder::new("unread");
    let empty = folder.file("empty.toml", "");
    let table: [(&[u8], &str, &str); 8] = [
        (b"", "-", "the configuration file /dev/stdin is empty"),
        (b"\n \r\n", "/dev/stdin", "the configuration file /dev/stdin is empty"),
        (b"", text(&empty), "is empty: it is not written yet"),
        (b"", text(&folder.0), "cannot read the configuration file"),
        (b"", "/nonexistent/gannet.toml", "cannot read the configuration file /nonexistent/gannet.toml"),
        (b"", "/dev/zero", "cannot read the configuration file /dev/zero: it is larger than 16777216 bytes"),
        (b"# \xff", "-", "/dev/stdin: not TOML (line 1): a byte that is not UTF-8"),
        (b"\n\n[log]\nfile = '\xe9'", "-", "/dev/stdin: not TOML (line 4): a byte that is not UTF-8"),
    ];
    let ports = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"];
    for (input, name, message) in table {
        let serve = [["serve", "--config", name].as_slice(), &ports].concat();
        for args in [serve.as_slice(), &["config", "check", name]] {
            let refused = run(input, args);
            assert_eq!(refused.status.code(), Some(1), "{args:?}");
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.starts_with("gannet: ") && said.contains(message), "{args:?}: {said}");
        }
    }
    let checked = run(b"# all defaults\n", &["config", "check", "-"]);
    assert_eq!(checked.status.code(), Some(0));
}
