//! What a link that dies has not got is in the counters.

use super::raw_link::RawLink;
use super::settings::{await_until, config, metric};
use crate::raw::{Raw, TEXT, masked};
use crate::support::*;
use serde_json::Value;

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
