//! What was promised, where it is hard to keep: answers within the bounds of an outbox, receipts that add up when
//! mailboxes are full, one order for what a handler sends and pushes, and a Close frame in every case.

use crate::raw::{CLOSE, Raw, TEXT, masked, upgrade};
use crate::support::*;
use gannet::config::Config;
use gannet::dispatch::{Action, EncodedFrame, ErrorCode, PushOptions, Selector, Target, Who};
use gannet::protocol::CloseCode;
use gannet::session::Name;
use gannet::{App, Message, PushError, Session};
use serde_json::Value;
use std::thread;

const MIB: usize = 1 << 20;

/// Answers whatever comes with a mebibyte.
struct Verbose;

impl App for Verbose {
    fn message(&mut self, session: &mut Session<'_>, _: Message<'_>) {
        session.send_binary(&vec![b'v'; MIB]);
    }
}

/// Says sixty-four mebibytes to the greedy one.
struct Greets;

impl App for Greets {
    fn open(&mut self, session: &mut Session<'_>) {
        if session.user().is_some_and(|user| user.as_str() == "greedy") {
            (0..64).for_each(|_| _ = session.send_binary(&vec![b'g'; MIB]));
        }
    }
}

/// What an outbox of a mebibyte may keep alive: itself, one message that is partly on the wire, and their bookkeeping.
const MOST_OUTBOX_MEMORY: u64 = 2 * MIB as u64 + (64 << 10);
/// What the process may need beyond what it had: some copies of a message on its way.
const MOST_GROWTH: u64 = 24 * MIB as u64;
/// What the heap may keep of that.
const MOST_LEFT: u64 = 12 * MIB as u64;

/// Lets a client come that does not read, and looks at the server's memory meanwhile. `over` says of the totals of
/// `/v1/stats` that the server has done all that it will do.
fn assert_bounded(server: &ServerProcess, over: impl Fn(&Value) -> bool, client: impl Fn() -> Raw) -> Raw {
    // Code and tables that one session needs are not what a session costs.
    drop(server.player("user=forerunner"));
    server.await_stats("the forerunner has gone", |totals| totals["sessions"] == 0);
    let before = server.resident_bytes();
    let client = client();
    let mut most = 0;
    server.await_stats("everything has been answered", |totals| {
        most = most.max(totals["outbox_memory"].as_u64().unwrap());
        over(totals)
    });
    assert!(most <= MOST_OUTBOX_MEMORY, "{most} bytes wait for one session");
    let grown = server.peak_resident_bytes().saturating_sub(before);
    assert!(grown <= MOST_GROWTH, "{grown} bytes more");
    client
}

/// The client has gone: so has everything that was kept for it.
fn assert_given_back(server: &ServerProcess, before: u64) {
    server.await_stats("the memory of the outbox is back", |totals| {
        totals["sessions"] == 0 && totals["outbox_memory"] == 0
    });
    let left = server.resident_bytes().saturating_sub(before);
    assert!(left <= MOST_LEFT, "{left} bytes are not given back");
}

/// Five hundred small messages in one write.
fn five_hundred(server: &ServerProcess) -> Raw {
    let mut client = Raw::narrow_player(server.client, "/ws?user=greedy");
    client.send(masked(TEXT, b"more").repeat(500));
    client
}

fn is_closed_or_answered(totals: &Value) -> bool {
    totals["closed"]["4003"] == 1 || totals["messages_in"] == 500
}

#[test]
fn an_app_that_answers_at_length_to_a_client_who_does_not_read_is_held_to_the_outbox() {
    serve_if_asked(|_| Box::new(Verbose));
    let name =
        "faults_promises::an_app_that_answers_at_length_to_a_client_who_does_not_read_is_held_to_the_outbox";
    let server = ServerProcess::embedded(name, "reactors = 2");
    let before = server.resident_bytes();
    let mut client = assert_bounded(&server, is_closed_or_answered, || five_hundred(&server));
    assert_eq!(server.backend().stats()["closed"]["4003"], 1);
    let end = std::iter::from_fn(|| client.frame()).find(|frame| frame.first == CLOSE);
    assert_eq!(end.expect("a Close frame").close(), (4003, "too slow"));
    drop(client);
    assert_given_back(&server, before);
}

#[test]
fn answers_that_find_no_room_are_dropped_where_the_app_would_rather_lose_them() {
    serve_if_asked(|_| Box::new(Verbose));
    let name = "faults_promises::answers_that_find_no_room_are_dropped_where_the_app_would_rather_lose_them";
    let server =
        ServerProcess::embedded(name, "reactors = 2\n[apps.default]\nslow = { normal = 'drop-newest' }");
    let before = server.resident_bytes();
    let client = assert_bounded(&server, is_closed_or_answered, || five_hundred(&server));
    assert_eq!(server.backend().stats()["closed"]["4003"], 0);
    assert_eq!(server.backend().push_text("user=greedy&ttl_ms=0", "").matched, 1, "it is still there");
    drop(client);
    assert_given_back(&server, before);
}

