//! Unix sockets: players and backends over them, their files, and what counts for a client that has no address.

use super::{Folder, listen};
use crate::support::tls::{CertFiles, client_config, over_any};
use crate::support::*;
use gannet::config::{Config, Endpoint};
use gannet::{BindError, Server};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

const KEY: &str = "0123456789abcdef";

/// A stream to the socket at `path` that does not wait for ever.
fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn player(path: &Path, query: &str) -> Player<UnixStream> {
    Player::on(connect(path), &format!("/ws?{query}")).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

/// A server with a Unix socket for each port, `players` and `backend` in `folder`, and an address for backends beside it.
fn server(folder: &Folder, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.listen = listen(&[&folder.unix("players")]);
        config.backend.listen = listen(&[&folder.unix("backend"), "127.0.0.1:0"]);
        configure(config);
    })
}

fn remote_of(server: &TestServer, user: &str) -> Value {
    server.backend().ok("GET", &format!("/v1/sessions?user={user}"))["sessions"][0]["remote"].take()
}

#[test]
fn players_and_backends_come_over_unix_sockets_and_have_no_address() {
    let folder = Folder::new("come");
    let server = server(&folder, |_| {});
    assert_eq!(server.addrs()[0], [Endpoint::Unix(folder.path("players"))]);
    assert_eq!(server.client.to_string(), "0.0.0.0:0", "there is no address of the client port");
    let (mut link, mut binary) = (server.link(), server.binary_link());
    for link in [&mut link, &mut binary] {
        link.listen(&["open", "message", "close"], None);
    }
    let mut ada = player(&folder.path("players"), "user=ada");
    for link in [&mut link, &mut binary] {
        let opened = link.event();
        assert_eq!((&opened["event"], &opened["remote"]), (&"open".into(), &"unix:".into()), "{opened}");
    }
    assert_eq!(remote_of(&server, "ada"), "unix:");
    let mut backend = Backend::on(connect(&folder.path("backend")));
    assert_eq!(backend.push_text("user=ada", "over a Unix socket").queued, 1);
    assert_eq!(ada.recv_text(), "over a Unix socket");
    ada.send_text("and back");
    assert_eq!(link.event()["text"], "and back");
    drop(ada);
    // A peer that is gone is seen to be.
    assert_eq!(link.event()["event"], "close");
}

#[test]
fn what_a_player_does_not_read_at_once_waits_and_comes_in_order() {
    let folder = Folder::new("wait");
    let _server = server(&folder, |_| {});
    let mut ada = player(&folder.path("players"), "user=ada");
    let mut backend = Backend::on(connect(&folder.path("backend")));
    // More than the kernel holds of a Unix socket, and less than an outbox does.
    let messages = (0..150).map(|number| format!("{number} {}", "x".repeat(6_000)));
    for message in messages.clone() {
        assert_eq!(backend.push_text("user=ada", &message).queued, 1);
    }

    for message in messages {
        assert!(ada.recv_text() == message);
    }
}

