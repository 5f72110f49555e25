//! Sessions that survive their connections: a client that comes back gets the same session and exactly what it has not read.

mod claims;
mod cut;
mod ends;
mod returning;
mod upgraded;
mod waiting;

use crate::support::*;
use gannet::config::Config;
use serde_json::Value;
use std::time::Duration;

/// So long sessions linger where their end is not what is tested.
const LONG_MS: u64 = 600_000;

/// A server whose players' sessions may resume.
fn server(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.reactors = Some(2);
        config.apps.get_mut("default").unwrap().resume.linger_ms = LONG_MS;
        configure(config);
    })
}

/// A player and how many messages it has read, over all its connections.
struct Comer {
    ports: Ports,
    player: Option<Player>,
    ticket: String,
    received: u64,
    session: String,
}

impl Comer {
    fn new(ports: Ports, query: &str) -> Self {
        let player = ports.player(query);
        let mut comer =
            Self { ports, player: None, ticket: String::new(), received: 0, session: player.id.to_string() };
        comer.has(player);
        comer
    }

    /// Takes what the welcome of a new connection says.
    fn has(&mut self, player: Player) {
        self.ticket = player.welcome["resume"].as_str().expect("a ticket").to_owned();
        self.player = Some(player);
    }

    fn player(&mut self) -> &mut Player {
        self.player.as_mut().expect("it is there")
    }

    /// The next message, which is read and counted.
    fn text(&mut self) -> String {
        let text = self.player().recv_text();
        self.received += 1;
        text
    }

    fn texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.text()).collect()
    }

    /// The connection is reset, whatever of it has not been read.
    fn vanish(&mut self) {
        self.player.take().expect("it is there").reset();
    }

    /// What it comes back with.
    fn query(&self) -> String {
        format!("resume={}&received={}", self.ticket, self.received)
    }

    /// Comes back and gets its session.
    fn come_back(&mut self) {
        let player = self.ports.player(&self.query());
        assert_eq!(player.welcome["resumed"], true, "{}", player.welcome);
        assert_eq!(player.id.to_string(), self.session, "the same session");
        assert_ne!(player.welcome["resume"], self.ticket.as_str(), "another ticket");
        self.has(player);
    }

    /// Comes back and gets another session, since…
    fn comes_back_in_vain(&self, why: &str) {
        let player = self.ports.player(&self.query());
        let Value::Object(welcome) = &player.welcome else { panic!("{}", player.welcome) };
        assert_eq!(
            (&welcome["resumed"], &welcome["why"]),
            (&false.into(), &why.into()),
            "{}",
            player.welcome
        );
        assert_ne!(player.id.to_string(), self.session);
        player.close(1000, "");
    }

    /// Waits until the server knows that it has gone.
    fn await_away(&self) {
        await_away(self.ports, 1);
    }
}

/// Waits until so many sessions are away.
fn await_away(ports: Ports, count: u64) {
    ports.await_stats("sessions are away", |stats| stats["away"] == count);
}

/// Pushes `numbers` as texts to `target`.
fn push_all(ports: Ports, target: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut backend = ports.backend();
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    for text in &texts {
        assert_eq!(backend.push_text(target, text).queued, 1, "{text}");
    }
    texts
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