#[test]
fn what_an_app_says_at_the_opening_of_a_session_is_held_to_the_outbox() {
    serve_if_asked(|_| Box::new(Greets));
    let name = "faults_promises::what_an_app_says_at_the_opening_of_a_session_is_held_to_the_outbox";
    let server = ServerProcess::embedded(name, "reactors = 2");
    let before = server.resident_bytes();
    let silent = || {
        let mut client = Raw::connect_narrow(server.client);
        client.send(upgrade("/ws?user=greedy", ""));
        client
    };
    // It is opened before the app says anything.
    let is_over = |totals: &Value| totals["opened"] == 2 && totals["closed"]["4003"] == 1;
    let client = assert_bounded(&server, is_over, silent);
    drop(client);
    assert_given_back(&server, before);
}

/// An echo client that sends and does not read: the same bounds, whatever the size of its messages.
#[test]
fn an_echo_to_a_client_who_does_not_read_is_held_to_the_outbox() {
    let server = ServerProcess::start(&["--echo", "--reactors", "2"], "[timeouts]\nclose_ms = 500");
    let before = server.resident_bytes();
    let files = server.open_files();
    for size in [100, 20_000, MIB] {
        let mut client = Raw::connect_narrow(server.client);
        client.send(upgrade("/echo", ""));
        assert_eq!(client.answer().status, 101);
        let messages = masked(TEXT, &vec![b'e'; size]).repeat(MIB / size + 1);
        let mut most = 0;
        // Neither the Close nor anything else is read: in the end the server drops the connection.
        while client.try_send(&messages).is_ok() {
            most = most.max(server.backend().stats()["outbox_memory"].as_u64().unwrap());
        }
        assert!(most <= MOST_OUTBOX_MEMORY, "{most} bytes wait for messages of {size} bytes");
    }
    let grown = server.peak_resident_bytes().saturating_sub(before);
    assert!(grown <= MOST_GROWTH, "{grown} bytes more");
    server.await_stats("all have gone", |totals| {
        totals["outbox_memory"] == 0 && server.open_files() <= files + 1
    });
    let left = server.resident_bytes().saturating_sub(before);
    assert!(left <= MOST_LEFT, "{left} bytes are not given back");
}

/// Forty members over four reactors whose mailboxes hold next to nothing.
fn crowded() -> (TestServer, Pool<()>, Vec<u32>) {
    let server = TestServer::start(|config| {
        config.limits.mailbox_messages = 2;
        config.limits.overflow_messages = 1;
        // What waits for a socket is not what this is about.
        config.limits.outbox_messages = 1 << 20;
        config.limits.outbox_bytes = 64 * MIB;
    });
    let pool = Pool::new(|_, _| ());
    let mut members = vec![0; 4];
    for _ in 0..40 {
        let player = server.player("group=crowd");
        members[usize::from(player.id.worker())] += 1;
        pool.add(player);
    }
    (server, pool, members)
}

/// Whether `matched` sessions are all members but those of `unreached` reactors.
fn is_what_was_reached(matched: u32, unreached: u32, members: &[u32]) -> bool {
    (0..1_u32 << members.len()).filter(|left_out| left_out.count_ones() == unreached).any(|left_out| {
        let reached = members.iter().enumerate().filter(|(reactor, _)| left_out & 1 << reactor == 0);
        reached.map(|(_, count)| count).sum::<u32>() == matched
    })
}

#[test]
fn receipts_add_up_and_say_what_was_not_reached_when_mailboxes_are_full() {
    const PUSHES: usize = 400;
    let (server, _pool, members) = crowded();
    let push = |receipt| Push {
        target: crate::support::Target { groups: vec!["crowd".to_owned()], ..Default::default() },
        message: tungstenite::Message::text("to the crowd"),
        receipt,
    };
    let receipts: Vec<Receipt> = thread::scope(|scope| {
        let publishers = [
            (Publisher::Http(server.backend(), 64), "queued"),
            (Publisher::Http(server.backend(), 64), "written"),
            (Publisher::Http(server.backend(), 1), "queued"),
            (Publisher::Link(Box::new(server.link()), 64), "queued"),
            (Publisher::Batch(server.backend(), PUSHES), "queued"),
            (Publisher::Batch(server.backend(), PUSHES), "written"),
        ];
        let run = |(mut publisher, receipt): (Publisher, _)| {
            let pushes: Vec<Push> = (0..PUSHES).map(|_| push(receipt)).collect();
            scope.spawn(move || publisher.push_all(&pushes))
        };
        let threads = publishers.map(run);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).map(Option::unwrap).collect()
    });
    for (number, receipt) in receipts.iter().enumerate() {
        assert!(receipt.adds_up(), "{number}: {receipt:?}");
        assert!(is_what_was_reached(receipt.matched, receipt.unreached, &members), "{number}: {receipt:?}");
    }
    let unreached: u32 = receipts.iter().map(|receipt| receipt.unreached).sum();
    assert!(unreached > 0, "no mailbox was ever full");
    let totals = server.backend().stats();
    assert!(totals["dropped"]["mailbox"].as_u64() > Some(0), "what was lost is counted: {totals:#}");
}

