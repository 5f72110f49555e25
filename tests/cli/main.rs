//! The `gannet` program from the outside: arguments in, text and exit codes out. Nothing here needs a server but a socket
//! that answers what a table says.
#![cfg(feature = "cli")]

mod made;
mod requests;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use gannet::config::Config;
use gannet::http::{BodyReader, HeadLimits, HeadScanner, Request, Response};

fn gannet(args: &[&str]) -> Output {
    command(args).output().expect("the program was built for this test")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(args).env_remove("GANNET_KEY").env_remove("GANNET_SECRET").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A file of its own for this test, gone with the value.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-cli-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What one request said: request line, `Authorization`, `Content-Type`, body.
type Asked = (String, Option<String>, Option<String>, Vec<u8>);

/// Answers one request with `response`.
fn answer_once(response: Response) -> (String, thread::JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let limits = HeadLimits::default();
        let (mut scanner, mut buf) = (HeadScanner::default(), Vec::new());
        let mut more = |buf: &mut Vec<u8>| {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the request is cut off");
            buf.extend_from_slice(&piece[..count]);
        };
        let head_len = loop {
            match scanner.scan(&buf, &limits).unwrap() {
                Some(length) => break length,
                None => more(&mut buf),
            }
        };
        let head = buf[..head_len].to_vec();
        let request = Request::parse(&head, &limits).unwrap();
        let (mut reader, mut body) = (BodyReader::new(request.body(), 1 << 20).unwrap(), Vec::new());
        buf.drain(..head_len);
        while !reader.read(&buf, &mut body).unwrap().1 {
            buf.clear();
            more(&mut buf);
        }
        let header = |name| request.header(name).map(|value| text(value).to_owned());
        let asked = (
            format!("{} {}", request.method, request.target),
            header("authorization"),
            header("content-type"),
            body,
        );
        let mut out = Vec::new();
        response.write(false, false, None, &mut out);
        stream.write_all(&out).unwrap();
        asked
    });
    (address, server)
}

