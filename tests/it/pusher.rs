//! The library's way in from any thread: what it says when a reactor does not keep up, when the server stops, and when a
//! kick cannot be carried out.

use crate::stalled::stalled;
use crate::support::{Backend, DEADLINE, End, Player, Receipt, TestServer, until};
use gannet::dispatch::{
    Action, EncodedFrame, ErrorCode, OperationOutcome, PushOptions, ReceiptMode, Selector, Target, Who,
};
use gannet::protocol::CloseCode;
use gannet::session::Name;
use gannet::{App, Message, PushError, Pusher, Session};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn user(text: &str) -> Selector {
    Selector::User(name(text))
}

fn push(pusher: &Pusher, to: impl Into<Target>, text: &str) -> Result<(), PushError> {
    pusher.push("default", to.into(), EncodedFrame::text(text), PushOptions::default())
}

fn push_and_wait(
    pusher: &Pusher,
    to: impl Into<Target>,
    text: &str,
    receipt: ReceiptMode,
) -> Result<gannet::dispatch::Receipt, PushError> {
    let options = PushOptions { receipt, ..PushOptions::default() };
    pusher.push_and_wait("default", to.into(), EncodedFrame::text(text), options, DEADLINE)
}

/// An app in which a player can have a reactor stand still, as long as the test wants.
struct Holding {
    entered: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl App for Holding {
    fn message(&mut self, _: &mut Session<'_>, _: Message<'_>) {
        self.entered.send(()).unwrap();
        // Ends when the test says so or has failed.
        let _ = self.go_on.lock().unwrap().recv();
    }
}

/// Two reactors with room for one envelope in a mailbox and one in the overflow, a player on each, and a backend on the
/// first. The second reactor stands still.
struct Held {
    /// On the reactor that goes on.
    near: Player,
    /// On the one that does not.
    far: Player,
    backend: Backend,
    let_go: mpsc::Sender<()>,
    /// Stops when the players have gone.
    server: TestServer,
}

impl Held {
    fn new() -> Self {
        let (entered, has_entered) = mpsc::channel();
        let (let_go, go_on) = mpsc::channel();
        let go_on = Arc::new(Mutex::new(go_on));
        let make_app = move |_| -> Box<dyn App> {
            Box::new(Holding { entered: entered.clone(), go_on: Arc::clone(&go_on) })
        };
        let server = TestServer::with_app(
            |config| {
                config.reactors = Some(2);
                config.limits.mailbox_messages = 1;
                config.limits.overflow_messages = 1;
            },
            make_app,
        );
        let mut players: Vec<Player> =
            ["one", "two"].map(|user| server.player(&format!("user={user}"))).into();
        players.sort_by_key(|player| player.id.worker());
        let [near, mut far] = <[Player; 2]>::try_from(players).ok().unwrap();
        assert_eq!((near.id.worker(), far.id.worker()), (0, 1), "they are spread");
        // The other one is on the second reactor, and must not be spoken to.
        let mut backends = [server.backend(), server.backend()];
        let home = backends.iter_mut().position(|backend| backend.stats()["reactor"] == 0).unwrap();
        let [first, second] = backends;
        let mut backend = if home == 0 { first } else { second };
        for (user, player) in [("near", &near), ("far", &far)] {
            let target = format!("/v1/sessions/{}/user?user={user}", player.id);
            assert_eq!(backend.change("PUT", &target), 1);
        }
        far.send_text("hold");
        has_entered.recv_timeout(DEADLINE).unwrap();
        Self { near, far, backend, let_go, server }
    }

    /// A push to everybody that reached only the near player.
    fn reaches_the_near_one(&mut self, receipt: &Receipt, text: &str) {
        assert_eq!((receipt.matched, receipt.queued, receipt.dropped, receipt.unreached), (1, 1, 0, 1));
        assert_eq!((receipt.pending, receipt.offline), (0, 0));
        assert!(receipt.adds_up());
        assert_eq!(self.near.recv_text(), text);
    }

