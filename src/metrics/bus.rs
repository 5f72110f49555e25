//! What a reactor counts of its links to Redis, by the place of the server in `cluster.redis`. A node without a cluster shows nothing
//! of it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::carry::Carry;
use super::labels::{BusLoss, Label};
use super::render::Text;
use super::value::{Counter, CounterBy, Gauge};

/// Buckets of a batch's size with a bound: 1, 2, … 512 messages.
const BOUNDED: usize = 10;

/// Servers that a process knows at the most, those that are in its list no more among them.
pub const MAX_SERVERS: usize = 64;

/// What one reactor counts of its links to one Redis. Only its own thread writes it.
#[derive(Debug, Default)]
pub struct BusLink {
    /// 1 if there is such a server, or was since the start. Nothing is shown of another one.
    pub is_known: Gauge,
    /// 1 while it is in use.
    pub is_open: Gauge,
    /// 1 while the link that publishes is up.
    pub publisher_up: Gauge,
    /// 1 while the link that subscribes is up. Like all figures of what is heard it is of one reactor alone: see
    /// [`BusMetrics::subscribes`].
    pub subscriber_up: Gauge,
    /// Times that the link that publishes was lost. It is made anew.
    pub publisher_reconnects: Counter,
    /// The same of the link that subscribes.
    pub subscriber_reconnects: Counter,
    /// Messages that Redis has taken, and handed on to all who subscribe.
    pub published: Counter,
    /// Messages that have come from it, this node's own among them.
    pub received: Counter,
    /// Messages that did not reach whom they were for, by why.
    pub lost: CounterBy<BusLoss, { BusLoss::COUNT }>,
    /// Messages that Redis has not answered yet.
    pub unanswered: Gauge,
    /// Messages that wait for it.
    pub queue_messages: Gauge,
    /// Their bytes.
    pub queue_bytes: Gauge,
    /// Nanoseconds that the last heartbeat took from this node through Redis to this node.
    pub lag_ns: Gauge,
    /// Messages that went to it with one write.
    pub batch: Sizes,
    /// Channels that this node subscribes to there.
    pub channels: Gauge,
}

impl BusLink {
    /// The server is in use no more: what is not counted is nothing.
    pub fn clear(&self) {
        let Self {
            publisher_up,
            subscriber_up,
            unanswered,
            queue_messages,
            queue_bytes,
            lag_ns,
            channels,
            ..
        } = self;
        let gauges = [publisher_up, subscriber_up, unanswered, queue_messages, queue_bytes, lag_ns, channels];
        gauges.into_iter().for_each(|gauge| gauge.set(0));
    }
}

/// The links of one reactor, by the places of their servers; none without a cluster.
#[derive(Debug, Default)]
pub struct BusMetrics(Box<[BusLink]>);

impl BusMetrics {
    pub(super) fn new(servers: usize) -> Self {
        let room = if servers == 0 { 0 } else { servers.max(MAX_SERVERS) };
        let links: Box<[BusLink]> = (0..room).map(|_| BusLink::default()).collect();
        for link in &links[..servers] {
            link.is_known.set(1);
            link.is_open.set(1);
        }
        Self(links)
    }

    /// The figures of one server.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn server(&self, server: usize) -> &BusLink {
        &self.0[server]
    }

    fn known(&self) -> impl Iterator<Item = (usize, &BusLink)> {
        self.0.iter().enumerate().filter(|(_, link)| link.is_known.get() > 0)
    }

    /// Whether of so many reactors this one subscribes to the server for the node.
    pub fn subscribes(reactor: usize, server: usize, reactors: usize) -> bool {
        server % reactors == reactor
    }

    pub(super) fn each_family(&self, see: &mut dyn FnMut(&str, &dyn Carry)) {
        see("gannet_bus_reconnects_total", &Each(self, |link| &link.publisher_reconnects));
        see("gannet_bus_subscriber_reconnects", &Each(self, |link| &link.subscriber_reconnects));
        see("gannet_bus_published_total", &Each(self, |link| &link.published));
        see("gannet_bus_received_total", &Each(self, |link| &link.received));
        see("gannet_bus_lost_total", &Each(self, |link| &link.lost));
        see("gannet_bus_batch", &Each(self, |link| &link.batch));
    }
}

/// A family of all servers: each label begins with the place of the server.
struct Each<'a>(&'a BusMetrics, fn(&BusLink) -> &dyn Carry);

