//! Links over TLS.

use super::super::super::fault::FaultKind;
use super::super::super::redis_server::RedisServer;
use super::super::super::resp::Value;
use super::world::{LIMITS, Seen, World};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

/// A certificate for localhost in a folder of its own, which goes with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gannet-rediss-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A Redis with this certificate and its TLS port.
    fn redis(&self) -> (RedisServer, u16) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let (cert, key, port_text) = (self.path("cert.pem"), self.path("key.pem"), port.to_string());
        let tls = ["--tls-port", &port_text, "--tls-cert-file", &cert, "--tls-key-file", &key];
        let rest = ["--tls-auth-clients", "no", "--tls-ca-cert-file", &cert];
        (RedisServer::start(&[&tls[..], &rest].concat()), port)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn messages_of_all_sizes_go_through_tls_and_the_link_comes_back() {
    let files = Files::new("good");
    let (redis, port) = files.redis();
    let mut world = World::new(LIMITS);
    let url = format!("rediss://localhost:{port}?ca={}", files.path("cert.pem"));
    let ((link, first), (other, _)) = (world.up(&url), world.up(&redis.url()));
    world.links[link].subscribe([&b"c"[..]]).unwrap();
    assert_eq!(world.next(link), Seen::Subscribed("c".to_owned()));
    for length in [0, 1, 16 * 1_024, 100_000, LIMITS.max_message_bytes] {
        let payload: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        world.links[link].publish(b"c", &[&payload]).unwrap();
        let received = world.until(link, |seen| match seen {
            Seen::Message(_, received) => Some(received),
            _ => None,
        });
        assert!(received == payload, "{length}");
    }
    let kill = ["CLIENT", "KILL", "ID", &first.client_id.to_string()];
    assert_eq!(world.ask(other, &kill), Value::Int(1));
    assert!(world.until_up(link).is_same);
}

#[test]
fn a_certificate_that_is_not_believed_and_a_port_without_tls_are_faults_of_tls() {
    let (files, strange) = (Files::new("believed"), Files::new("strange"));
    let (redis, port) = files.redis();
    let mut world = World::new(LIMITS);
    let believed = files.path("cert.pem");
    for url in [
        format!("rediss://localhost:{port}?ca={}", strange.path("cert.pem")),
        format!("rediss://localhost:{port}"),
        format!("rediss://127.0.0.1:{port}?ca={believed}"),
        format!("rediss://localhost:{port}?ca={}", files.path("none.pem")),
    ] {
        let link = world.link(&url);
        match world.next(link) {
            Seen::Failed(FaultKind::Tls, _) => {}
            other => panic!("{url}: {other:?}"),
        }
    }
    // Redis takes the handshake for the beginning of a command and waits for its end.
    let link = world.link(&format!("rediss://localhost:{}?ca={believed}", redis.port()));
    world.until_greeting(link);
    world.passed_ms += LIMITS.connect_ms;
    match world.next(link) {
        Seen::Failed(FaultKind::Silent, text) => assert!(text.contains("redis://"), "{text}"),
        other => panic!("{other:?}"),
    }
    let link = world.link(&format!("redis://localhost:{port}"));
    match world.next(link) {
        Seen::Failed(FaultKind::Closed, text) => assert!(text.contains("rediss://"), "{text}"),
        other => panic!("{other:?}"),
    }
}
