//! What the library says to the program that embeds it: what became of a message that a handler sends, and that a push
//! came to nothing, when the server has stopped or a mailbox is full.

use crate::raw::{CLOSE, Raw, TEXT, masked};
use crate::stalled::stalled;
use crate::support::*;
use gannet::config::{Config, Slow, SlowPolicy};
use gannet::dispatch::{Action, EncodedFrame, ErrorCode, PushOptions, ReceiptMode, Selector, Target, Who};
use gannet::protocol::CloseCode;
use gannet::session::Name;
use gannet::{App, Message, PushError, Pusher, RunError, Sent, Server, Session};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const MESSAGES: usize = 200;

/// Sends so many numbered messages of so many bytes, and tells what the server said of each.
struct Sends {
    bytes: usize,
    told: Sender<Vec<Sent>>,
}

impl Sends {
    fn text(&self, number: usize) -> String {
        let digits = number.to_string();
        let rest = "-".repeat(self.bytes - digits.len());
        digits + &rest
    }
}

impl App for Sends {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let sent = match message {
            Message::Text("one") => vec![session.send_text("one")],
            Message::Text("close") => {
                session.close(CloseCode(4005), "bye");
                vec![session.send_text("late"), session.send_binary(b"late")]
            }
            _ => (0..MESSAGES).map(|number| session.send_text(&self.text(number))).collect(),
        };
        // The test may have failed already.
        let _ = self.told.send(sent);
    }
}

/// A server with that app, and where it tells.
fn sending(bytes: usize, slow: Slow) -> (TestServer, Receiver<Vec<Sent>>) {
    let (told, tells) = mpsc::channel();
    let configure = |config: &mut Config| config.apps.get_mut("default").unwrap().slow = slow;
    (TestServer::with_app(configure, move |_| Box::new(Sends { bytes, told: told.clone() })), tells)
}

fn number_of(text: &str) -> usize {
    text.split('-').next().unwrap().parse().unwrap()
}

fn is_taken(sent: Sent) -> bool {
    matches!(sent, Sent::Sent | Sent::Queued)
}

/// The numbers of the messages of which the server said so.
fn numbers(sent: &[Sent], said: impl Fn(Sent) -> bool) -> Vec<usize> {
    (0..sent.len()).filter(|number| said(sent[*number])).collect()
}

/// Lets the app send to a client who does not read: what was said of each message.
fn flood(client: &mut Raw, tells: &Receiver<Vec<Sent>>) -> Vec<Sent> {
    client.send(masked(TEXT, b"many"));
    tells.recv_timeout(DEADLINE).unwrap()
}

#[test]
fn a_send_to_a_client_who_keeps_up_is_taken_and_one_behind_a_close_is_not() {
    let (server, tells) = sending(100, Slow::default());
    let mut player = server.player("");
    for _ in 0..100 {
        player.send_text("one");
        let sent = tells.recv_timeout(DEADLINE).unwrap();
        assert!(is_taken(sent[0]), "{sent:?}");
        assert_eq!(player.recv_text(), "one");
    }
    player.send_text("close");
    assert_eq!(tells.recv_timeout(DEADLINE).unwrap(), [Sent::Closed, Sent::Closed]);
    assert_eq!(player.recv_end(), End::Closed(4005, "bye".to_owned()));
}

#[test]
fn sends_to_a_client_who_is_too_slow_end_with_closed() {
    let (server, tells) = sending(1 << 20, Slow::default());
    let mut client = Raw::narrow_player(server.client, "/ws");
    let sent = flood(&mut client, &tells);
    let taken = numbers(&sent, is_taken);
    assert!(!taken.is_empty() && taken.len() < MESSAGES, "{sent:?}");
    assert!(taken.iter().copied().eq(0..taken.len()), "once it is closed it takes no more: {sent:?}");
    // The message that met the full queue may be called dropped.
    assert!(sent[taken.len() + 1..].iter().all(|sent| *sent == Sent::Closed), "{sent:?}");
    let mut got = 0;
    let end = loop {
        match client.frame().expect("a Close frame") {
            frame if frame.first == CLOSE => break frame,
            frame => assert_eq!(number_of(frame.text()), got, "nothing is missing before the Close"),
        }
        got += 1;
    };
    assert_eq!(end.close(), (4003, "too slow"));
    let whole = numbers(&sent, |sent| sent == Sent::Sent).len();
    assert!((whole..=taken.len()).contains(&got), "{got} came of {sent:?}");
}

#[test]
fn sends_that_find_no_room_are_dropped_where_the_newest_go_and_all_others_come() {
    let slow = Slow { normal: SlowPolicy::DropNewest, ..Slow::default() };
    let (server, tells) = sending(1 << 20, slow);
    let mut client = Raw::narrow_player(server.client, "/ws");
    let sent = flood(&mut client, &tells);
    let taken = numbers(&sent, is_taken);
    let dropped = numbers(&sent, |sent| sent == Sent::Dropped);
    assert!(!taken.is_empty() && !dropped.is_empty(), "{sent:?}");
    assert_eq!(taken.len() + dropped.len(), MESSAGES, "{sent:?}");
    for number in taken {
        assert_eq!(number_of(client.frame().unwrap().text()), number);
    }
    // It has read everything: there is room again.
    client.send(masked(TEXT, b"one"));
    let sent = tells.recv_timeout(DEADLINE).unwrap();
    assert!(is_taken(sent[0]), "{sent:?}");
    assert_eq!(client.frame().unwrap().text(), "one");
}

