use std::collections::{BTreeMap, HashMap};

use super::*;

/// A sample line: name, labels, value.
type Series = (String, BTreeMap<String, String>);

/// A naive reader of the text format that refuses what Prometheus refuses.
struct Scrape {
    types: HashMap<String, String>,
    samples: HashMap<Series, f64>,
}

impl Scrape {
    fn of(metrics: &Metrics) -> Self {
        let mut text = String::new();
        metrics.render_prometheus(&Setup::default(), &mut text);
        assert!(text.ends_with('\n'));
        let mut scrape = Self { types: HashMap::new(), samples: HashMap::new() };
        let (mut helped, mut family) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && !help.starts_with(' '), "{line}");
                helped = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped, name, "HELP and TYPE stand together");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(name.starts_with("gannet_") || name.starts_with("process_"), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert_eq!(scrape.types.insert(name.to_owned(), kind.to_owned()), None, "{name} twice");
                family = name.to_owned();
            } else {
                scrape.sample(line, &family);
            }
        }
        scrape
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let suffix =
            name.strip_prefix(family).unwrap_or_else(|| panic!("{line}: outside its family {family}"));
        match self.types[family].as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            _ => assert_eq!(suffix, "", "{line}"),
        }
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
            let (label, text) = label.split_once('=').unwrap();
            let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
            (label.to_owned(), text.to_owned())
        });
        let series = (name.to_owned(), labels.collect());
        assert_eq!(self.samples.insert(series, value.parse().unwrap()), None, "{line}: twice");
    }

    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect();
        self.samples[&(name.to_owned(), labels)]
    }
}