    /// The second reactor goes on. What it was reached by arrives, and nothing else.
    fn end(mut self, arrived: &[&str], unreached: u64) {
        drop(self.let_go);
        for text in arrived {
            assert_eq!(self.far.recv_text(), *text);
        }
        self.server.await_stats("what found no room is counted once", |stats| {
            stats["dropped"]["mailbox"] == unreached && stats["deliveries"]["dropped"] == unreached
        });
        push(self.server.pusher(), Selector::All, "last").unwrap();
        assert_eq!(self.far.recv_text(), "last");
    }
}

#[test]
fn a_push_that_finds_a_mailbox_full_says_so_and_reaches_the_others() {
    let mut held = Held::new();
    let pusher = held.server.pusher().clone();
    // Fills the one place of the mailbox. When the near player has it, its reactor has room again.
    push(&pusher, Selector::All, "taken").unwrap();
    assert_eq!(held.near.recv_text(), "taken");

    assert_eq!(push(&pusher, Selector::All, "pushed"), Err(PushError::Overloaded));
    assert_eq!(held.near.recv_text(), "pushed");
    for receipt in [ReceiptMode::Queued, ReceiptMode::Written] {
        let counts = push_and_wait(&pusher, Selector::All, "waited for", receipt).unwrap();
        assert_eq!((counts.matched, counts.queued, counts.dropped, counts.unreached), (1, 1, 0, 1));
        assert_eq!(counts.written, (receipt == ReceiptMode::Written).then_some(1));
        assert_eq!(held.near.recv_text(), "waited for");
    }
    assert_eq!(
        push_and_wait(&pusher, Selector::All, "no receipt", ReceiptMode::None),
        Err(PushError::Overloaded)
    );
    assert_eq!(held.near.recv_text(), "no receipt");
    held.end(&["taken"], 4);
}

#[test]
fn who_may_be_on_a_reactor_that_was_not_reached_is_not_called_offline() {
    let mut held = Held::new();
    let pusher = held.server.pusher().clone();
    push(&pusher, Selector::All, "taken").unwrap();
    assert_eq!(held.near.recv_text(), "taken");
    let to = Target::from(user("far")).or(user("nobody")).or(user("near"));
    let counts = push_and_wait(&pusher, to, "hi", ReceiptMode::Queued).unwrap();
    assert_eq!((counts.matched, counts.queued, counts.unreached, counts.offline), (1, 1, 1, 1));
    assert_eq!(held.near.recv_text(), "hi");
    let only = push_and_wait(&pusher, user("far"), "hi", ReceiptMode::Queued).unwrap();
    assert_eq!((only.matched, only.queued, only.unreached, only.offline), (0, 0, 1, 0));
    held.end(&["taken"], 2);
}

#[test]
fn a_command_that_finds_a_mailbox_full_is_refused_as_overloaded() {
    let mut held = Held::new();
    let pusher = held.server.pusher().clone();
    push(&pusher, Selector::All, "taken").unwrap();
    assert_eq!(held.near.recv_text(), "taken");
    let join = Action::Join { who: Who::User(name("far")), group: name("g") };
    assert_eq!(pusher.act("default", join, DEADLINE), Err(PushError::Overloaded));
    let list = Action::List { by: Selector::All, limit: 10, after: None, detailed: false };
    assert_eq!(pusher.act("default", list, DEADLINE), Err(PushError::Overloaded));
    // A request is read in a turn of its own: the room that the listing took on the first reactor has been given back.
    held.backend.ok("GET", "/healthz");
    let join = Action::Join { who: Who::User(name("near")), group: name("g") };
    assert_eq!(pusher.act("default", join, DEADLINE), Ok(OperationOutcome::Sessions(1)));
    held.end(&["taken"], 0);
}

#[test]
fn a_backends_receipt_says_that_a_reactor_was_not_reached() {
    let mut held = Held::new();
    // One in the mailbox, one in the overflow for it.
    for text in ["mailbox", "overflow"] {
        held.backend.send_push("all=1&receipt=none", &tungstenite::Message::text(text));
        assert_eq!(held.backend.receive().status, 202);
        assert_eq!(held.near.recv_text(), text);
    }
    let queued = held.backend.push_text("all=1", "queued");
    held.reaches_the_near_one(&queued, "queued");
    let written = held.backend.push_text("all=1&receipt=written", "written");
    assert_eq!((written.written, written.closed), (Some(1), Some(0)));
    held.reaches_the_near_one(&written, "written");
    let near = held.backend.push_text("user=near", "alone");
    assert_eq!((near.matched, near.queued, near.unreached), (1, 1, 0));
    assert_eq!(held.near.recv_text(), "alone");
    held.end(&["mailbox", "overflow"], 2);
}

#[test]
fn a_server_that_has_stopped_says_so_to_every_push_and_command() {
    let server = TestServer::start(|_| ());
    let player = server.player("user=ada");
    let pusher = server.pusher().clone();
    push(&pusher, Selector::All, "before").unwrap();
    thread::scope(|scope| {
        let player = scope.spawn(move || {
            let mut player = player;
            assert_eq!(player.recv_text(), "before");
            assert!(matches!(player.recv_end(), End::Closed(1001, _)));
        });
        server.stop();
        player.join().unwrap();
    });
    let (kick, patience) = (Who::User(name("ada")), DEADLINE);
    let list = Action::List { by: Selector::All, limit: 10, after: None, detailed: false };
    assert_eq!(push(&pusher, Selector::All, "after"), Err(PushError::Stopped));
    for receipt in [ReceiptMode::None, ReceiptMode::Queued, ReceiptMode::Written] {
        assert_eq!(push_and_wait(&pusher, Selector::All, "after", receipt), Err(PushError::Stopped));
    }
    assert_eq!(pusher.act("default", list, patience), Err(PushError::Stopped));
    assert_eq!(pusher.kick("default", kick, CloseCode(4001), "", patience), Err(PushError::Stopped));
}

#[test]
fn who_waits_for_a_receipt_while_the_server_ends_hears_that_it_has_stopped() {
    let server = TestServer::start(|config| {
        config.timeouts.shutdown = std::time::Duration::from_millis(200);
        config.timeouts.close = DEADLINE;
    });
    let (raw, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    let waiting = |backend: &mut Backend| {
        backend.ok("GET", "/v1/sessions?user=slow")["sessions"][0]["queued_messages"].as_u64().unwrap()
    };
    let before = waiting(&mut backend);
    let pusher = server.pusher().clone();
    let waiter = thread::spawn(move || push_and_wait(&pusher, user("slow"), "late", ReceiptMode::Written));
    while waiting(&mut backend) == before {}
    // Its player reads nothing: the time for the stop ends it.
    server.stop();
    assert_eq!(waiter.join().unwrap(), Err(PushError::Stopped), "behind {fill} messages");
    drop(raw);
}

#[test]
fn a_kick_whose_close_frame_could_not_be_sent_is_refused_and_closes_nobody() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("user=ada");
    let pusher = server.pusher();
    let kick = |code, reason: &str| {
        pusher.kick("default", Who::User(name("ada")), CloseCode(code), reason, DEADLINE)
    };
    let long = "x".repeat(124);
    for (code, reason) in [(1005, ""), (1006, ""), (999, ""), (1002, ""), (5000, ""), (4001, &*long)] {
        let Err(PushError::Refused(error)) = kick(code, reason) else { panic!("{code} {reason}") };
        assert_eq!(error.code, ErrorCode::BadRequest);
        let action = Action::Kick { who: Who::User(name("ada")), code, reason: reason.into() };
        assert_eq!(pusher.act("default", action, DEADLINE), Err(PushError::Refused(error)));
    }
    push(pusher, Selector::All, "still here").unwrap();
    assert_eq!(player.recv_text(), "still here");
    assert_eq!(kick(4321, &long[..123]), Ok(1));
    assert!(matches!(player.recv_end(), End::Closed(4321, reason) if reason.len() == 123));
}

/// An app in which whoever says a group has all sessions of its user join it.
struct Gathering;

impl App for Gathering {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let Message::Text(group) = message else { return };
        let who = Who::User(session.user().unwrap().clone());
        let pusher = session.pusher();
        let join = |who: Who, group: &str| pusher.post("default", Action::Join { who, group: name(group) });
        join(who.clone(), group).unwrap();
        assert_eq!(pusher.post("none", Action::Destroy { group: name(group) }), Err(PushError::UnknownApp));
        let kick = Action::Kick { who, code: 1, reason: "".into() };
        assert!(matches!(pusher.post("default", kick), Err(PushError::Refused(_))));
    }
}

/// On the reactor's own thread, where nothing may wait.
#[test]
fn an_app_has_others_join_without_waiting_for_it() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Gathering));
    let mut players: Vec<Player> = (0..8).map(|_| server.player("user=ada")).collect();
    players[0].send_text("red");
    let mut backend = server.backend();
    until("all have joined", || backend.push_text("group=red", "hi").queued == 8);
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "hi"));
}