#[test]
fn a_session_stays_where_the_oldest_go_and_gets_what_was_sent_in_order() {
    let slow = Slow { normal: SlowPolicy::DropOldest, ..Slow::default() };
    let (server, tells) = sending(100 << 10, slow);
    let mut client = Raw::narrow_player(server.client, "/ws");
    let sent = flood(&mut client, &tells);
    assert!(sent.iter().all(|sent| *sent != Sent::Closed), "{sent:?}");
    // The Close frame goes behind all that waits.
    client.send(masked(TEXT, b"close"));
    let mut got = Vec::new();
    let end = loop {
        match client.frame().expect("a Close frame") {
            frame if frame.first == CLOSE => break frame,
            frame => got.push(number_of(frame.text())),
        }
    };
    assert_eq!(end.close(), (4005, "bye"));
    let (taken, whole) = (numbers(&sent, is_taken), numbers(&sent, |sent| sent == Sent::Sent));
    assert!(got.is_sorted_by(|one, next| one < next), "{got:?}");
    assert!(got.len() < MESSAGES, "they do not all find room");
    assert!(got.iter().all(|number| taken.contains(number)), "{got:?} came of {sent:?}");
    assert!(whole.iter().all(|number| got.contains(number)), "{got:?} came of {sent:?}");
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn to(selector: Selector) -> Target {
    Target::from(selector)
}

fn push(pusher: &Pusher, target: Target) -> Result<(), PushError> {
    pusher.push("default", target, EncodedFrame::text("news"), PushOptions::default())
}

fn push_and_wait(
    pusher: &Pusher,
    target: Target,
    receipt: ReceiptMode,
) -> Result<gannet::dispatch::Receipt, PushError> {
    let options = PushOptions { receipt, ..PushOptions::default() };
    pusher.push_and_wait("default", target, EncodedFrame::text("news"), options, DEADLINE)
}

/// Nothing is pushed to this group.
fn join(who: Who) -> Action {
    Action::Join { who, group: name("joined") }
}

/// Everything that a pusher can do says that the server has stopped.
fn assert_stopped(pusher: &Pusher, session: gannet::session::SessionId) {
    let selectors = [
        Selector::All,
        Selector::Session(session),
        Selector::User(name("ada")),
        Selector::User(name("nobody")),
        Selector::Group(name("g")),
    ];
    for selector in selectors {
        let target = to(selector);
        assert_eq!(push(pusher, target.clone()), Err(PushError::Stopped), "{target:?}");
        for receipt in [ReceiptMode::None, ReceiptMode::Queued, ReceiptMode::Written] {
            assert_eq!(push_and_wait(pusher, target.clone(), receipt), Err(PushError::Stopped), "{target:?}");
        }
    }
    for who in [Who::Session(session), Who::User(name("ada")), Who::User(name("nobody"))] {
        let joined = pusher.act("default", join(who.clone()), DEADLINE);
        assert_eq!(joined.err(), Some(PushError::Stopped), "{who:?}");
        let kicked = pusher.kick("default", who.clone(), CloseCode(4001), "", DEADLINE);
        assert_eq!(kicked, Err(PushError::Stopped), "{who:?}");
    }
}

#[test]
fn a_pusher_says_that_the_server_has_stopped() {
    for reactors in [1, 4] {
        let server = TestServer::start(|config| config.reactors = Some(reactors));
        let player = server.player("user=ada&group=g");
        let (pusher, session) = (server.pusher().clone(), player.id);
        assert_eq!(push(&pusher, to(Selector::All)), Ok(()));
        let client = thread::spawn(move || {
            let mut player = player;
            assert_eq!(player.recv_text(), "news");
            player.recv_end()
        });
        server.stop();
        assert!(matches!(client.join().unwrap(), End::Closed(1001, _)));
        assert_stopped(&pusher, session);
    }
}

/// Panics at the first message.
struct Panics;

impl App for Panics {
    fn message(&mut self, _: &mut Session<'_>, _: Message<'_>) {
        panic!("as the test wants");
    }
}

#[test]
fn a_pusher_says_so_of_a_server_whose_app_has_panicked_too() {
    let mut config = Config { reactors: Some(2), ..Config::default() };
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    let server = Server::bind(config).unwrap();
    let (pusher, address) = (server.pusher(), server.client_addr());
    let running = thread::spawn(|| server.run(|_| Box::new(Panics)));
    let mut player = Player::connect(address, "user=ada&group=g");
    player.send_text("panic");
    assert!(matches!(running.join().unwrap(), Err(RunError::Panicked { .. })));
    assert_stopped(&pusher, player.id);
}

#[test]
fn a_caller_who_waits_for_an_answer_has_one_when_the_server_has_stopped() {
    const THREADS: usize = 8;
    let server = TestServer::start(|config| config.timeouts.shutdown = Duration::from_millis(500));
    // Behind a full socket: its receipt would come when it reads, which it does not.
    let (_slow, _) = stalled(&server, "slow");
    let pool = Pool::new(|_, _| ());
    (0..40).for_each(|_| _ = pool.add(server.player("group=g")));
    let (started, starts) = mpsc::channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let work = |number: usize| {
        let (pusher, started, is_over) = (server.pusher().clone(), started.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            let step = |round: usize| match (number + round) % 3 {
                0 => push_and_wait(&pusher, to(Selector::Group(name("g"))), ReceiptMode::Written).err(),
                1 => push_and_wait(&pusher, to(Selector::Group(name("g"))), ReceiptMode::Queued).err(),
                _ => pusher.act("default", join(Who::User(name("slow"))), DEADLINE).err(),
            };
            assert_eq!(step(0), None);
            started.send(()).unwrap();
            (1..).find_map(|round| {
                let is_over = is_over.load(Ordering::SeqCst);
                let error = step(round);
                assert!(error.is_some() || !is_over, "it was answered by a server that has stopped");
                error
            })
        })
    };
    let threads: Vec<_> = (0..THREADS).map(work).collect();
    let pusher = server.pusher().clone();
    let waits =
        thread::spawn(move || push_and_wait(&pusher, to(Selector::User(name("slow"))), ReceiptMode::Written));
    drop(started);
    assert_eq!(starts.iter().take(THREADS).count(), THREADS);
    server.await_stats("the slow one's message waits", |totals| totals["outbox_messages"].as_u64() > Some(2));
    server.stop();
    is_over.store(true, Ordering::SeqCst);
    match waits.join().unwrap() {
        Ok(receipt) => assert_eq!((receipt.matched, receipt.closed), (1, 1), "{receipt:?}"),
        Err(error) => assert_eq!(error, PushError::Stopped),
    }
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Some(PushError::Stopped));
    }
}