#[test]
fn tls_is_spoken_over_a_unix_socket_as_over_tcp() {
    let (folder, files) = (Folder::new("tls"), CertFiles::new(&["localhost"]));
    let server = server(&folder, |config| {
        (config.tls.cert, config.tls.key) = (Some(files.cert.clone()), Some(files.key.clone()));
    });
    let stream =
        over_any(connect(&folder.path("players")), &client_config(&[&rustls::version::TLS13]), "localhost");
    let mut ada = Player::on(stream, "/ws?user=ada").unwrap();
    server.backend().push_text("user=ada", "inside TLS");
    assert_eq!(ada.recv_text(), "inside TLS");
    assert_eq!(ada.stream().conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn a_socket_has_the_mode_of_the_configuration_whatever_the_umask() {
    let folder = Folder::new("mode");
    let mode = |name: &str| fs::symlink_metadata(folder.path(name)).unwrap().permissions().mode() & 0o7777;
    let by_default = server(&folder, |_| {});
    assert_eq!((mode("players"), mode("backend")), (0o660, 0o660));
    drop(by_default);
    let _server = server(&folder, |config| {
        (config.unix_mode, config.backend.unix_mode) = ("666".parse().unwrap(), "600".parse().unwrap());
    });
    assert_eq!((mode("players"), mode("backend")), (0o666, 0o600));
}

#[test]
fn a_file_that_was_left_behind_is_replaced_and_the_servers_own_goes_with_it() {
    let folder = Folder::new("left");
    let path = folder.path("players");
    drop(UnixListener::bind(&path).unwrap());
    let first = server(&folder, |_| {});
    player(&path, "user=ada").close(1000, "");
    first.stop();
    assert!(!path.exists() && !folder.path("backend").exists());

    // What has taken its place meanwhile is not the server's.
    let second = server(&folder, |_| {});
    fs::rename(&path, folder.path("moved")).unwrap();
    fs::write(&path, "another's").unwrap();
    second.stop();
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
}

/// Why a server with the sockets of [`server`] does not start; nothing of it stays.
fn refusal(folder: &Folder) -> String {
    let mut config =
        Config { listen: listen(&[&folder.unix("first"), &folder.unix("players")]), ..Config::default() };
    config.backend.listen = listen(&["127.0.0.1:0"]);
    let refused = Server::bind(config).unwrap_err();
    assert!(matches!(refused, BindError::Listen { .. }), "{refused:?}");
    assert!(!folder.path("first").exists(), "what was bound before is gone again");
    let refused = refused.to_string();
    let at = format!("cannot listen on {}: ", folder.unix("players"));
    refused.strip_prefix(&at).unwrap_or_else(|| panic!("{refused}")).to_owned()
}

#[test]
fn a_socket_on_which_a_server_listens_is_not_taken_from_it() {
    let folder = Folder::new("live");
    let live = UnixListener::bind(folder.path("players")).unwrap();
    assert!(refusal(&folder).ends_with("is another server running there?"));
    let (_here, there) = (UnixStream::connect(folder.path("players")).unwrap(), live.accept().unwrap());
    drop(there);
    // One of gannet's own.
    fs::remove_file(folder.path("players")).unwrap();
    let running = server(&folder, |_| {});
    assert!(refusal(&folder).ends_with("is another server running there?"));
    let mut ada = player(&folder.path("players"), "user=ada");
    running.backend().push_text("user=ada", "still here");
    assert_eq!(ada.recv_text(), "still here");
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = Folder::new("foreign");
    let path = folder.path("players");
    let check = |what: &str| {
        let refused = refusal(&folder);
        assert!(
            refused.contains("no socket") && refused.ends_with("choose another path"),
            "{what}: {refused}"
        );
        let config = Config { listen: listen(&[&folder.unix("players")]), ..Config::default() };
        assert!(Server::check(&config).unwrap_err().to_string().contains("no socket"), "{what}");
    };
    fs::write(&path, "dear").unwrap();
    check("a file");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check("a folder");
    fs::remove_dir(&path).unwrap();
    let elsewhere = folder.path("elsewhere");
    drop(UnixListener::bind(&elsewhere).unwrap());
    symlink(&elsewhere, &path).unwrap();
    check("a link to a socket");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&elsewhere).unwrap().file_type().is_socket());
    fs::remove_file(&path).unwrap();
    let config =
        Config { listen: listen(&[&format!("{}/no/folder", folder.unix("missing"))]), ..Config::default() };
    for refused in [Server::check(&config), Server::bind(config).map(drop)] {
        assert!(refused.unwrap_err().to_string().ends_with("make its folder first"));
    }
}

#[test]
fn a_path_may_be_as_long_as_the_kernel_takes_and_no_longer() {
    let folder = Folder::new("long");
    let room = Config::MAX_SOCKET_PATH_BYTES - folder.path("").as_os_str().len();
    let (longest, longer) = ("p".repeat(room), "p".repeat(room + 1));
    let server = TestServer::start(|config| config.listen = listen(&[&folder.unix(&longest)]));
    player(&folder.path(&longest), "user=ada").close(1000, "");
    drop(server);
    let config = Config { listen: listen(&[&folder.unix(&longer)]), ..Config::default() };
    let refused = config.validate().unwrap_err().to_string();
    assert!(
        refused.starts_with("listen names a Unix socket whose path has more than 107 bytes"),
        "{refused}"
    );
}

