//! The commands and the line of the banner, against a backend port that speaks TLS.

use crate::support::tls::CertFiles;
use crate::support::*;
use std::process::{Command, Output};

const KEY: &str = "0123456789abcdef";

fn with_tls(files: &CertFiles) -> ServerProcess {
    let config = format!(
        "[backend]\nkey = '{KEY}'\n[tls]\nbackend = true\nbackend_cert = '{}'\nbackend_key = '{}'\n",
        files.cert.display(),
        files.key.display()
    );
    ServerProcess::start(&["--reactors", "1"], &config)
}

fn gannet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gannet")).args(args).env("GANNET_KEY", KEY).output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_reach_a_backend_port_over_tls() {
    let files = CertFiles::new(&["localhost", "127.0.0.1"]);
    let server = with_tls(&files);
    let mut player = server.player("user=ada");
    let (backend, cert) = (format!("https://{}", server.backend), files.cert.to_str().unwrap().to_owned());
    let at = ["--backend", &backend, "--cacert", &cert];

    let pushed = gannet(&[&["push"], at.as_slice(), &["--user", "ada", "over TLS"]].concat());
    assert!(said(&pushed).0.contains("\"queued\":1"), "{:?}", said(&pushed));
    assert_eq!(player.recv_text(), "over TLS");
    let stats = gannet(&[&["stats"], at.as_slice()].concat());
    assert!(stats.status.success(), "{:?}", said(&stats));
    let drain = gannet(&[&["drain"], at.as_slice(), &["--status"]].concat());
    assert!(said(&drain).0.contains("\"draining\":false"), "{:?}", said(&drain));
    let kicked = gannet(&[&["kick"], at.as_slice(), &["--user", "ada"]].concat());
    assert!(kicked.status.success(), "{:?}", said(&kicked));
    assert!(matches!(player.recv_end(), End::Closed(4001, _)));
}

#[test]
fn a_certificate_that_is_not_believed_and_a_port_without_tls_are_told_apart_from_a_lost_connection() {
    let server = with_tls(&CertFiles::new(&["localhost", "127.0.0.1"]));
    let stranger = CertFiles::new(&["localhost", "127.0.0.1"]);
    let (backend, cert) = (format!("https://{}", server.backend), stranger.cert.to_str().unwrap().to_owned());
    for args in
        [["stats", "--backend", &backend].as_slice(), &["stats", "--backend", &backend, "--cacert", &cert]]
    {
        let refused = gannet(args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).1.contains("--cacert"), "{:?}", said(&refused));
    }
    let plain = ServerProcess::start(&["--reactors", "1"], "");
    let refused = gannet(&["stats", "--backend", &format!("https://{}", plain.backend)]);
    assert!(said(&refused).1.contains("no TLS with"), "{:?}", said(&refused));
}

#[test]
fn the_line_of_the_banner_works_as_it_is_printed() {
    let files = CertFiles::new(&["localhost", "127.0.0.1"]);
    let server = with_tls(&files);
    let mut player = server.player("");
    until("the banner is whole", || server.said().contains("  try "));
    let banner = server.said();
    let line = banner.lines().find_map(|line| line.strip_prefix("  try       ")).unwrap();
    let curl = Command::new("sh").args(["-c", line]).env("GANNET_KEY", KEY).output().unwrap();
    assert!(said(&curl).0.contains("\"queued\":1"), "{line}: {:?}", said(&curl));
    assert_eq!(player.recv_text(), "hello");
}
