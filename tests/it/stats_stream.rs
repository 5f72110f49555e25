//! The stream of figures: it agrees with what was done, a slow reader skips ticks and holds nothing up, a key sees what it may, and an
//! upgrade carries it on.

use crate::entry::support::{bearer, key};
use crate::http_api::ask;
use crate::raw::Raw;
use crate::stalled::{skip, stalled};
use crate::support::*;
use crate::upgrade::running::Running;
use gannet::config::{AppConfig, Config};
use gannet::dispatch::Right;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const STREAM: &str = "/v1/stats/stream";

/// A reader of a stream.
struct Figures {
    stream: EventStream,
    hello: Value,
    history: Value,
    /// The lines of the audit trail that have come.
    changes: Vec<Value>,
    /// The largest queues that have come last.
    behind: Option<Value>,
}

impl Figures {
    fn open(address: SocketAddr, fields: &str) -> Self {
        Self::of(EventStream::open(address, STREAM, fields))
    }

    fn of(stream: EventStream) -> Self {
        let none = Value::Null;
        let mut this = Self { stream, hello: none.clone(), history: none, changes: Vec::new(), behind: None };
        this.greeted();
        this
    }

    /// Takes the two events that a stream begins with.
    fn greeted(&mut self) {
        while self.history.is_null() {
            assert!(self.event().is_none(), "a tick comes before the history");
        }
        assert!(!self.hello.is_null(), "nothing comes before the hello");
    }

    /// Takes one event. A tick is returned.
    fn event(&mut self) -> Option<Value> {
        let event = self.stream.next().expect("a stream of figures has no end");
        let json = event.json();
        match event.name.as_str() {
            "hello" => self.hello = json,
            "history" => self.history = json,
            "change" => self.changes.push(json),
            "behind" => self.behind = Some(json),
            "tick" => return Some(json),
            other => panic!("{other}: {json}"),
        }
        None
    }

    fn tick(&mut self) -> Value {
        loop {
            if let Some(tick) = self.event() {
                return tick;
            }
        }
    }

    /// Takes the lines of the audit trail that come until there is one like that.
    fn change(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut next = 0;
        loop {
            if let Some(found) = self.changes[next..].iter().find(|line| is_it(line)) {
                return found.clone();
            }
            next = self.changes.len();
            self.event();
        }
    }
}

/// Adds what a tick counts to `sums`, by the names with a slash for each table.
fn add(sums: &mut BTreeMap<String, u64>, prefix: &str, tick: &Value) {
    for (name, value) in tick.as_object().unwrap() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        match value {
            Value::Object(_) => add(sums, &path, value),
            Value::Number(number) => *sums.entry(path).or_default() += number.as_u64().unwrap_or(0),
            _ => {}
        }
    }
}

fn sum(sums: &BTreeMap<String, u64>, path: &str) -> u64 {
    sums.get(path).copied().unwrap_or(0)
}

