//! `/metrics` of the real program: every family stands in the documents and no other does, what is counted by app, what is
//! shown of the process, the bounds and the certificates.

use crate::raw::{Raw, request, upgrade};
use crate::support::tls::{CertFiles, connect};
use crate::support::*;
use rcgen::date_time_ymd;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// What may name a metric.
const DOCUMENTS: [&str; 11] = [
    OPERATIONS,
    include_str!("../../README.md"),
    include_str!("../../contrib/prometheus/alerts.yml"),
    include_str!("../../docs/architecture.md"),
    include_str!("../../docs/cluster.md"),
    include_str!("../../docs/configuration.md"),
    include_str!("../../docs/delivery.md"),
    include_str!("../../docs/http-api.md"),
    include_str!("../../docs/protocol.md"),
    include_str!("../../docs/security.md"),
    include_str!("../../docs/tuning.md"),
];

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    // `gannet_app_` of `gannet_app_…` is no name, and `gannet_0` of `gannet_0.2.0_amd64.deb` is that of a package.
    let is_name = |word: &&str| {
        let rest = word.strip_prefix("gannet_").or(word.strip_prefix("process_"));
        rest.is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_lowercase()) && !word.ends_with('_')
        })
    };
    words.filter(is_name).map(|word| word.strip_suffix("_bucket").unwrap_or(word)).collect()
}