#[test]
fn what_is_counted_is_what_prometheus_reads() {
    let metrics = Metrics::new(3, 0);
    metrics.reactor(0).sessions.set(7);
    metrics.reactor(2).sessions.add(5);
    metrics.reactor(2).sessions.sub(1);
    metrics.reactor(1).bytes_out.add(u64::from(u32::MAX) + 1);
    metrics.reactor(1).closed.of(CloseClass::from_code(4003)).add(2);
    metrics.reactor(1).closed.of(CloseClass::from_code(3999)).add(1);
    metrics.reactor(0).refused.of(RefusalReason::HeadTimeout).add(3);
    metrics.reactor(0).http_requests.of(StatusClass::from_status(404)).add(1);

    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.get("gannet_sessions", &[("reactor", "0")]), 7.0);
    assert_eq!(scrape.get("gannet_sessions", &[("reactor", "1")]), 0.0);
    assert_eq!(scrape.get("gannet_sessions", &[("reactor", "2")]), 4.0);
    assert_eq!(scrape.get("gannet_bytes_out_total", &[("reactor", "1")]), 4_294_967_296.0);
    assert_eq!(scrape.get("gannet_closed_total", &[("reactor", "1"), ("code", "4003")]), 2.0);
    assert_eq!(scrape.get("gannet_closed_total", &[("reactor", "1"), ("code", "other")]), 1.0);
    assert_eq!(scrape.get("gannet_refused_total", &[("reactor", "0"), ("reason", "head_timeout")]), 3.0);
    assert_eq!(scrape.get("gannet_http_requests_total", &[("reactor", "0"), ("status", "4xx")]), 1.0);
    assert_eq!(scrape.get("gannet_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(scrape.get("process_open_fds", &[]) > 0.0);
    assert!(scrape.get("gannet_uptime_seconds", &[]) >= 0.0);
}

#[test]
fn what_is_counted_of_the_bus_is_shown_by_server_where_there_is_a_cluster() {
    let metrics = Metrics::new(2, 0).with_bus(3);
    let link = |reactor: usize, server| metrics.reactor(reactor).bus.server(server);
    link(1, 2).published.add(7);
    link(1, 0).publisher_up.set(1);
    link(0, 2).subscriber_up.set(1);
    link(0, 2).received.add(8);
    link(0, 2).lag_ns.set(1_500_000);
    link(1, 2).lost.of(BusLoss::Unknown).add(3);
    [1, 2, 3, 128, 600].into_iter().for_each(|size| link(0, 1).batch.observe(size));
    metrics.cluster.nodes.set(4);
    metrics.cluster.lease.set(1);

    let scrape = Scrape::of(&metrics);
    let at = |reactor, server| [("reactor", reactor), ("server", server)];
    let with = |reactor, server, label, value| [("reactor", reactor), ("server", server), (label, value)];
    assert_eq!(scrape.get("gannet_bus_published_total", &at("1", "2")), 7.0);
    assert_eq!(scrape.get("gannet_bus_up", &with("1", "0", "link", "publisher")), 1.0);
    assert_eq!(scrape.get("gannet_bus_up", &with("0", "2", "link", "subscriber")), 1.0);
    assert_eq!(scrape.get("gannet_bus_received_total", &at("0", "2")), 8.0);
    assert_eq!(scrape.get("gannet_bus_lag_seconds", &at("0", "2")), 0.0015);
    assert_eq!(scrape.get("gannet_bus_lost_total", &with("1", "2", "reason", "unknown")), 3.0);
    let batches = |le| scrape.get("gannet_bus_batch_bucket", &with("0", "1", "le", le));
    assert_eq!(["1", "2", "4", "128", "512", "+Inf"].map(batches), [1.0, 2.0, 3.0, 4.0, 4.0, 5.0]);
    assert_eq!(scrape.get("gannet_bus_batch_sum", &at("0", "1")), 734.0);
    assert_eq!(scrape.get("gannet_cluster_nodes", &[]), 4.0);
    // A reactor that subscribes to nothing there has no figure of it.
    let heard = |server: &str| {
        scrape
            .samples
            .keys()
            .filter(|(name, labels)| name == "gannet_bus_channels" && labels["server"] == server)
            .count()
    };
    assert_eq!(["0", "1", "2"].map(heard), [1, 1, 1]);
    let alone = Scrape::of(&Metrics::new(2, 0));
    assert!(!alone.types.keys().any(|name| name.contains("_bus_") || name.contains("_cluster_")));
}

#[test]
fn what_was_counted_of_the_bus_is_counted_on() {
    let [first, second] = [Metrics::new(1, 0).with_bus(2), Metrics::new(1, 0).with_bus(2)];
    let link = first.reactor(0).bus.server(1);
    link.published.add(7);
    link.lost.of(BusLoss::Queue).add(2);
    link.subscriber_reconnects.add(1);
    link.batch.observe(600);
    link.queue_messages.set(9);
    let bytes = minicbor::to_vec(first.reactor(0).carry()).unwrap();
    let carried = minicbor::decode(&bytes).unwrap();
    second.reactor(0).go_on_from(&carried);
    // One that has fewer servers takes what it has a place for.
    Metrics::new(1, 0).with_bus(1).reactor(0).go_on_from(&carried);
    let [first, second] = [first, second].map(|metrics| {
        metrics.reactor(0).bus.server(1).queue_messages.set(0);
        let bus = Scrape::of(&metrics).samples.into_iter().filter(|((name, _), _)| name.contains("_bus_"));
        bus.collect::<HashMap<_, _>>()
    });
    assert_eq!(first, second);
    assert_eq!(first.values().filter(|value| **value == 7.0).count(), 1);
}

#[test]
fn histograms_are_cumulative_and_agree_with_a_naive_count() {
    let metrics = Metrics::new(1, 0);
    let times = [0, 1, 999, 1_000, 1_001, 2_000, 65_000, 1_000_000, 20_000_000_000, 17_000_000];
    times.iter().for_each(|ns| metrics.reactor(0).push_to_write.observe(*ns));

    let scrape = Scrape::of(&metrics);
    let name = "gannet_push_to_write_seconds";
    let reactor = ("reactor", "0");
    let mut bounds = 0;
    for ((series, labels), count) in &scrape.samples {
        if series != &format!("{name}_bucket") {
            continue;
        }
        let bound: f64 = labels["le"].parse().unwrap();
        let naive = times.iter().filter(|ns| **ns as f64 / 1e9 <= bound).count();
        assert_eq!(*count, naive as f64, "le {bound}");
        bounds += 1;
    }
    assert_eq!(bounds, 26);
    assert_eq!(scrape.get(&format!("{name}_bucket"), &[reactor, ("le", "0.000001")]), 4.0);
    assert_eq!(scrape.get(&format!("{name}_bucket"), &[reactor, ("le", "16.777216")]), 9.0);
    assert_eq!(scrape.get(&format!("{name}_bucket"), &[reactor, ("le", "+Inf")]), 10.0);
    assert_eq!(scrape.get(&format!("{name}_count"), &[reactor]), 10.0);
    let sum = times.iter().sum::<u64>() as f64 / 1e9;
    assert!((scrape.get(&format!("{name}_sum"), &[reactor]) - sum).abs() < 1e-6);
}

#[test]
fn the_snapshot_is_the_sum_over_the_reactors() {
    let metrics = Metrics::new(2, 0);
    for reactor in [0, 1] {
        metrics.reactor(reactor).sessions.set(2 + reactor as u64);
        metrics.reactor(reactor).deliveries.of(DeliveryOutcome::Dropped).add(4);
        metrics.reactor(reactor).turn_time.observe(3_000);
    }
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.totals.sessions, 5);
    assert_eq!(snapshot.totals.deliveries.of(DeliveryOutcome::Dropped), 8);

    let json = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(json["sessions"], 5);
    assert_eq!(json["reactors"], 2);
    assert_eq!(json["deliveries"]["dropped"], 8);
    assert_eq!(json["deliveries"]["queued"], 0);
    assert_eq!(json["turn_time"]["count"], 2);
    assert_eq!(json["turn_time"]["mean_us"], 3.0);
    let p50 = json["turn_time"]["p50_us"].as_f64().unwrap();
    assert!((2.0..=4.0).contains(&p50), "{p50}");
}

#[test]
fn labels_have_an_index_and_a_text_of_their_own() {
    fn check<L: Label + PartialEq + std::fmt::Debug>() {
        let texts: std::collections::HashSet<_> = L::ALL.iter().map(|value| value.text()).collect();
        assert_eq!(texts.len(), L::ALL.len());
        assert!(L::ALL.iter().enumerate().all(|(index, value)| value.index() == index));
    }
    check::<RefusalReason>();
    check::<DeliveryOutcome>();
    check::<DropReason>();
    check::<CloseClass>();
    check::<ProtocolErrorKind>();
    check::<StatusClass>();
    check::<BusLoss>();
    for class in CloseClass::ALL {
        let code = class.text().parse().unwrap_or(0);
        assert_eq!(CloseClass::from_code(code), *class);
    }
    assert_eq!(ProtocolErrorKind::from_code(1007), ProtocolErrorKind::InvalidUtf8);
    assert_eq!(StatusClass::from_status(999), StatusClass::ServerError);
}
