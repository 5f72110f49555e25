//! A client comes back on another node than before: it gets the rest from the node that has it, exactly, or is told that it cannot.

mod bounds;
mod crowd;
mod failing;
mod polls;
mod told;

use super::Nodes;
use crate::support::{End, EventStream, Player, Ports, Redis, TestServer, until};
use gannet::config::Config;
use serde_json::Value;
use std::time::Duration;

/// So long sessions linger where their end is not what is tested.
const LONG_MS: u64 = 600_000;

fn resumes(config: &mut Config) {
    config.apps.get_mut("default").unwrap().resume.linger_ms = LONG_MS;
}

fn nodes(count: u8, redis: &[&Redis]) -> Nodes {
    Nodes::start_with(count, redis, resumes)
}

/// A player that goes from node to node, and how many messages it has read.
struct Wanderer {
    player: Option<Player>,
    ticket: String,
    received: u64,
    session: String,
}

impl Wanderer {
    fn new(ports: Ports, query: &str) -> Self {
        let player = ports.player(query);
        let (ticket, session) = (ticket_of(&player.welcome), player.id.to_string());
        Self { player: Some(player), ticket, received: 0, session }
    }

    fn text(&mut self) -> String {
        let text = self.player.as_mut().expect("it is there").recv_text();
        self.received += 1;
        text
    }

    fn texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.text()).collect()
    }

    /// Its connection is reset, whatever of it has not been read.
    fn vanish(&mut self) {
        self.player.take().expect("it is there").reset();
    }

    fn query(&self) -> String {
        format!("resume={}&received={}", self.ticket, self.received)
    }

    /// What another node says to it.
    fn goes_to(&mut self, ports: Ports) -> Value {
        let player = ports.player(&self.query());
        let welcome = player.welcome.clone();
        self.player = Some(player);
        welcome
    }

    /// It goes to another node, and its session with it.
    fn resumes_on(&mut self, ports: Ports) {
        let welcome = self.goes_to(ports);
        assert_eq!(
            (&welcome["resumed"], &welcome["was"]),
            (&true.into(), &self.session.as_str().into()),
            "{welcome}"
        );
        let session = welcome["session"].as_str().unwrap();
        assert_ne!(session, self.session, "a session of that node");
        (self.ticket, self.session) = (ticket_of(&welcome), session.to_owned());
    }

    /// It goes to another node, and gets a session that has nothing of its own.
    fn resumes_in_vain_on(&mut self, ports: Ports, why: &str) {
        let welcome = self.goes_to(ports);
        let said = (&welcome["resumed"], &welcome["why"], &welcome["was"]);
        assert_eq!(said, (&false.into(), &why.into(), &self.session.as_str().into()), "{welcome}");
        assert_ne!(welcome["session"], self.session.as_str());
    }
}

fn ticket_of(welcome: &Value) -> String {
    welcome["resume"].as_str().expect("a ticket").to_owned()
}

/// Pushes these numbers as texts to the target, with receipts.
fn push_all(ports: Ports, target: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut backend = ports.backend();
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    for text in &texts {
        let receipt = backend.push_text(target, text);
        assert_eq!(receipt.matched, 1, "{text}: {receipt:?}");
    }
    texts
}

#[test]
fn a_session_goes_to_another_node_with_its_rest_and_its_names() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let [a, b, c] = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada&group=red&tag=blue");
    let mut sent = push_all(a, "user=ada", 0..3);
    sent.extend(push_all(b, "group=red", 3..5));
    sent.extend(push_all(c, "tag=blue", 5..7));
    assert_eq!(ada.texts(4), sent[..4]);
    ada.vanish();
    a.await_stats("the session is away", |stats| stats["away"] == 1);
    sent.extend(push_all(b, "user=ada", 7..9));
    ada.resumes_on(b);
    sent.extend(push_all(c, "tag=blue", 9..10));
    sent.extend(push_all(a, "group=red", 10..11));
    sent.extend(push_all(b, "user=ada", 11..12));
    assert_eq!(ada.texts(8), sent[4..]);
    a.await_stats("it is over there", |stats| stats["sessions"] == 0);
    let listed = c.backend().ok("GET", "/v1/sessions?user=ada");
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    // And on, from there, half read.
    sent.extend(push_all(a, "user=ada", 12..15));
    assert_eq!(ada.texts(1), sent[12..13]);
    ada.resumes_on(c);
    assert_eq!(ada.texts(2), sent[13..]);
    let scrape = b.backend().scrape();
    assert_eq!(scrape.sum("gannet_resumed_from_nodes_total", &[]), 1);
    assert_eq!(a.backend().scrape().sum("gannet_linger_ended_total", &["why=\"moved\""]), 1);
}