#[test]
fn every_family_stands_in_the_documents_and_every_name_there_is_a_family() {
    let server = TestServer::start(|config| {
        config.reactors = Some(1);
        // Port 1 has no Redis: that one is named is what shows.
        config.cluster.redis = vec!["redis://127.0.0.1:1".parse().unwrap()];
    });
    let scrape = server.backend().scrape();
    let families: BTreeSet<&str> = scrape.families().collect();
    let (_, table) = OPERATIONS.split_once("\n## Metrics\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows: String = table.lines().filter(|line| line.starts_with("| `")).collect();
    let listed = named(&rows);
    assert_eq!(
        families.difference(&listed).copied().collect::<Vec<_>>(),
        [""; 0],
        "not in docs/operations.md"
    );
    for document in DOCUMENTS {
        let unknown: Vec<_> = named(document).difference(&families).copied().collect();
        assert_eq!(unknown, [""; 0], "there is no such metric");
    }
}

const APPS: &str = "apps.default.per_user.max = 1\napps.chess.max_sessions = 7\n";

#[test]
fn what_an_app_does_is_counted_for_it_alone() {
    let odd = "[apps.'a\"b\\c']\n";
    let server = ServerProcess::start(&["--reactors", "2"], &format!("{APPS}{odd}"));
    let mut players: Vec<Player> =
        (0..3).map(|number| server.try_player(&format!("/ws/chess?user=u{number}")).ok().unwrap()).collect();
    let _default = server.player("user=ada");
    assert!(server.try_player("/ws?user=ada").is_err(), "one session a user");
    let mut backend = server.backend();
    players[0].send_text("one");
    players[0].send_text("two");
    let pushed = backend.push_text("all=1&app=chess", "hello");
    assert_eq!(pushed.queued, 3);
    drop(players.pop());

    let figures = |backend: &mut Backend, app: &str| {
        let scrape = backend.scrape();
        [
            "sessions",
            "opened_total",
            "closed_total",
            "refused_total",
            "messages_in_total",
            "pushes_total",
            "deliveries_total",
        ]
        .map(|figure| scrape.sample(&format!("gannet_app_{figure}{{app=\"{app}\"}}")).unwrap() as u64)
    };
    until("all of it is counted", || figures(&mut backend, "chess") == [2, 3, 1, 0, 2, 1, 3]);
    assert_eq!(figures(&mut backend, "default"), [1, 1, 0, 1, 0, 0, 0]);
    assert_eq!(figures(&mut backend, r#"a\"b\\c"#), [0; 7]);
    // The families without an app have all of them.
    let scrape = backend.scrape();
    for (family, sum) in
        [("opened_total", 4), ("closed_total", 1), ("messages_in_total", 2), ("pushes_total", 1)]
    {
        assert_eq!(scrape.sum(&format!("gannet_{family}"), &[]), sum, "{family}");
    }
}

#[test]
fn bounds_and_the_process_are_shown() {
    let config = "[limits]\nmax_sessions = 321\noutboxes_bytes = 5000000\nincoming_bytes = 0\n";
    let server = ServerProcess::start(&["--reactors", "3"], &format!("{APPS}{config}"));
    let scrape = server.backend().scrape();
    let limit = |name: &str| scrape.sample(&format!("gannet_limit{{name=\"{name}\"}}")).unwrap() as u64;
    assert_eq!(
        ["max_sessions", "outboxes_bytes", "incoming_bytes", "mailbox_messages"].map(limit),
        [321, 5_000_000, 0, 4_096]
    );
    assert_eq!(scrape.sample("gannet_max_sessions"), Some(321.0));
    assert_eq!(scrape.sample("gannet_app_max_sessions{app=\"chess\"}"), Some(7.0));
    assert_eq!(scrape.sample("gannet_app_max_sessions{app=\"default\"}"), None);

    let of_process = |name: &str| scrape.sample(&format!("process_{name}")).unwrap();
    let open = of_process("open_fds");
    assert!(open >= 10.0 && open <= of_process("max_fds"), "{open}");
    assert!(of_process("virtual_memory_bytes") > of_process("resident_memory_bytes"));
    assert!(of_process("resident_memory_bytes") > 1_000_000.0);
    assert!(of_process("threads") >= 5.0, "three reactors, the observer, the log");
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
        - of_process("start_time_seconds");
    assert!((-2.0..600.0).contains(&started), "{started}");
    // It has worked by then, and time on a core only grows.
    let used = of_process("cpu_seconds_total");
    let mut raw = Raw::connect(server.backend);
    until("it has used a tick of the clock", || {
        (0..200).for_each(|_| raw.send(request("GET /healthz")));
        (0..200).for_each(|_| assert_eq!(raw.answer().status, 200));
        server.backend().scrape().sample("process_cpu_seconds_total").unwrap() > used
    });
}

#[test]
fn what_the_limit_of_open_files_leaves_for_sessions_is_shown() {
    let server = ServerProcess::start_limited(Some(64), &["--reactors", "1"], "");
    let scrape = server.backend().scrape();
    let most = scrape.sample("gannet_max_sessions").unwrap();
    assert!((1.0..64.0).contains(&most), "{most}");
    assert_eq!(scrape.sample("gannet_limit{name=\"max_sessions\"}"), Some(1_000_000.0));
}

#[test]
fn the_end_of_each_certificate_is_shown_and_follows_a_reload() {
    const END_OF_2098: f64 = 4_070_908_800.0;
    let mut files = CertFiles::with(&["Game.example", "other.example"], |params| {
        params.not_after = date_time_ymd(2099, 1, 1);
    });
    let unnamed = CertFiles::new(&["127.0.0.1"]);
    let config = format!(
        "[tls]\ncert = {:?}\nkey = {:?}\nbackend = true\nbackend_cert = {:?}\nbackend_key = {:?}\n",
        files.cert, files.key, unnamed.cert, unnamed.key
    );
    let server = ServerProcess::start(&["--reactors", "1"], &config);
    let scrape = || {
        let mut stream = connect(server.backend);
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Scrape::new(answer)
    };
    let expiry = |port: &str, name: &str| {
        let family = "gannet_tls_certificate_expiry_timestamp_seconds";
        scrape().sample(&format!("{family}{{port=\"{port}\",name=\"{name}\"}}"))
    };
    assert_eq!(expiry("client", "game.example"), Some(END_OF_2098));
    assert!(expiry("backend", "").is_some_and(|end| end > END_OF_2098), "rcgen's own: the year 4096");
    files.renew(&["game.example"]);
    server.signal(Signal::HUP);
    until("the new one's end is shown", || expiry("client", "game.example") != Some(END_OF_2098));
}

#[test]
fn a_refusal_before_the_app_is_known_is_none_of_its() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade("/ws/nothing-is-called-so", ""));
    assert_eq!(raw.answer().status, 404);
    let scrape = server.backend().scrape();
    assert_eq!(scrape.sample("gannet_app_refused_total{app=\"default\"}"), Some(0.0));
    assert_eq!(scrape.sum("gannet_refused_total", &["reason=\"not_found\""]), 1);
}
