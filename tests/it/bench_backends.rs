//! `gannet bench` against backend ports of every kind that `--backend` names: with TLS, on a Unix socket, with both.

use crate::bench::{TempFile, assert_none, bench, count_of, run};
use crate::listening::{Folder, listen};
use crate::soak::soak;
use crate::support::tls::CertFiles;
use crate::support::*;
use gannet::config::Secret;

const KEY: &str = "0123456789abcdef";
const PUSHED: [&str; 6] =
    ["lost", "doubled", "misordered", "never published", "publishes refused", "lost connections"];

/// A server whose backend port is an address and a Unix socket, and what a load needs to reach either.
struct World {
    server: TestServer,
    files: Option<CertFiles>,
    folder: Folder,
    key: TempFile,
}

impl World {
    fn new(name: &str, has_tls: bool) -> Self {
        let folder = Folder::new(name);
        let files = has_tls.then(|| CertFiles::new(&["localhost", "127.0.0.1"]));
        let server = TestServer::start(|config| {
            config.reactors = Some(2);
            config.backend.listen = listen(&["127.0.0.1:0", &folder.unix("backend")]);
            config.backend.key = Some(Secret::new(KEY));
            if let Some(files) = &files {
                config.tls.backend = true;
                config.tls.backend_cert = Some(files.cert.clone());
                config.tls.backend_key = Some(files.key.clone());
            }
        });
        Self { server, files, folder, key: TempFile::new(&format!("{name}-key"), KEY) }
    }

    /// The arguments that name its backend port: by its address, then by its Unix socket.
    fn backends(&self) -> [String; 2] {
        let places = [self.server.backend.to_string(), self.folder.unix("backend")];
        let key = self.key.path();
        places.map(|place| match &self.files {
            Some(files) => {
                format!("--backend https://{place}/ --cacert {} --key-file {key}", files.cert.display())
            }
            None => format!("--backend {place} --key-file {key}"),
        })
    }

    fn players(&self) -> String {
        format!("ws://{}/ws", self.server.client)
    }
}

#[test]
fn pushes_and_fan_outs_publish_over_tls_and_over_unix_sockets() {
    for (name, has_tls) in [("plain", false), ("secure", true)] {
        let world = World::new(name, has_tls);
        for backend in world.backends() {
            for how in ["", "--via link", "--via link-bin", "--across"] {
                let args = format!("-c 6 -r 100 -d 300ms --warm-up 0 {backend} {how}");
                let pushed = run("push", &world.players(), &args);
                assert_eq!(count_of(&pushed, "publish to read"), 30, "{args}");
                assert_none(&pushed, &PUSHED);
            }
            for via in ["http", "link", "link-bin"] {
                let args = format!("-c 10 -r 20 -d 300ms --warm-up 0 --via {via} {backend}");
                let fanout = run("fanout", &world.players(), &args);
                assert_eq!(count_of(&fanout, "delivery"), 60, "{args}");
                assert_none(&fanout, &["missing deliveries", "doubled deliveries", "publishes refused"]);
            }
        }
    }
}

#[test]
fn a_template_is_published_over_tls_too() {
    let world = World::new("template", true);
    let request =
        format!("POST /v1/push?user=u{{session}}&receipt=none\nAuthorization: Bearer {KEY}\n\n{{payload}}");
    let template = TempFile::new("tls-template", &request);
    let [backend, _] = world.backends();
    let args = format!("-c 6 -r 100 -d 300ms --warm-up 0 {backend} --publish-template {}", template.path());
    let pushed = run("push", &format!("{}?user=u{{session}}", world.players()), &args);
    assert_eq!(count_of(&pushed, "publish to read"), 30);
    assert_none(&pushed, &PUSHED);
}

#[test]
fn a_soak_goes_over_tls_and_over_unix_sockets() {
    for (name, has_tls) in [("plain-soak", false), ("secure-soak", true)] {
        let world = World::new(name, has_tls);
        for backend in world.backends() {
            let (code, _, said) =
                soak(&format!("{} -c 20 -r 300 -d 1s --seed 11 --json - {backend}", world.players()));
            assert_eq!(code, Some(0), "{backend}: {said}");
            assert!(said.ends_with("\n0 lost, 0 doubled, 0 misordered\n"), "{backend}: {said}");
        }
    }
}

/// rustls takes 64 KiB that are not sent; the load keeps more than that under way.
#[test]
fn what_tls_does_not_take_at_once_waits_for_its_turn() {
    let files = CertFiles::new(&["127.0.0.1"]);
    let [cert, key] = [&files.cert, &files.key].map(|path| path.to_str().unwrap());
    let echo = ServerProcess::start(&["--echo", "--reactors", "1", "--tls-cert", cert, "--tls-key", key], "");
    let url = format!("wss://{}/echo", echo.client);
    let echoed = run("echo", &url, &format!("-c 2 -s 200000 --closed -i 4 -d 2s --warm-up 0 --ca {cert}"));
    assert!(count_of(&echoed, "round trip") > 8);
    assert_none(&echoed, &["unanswered", "lost connections", "wrong answers"]);

    let world = World::new("large", true);
    let [backend, _] = world.backends();
    for via in ["http", "link", "link-bin"] {
        let args = format!("-c 4 -s 60000 --closed -i 16 -d 2s --warm-up 0 --via {via} {backend}");
        let pushed = run("push", &world.players(), &args);
        assert!(count_of(&pushed, "publish to read") > 16, "{args}");
        assert_none(&pushed, &PUSHED);
    }
}

#[test]
fn what_is_wrong_with_tls_says_what_to_do() {
    let world = World::new("wrong", true);
    let stranger = CertFiles::new(&["localhost", "127.0.0.1"]);
    let (players, secure) = (world.players(), format!("https://{}", world.server.backend));
    let plain = ServerProcess::start(&["--reactors", "1"], "");
    let [cert, key] = [stranger.cert.to_str().unwrap(), world.key.path()];
    let table: [(&[&str], &str); 5] = [
        (&["--backend", &secure], "with --cacert"),
        (&["--backend", &secure, "--cacert", cert], "with --cacert"),
        (&["--backend", &secure, "--cacert", cert, "--across"], "with --cacert"),
        (
            &["--backend", &format!("https://{}", plain.backend), "--cacert", cert],
            "no TLS with the backend port",
        ),
        (&["--backend", &secure, "--cacert", "/nonexistent"], "/nonexistent"),
    ];
    for (at, says) in table {
        for via in ["http", "link"] {
            let is_across = at.contains(&"--across");
            let how: &[&str] = if is_across { &[] } else { &["--via", via] };
            let load = ["push", &players, "-c", "2", "-d", "10ms", "--key-file", key];
            let output = bench(&[&load[..], at, how].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{at:?}: {said}");
            assert!(said.contains(says), "{at:?}: {said}");
        }
    }
}