/// Asks for an upgrade over the socket at `path`, after `before`: the stream, and the status.
fn ask(path: &Path, before: &str, user: &str, field: &str) -> (UnixStream, String) {
    let mut stream = connect(path);
    let head = format!(
        "{before}GET /ws?user={user} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{field}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    match stream.read_exact(&mut status) {
        Ok(()) => (stream, String::from_utf8_lossy(&status[9..]).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => (stream, "closed".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (stream, "closed".to_owned()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_proxy_behind_a_unix_socket_says_where_players_are_where_it_is_believed() {
    let folder = Folder::new("proxy");
    let path = folder.path("players");
    let header = "PROXY TCP4 203.0.113.7 127.0.0.1 40000 9000\r\n";
    let field = "X-Forwarded-For: 198.51.100.1, 203.0.113.8\r\n";

    let deaf = server(&folder, |_| {});
    let (stream, status) = ask(&path, "", "ada", field);
    assert_eq!((status.as_str(), remote_of(&deaf, "ada")), ("101", "unix:".into()));
    assert_eq!(ask(&path, header, "bob", "").1, "400", "nobody asked for a header");
    drop((stream, deaf));

    let forwarded = server(&folder, |config| {
        config.proxy.forwarded_from = vec!["unix:".parse().unwrap()];
        config.limits.sessions_per_address = 1;
    });
    let (stream, status) = ask(&path, "", "ada", field);
    assert_eq!((status.as_str(), remote_of(&forwarded, "ada")), ("101", "203.0.113.8:0".into()));
    assert_eq!(ask(&path, "", "bob", field).1, "429", "the player's address counts");
    drop((stream, forwarded));

    let headed = server(&folder, |config| config.proxy.protocol_from = vec!["unix:".parse().unwrap()]);
    for (user, header, remote) in
        [("ada", header, "203.0.113.7:40000"), ("bob", "PROXY UNKNOWN\r\n", "unix:")]
    {
        let (_stream, status) = ask(&path, header, user, "");
        assert_eq!((status.as_str(), remote_of(&headed, user)), ("101", remote.into()));
    }
    assert_eq!(ask(&path, "", "eve", "").1, "closed", "there has to be a header");
}

#[test]
fn bounds_by_address_hold_nobody_off_a_unix_socket() {
    let folder = Folder::new("bounds");
    let _server = server(&folder, |config| {
        (config.limits.connections_per_address, config.limits.sessions_per_address) = (1, 1);
        config.limits.backend_strangers_per_address = 1;
        config.backend.allow = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
    });
    let mut players = [1, 2, 3].map(|number| player(&folder.path("players"), &format!("user=u{number}")));
    let _silent = [(); 3].map(|()| connect(&folder.path("backend")));
    let mut backend = Backend::on(connect(&folder.path("backend")));
    backend.push_text("all=1", "to all");
    for player in &mut players {
        assert_eq!(player.recv_text(), "to all");
    }
}

fn gannet(args: &[&str], key: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gannet")).args(args).env("GANNET_KEY", key).output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_and_the_line_of_the_banner_reach_a_backend_port_that_is_only_a_unix_socket() {
    let folder = Folder::new("cli");
    // Relative paths start at the folder of the configuration.
    let text = format!("listen = 'unix:players'\n[backend]\nlisten = 'unix:backend'\nkey = '{KEY}'\n");
    let config = folder.path("gannet.toml");
    fs::write(&config, text).unwrap();
    let server = ServerProcess::start_at(&["--config", config.to_str().unwrap(), "--reactors", "1"]);
    let mut ada = player(&folder.path("players"), "user=ada");
    let told = server.said();
    assert!(told.contains(&format!("over {}\n", folder.unix("players"))), "{told}");
    let (_, line) = told.split_once("try       ").unwrap();
    let curl = Command::new("sh").args(["-c", line]).env("GANNET_KEY", KEY).output().unwrap();
    assert!(said(&curl).0.contains("\"queued\":1"), "{line}: {:?}", said(&curl));
    assert_eq!(ada.recv_text(), "hello");

    let backend = folder.unix("backend");
    let at = ["--backend", &backend];
    let pushed = gannet(&[&["push"], at.as_slice(), &["--user", "ada", "by path"]].concat(), KEY);
    assert!(said(&pushed).0.contains("\"queued\":1"), "{:?}", said(&pushed));
    assert_eq!(ada.recv_text(), "by path");
    for args in [["stats"].as_slice(), &["drain", "--status"]] {
        let done = gannet(&[args, at.as_slice()].concat(), KEY);
        assert!(done.status.success(), "{:?}", said(&done));
    }
    let kicked = gannet(&[&["kick"], at.as_slice(), &["--user", "ada"]].concat(), KEY);
    assert!(kicked.status.success(), "{:?}", said(&kicked));
    assert!(matches!(ada.recv_end(), End::Closed(4001, _)));
    assert!(!gannet(&[&["stats"], at.as_slice()].concat(), "another-key-of-16").status.success());
    until("the audit trail", || server.said().contains("key=- remote=unix: op=refused why=wrong"));
    assert!(server.said().contains("key=\"backend.key\" remote=unix: op=kick"));

    let missing = gannet(&["stats", "--backend", &folder.unix("nobody")], KEY);
    assert!(said(&missing).1.starts_with(&format!("gannet: cannot reach {}: ", folder.unix("nobody"))));

    // Killed, it leaves its files, which the next one replaces; stopped, it takes them with it.
    server.signal(Signal::KILL);
    server.wait();
    assert!(folder.path("players").exists());
    let server = ServerProcess::start_at(&["--config", config.to_str().unwrap(), "--reactors", "1"]);
    player(&folder.path("players"), "user=ada").close(1000, "");
    server.signal(Signal::TERM);
    assert!(server.wait().0.success());
    assert!(!folder.path("players").exists() && !folder.path("backend").exists());
}