/// Says that a message has come, and holds its reactor until the test lets go.
struct Holds {
    held: Sender<()>,
    let_go: Arc<Mutex<Receiver<()>>>,
}

impl App for Holds {
    fn message(&mut self, _: &mut Session<'_>, _: Message<'_>) {
        // A test that has failed waits for nothing and lets everything go.
        let _ = self.held.send(());
        let _ = self.let_go.lock().unwrap().recv_timeout(DEADLINE);
    }
}

#[test]
fn a_push_that_a_full_mailbox_does_not_take_is_overloaded_at_once() {
    const ROOM: usize = 8;
    let (held, holds) = mpsc::channel();
    let (lets_go, let_go) = mpsc::channel();
    let let_go = Arc::new(Mutex::new(let_go));
    let server = TestServer::with_app(
        |config| {
            config.reactors = Some(1);
            config.limits.mailbox_messages = ROOM;
        },
        move |_| Box::new(Holds { held: held.clone(), let_go: Arc::clone(&let_go) }),
    );
    // Dropped before the server, which waits for its reactor.
    let lets_go = lets_go;
    let mut player = server.player("user=ada");
    player.send_text("hold");
    holds.recv_timeout(DEADLINE).unwrap();
    // The only reactor does nothing now: whatever is answered, is answered without it.
    let pusher = server.pusher();
    let ada = || to(Selector::User(name("ada")));
    let taken = (0..=ROOM).take_while(|_| push(pusher, ada()).is_ok()).count();
    assert_eq!(taken, ROOM);
    assert_eq!(push(pusher, ada()), Err(PushError::Overloaded));
    for receipt in [ReceiptMode::Queued, ReceiptMode::Written] {
        // Who asks for a receipt has one: it says that a reactor was not reached.
        let receipt = push_and_wait(pusher, ada(), receipt).unwrap();
        assert_eq!((receipt.matched, receipt.unreached), (0, 1));
    }
    match pusher.act("default", join(Who::Session(player.id)), DEADLINE) {
        Err(PushError::Overloaded) => {}
        Err(PushError::Refused(error)) if error.code == ErrorCode::Overloaded => {}
        other => panic!("{other:?}"),
    }
    lets_go.send(()).unwrap();
    for _ in 0..ROOM {
        assert_eq!(player.recv_text(), "news");
    }
    // What was not taken was never sent, and there is room again.
    let receipt = push_and_wait(pusher, ada(), ReceiptMode::Queued).unwrap();
    assert_eq!((receipt.matched, receipt.queued), (1, 1));
    assert_eq!(player.recv_text(), "news");
    player.send_text("hold");
    holds.recv_timeout(DEADLINE).unwrap();
    lets_go.send(()).unwrap();
    let last = pusher.push("default", ada(), EncodedFrame::text("last"), PushOptions::default());
    assert_eq!((last, player.recv_text()), (Ok(()), "last".to_owned()));
}