#[test]
fn what_is_counted_is_what_was_done() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".into(), AppConfig::default());
    });
    let before = server.player("user=before");
    let mut figures = Figures::open(server.backend, "");
    let hello = &figures.hello;
    assert_eq!(
        (&hello["scope"], &hello["reactors"], &hello["cluster"]),
        (&json!("server"), &json!(4), &json!(false))
    );
    assert_eq!(hello["apps"], json!(["default", "chess"]));
    assert_eq!(hello["key"], json!({ "name": null, "may": ["all"], "apps": null }));
    assert_eq!(
        (&hello["pid"], &hello["version"]),
        (&json!(std::process::id()), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!((&hello["bounds"]["max_page"], &hello["certificates"]), (&json!(1_000), &json!([])));
    assert_eq!((&figures.history["every_ms"], &figures.history["sessions"]), (&json!(10_000), &json!([])));
    assert_eq!(figures.history["deliveries"]["written"], json!([]));

    let mut players: Vec<Player> = (0..3).map(|_| server.player("user=ada&group=g")).collect();
    let chess = server.try_player("/ws/chess?user=eve").unwrap();
    let mut backend = server.backend();
    for _ in 0..5 {
        assert_eq!(backend.push_text("group=g&receipt=written", "hi").written, Some(3));
    }
    assert_eq!(backend.push_text("user=nobody", "hi").offline, 1);
    assert_eq!(ask(server.client, "GET /nowhere", "", b"").status, 404);
    players.pop().unwrap().close(1000, "");
    assert_eq!(backend.change("DELETE", "/v1/users/before?code=4001"), 1);
    drop(before);
    let (mut sums, mut tick, mut later) = (BTreeMap::new(), Value::Null, 0);
    // Two more, which must add nothing.
    while later < 2 {
        tick = figures.tick();
        add(&mut sums, "", &tick);
        later += usize::from(sum(&sums, "closed/1000") == 1 && sum(&sums, "closed/4001") == 1);
    }
    let counted = [
        ("opened", 4),
        ("pushes", 6),
        ("deliveries/queued", 15),
        ("deliveries/written", 15),
        ("deliveries/offline", 1),
        ("refused/not_found", 1),
        ("push_to_write/count", 15),
        ("apps/default/opened", 3),
        ("apps/default/closed", 2),
        ("apps/default/pushes", 6),
        ("apps/default/queued", 15),
        ("apps/chess/opened", 1),
    ];
    for (path, count) in counted {
        assert_eq!(sum(&sums, path), count, "{path} of {sums:?}");
    }
    assert_eq!((&tick["sessions"], &tick["ready"], &tick["behind"]), (&json!(3), &json!(true), &json!(0)));
    // Two of them on different reactors are two users and two groups.
    let scrape = backend.scrape();
    let shown = [tick["users"].as_u64().unwrap(), tick["groups"].as_u64().unwrap()];
    assert_eq!(shown, ["gannet_users", "gannet_groups"].map(|name| scrape.sum(name, &[])), "{tick}");
    assert!((2..=3).contains(&shown[0]) && (1..=2).contains(&shown[1]), "{tick}");
    let of_reactors = tick["reactors"]["sessions"].as_array().unwrap();
    assert_eq!((of_reactors.len(), of_reactors.iter().filter_map(Value::as_u64).sum::<u64>()), (4, 3));
    let kick = figures.change(|line| line["op"] == "kick");
    assert_eq!(
        (&kick["target"], &kick["sessions"], &kick["result"]),
        (&json!("user=\"before\""), &json!(1), &json!("ok"))
    );
    drop((players, chess));
}

#[test]
fn a_slow_reader_skips_ticks_and_holds_nothing_up_and_its_sums_are_right() {
    let server = TestServer::start(|config| {
        // A hello that no small socket takes.
        for number in 0..900 {
            config.apps.insert(format!("{number}-{}", "x".repeat(100)), AppConfig::default());
        }
        config.timeouts.link_stalled = DEADLINE * 10;
    });
    let mut quick = Figures::open(server.backend, "");
    let narrow = Raw::connect_narrow(server.backend).into_stream();
    let slow = EventStream::over(narrow, &stream_request(STREAM, ""));
    server.await_stats("it is behind", |stats| stats["outbox_messages"].as_u64() > Some(0));
    let waits = server.backend().stats()["outbox_bytes"].as_u64().unwrap();
    let mut backend = server.backend();
    let mut passed_ms = 0;
    for _ in 0..3 {
        backend.push_text("user=nobody", "hi");
        passed_ms += quick.tick()["ms"].as_u64().unwrap();
    }
    let still_waits = server.backend().stats()["outbox_bytes"].as_u64().unwrap();
    assert!(still_waits <= waits, "no tick joins what it has not taken: {still_waits}, {waits}");
    let mut slow = Figures::of(slow);
    let (first, mut sums) = (slow.tick(), BTreeMap::new());
    add(&mut sums, "", &first);
    assert!(
        first["ms"].as_u64() >= Some(passed_ms),
        "it is of all the time in which it was sent none: {first}"
    );
    assert_eq!((sum(&sums, "pushes"), sum(&sums, "deliveries/offline")), (3, 3));
    // Apps have their turn, so many in each tick, and each once as long as nothing happens there.
    let mut told: Vec<String> = Vec::new();
    let mut tick = first;
    while told.len() < 901 {
        let rows = tick["apps"].as_object().unwrap();
        assert!((1..=32).contains(&rows.len()), "{} apps in a tick", rows.len());
        told.extend(rows.keys().cloned());
        if told.len() >= 96 {
            break;
        }
        tick = slow.tick();
    }
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), count, "an app is told once");
}

