//! `gannet health`, on both ports and in every state of a server.

use super::{gannet, said};
use crate::support::tls::CertFiles;
use crate::support::*;
use std::net::TcpListener;

const KEY: &str = "0123456789abcdef";

fn health(args: &[&str]) -> (i32, String, String) {
    said(&gannet(&[&["health"], args].concat()))
}

#[test]
fn the_exit_code_says_whether_a_server_takes_players() {
    let server = ServerProcess::start(&["--reactors", "1"], &format!("[backend]\nkey = '{KEY}'\n"));
    let (client, backend) = (server.client.to_string(), server.backend.to_string());
    let ready = (0, "ready\n".to_owned(), String::new());
    for url in [backend.clone(), format!("http://{backend}"), format!("ws://{client}/ws?user=ada")] {
        assert_eq!(health(&[&url]), ready, "{url}");
    }
    assert_eq!(health(&[&backend, "--json"]), (0, "{\"ready\":true}\n".to_owned(), String::new()));

    let key = ("GANNET_KEY", KEY);
    let mut drain = std::process::Command::new(env!("CARGO_BIN_EXE_gannet"));
    drain.args(["drain", "--over", "10m", "--backend", &backend]).env(key.0, key.1);
    assert!(drain.output().unwrap().status.success());
    let (code, out, error) = health(&[&backend]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(error, "gannet: the server is not ready: draining\n");
    let (code, out, _) = health(&[&client, "--json"]);
    assert_eq!((code, out.as_str()), (1, "{\"ready\":false,\"why\":\"draining\"}\n"));
    assert_eq!(health(&[&backend, "--alive"]), (0, "alive\n".to_owned(), String::new()));
}

#[test]
fn over_tls_and_unix_sockets() {
    let files = CertFiles::new(&["localhost"]);
    let folder = std::env::temp_dir().join(format!("gannet-health-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = format!("unix:{}/backend.sock", folder.display());
    let config = format!(
        "listen = '127.0.0.1:0'\n[tls]\ncert = '{}'\nkey = '{}'\n",
        files.cert.display(),
        files.key.display()
    );
    let server = ServerProcess::start(&["--reactors", "1", "--backend", &socket], &config);
    let client = format!("wss://{}", server.client);
    assert_eq!(health(&[&socket]).0, 0);
    assert_eq!(health(&[&client, "--insecure-tls"]).0, 0);
    // The certificate is for another name.
    let (code, _, error) = health(&[&client, "--cacert", files.cert.to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    let named = client.replace("127.0.0.1", "localhost");
    assert_eq!(health(&[&named, "--cacert", files.cert.to_str().unwrap()]).0, 0);
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_answer_has_a_code_of_its_own() {
    let closed = ClosedPort::new();
    let (code, _, error) = health(&[&closed.address().to_string()]);
    assert_eq!(code, 3);
    assert!(error.starts_with("gannet: cannot reach 127.0.0.1:"), "{error}");

    // It takes connections, and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, _, error) = health(&[&silent.local_addr().unwrap().to_string(), "--timeout", "50ms"]);
    assert_eq!((code, error.contains("within 50ms")), (3, true), "{error}");

    let folder = std::env::temp_dir();
    let (code, _, _) = health(&[&format!("unix:{}/gannet-nothing-here", folder.display())]);
    assert_eq!(code, 3);
    assert_eq!(health(&["--timeout", "0"]).0, 2);
}
