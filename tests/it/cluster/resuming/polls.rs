//! A client that polls comes to another node: its session goes there, as that of an event stream does.

use super::*;
use crate::support::Poller;
use serde_json::json;

/// A client that polls, which goes from node to node.
struct Rover {
    poller: Poller,
    got: Vec<String>,
}

impl Rover {
    fn new(ports: Ports, query: &str) -> Self {
        Self { poller: Poller::open(ports.client, query, ""), got: Vec::new() }
    }

    fn takes(&mut self, document: &Value) {
        let texts = document["messages"].as_array().unwrap().iter();
        self.got.extend(texts.map(|message| message["text"].as_str().unwrap().to_owned()));
    }

    /// Polls where it is until it has got so many messages.
    fn polls_until(&mut self, count: usize) {
        while self.got.len() < count {
            self.poller.begin(10_000);
            let document = self.poller.document();
            assert_eq!(document.get("resumed"), None, "{document}");
            self.takes(&document);
        }
    }

    /// Its next poll goes to another node, and its session with it. It would wait for long, and is answered at once.
    fn goes_to(&mut self, ports: Ports) -> Value {
        self.poller.moves_to(ports.client);
        self.poller.begin(50_000);
        let before = self.poller.session.clone();
        let document = self.poller.document();
        let said = (&document["resumed"], &document["was"], document.get("why"));
        assert_eq!(said, (&true.into(), &before.as_str().into(), None), "{document}");
        assert_ne!(self.poller.session, before, "a session of that node");
        self.takes(&document);
        document
    }
}

#[test]
fn a_session_follows_its_polls_from_node_to_node_with_its_rest_and_its_names() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let ports = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut links = ports.map(|ports| ports.link());
    links.iter_mut().for_each(|link| link.listen(&["open", "close", "join", "message"], None));
    let mut ada = Rover::new(ports[0], "?user=ada&group=red&tag=blue");
    assert_eq!([links[0].event()["event"].clone(), links[0].event()["event"].clone()], ["open", "join"]);
    let mut sent = push_all(ports[1], "group=red", 0..2);
    ada.polls_until(2);
    for turn in 1..7 {
        let (before, next) = ((turn + 2) % 3, turn % 3);
        // One of them it has been given, and nobody knows whether it has read it; the others wait.
        let first = turn as u32 * 10;
        sent.extend(push_all(ports[next], "tag=blue", first..first + 1));
        ada.polls_until(sent.len());
        sent.extend(push_all(ports[before], "user=ada", first + 1..first + 4));
        ada.goes_to(ports[next]);
        let closed = links[before].event();
        let reason = format!("resumed on another node as {}", ada.poller.session);
        assert_eq!((&closed["code"], &closed["reason"]), (&4002.into(), &json!(reason)), "{closed}");
        let (open, joined) = (links[next].event(), links[next].event());
        assert_eq!((&open["event"], &open["session"]), (&"open".into(), &json!(ada.poller.session)));
        assert_eq!((&joined["event"], &joined["group"]), (&"join".into(), &"red".into()));
        // It says something where it is, with its new ticket, and with no other.
        assert_eq!(ada.poller.say("text/plain", b"hi").status, 204);
        assert_eq!(links[next].event()["text"], "hi");
        sent.extend(push_all(ports[(next + 1) % 3], "group=red", first + 4..first + 6));
        ada.polls_until(sent.len());
        assert_eq!(ada.got, sent, "turn {turn}");
    }
    let listed = ports[1].backend().ok("GET", "/v1/sessions?user=ada");
    assert_eq!(listed["sessions"][0]["session"], json!(ada.poller.session), "{listed}");
    assert_eq!(ports[1].backend().scrape().sum("gannet_resumed_from_nodes_total", &[]), 2);
}

#[test]
fn an_answer_that_was_lost_costs_a_client_that_polls_nothing() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Rover::new(a, "?user=ada");
    let sent = push_all(b, "user=ada", 0..3);
    // Nobody reads the answer.
    let old = (ada.poller.ticket.clone(), ada.poller.received);
    ada.goes_to(b);
    assert_eq!(ada.got, sent);
    (ada.poller.ticket, ada.poller.received) = old.clone();
    ada.poller.vanish();
    ada.got.clear();
    ada.polls_until(3);
    assert_eq!(ada.got, sent, "they come again");
    // So it is where the session was before: that goes after its client, there and back.
    let session = ada.poller.session.clone();
    ada.poller.ticket = old.0;
    ada.poller.moves_to(a.client);
    ada.poller.begin(50_000);
    let back = ada.poller.document();
    assert_eq!((&back["resumed"], &back["messages"]), (&true.into(), &json!([])), "{back}");
    assert_ne!(ada.poller.session, session);
    b.await_stats("it has gone", |stats| stats["sessions"] == 0);
    let more = push_all(b, "user=ada", 3..5);
    ada.polls_until(5);
    assert_eq!(ada.got[3..], more);
}

#[test]
fn a_poll_that_waits_is_ended_by_one_at_another_node() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Rover::new(a, "?user=ada");
    ada.poller.begin(50_000);
    a.await_stats("the poll waits", |_| a.backend().scrape().sum("gannet_polls", &[]) == 1);
    let mut other = Poller::with(b.client, "?user=ada", &ada.poller.ticket, 0);
    other.begin(50_000);
    assert_eq!(other.document()["resumed"], true);
    assert_eq!(ada.poller.answer("GET").status, 409);
    // A ticket says nothing of another node's session but to polls.
    let mut late = Poller::with(a.client, "?user=ada", &other.ticket, 0);
    assert_eq!(late.say("text/plain", b"hi").status, 404);
    let target = format!("/session?resume={}", late.ticket);
    assert_eq!(late.request("DELETE", &target, "", b"").status, 404);
    assert_eq!(other.say("text/plain", b"hi").status, 204);
}

#[test]
fn a_poll_gets_another_session_where_its_own_cannot_come() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        resumes(config);
        config.cluster.resume_bytes = 10;
    });
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let ada = Rover::new(a, "?user=ada").poller;
    let begins_anew = |ticket: &str, who: &str, why: &str| {
        let mut shown = Poller::with(b.client, who, ticket, 0);
        shown.begin(50_000);
        let document = shown.document();
        let said = (&document["resumed"], &document["why"], document.get("was"));
        assert_eq!(said, (&false.into(), &why.into(), None), "{document}");
        assert_ne!(shown.session, ada.session);
    };
    begins_anew(&ada.ticket, "?user=eve", "user");
    let (all_but_one, last) = ada.ticket.split_at(ada.ticket.len() - 1);
    begins_anew(&format!("{all_but_one}{}", if last == "A" { "Q" } else { "A" }), "?user=ada", "unknown");
    // More waits for it than may go over.
    a.backend().push_text("user=ada", "more than ten bytes");
    begins_anew(&ada.ticket, "?user=ada", "gap");
    // A node that is being emptied takes none.
    let mut bob = Rover::new(a, "?user=bob").poller;
    assert_eq!(b.backend().request("POST", "/v1/admin/drain?over_ms=60000").status, 200);
    let mut drained = Poller::with(b.client, "?user=bob", &bob.ticket, 0);
    drained.begin(1);
    assert_eq!(drained.answer("GET").status, 503);
    bob.begin(0);
    assert_eq!(bob.document().get("resumed"), None, "it stayed where it was");
}