#[test]
fn a_push_from_a_thread_outside_adds_up_when_mailboxes_are_full() {
    let (server, _pool, _) = crowded();
    let answers: Vec<_> = thread::scope(|scope| {
        let push = |_| {
            let pusher = server.pusher().clone();
            scope.spawn(move || {
                let target = gannet_target();
                let push = |_| {
                    let frame = EncodedFrame::text("to the crowd");
                    pusher.push_and_wait("default", target.clone(), frame, PushOptions::default(), DEADLINE)
                };
                (0..400).map(push).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..8).map(push).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for answer in answers {
        match answer {
            Ok(receipt) => assert_eq!(receipt.matched, receipt.queued + receipt.dropped, "{receipt:?}"),
            Err(error) => assert_ne!(error, PushError::TimedOut, "a full mailbox is known at once"),
        }
    }
}

fn gannet_target() -> Target {
    Target::from(Selector::Group(Name::new("crowd").unwrap()))
}

/// Sends, pushes to the target, and sends again: for each message that comes, and at the opening.
struct Story(fn(&Session<'_>) -> Target);

impl Story {
    fn tell(&self, session: &mut Session<'_>, which: &str) {
        let target = self.0(session);
        session.send_text(&format!("{which}: first"));
        session.push(target, EncodedFrame::text(&format!("{which}: second")), PushOptions::default());
        session.send_text(&format!("{which}: third"));
    }
}

impl App for Story {
    fn open(&mut self, session: &mut Session<'_>) {
        self.tell(session, "open");
    }

    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let Message::Text(which) = message else { return };
        self.tell(session, which);
        if which == "end" {
            session.close(CloseCode(4005), "the end");
        }
    }
}

const STORY: [&str; 3] = ["first", "second", "third"];

/// The ways to name the session among those that a push is for; the last two have a tick of 50 ms.
const AUDIENCES: [fn(&Session<'_>) -> Target; 5] = [
    |session| Target::from(Selector::Session(session.id())),
    |_| Target::from(Selector::Group(Name::new("crowd").unwrap())),
    |_| Target::from(Selector::All),
    |_| Target::from(Selector::Group(Name::new("ticked").unwrap())),
    |_| Target::from(Selector::Group(Name::new("ticked/more").unwrap())),
];

fn storyteller(audience: usize, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with_app(
        |config| {
            let app = config.apps.get_mut("default").unwrap();
            app.group_tick_ms = [("ticked".to_owned(), 50)].into();
            configure(config);
        },
        move |_| Box::new(Story(AUDIENCES[audience])),
    )
}

const GROUPS: &str = "group=crowd&group=ticked&group=ticked/more";

#[test]
fn what_a_handler_sends_and_pushes_to_one_session_arrives_in_that_order() {
    for audience in 0..AUDIENCES.len() {
        // One message after another, and many in one read.
        for in_one_write in [false, true] {
            let server = storyteller(audience, |_| ());
            let mut client = Raw::player(server.client, &format!("/ws?{GROUPS}"));
            let said: Vec<String> =
                (0..20).map(|number| number.to_string()).chain(["end".to_owned()]).collect();
            let hear = |client: &mut Raw, which: &str| {
                let heard = STORY.map(|_| client.frame().unwrap().text().to_owned());
                assert_eq!(heard, STORY.map(|word| format!("{which}: {word}")), "audience {audience}");
            };
            hear(&mut client, "open");
            if in_one_write {
                client
                    .send(said.iter().flat_map(|which| masked(TEXT, which.as_bytes())).collect::<Vec<u8>>());
            }
            for which in &said {
                if !in_one_write {
                    client.send(masked(TEXT, which.as_bytes()));
                }
                hear(&mut client, which);
            }
            assert_eq!(client.frame().unwrap().close(), (4005, "the end"), "audience {audience}");
        }
    }
}

#[test]
fn the_order_holds_behind_a_full_socket_and_for_those_who_only_listen() {
    for audience in [1, 2, 3] {
        let server = storyteller(audience, |config| config.limits.outbox_bytes = 64 * MIB);
        // On each reactor one who only listens.
        let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
        let mut backend = server.backend();
        let mut client = Raw::narrow_player(server.client, &format!("/ws?user=slow&{GROUPS}"));
        let mut filled = 0;
        while backend.ok("GET", "/v1/sessions?user=slow")["sessions"][0]["queued_messages"].as_u64() < Some(2)
        {
            assert_eq!(backend.push_text("user=slow", &"-".repeat(50_000)).queued, 1);
            filled += 1;
            assert!(filled < 1000, "the socket takes everything");
        }
        (0..8).for_each(|_| _ = pool.add(server.player(GROUPS)));
        let tell = |number: usize| masked(TEXT, number.to_string().as_bytes());
        client.send((0..20).flat_map(tell).collect::<Vec<u8>>());
        server.await_stats("all are handled", |totals| totals["messages_in"] == 20);
        let texts = std::iter::from_fn(|| client.frame()).map(|frame| frame.text().to_owned());
        let texts = texts.filter(|text| text.len() < 50_000 && text.as_bytes()[0].is_ascii_digit());
        let told = (0..20).flat_map(|number| STORY.map(|word| format!("{number}: {word}")));
        assert!(texts.take(60).eq(told), "audience {audience}");
        let told: Vec<String> = (0..20).map(|number| format!("{number}: second")).collect();
        let of_the_slow_one = |text: &&String| text.as_bytes()[0].is_ascii_digit();
        pool.wait("the slow one's pushes at each listener", |logs| {
            logs.iter().all(|log| log.messages.iter().filter(of_the_slow_one).count() == told.len())
        });
        for log in pool.finish() {
            assert!(
                log.messages.iter().filter(of_the_slow_one).eq(&told),
                "audience {audience}: {:?}",
                log.messages
            );
        }
    }
}

/// Closes with the code before the first space and the reason behind it.
struct Closes;

impl App for Closes {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        if let Message::Text(text) = message
            && let Some((code, reason)) = text.split_once(' ')
        {
            session.close(CloseCode(code.parse().unwrap()), reason);
        }
    }
}

/// Codes that may not be in a Close frame (RFC 6455 §7.4).
const NEVER_SENT: [u16; 10] = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];

#[test]
fn a_close_reason_that_is_too_long_is_cut_between_two_characters() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Closes));
    let reasons =
        ["", "bye", &"x".repeat(123), &"x".repeat(124), &"x".repeat(1_000), &"€".repeat(41), &"é".repeat(62)]
            .map(str::to_owned);
    let at_every_offset = (0..4).map(|offset| format!("{}{}", "x".repeat(offset), "😀".repeat(40)));
    for reason in reasons.into_iter().chain(at_every_offset) {
        let mut player = server.player("");
        player.send_text(&format!("4005 {reason}"));
        let most = (0..=reason.len().min(123)).rev().find(|length| reason.is_char_boundary(*length)).unwrap();
        assert_eq!(player.recv_end(), End::Closed(4005, reason[..most].to_owned()));
    }
}

#[test]
fn a_close_with_a_code_that_may_not_be_sent_is_one_with_1011() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Closes));
    for code in NEVER_SENT {
        let mut player = server.player("");
        player.send_text(&format!("{code} why"));
        let end = player.recv_end();
        assert!(matches!(end, End::Closed(1011, _)), "{code}: {end:?}");
    }
}

