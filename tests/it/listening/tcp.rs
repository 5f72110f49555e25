//! Addresses of TCP.

use super::{ips, listen};
use crate::support::*;
use gannet::config::Config;
use gannet::{BindError, Server};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

/// A player at each of `clients` gets what is pushed at each of `backends`.
fn reach(clients: &[SocketAddr], backends: &[SocketAddr]) {
    for (number, client) in clients.iter().enumerate() {
        let mut player = Player::connect(*client, &format!("user=u{number}"));
        for backend in backends {
            let pushed = format!("from {backend}");
            Backend::connect(*backend).push_text(&format!("user=u{number}"), &pushed);
            assert_eq!(player.recv_text(), pushed, "at {client}");
        }
    }
}

#[test]
fn each_port_listens_on_every_address_that_it_has() {
    let server = TestServer::start(|config| {
        config.listen = listen(&["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]);
        config.backend.listen = listen(&["127.0.0.3:0", "[::1]:0"]);
    });
    let [clients, backends] = server.addrs().each_ref().map(|addrs| ips(addrs));
    let hosts =
        |addresses: &[SocketAddr]| addresses.iter().map(|one| one.ip().to_string()).collect::<Vec<_>>();
    assert_eq!(hosts(&clients), ["127.0.0.1", "127.0.0.2", "::1"]);
    assert_eq!(hosts(&backends), ["127.0.0.3", "::1"]);
    assert_eq!((server.client, server.backend), (clients[0], backends[0]), "the first ones");
    reach(&clients, &backends);
}

#[test]
fn a_name_is_every_address_that_it_has_on_one_port() {
    let server = TestServer::start(|config| {
        config.listen = listen(&["localhost:0"]);
        config.backend.listen = listen(&["localhost:0"]);
    });
    let [clients, backends] = server.addrs().each_ref().map(|addrs| ips(addrs));
    for addresses in [&clients, &backends] {
        assert!(
            addresses.contains(&SocketAddr::from(([127, 0, 0, 1], addresses[0].port()))),
            "{addresses:?}"
        );
        assert!(addresses.iter().all(|one| one.ip().is_loopback() && one.port() == addresses[0].port()));
    }
    reach(&clients, &backends);
}

/// A configuration that may listen on every interface.
fn everywhere(clients: &[&str]) -> Config {
    let mut config =
        Config { reactors: Some(2), insecure: true, listen: listen(clients), ..Config::default() };
    config.backend.listen = listen(&["127.0.0.1:0"]);
    config
}

#[test]
fn both_wildcards_stand_beside_each_other_on_one_port() {
    // Free on both families when it is asked for; another process may take it before it is used.
    let server = (0..32).find_map(|_| {
        let probe = Server::bind(everywhere(&["*:0"])).unwrap();
        let [v4, v6] = ips(probe.client_addrs())[..] else { panic!("{probe:?}") };
        assert_eq!((v4.to_string(), v6.port()), (format!("0.0.0.0:{}", v6.port()), v4.port()));
        let port = v4.port();
        drop(probe);
        let config = everywhere(&[&format!("0.0.0.0:{port}"), &format!("[::]:{port}")]);
        match Server::bind(config.clone()) {
            Ok(server) => {
                drop(server);
                Some((TestServer::start(|all| *all = config), port))
            }
            Err(BindError::Listen { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => None,
            Err(error) => panic!("{error}"),
        }
    });
    let (server, port) = server.expect("a port that is free on both families");
    let clients = [SocketAddr::from(([127, 0, 0, 1], port)), format!("[::1]:{port}").parse().unwrap()];
    reach(&clients, &[server.backend]);
}

#[test]
fn an_ipv6_wildcard_takes_no_ipv4_connection() {
    // Another process may have the port for IPv4.
    let is_free = (0..32).any(|_| {
        let server = TestServer::start(|config| *config = everywhere(&["[::]:0"]));
        let port = server.client.port();
        reach(&[format!("[::1]:{port}").parse().unwrap()], &[server.backend]);
        TcpListener::bind(("0.0.0.0", port)).is_ok()
    });
    assert!(is_free, "the server has the port for IPv4 too");
}

#[test]
fn what_cannot_be_bound_is_named_and_nothing_stays_bound() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    // An address that no other test has.
    let free = TcpListener::bind("127.9.8.7:0").unwrap().local_addr().unwrap();
    let mut config = Config { listen: listen(&[&free.to_string()]), ..Config::default() };
    config.backend.listen = listen(&["127.0.0.3:0", &taken.to_string()]);
    let refused = Server::bind(config).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("cannot listen on {taken}: ")), "{refused}");
    assert!(refused.ends_with("is another server running there?"), "{refused}");
    TcpListener::bind(free).expect("what was bound before is free again");
}

#[test]
fn a_name_that_stands_for_nothing_or_for_too_much_is_an_error_that_says_what_to_do() {
    let check = |configure: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        configure(&mut config);
        let checked = Server::check(&config).unwrap_err().to_string();
        assert_eq!(Server::bind(config).unwrap_err().to_string(), checked);
        checked
    };
    let unknown = check(&|config| config.listen = listen(&["no-such-name.invalid:9000"]));
    assert!(
        unknown.starts_with("cannot listen on no-such-name.invalid: the name does not resolve: "),
        "{unknown}"
    );
    assert!(unknown.contains("/etc/hosts"), "{unknown}");
    let twice = check(&|config| config.listen = listen(&["localhost:9000", "127.0.0.1:9000"]));
    assert_eq!(twice, "listen names 127.0.0.1:9000 twice: remove one of them");
    let shared = check(&|config| config.backend.listen = listen(&["localhost:9000"]));
    assert!(shared.starts_with("listen and backend.listen would share 127.0.0.1:9000: "), "{shared}");
    let everywhere = check(&|config| config.listen = listen(&["*:9000"]));
    assert!(everywhere.starts_with("anybody who reaches *:9000 could claim"), "{everywhere}");
}

#[test]
fn the_program_takes_a_flag_for_each_address_and_its_banner_names_all() {
    // The process has `--listen 127.0.0.1:0 --backend 127.0.0.1:0` already.
    let flags = ["--reactors", "1", "--listen", "127.0.0.2:0", "--backend", "[::1]:0"];
    let server = ServerProcess::start(&flags, "listen = 'no-such-name.invalid:1'");
    until("the last line of the banner", || server.said().contains("  try "));
    let said = server.said();
    let addresses = |label: &str, scheme: &str| {
        let lines = said.lines().filter(|line| line.trim_start().starts_with(label));
        let address =
            |line: &str| line.split_once(scheme).unwrap().1.trim_end_matches("/ws").parse::<SocketAddr>();
        lines.map(|line| address(line).unwrap()).collect::<Vec<_>>()
    };
    let (clients, backends) = (addresses("clients", "ws://"), addresses("backend", "http://"));
    assert_eq!((clients.len(), backends.len()), (2, 2), "{said}");
    assert_eq!(
        (clients[1].ip().to_string(), backends[1].ip().to_string()),
        ("127.0.0.2".into(), "::1".into())
    );
    reach(&clients, &backends);
    let bad =
        Command::new(env!("CARGO_BIN_EXE_gannet")).args(["serve", "--listen", "::1:9000"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("write it as [::1]:9000"), "{bad:?}");
}