impl Carry for Each<'_> {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        for (server, link) in self.0.known() {
            self.1(link).each(&mut |label, count| see(&format!("{server} {label}"), count));
        }
    }

    fn add_carried(&self, label: &str, count: u64) {
        let Some((server, label)) = label.split_once(' ') else { return };
        if let Some(link) = server.parse().ok().and_then(|server: usize| self.0.0.get(server)) {
            link.is_known.set(1);
            self.1(link).add_carried(label, count);
        }
    }
}

/// How many messages went with one write, counted in buckets that double from 1 to 512. Only one thread writes it.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Bucket `b` counts the sizes up to `2^b` and beyond the bound before.
    buckets: [Counter; BOUNDED + 1],
    sum: AtomicU64,
}

impl Sizes {
    /// Counts one write of so many messages.
    pub fn observe(&self, size: u64) {
        self.buckets[bucket_of(size)].add(1);
        self.sum.store(self.sum.load(Relaxed).saturating_add(size), Relaxed);
    }
}

fn bucket_of(size: u64) -> usize {
    let bucket = size.clamp(1, 1 << BOUNDED).next_power_of_two().trailing_zeros();
    bucket as usize
}

impl Carry for Sizes {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        let Self { buckets, sum } = self;
        for (number, bucket) in buckets.iter().enumerate() {
            see(&(1_u64 << number).to_string(), bucket.get());
        }
        see("sum", sum.load(Relaxed));
    }

    fn add_carried(&self, label: &str, count: u64) {
        match label.parse() {
            _ if label == "sum" => self.sum.store(self.sum.load(Relaxed).saturating_add(count), Relaxed),
            Ok(bound) => self.buckets[bucket_of(bound)].add(count),
            Err(_) => {}
        }
    }
}

/// What a sample shows of a link: further labels, and the value.
type Sample<'a> = (&'a [(&'a str, &'a str)], u64);

/// The links of all reactors, on their way into a text.
pub(super) struct Links<'a> {
    reactors: Vec<&'a BusMetrics>,
    /// The numbers of reactors and servers as text.
    numbers: Vec<String>,
    servers: usize,
}

impl<'a> Links<'a> {
    pub(super) fn new(reactors: Vec<&'a BusMetrics>) -> Self {
        let servers = reactors.first().map_or(0, |reactor| reactor.0.len());
        let numbers = (0..reactors.len().max(servers)).map(|number| number.to_string()).collect();
        Self { reactors, numbers, servers }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.servers == 0
    }

    pub(super) fn render(&self, text: &mut Text<'_>) {
        let help = "1 while the link to the Redis server is up, 0 while it is not. link: publisher, one for each reactor; \
                    subscriber, one for the node.";
        self.family(text, "gannet_bus_up", help, "gauge", |link, subscribes, sample| {
            if link.is_open.get() == 0 {
                return;
            }
            sample((&[("link", "publisher")], link.publisher_up.get()));
            if subscribes {
                sample((&[("link", "subscriber")], link.subscriber_up.get()));
            }
        });
        let help = "Times that a link to the Redis server was lost; it is made anew by itself.";
        self.family(text, "gannet_bus_reconnects_total", help, "counter", |link, subscribes, sample| {
            sample((&[("link", "publisher")], link.publisher_reconnects.get()));
            if subscribes {
                sample((&[("link", "subscriber")], link.subscriber_reconnects.get()));
            }
        });
        let help = "Messages for other nodes that the Redis server has taken.";
        self.each(text, "gannet_bus_published_total", help, "counter", |link| &link.published, Counter::get);
        let help = "Messages that came from the Redis server, this node's own included.";
        self.heard(text, "gannet_bus_received_total", help, "counter", |link| link.received.get());
        let help = "Messages of the bus that did not reach every node that they were for, by reason; unknown ones may have.";
        self.family(text, "gannet_bus_lost_total", help, "counter", |link, _, sample| {
            for reason in BusLoss::ALL {
                sample((&[(BusLoss::NAME, reason.text())], link.lost.of(*reason).get()));
            }
        });
        let help = "Messages that were sent to the Redis server and that it has not answered; cluster.in_flight bounds them.";
        self.each(text, "gannet_bus_unanswered", help, "gauge", |link| &link.unanswered, Gauge::get);
        let help = "Messages that wait for the Redis server; cluster.queue_messages bounds them.";
        self.each(text, "gannet_bus_queue_messages", help, "gauge", |link| &link.queue_messages, Gauge::get);
        let help = "Bytes of the messages that wait for the Redis server; cluster.queue_bytes bounds them.";
        self.each(text, "gannet_bus_queue_bytes", help, "gauge", |link| &link.queue_bytes, Gauge::get);
        let help = "Channels that the node subscribes to at the Redis server.";
        self.heard(text, "gannet_bus_channels", help, "gauge", |link| link.channels.get());
        self.render_lag(text);
        self.render_batches(text);
    }