#[test]
fn there_are_only_so_many_and_one_that_ends_makes_room() {
    let server = TestServer::start(|config| config.limits.stats_streams = 3);
    let mut open: Vec<Figures> = (0..3).map(|_| Figures::open(server.backend, "")).collect();
    let refused = ask(server.backend, &format!("GET {STREAM}"), "", b"");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.error(), "overloaded");
    let message = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(message.contains("limits.stats_streams") && message.contains("(3)"), "{message}");
    // HEAD opens none.
    let mut raw = Raw::connect(server.backend);
    raw.send(format!("HEAD {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(raw.answer_to("HEAD").status, 200);
    open.pop().unwrap().stream.leave();
    until("there is room", || {
        let mut raw = Raw::connect(server.backend);
        raw.send(stream_request(STREAM, ""));
        raw.answer().status == 200
    });
    for figures in &mut open {
        figures.tick();
    }
    // It ends with the server, and keeps that from nothing.
    drop(open);
    let figures = Figures::open(server.backend, "");
    server.stop();
    let mut stream = figures.stream;
    while stream.next().is_some() {}
}

#[test]
fn by_default_the_ninth_is_refused() {
    let server = TestServer::start(|_| ());
    let open: Vec<Figures> = (0..8).map(|_| Figures::open(server.backend, "")).collect();
    assert_eq!(ask(server.backend, &format!("GET {STREAM}"), "", b"").status, 503);
    drop(open);
}

#[test]
fn a_key_of_some_apps_sees_only_these() {
    const ALL: &str = "the-key-that-may-do-everything";
    const CHESS: &str = "the-key-of-whoever-plays-chess";
    const PUSH: &str = "the-key-that-may-only-push";
    let keys = |config: &mut Config| {
        for app in ["chess", "go"] {
            config.apps.insert(app.into(), AppConfig::default());
        }
        config.backend.keys = vec![
            key("ops", ALL, &[Right::All], &[]),
            key("chess", CHESS, &[Right::Read], &["chess"]),
            key("game", PUSH, &[Right::Push], &[]),
        ];
    };
    let server = TestServer::start(keys);
    assert_eq!(ask(server.backend, &format!("GET {STREAM}"), "", b"").status, 401);
    assert_eq!(ask(server.backend, &format!("GET {STREAM}"), &bearer(PUSH), b"").status, 403);
    let players: Vec<Player> = ["chess", "chess", "go", "go", "go"]
        .map(|app| server.try_player(&format!("/ws/{app}?user=ada")).unwrap())
        .into();
    for app in ["go", "chess"] {
        let line = format!("DELETE /v1/users/eve?app={app}");
        assert_eq!(ask(server.backend, &line, &bearer(ALL), b"").status, 200);
    }
    let mut figures = Figures::open(server.backend, &bearer(CHESS));
    let hello = figures.hello.as_object().unwrap();
    assert_eq!((&hello["scope"], &hello["apps"]), (&json!("apps"), &json!(["chess"])));
    assert_eq!(hello["key"], json!({ "name": "chess", "may": ["read"], "apps": ["chess"] }));
    for hidden in ["bounds", "certificates", "reactors"] {
        assert!(!hello.contains_key(hidden), "{hidden}");
    }
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&figures.history), ["apps", "end_unix_ms", "every_ms"]);
    assert_eq!(names(&figures.history["apps"]), ["chess"]);
    let push = |app: &str| {
        let line = format!("POST /v1/push?app={app}&user=ada");
        assert_eq!(ask(server.backend, &line, &bearer(ALL), b"hi").status, 200);
    };
    push("go");
    push("chess");
    let mut sums = BTreeMap::new();
    let mut tick = figures.tick();
    add(&mut sums, "", &tick);
    while sum(&sums, "pushes") == 0 {
        tick = figures.tick();
        add(&mut sums, "", &tick);
    }
    let known =
        ["apps", "away", "behind", "messages_in", "ms", "opened", "pushes", "ready", "sessions", "unix_ms"];
    assert_eq!(names(&tick), known);
    assert_eq!(tick["sessions"], 2, "those of chess");
    assert!(sums.keys().all(|path| !path.contains("go")), "{sums:?}");
    assert_eq!((sum(&sums, "pushes"), sum(&sums, "apps/chess/pushes")), (1, 1));
    let kick = figures.change(|line| line["op"] == "kick");
    assert_eq!(kick["app"], "chess");
    assert!(figures.changes.iter().all(|line| line["app"] == "chess"), "{:?}", figures.changes);
    assert!(figures.behind.take().is_none_or(|behind| behind["behind"] == 0));

    // Another key for the same: it is told what it may see now. Without its key it ends.
    server.reload(|config| config.backend.keys[1].apps = vec!["chess".into(), "go".into()]);
    while figures.hello["apps"] != json!(["chess", "go"]) {
        figures.event();
    }
    while figures.tick()["sessions"] != 5 {}
    server.reload(|config| _ = config.backend.keys.remove(1));
    let mut stream = figures.stream;
    while stream.next().is_some() {}
    drop(players);
}