#[test]
fn config_check_finds_in_certificates_what_a_start_would() {
    let pair = |configure: fn(&mut rcgen::CertificateParams)| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        configure(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((cert, key), (_, foreign)) = (pair(|_| {}), pair(|_| {}));
    let (expired, its_key) = pair(|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let nothing = String::new();
    let table = [
        (&cert, &foreign, "is not that of the certificate"),
        (&expired, &its_key, "expired"),
        (&nothing, &key, "certificate"),
        (&cert, &nothing, "key"),
    ];
    for (number, (cert, key, message)) in table.into_iter().enumerate() {
        let cert = TempFile::new(&format!("tls-{number}.cert.pem"), cert);
        let key = TempFile::new(&format!("tls-{number}.key.pem"), key);
        let tables = [
            format!("[tls]\ncert = {:?}\nkey = {:?}\n", cert.path(), key.path()),
            format!(
                "[tls]\nbackend = true\nbackend_cert = {:?}\nbackend_key = {:?}\n",
                cert.path(),
                key.path()
            ),
        ];
        for table in tables {
            let file = TempFile::new(&format!("tls-{number}.toml"), &table);
            let said = [["config", "check", file.path()].as_slice(), &["serve", "--config", file.path()]]
                .map(|args| {
                    let refused = gannet(args);
                    assert_eq!(refused.status.code(), Some(1), "{args:?}");
                    text(&refused.stderr).to_owned()
                });
            assert!(said[0].contains(message) && said[0] == said[1], "{said:?}");
        }
    }
}

#[test]
fn the_default_configuration_passes_its_own_check() {
    let default = gannet(&["config", "default"]);
    assert_eq!(default.status.code(), Some(0));
    assert_eq!(Config::from_toml(text(&default.stdout)).unwrap(), Config::default());

    let file = TempFile::new("default.toml", text(&default.stdout));
    let check = gannet(&["config", "check", file.path()]);
    assert_eq!(check.status.code(), Some(0));
    assert_eq!(text(&check.stdout), format!("{}: ok\n", file.path()));
}

#[test]
fn the_schema_that_is_printed_takes_the_default_configuration_and_refuses_what_check_refuses() {
    let printed = gannet(&["config", "schema"]);
    assert_eq!(printed.status.code(), Some(0));
    let schema = jsonschema::draft202012::new(&serde_json::from_slice(&printed.stdout).unwrap()).unwrap();
    let is_valid =
        |text: &str| schema.is_valid(&serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap());
    assert!(is_valid(text(&gannet(&["config", "default"]).stdout)));
    for (number, (content, valid)) in [
        ("limits.max_page = 1", true),
        ("timeouts.ping_ms = '1m30s'\ntimeouts.idle_ms = '2m'", true),
        ("limits.max_pages = 1", false),
        ("limits.max_page = '1'", false),
        ("limits.max_page = 0", false),
        ("timeouts.ping_ms = '90'", false),
    ]
    .into_iter()
    .enumerate()
    {
        let file = TempFile::new(&format!("schema-{number}.toml"), content);
        let checked = gannet(&["config", "check", file.path()]);
        assert_eq!((is_valid(content), checked.status.success()), (valid, valid), "{content}");
    }
}

#[test]
fn a_bad_configuration_says_what_to_change() {
    let table = [
        (
            "[limits]\noutbox_byte = 1",
            r#"unknown key "limits.outbox_byte" (line 2): did you mean "limits.outbox_bytes"?"#,
        ),
        ("reactors = 0", "reactors = 0 is out of range: choose 1 to 128"),
        ("listen = '0.0.0.0:9000'", "could claim to be any user"),
        ("[backend]\nlisten = '0.0.0.0:9001'", "set backend.key, backend.key_file or backend.keys"),
        ("[backend]\nkey_file = '/nonexistent/key'", "cannot read backend.key_file /nonexistent/key"),
        ("reactors =", "not TOML (line 1)"),
        ("[tls]\ncert = '/nonexistent/cert.pem'\nkey = '/nonexistent/key.pem'", "/nonexistent/cert.pem"),
        ("[log]\nfile = '/nonexistent/gannet.log'", "cannot open the log file /nonexistent/gannet.log"),
    ];
    for (number, (content, message)) in table.iter().enumerate() {
        let file = TempFile::new(&format!("bad-{number}.toml"), content);
        for args in [["config", "check", file.path()].as_slice(), &["serve", "--config", file.path()]] {
            let refused = gannet(args);
            assert_eq!(refused.status.code(), Some(1), "{args:?}");
            let said = text(&refused.stderr);
            assert!(said.starts_with("gannet: ") && said.contains(message), "{said}");
            assert!(refused.stdout.is_empty());
        }
    }
    let missing = gannet(&["config", "check", "/nonexistent/gannet.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read the configuration file /nonexistent/gannet.toml"));
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        [].as_slice(),
        &["sing"],
        &["serve", "--reactors", "0"],
        &["serve", "--log", "loud"],
        &["serve", "--listen", "localhost"],
        &["config"],
        &["config", "check", "one.toml", "two.toml"],
        &["push", "hello"],
        &["push", "--all"],
        &["push", "--session", "17", "hello"],
        &["push", "--all", "--class", "rude", "hello"],
        &["push", "--all-of", "red", "hello"],
        &["push", "--all-of", "session:17", "hello"],
        &["push", "--all", "--except", "17", "hello"],
        &["push", "--all", "--binary", "--json", "{}"],
        &["ban"],
        &["ban", "--user", "ada", "--address", "192.0.2.1"],
        &["ban", "--user", "ada", "--for", "long"],
        &["unban"],
        &["set-groups", "red"],
        &["set-tags", "--user", "ada", "--session", "0000000000000001"],
        &["list", "--user", "ada", "--group", "red"],
        &["count", "--tag", "ios", "--group", "red"],
        &["apps", "--app", "chess"],
        &["push", "--all", "--ttl", "soon", "hello"],
        &["push", "--all", "--ttl", "1s", "--ttl-ms", "1000", "hello"],
        &["completions", "tcsh"],
        &["man"],
        &["kick"],
        &["kick", "--user", "ada", "--session", "0000000000000001"],
        &["kick", "--user", "ada", "--code", "70000"],
        &["drain", "--over", "soon"],
        &["drain", "--off", "--over", "10s"],
        &["drain", "--off", "--status"],
        &["token"],
        &["token", "mint"],
        &["token", "mint", "--user", ""],
        &["token", "mint", "--user", "ada", "--ttl", "soon"],
        &["token", "mint", "--user", "ada", "--ttl", "1h", "--signed-query"],
        &["token", "mint", "--user", "ada", "--group", "g", "--signed-query"],
        &["token", "check"],
    ] {
        let refused = gannet(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{args:?}");
    }
    for args in [["--help"], ["--version"]] {
        let answered = gannet(&args);
        assert_eq!(answered.status.code(), Some(0));
        assert!(!answered.stdout.is_empty());
    }
}

#[test]
fn nobody_listens() {
    // Bound, so that nobody else can listen there meanwhile.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap().to_string();
    for args in [["stats"].as_slice(), &["push", "--all", "x"], &["kick", "--user", "ada"]] {
        let failed = gannet(&[args, &["--backend", &address]].concat());
        assert_eq!(failed.status.code(), Some(1));
        let start = format!("gannet: cannot reach {address}: is the server running");
        assert!(text(&failed.stderr).starts_with(&start), "{}", text(&failed.stderr));
    }
}

#[test]
fn no_command_takes_a_key_from_its_command_line() {
    for command in [
        ["stats"].as_slice(),
        &["push", "--all", "hi"],
        &["kick", "--user", "ada"],
        &["serve"],
        &["bench", "push", "ws://127.0.0.1:1/ws"],
        &["bench", "fanout", "ws://127.0.0.1:1/ws"],
        &["bench", "soak", "ws://127.0.0.1:1/ws", "--backend", "127.0.0.1:1"],
    ] {
        for key in [["--key", "hunter2-hunter2"].as_slice(), &["--key=hunter2-hunter2"], &["--key"]] {
            let refused = gannet(&[command, key].concat());
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{command:?}: {said}");
            assert!(said.contains("set GANNET_KEY") && said.contains("--key-file"), "{command:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        let help = gannet(&[command, &["--help"]].concat());
        assert!(!text(&help.stdout).contains("--key "), "{}", text(&help.stdout));
    }
    let missing = gannet(&["stats", "--key-file", "/nonexistent/key"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read the key file /nonexistent/key"));
}

#[test]
fn a_key_comes_from_a_file_standard_input_or_the_environment() {
    for (args, input, variable, shown) in [
        (["--key-file", "-"].as_slice(), "from-stdin\n", Some("from-env"), "Bearer from-stdin"),
        (&[], "", Some("from-env"), "Bearer from-env"),
    ] {
        let (address, server) = answer_once(Response::json(200, "{}"));
        let mut command = command(&[&["stats", "--backend", &address], args].concat());
        variable.map(|key| command.env("GANNET_KEY", key));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(server.join().unwrap().1.as_deref(), Some(shown));
    }
}

#[test]
fn a_key_is_never_shown() {
    for args in [["stats", "--help"].as_slice(), &["stats", "--sing"], &["stats", "--backend", "127.0.0.1:1"]]
    {
        let output = command(args).env("GANNET_KEY", "hunter2").output().unwrap();
        assert!(!text(&output.stdout).contains("hunter2") && !text(&output.stderr).contains("hunter2"));
    }
}

#[test]
fn a_token_that_proves_nothing_says_why() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let token = |args: &[&str], secret: &str| {
        let output = command(&[&["token"], args].concat()).env("GANNET_SECRET", secret).output().unwrap();
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        assert!(!said.contains("0123456789abcdef"), "{said}");
        (output.status.code(), said.trim().to_owned())
    };
    let minted = |args: &[&str]| {
        let (code, token) = token(&[&["mint", "--user", "ada"], args].concat(), SECRET);
        assert_eq!(code, Some(0), "{token}");
        token
    };
    let (good, query) = (minted(&[]), minted(&["--signed-query"]));
    let other_nonce = query.replace("&nonce=", "&nonce=f");
    for (proof, app, secret, says) in [
        (
            good.as_str(),
            "default",
            "fedcba9876543210fedcba9876543210",
            "refused: no key of the app made this signature",
        ),
        (&good, "chess", SECRET, "refused: it was made for another app"),
        (&minted(&["--ttl", "0s"]), "default", SECRET, "\"expires_in_s\": "),
        (&good[1..], "default", SECRET, "refused: "),
        ("eyJhbGciOiJub25lIn0.e30.", "default", SECRET, "refused: the token is not signed with HS256"),
        ("nonsense", "default", SECRET, "refused: it is no token: three parts of base64url"),
        (&query, "default", SECRET, "\"expires_in_s\": null"),
        (&format!("wss://game.example/ws?{query}"), "default", SECRET, "\"user\": \"ada\""),
        (&format!("wss://game.example/ws?token={good}"), "default", SECRET, "\"user\": \"ada\""),
        (&query, "chess", SECRET, "refused: it was made for another app"),
        (&other_nonce, "default", SECRET, "refused: no key of the app made this signature"),
        (
            "app=default&user=ada&signature=00",
            "default",
            SECRET,
            "refused: no key of the app made this signature",
        ),
        (&good, "default", "short", "gannet: secret 1 of [apps.default] is too short"),
        (&good, "default", " ", "gannet: there is no secret: name a file"),
    ] {
        let (code, said) = token(&["check", proof, "--app", app], secret);
        assert!(said.contains(says), "{proof}: {said}");
        assert_eq!(
            code,
            Some(i32::from(says.starts_with("refused") || says.starts_with("gannet"))),
            "{said}"
        );
    }
    let unread = gannet(&["token", "check", &good, "--secret-file", "/nonexistent/secrets"]);
    assert_eq!(unread.status.code(), Some(1));
    assert!(text(&unread.stderr).contains("cannot read the secret file /nonexistent/secrets"));
    assert!(text(&gannet(&["token", "check", &good]).stderr).contains("GANNET_SECRET"));
}

#[test]
fn a_self_signed_certificate_is_made_once_and_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = std::env::temp_dir().join(format!("gannet-cert-{}", std::process::id()));
    let out = directory.to_str().unwrap();
    let made = gannet(&["cert", "self-signed", "--name", "game.example", "--out", out]);
    assert!(made.status.success(), "{made:?}");
    assert!(text(&made.stdout).contains("gannet serve --tls-cert"), "{made:?}");
    let key = fs::metadata(directory.join("key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let first = fs::read(directory.join("cert.pem")).unwrap();
    let again = gannet(&["cert", "self-signed", "--out", out]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"), "{again:?}");
    assert_eq!(fs::read(directory.join("cert.pem")).unwrap(), first);
    assert!(gannet(&["cert", "self-signed", "--out", out, "--force"]).status.success());
    assert_ne!(fs::read(directory.join("cert.pem")).unwrap(), first);
    let bad = gannet(&["cert", "self-signed", "--name", "https://game.example", "--out", out, "--force"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("is no host name"), "{bad:?}");
    fs::remove_dir_all(&directory).unwrap();
}
