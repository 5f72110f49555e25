//! What an embedding program has of groups that remember.

use super::{latest, log, with};
use crate::support::*;
use gannet::dispatch::{Action, EncodedFrame, OperationOutcome, PushOptions, Recall, Selector, Target, Who};
use gannet::session::Name;
use gannet::{App, Message, Session, SessionError};

fn group(name: &str) -> Name {
    Name::new(name).unwrap()
}

/// Greets, enters the chat, and says what it is told; `both` is a push to two groups that remember.
struct Chat;

impl App for Chat {
    fn open(&mut self, session: &mut Session<'_>) {
        session.send_text("hello");
        assert_eq!(session.join_with("chat/1", Recall::Last(2)), Ok(true));
        assert_eq!(session.join_with("chat/1", Recall::Last(2)), Ok(false));
        assert_eq!(session.join("match/1"), Ok(true));
        assert!(matches!(session.join_with("match/2", Recall::Last(2)), Err(SessionError::Refused(_))));
        assert!(session.groups().map(Name::as_str).eq(["chat/1", "match/1"]));
    }

    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        let chat = Target::from(Selector::Group(group("chat/1")));
        let (target, frame) = match text {
            "both" => (chat.or(Selector::Group(group("match/1"))), EncodedFrame::text("never")),
            text => (chat, EncodedFrame::text(text)),
        };
        if session.try_push(target.clone(), frame.clone(), PushOptions::default()).is_err() {
            session.push(target, frame, PushOptions::default());
            session.send_text("refused");
        }
    }
}

#[test]
fn sessions_of_a_program_join_with_what_is_kept_behind_what_they_were_sent() {
    let groups = vec![log("chat/", 10), latest("match/")];
    let server = TestServer::with_app(with(groups), |_| Box::new(Chat));
    let mut backend = server.backend();
    for number in 1..=5 {
        backend.push_text("group=chat%2F1", &number.to_string());
    }
    backend.push_text("group=match%2F1&key=score", "score");
    let mut players: Vec<Player> = (0..8).map(|_| server.player("")).collect();
    for player in &mut players {
        assert_eq!(player.recv_text(), "hello");
        let mut kept: Vec<String> = (0..3).map(|_| player.recv_text()).collect();
        // The two groups may have two owners.
        kept.sort();
        assert_eq!(kept, ["4", "5", "score"]);
    }
    players[0].send_text("both");
    assert_eq!(players[0].recv_text(), "refused");
    players[3].send_text("hi");
    for player in &mut players {
        assert_eq!(player.recv_text(), "hi");
    }
    assert_eq!(backend.scrape().sum("gannet_pushes_refused_total", &[]), 1);
}

#[test]
fn a_pusher_reads_and_changes_what_is_kept() {
    let server = TestServer::start(with(vec![log("chat/", 10), latest("match/")]));
    let pusher = server.pusher();
    let push = |name: &str, key: Option<&str>, text: &str| {
        let options = PushOptions { key: key.map(Into::into), ..PushOptions::default() };
        let target = Target::from(Selector::Group(group(name)));
        let receipt =
            pusher.push_and_wait("default", target, EncodedFrame::text(text), options, DEADLINE).unwrap();
        receipt.epoch.zip(receipt.offset)
    };
    let act = |action| pusher.act("default", action, DEADLINE).unwrap();
    let (epoch, first) = push("chat/1", None, "one").unwrap();
    assert_eq!((first, push("chat/1", Some("k"), "two")), (1, Some((epoch, 2))));
    assert_eq!(push("lobby", None, "nothing"), None);
    let log = Action::Log { group: group("chat/1"), after: 1, epoch: Some(epoch), limit: 10 };
    let OperationOutcome::Kept(page) = act(log) else { panic!("no page") };
    assert_eq!((page.epoch, page.offset, page.complete), (Some(epoch), 2, true));
    assert_eq!((page.messages[0].frame.as_text(), page.messages[0].key.as_deref()), (Some("two"), Some("k")));
    let mut ada = server.player("user=ada");
    let who = Who::User(group("ada"));
    let joined = act(Action::JoinWith { who: who.clone(), group: group("chat/1"), recall: Recall::Last(1) });
    let OperationOutcome::Joined { sessions: 1, recalled: Some(recalled), unknown: None } = joined else {
        panic!("{joined:?}")
    };
    assert_eq!((recalled.epoch, recalled.offset, recalled.complete), (Some(epoch), 2, true));
    push("match/1", Some("score"), "1:0");
    assert_eq!(act(Action::Join { who, group: group("match/1") }), OperationOutcome::Sessions(1));
    assert_eq!([ada.recv_text(), ada.recv_text()], ["two", "1:0"]);
    let forget = |key: Option<&str>| Action::Forget { group: group("match/1"), key: key.map(Into::into) };
    assert_eq!(act(forget(Some("score"))), OperationOutcome::Forgotten(1));
    assert_eq!(act(forget(None)), OperationOutcome::Forgotten(0));
    let OperationOutcome::Kept(page) = act(Action::Latest { group: group("match/1") }) else {
        panic!("no page")
    };
    assert!(page.messages.is_empty());
}