#[test]
fn the_largest_queues_are_shown_as_long_as_they_are_there() {
    let server = TestServer::start(|_| ());
    let (mut slow, fill) = stalled(&server, "slow");
    assert_eq!(server.backend().change("POST", "/v1/groups/g/members?user=slow"), 1);
    let _quick = server.player("user=quick&group=g");
    let mut figures = Figures::open(server.backend, "");
    while figures.behind.is_none() {
        figures.event();
    }
    let behind = figures.behind.take().unwrap();
    let shown = &behind["sessions"][0];
    assert_eq!((&behind["behind"], behind["sessions"].as_array().unwrap().len()), (&json!(1), 1));
    let info = server.backend().ok("GET", "/v1/sessions?user=slow")["sessions"][0].take();
    for field in [
        "session",
        "app",
        "user",
        "groups",
        "queued_messages",
        "queued_bytes",
        "behind_since_unix_ms",
        "reactor",
    ] {
        assert_eq!((field, &shown[field]), (field, &info[field]));
    }
    assert_eq!((&shown["groups"], &shown["groups_more"]), (&json!(["g"]), &json!(0)));
    skip(&mut slow, fill);
    // What is asked for at one tick is shown at a later one.
    loop {
        figures.event();
        if figures.behind.take().is_some_and(|behind| behind["sessions"] == json!([])) {
            break;
        }
    }
}

#[test]
fn a_stream_goes_on_through_an_upgrade_with_its_hour_and_every_line_once() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let player = server.player("user=ada");
    let mut figures = Figures::open(server.backend, "");
    let first = figures.hello.clone();
    // A row of the history is there.
    let mut rows = 0;
    while rows == 0 {
        figures.tick();
        rows = Figures::open(server.backend, "").history["sessions"].as_array().unwrap().len();
    }
    assert_eq!(server.backend().change("DELETE", "/v1/users/nobody"), 0);
    figures.history = Value::Null;
    server.upgrade();
    // Ticks of the old process come first.
    while figures.history.is_null() {
        figures.event();
    }
    let hello = figures.hello.clone();
    assert_eq!(hello["pid"], json!(server.pid()));
    assert_eq!(hello["started_unix_ms"], first["started_unix_ms"], "the server has not been restarted");
    assert_ne!(hello["pid"], first["pid"]);
    let sessions = figures.history["sessions"].as_array().unwrap();
    assert!(sessions.len() >= rows && sessions[0] == 1, "{sessions:?}");
    let busy = figures.history["reactors_busy"].as_array().unwrap();
    assert_eq!(busy.len(), 2);
    assert!(busy.iter().all(|column| column[0].is_f64()), "each reactor's hour comes along: {busy:?}");
    let sums = |figures: &mut Figures| {
        let mut sums = BTreeMap::new();
        add(&mut sums, "", &figures.tick());
        sums
    };
    let first_sums = sums(&mut figures);
    assert_eq!(
        (sum(&first_sums, "sessions"), sum(&first_sums, "opened")),
        (1, 0),
        "what was before is not counted again"
    );
    assert_eq!(server.backend().push_text("user=ada", "hi").queued, 1);
    let mut pushes = 0;
    while pushes == 0 {
        pushes = sum(&sums(&mut figures), "pushes");
    }
    assert_eq!(pushes, 1);
    assert_eq!(server.backend().change("DELETE", "/v1/users/nobody"), 0);
    figures.change(|line| line["op"] == "upgrade" && line["result"] == "ok");
    let numbers: Vec<u64> = figures.changes.iter().map(|line| line["number"].as_u64().unwrap()).collect();
    let kicks = |figures: &Figures| figures.changes.iter().filter(|line| line["op"] == "kick").count();
    while kicks(&figures) < 2 {
        figures.event();
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(kicks(&figures), 2);
    drop(player);
}