#[test]
fn a_kick_with_what_no_close_frame_can_say_is_refused_and_closes_no_session() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("user=ada");
    let long = "x".repeat(124);
    let (by_user, by_session) = (Who::User(Name::new("ada").unwrap()), Who::Session(player.id));
    let kicks = NEVER_SENT.map(|code| (code, "")).into_iter().chain([(4005, &*long)]);
    for (code, reason) in kicks {
        for who in [&by_user, &by_session] {
            let kicked = server.pusher().kick("default", who.clone(), CloseCode(code), reason, DEADLINE);
            assert_bad_request(kicked, code);
            let action = Action::Kick { who: who.clone(), code, reason: reason.into() };
            assert_bad_request(server.pusher().act("default", action, DEADLINE), code);
        }
    }
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    // It is refused where no session would be closed, too.
    let absent = Who::User(Name::new("nobody").unwrap());
    assert_bad_request(server.pusher().kick("default", absent, CloseCode(1005), "", DEADLINE), 1005);
    let reason = "x".repeat(123);
    assert_eq!(server.pusher().kick("default", by_user, CloseCode(4005), &reason, DEADLINE), Ok(1));
    assert_eq!(player.recv_end(), End::Closed(4005, reason));
}

fn assert_bad_request<T: std::fmt::Debug>(result: Result<T, PushError>, code: u16) {
    match result {
        Err(PushError::Refused(error)) => assert_eq!(error.code, ErrorCode::BadRequest, "{code}: {error}"),
        other => panic!("{code}: {other:?}"),
    }
}