    fn render_lag(&self, text: &mut Text<'_>) {
        let name = "gannet_bus_lag_seconds";
        text.family(
            name,
            "Time that the last heartbeat took from this node through the Redis server to this node.",
            "gauge",
        );
        for (link, subscribes, labels) in self.links() {
            if subscribes {
                text.sample(name, &labels, link.lag_ns.get() as f64 / 1e9);
            }
        }
    }

    fn render_batches(&self, text: &mut Text<'_>) {
        let name = "gannet_bus_batch";
        text.family(name, "Messages that went to the Redis server with one write.", "histogram");
        for (link, _, [reactor, server]) in self.links() {
            let mut cumulative = 0;
            for (number, bucket) in link.batch.buckets.iter().enumerate() {
                cumulative += bucket.get();
                let le = if number < BOUNDED { (1_u64 << number).to_string() } else { "+Inf".to_owned() };
                text.sample(&format!("{name}_bucket"), &[reactor, server, ("le", &le)], cumulative);
            }
            text.sample(&format!("{name}_sum"), &[reactor, server], link.batch.sum.load(Relaxed));
            text.sample(&format!("{name}_count"), &[reactor, server], cumulative);
        }
    }

    /// A family with one sample for each link.
    fn each<M: 'a>(
        &self,
        text: &mut Text<'_>,
        name: &str,
        help: &str,
        kind: &str,
        of: fn(&BusLink) -> &M,
        get: fn(&M) -> u64,
    ) {
        self.family(text, name, help, kind, |link, _, sample| sample((&[], get(of(link)))));
    }

    /// The same for each link of a reactor that subscribes.
    fn heard(&self, text: &mut Text<'_>, name: &str, help: &str, kind: &str, get: fn(&BusLink) -> u64) {
        self.family(text, name, help, kind, |link, subscribes, sample| {
            if subscribes {
                sample((&[], get(link)));
            }
        });
    }

    /// A family with the samples that `show` gives of each link.
    fn family(
        &self,
        text: &mut Text<'_>,
        name: &str,
        help: &str,
        kind: &str,
        show: impl Fn(&BusLink, bool, &mut dyn FnMut(Sample<'_>)),
    ) {
        text.family(name, help, kind);
        for (link, subscribes, labels) in self.links() {
            show(link, subscribes, &mut |(further, value)| {
                text.sample(name, &[&labels, further].concat(), value);
            });
        }
    }

    /// Each link, whether its reactor subscribes there, and the labels of both.
    fn links(&self) -> impl Iterator<Item = (&'a BusLink, bool, [(&str, &str); 2])> {
        self.reactors.iter().enumerate().flat_map(move |(reactor, links)| {
            links.known().map(move |(server, link)| {
                let labels = [("reactor", &*self.numbers[reactor]), ("server", &*self.numbers[server])];
                (link, BusMetrics::subscribes(reactor, server, self.reactors.len()), labels)
            })
        })
    }
}

/// What a node shows of its cluster. One thread writes it.
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    /// Nodes that are heard, this one among them.
    pub nodes: Gauge,
    /// 1 while the node is sure of its number.
    pub lease: Gauge,
}

impl ClusterMetrics {
    pub(super) fn render(&self, text: &mut Text<'_>) {
        text.single(
            "gannet_cluster_nodes",
            "Nodes of the cluster that are heard, this one included.",
            self.nodes.get(),
        );
        let help = "1 while the node is sure that its node number is no other node's, 0 while it is not.";
        text.single("gannet_cluster_lease", help, self.lease.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_the_bucket_of_the_naive_search() {
        for size in (0..2_000).chain([u64::MAX]) {
            let naive = (0..BOUNDED).find(|bucket| size <= 1 << bucket).unwrap_or(BOUNDED);
            assert_eq!(bucket_of(size), naive, "{size}");
        }
    }
}
