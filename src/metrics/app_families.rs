//! The families with a sample for each app, which is the sum over the reactors: as many series as there are apps, and not
//! that many for each reactor.

use super::by_app::ByApp;
use super::families::ReactorMetrics;
use super::render::Text;
use super::value::{Counter, Gauge, Metric};

/// A family with a sample for each app.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    value: fn(&ReactorMetrics, u16) -> u64,
}

fn count(table: &ByApp<Counter>, app: u16) -> u64 {
    table.seen(app).map_or(0, Counter::get)
}

const FAMILIES: [Family; 8] = [
    Family {
        name: "gannet_app_sessions",
        help: "Sessions of the app that are open now, on all reactors.",
        kind: Gauge::TYPE,
        value: ReactorMetrics::app_sessions,
    },
    Family {
        name: "gannet_app_sessions_away",
        help: "Sessions of the app whose client is away, on all reactors; they count in gannet_app_sessions.",
        kind: Gauge::TYPE,
        value: |reactor, app| reactor.apps.away.seen(app).map_or(0, Gauge::get),
    },
    Family {
        name: "gannet_app_opened_total",
        help: "Sessions of the app that were opened.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.opened, app),
    },
    Family {
        name: "gannet_app_closed_total",
        help: "Sessions of the app that were closed, for whatever reason: gannet_closed_total has the codes.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.apps.closed, app),
    },
    Family {
        name: "gannet_app_refused_total",
        help: "Connections to the app that did not become a session: the page's origin, the proof of who it is, the \
               subprotocol, or a bound of the app, its users or addresses. What is refused before the app is known is in \
               gannet_refused_total alone.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.apps.refused, app),
    },
    Family {
        name: "gannet_app_messages_in_total",
        help: "Messages from the app's clients, whole ones.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.messages_in, app),
    },
    Family {
        name: "gannet_app_pushes_total",
        help: "Pushes to the app that were taken from its backends.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.pushes, app),
    },
    Family {
        name: "gannet_app_deliveries_total",
        help: "Deliveries of the app's pushes that were queued for a session; gannet_deliveries_total says what became of \
               them.",
        kind: Counter::TYPE,
        value: |reactor, app| count(&reactor.apps.queued, app),
    },
];

impl ReactorMetrics {
    /// Sessions of an app that are open on the reactor.
    pub fn app_sessions(&self, app: u16) -> u64 {
        self.apps.sessions.seen(app).map_or(0, Gauge::get)
    }

    /// The figures of an app on the reactor, in the order of [`FAMILIES`].
    pub fn of_app(&self, app: u16) -> [u64; FAMILIES.len()] {
        FAMILIES.each_ref().map(|family| (family.value)(self, app))
    }
}

/// A sample for each of `apps`, which are in the order of their ids.
pub(super) fn render<'a>(
    reactors: impl Iterator<Item = &'a ReactorMetrics> + Clone,
    apps: &[String],
    text: &mut Text<'_>,
) {
    for Family { name, help, kind, value } in &FAMILIES {
        text.family(name, help, kind);
        for (app, id) in apps.iter().zip(0..=u16::MAX) {
            let sum: u64 = reactors.clone().map(|reactor| value(reactor, id)).sum();
            text.sample(name, &[("app", app)], sum);
        }
    }
}
