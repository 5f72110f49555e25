//! What a link that dies has not got is in the counters.

use super::raw_link::RawLink;
use super::settings::{await_until, config, metric};
use crate::raw::{PING, PONG, Raw, TEXT, masked, upgrade};
use crate::support::*;
use serde_json::{Value, json};
use socket2::SockRef;

#[test]
fn each_event_is_counted_once_when_a_link_dies_with_events_before_its_socket() {
    const EVENTS: u64 = 2000;
    const READ: u64 = 100;
    const BYTES: usize = 8000;
    /// What sockets may hold, in events: the kernel's default bounds are less than that.
    const IN_SOCKETS: u64 = (10 << 20) / BYTES as u64;
    for reactors in ["1", "3"] {
        // Room for all of them: the player is not paused for the link's sake.
        let (common, new) = ("limits.link_outbox_bytes = 268435456", "timeouts.link_stalled_ms = 600000");
        let server = ServerProcess::start(&["--reactors", reactors], &config(common, new));
        let mut link = RawLink::open_narrow(&server);
        link.listen();
        let mut player = Raw::player(server.client, "/ws");
        for number in 0..EVENTS {
            player.send(masked(TEXT, format!("{number:-<BYTES$}").as_bytes()));
        }
        server.await_stats("every event is made", |totals| totals["messages_in"] == EVENTS);
        for number in 0..READ {
            assert_eq!(link.event(), format!("{number:-<BYTES$}"));
        }
        link.into_raw().reset();
        let counts =
            |totals: &Value| ["link_events", "link_events_lost"].map(|name| totals[name].as_u64().unwrap());
        let totals = server.await_stats("the link has gone, and its events are counted", |totals| {
            totals["links"] == 0 && counts(totals).iter().sum::<u64>() >= EVENTS
        });
        let [told, lost] = counts(&totals);
        assert_eq!(told + lost, EVENTS, "{told} told and {lost} lost");
        assert!((READ..=READ + IN_SOCKETS).contains(&told), "{told} told of {READ} that were read");
        assert!(lost > 0);
        // Nothing says which of those that its socket took it has read.
        assert_eq!(totals["link_events_unconfirmed"], told);

        // Another link begins anew.
        let mut next = RawLink::open(&server);
        next.listen();
        player.send(masked(TEXT, b"after"));
        assert_eq!(next.event(), "after");
        let mut backend = server.backend();
        await_until("it is counted", || {
            let events = metric(&mut backend, "gannet_link_events_total", "");
            assert!(events <= Some(told + 1), "{events:?}");
            events == Some(told + 1)
        });
    }
}

/// A link of which the test sees the pings too, and how far it has confirmed its events.
struct Confirming {
    raw: Raw,
    read: u64,
    /// So many of the events stood before the last ping that it has answered.
    confirmed: u64,
}

impl Confirming {
    fn listening(server: &Ports) -> Self {
        let mut raw = Raw::connect(server.backend);
        raw.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
        assert_eq!(raw.answer().status, 101);
        let mut link = Self { raw, read: 0, confirmed: 0 };
        link.command(r#"{"id":1,"op":"listen","events":["message"]}"#);
        link
    }

    /// Reads one frame; a ping is answered. Whether it was one.
    fn take(&mut self) -> Option<String> {
        let frame = self.raw.frame().unwrap();
        if frame.first == PING {
            self.raw.send(masked(PONG, &frame.payload));
            self.confirmed = self.read;
            return None;
        }
        self.read += u64::from(frame.text().contains(r#""event":"message""#));
        Some(frame.text().to_owned())
    }

    /// Sends a command and reads its reply. Whether no ping came before that.
    fn command(&mut self, command: &str) -> bool {
        self.raw.send(masked(TEXT, command.as_bytes()));
        let mut was_asked = false;
        loop {
            match self.take() {
                None => was_asked = true,
                Some(text) if text.contains(r#""id""#) => return !was_asked,
                Some(_) => {}
            }
        }
    }
}

/// What is written to a socket and not read, only the other side knows: a ping that it answers says how far it has read.
#[test]
fn what_a_killed_link_has_not_confirmed_is_counted() {
    const MORE: u64 = 25;
    let times = "timeouts.link_ping_ms = 50\ntimeouts.link_idle_ms = 600000";
    let server = ServerProcess::start(&["--reactors", "2"], &config("", times));
    let mut told = 0;
    let mut unconfirmed = 0;
    for says_goodbye in [false, true] {
        let mut link = Confirming::listening(&server);
        let mut player = Raw::player(server.client, "/ws");
        while link.confirmed < 3 {
            player.send(masked(TEXT, b"hi"));
            let read = link.read;
            while link.read == read {
                link.take();
            }
        }
        // Where no ping came before the reply, the last pong came before the command.
        while !link.command(r#"{"id":2,"op":"list"}"#) {}
        (0..MORE).for_each(|_| player.send(masked(TEXT, b"more")));
        told += link.read + MORE;
        server.await_stats("its socket has taken all", |totals| totals["link_events"] == told);
        match says_goodbye {
            true => link.raw.send(masked(0x88, &1000u16.to_be_bytes())),
            false => {
                unconfirmed += link.read + MORE - link.confirmed;
                link.raw.reset();
            }
        }
        let totals = server.await_stats("the link has gone", |totals| totals["links"] == 0);
        assert_eq!(
            (&totals["link_events_unconfirmed"], &totals["link_events_lost"]),
            (&json!(unconfirmed), &json!(0))
        );
    }
}

/// Under a share nothing is counted twice: what its socket took of a link that is killed, and what the next one gets, are all.
#[test]
fn what_a_killed_link_of_a_share_was_sent_and_what_the_next_one_gets_are_all() {
    const EVENTS: u64 = 400;
    const BYTES: usize = 8_000;
    let server = TestServer::start(|config| config.limits.socket_unsent_bytes = 4096);
    let mut killed = server.link();
    SockRef::from(killed.stream()).set_recv_buffer_size(8 << 10).unwrap();
    killed.listen(&["message"], Some("game"));
    let mut player = server.player("");
    let mut next = server.link();
    next.listen(&["message"], Some("game"));
    (0..EVENTS).for_each(|number| player.send_text(&format!("{number:-<BYTES$}")));
    server.await_stats("all is made", |stats| stats["messages_in"] == EVENTS);
    killed.reset();
    let count = |stats: &Value, name: &str| stats[name].as_u64().unwrap();
    let stats = server.await_stats("it has gone, and the next one is sent the rest", |stats| {
        let known = ["link_events_unconfirmed", "link_events_handed_on"].map(|name| count(stats, name));
        stats["links"] == 1 && known.iter().sum::<u64>() >= EVENTS
    });
    let (sent, handed_on) =
        (count(&stats, "link_events_unconfirmed"), count(&stats, "link_events_handed_on"));
    assert_eq!((sent + handed_on, &stats["link_events_lost"]), (EVENTS, &json!(0)));
    assert!(sent > 0 && handed_on > 0, "{sent} sent, {handed_on} handed on");
    for number in sent..EVENTS {
        let text = next.event()["text"].as_str().unwrap().to_owned();
        assert_eq!(text.split('-').next(), Some(&*number.to_string()));
    }
    assert!(next.events_so_far().is_empty());
}
