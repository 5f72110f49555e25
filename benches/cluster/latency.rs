//! How long a push takes, on one node and to others, beside a bare PUBLISH → SUBSCRIBE with and without forwarders at its ends.

use crate::arrivals::Arrivals;
use crate::forwarders::Forwarders;
use crate::nodes::{Backend, Node};
use crate::redis::{BarePair, Redis};
use crate::{Failure, PAYLOAD, query};
use std::time::{Duration, Instant};

/// The channels of the bare connections.
const BARE: &str = "bare";
/// Pushes of each shape in a round, and in the first one, which is not counted.
const PUSHES: usize = 50;
const WARM_UP: usize = 200;
/// The reactor of each node that hears what comes over the first Redis.
const EAR: u8 = 0;

/// What has been measured of one shape.
struct Shape {
    name: String,
    times: Vec<Duration>,
}

impl Shape {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), times: Vec::new() }
    }

    fn part(&mut self, part: f64) -> f64 {
        self.times.sort();
        let at = (self.times.len() as f64 * part) as usize;
        self.times[at.min(self.times.len() - 1)].as_secs_f64() * 1e6
    }
}

/// Who receives what is measured.
struct Receivers {
    same: [Arrivals; 1],
    other: [Arrivals; 1],
    /// On the reactors that hear Redis.
    far: Vec<Arrivals>,
    /// On another reactor of another node.
    further: [Arrivals; 1],
    bare: Vec<BarePair>,
    forwarders: Forwarders,
}

impl Receivers {
    fn connect(redis: &Redis, all: &[Node], home: u8, on_bus: &[u8]) -> Result<Self, Failure> {
        let same = [all[0].player_on("user=same", |reactor| reactor == home)?.arrivals()?];
        let other = [all[0].player_on("user=other", |reactor| reactor != home)?.arrivals()?];
        let mut far = Vec::new();
        for (number, node) in all.iter().enumerate().skip(1) {
            far.push(node.player_on(&query(number, all.len()), |reactor| reactor == EAR)?.arrivals()?);
        }
        let further = [all[1].player_on("user=further", |reactor| reactor != EAR)?.arrivals()?];
        let mut bare = Vec::new();
        for reaches in 1..all.len() {
            bare.push(BarePair::connect(redis, &format!("{BARE}-{reaches}"), reaches, on_bus.len())?);
        }
        let forwarders = Forwarders::connect(redis, on_bus, PAYLOAD.len())?;
        Ok(Self { same, other, far, further, bare, forwarders })
    }
}

/// `bus_payload` is what a push is on the bus.
pub fn measure(redis: &Redis, all: &[Node], bus_payload: &[u8], time: Duration) -> Result<(), Failure> {
    let mut backend = Backend::connect(all[0].backend)?;
    let home = backend.reactor()?;
    let mut receivers = Receivers::connect(redis, all, home, bus_payload)?;
    // Who has a connection may not be heard of on other nodes yet.
    std::thread::sleep(Duration::from_millis(200));

    let mut local = [
        Shape::new("on one reactor"),
        Shape::new("from one reactor to another"),
        Shape::new("to another reactor of another node"),
    ];
    let mut forwarded = Shape::new("bare, with a forwarder at each end");
    let mut remote: Vec<[Shape; 2]> = (1..all.len())
        .map(|reaches| {
            [
                Shape::new(format!("other nodes: {reaches}")),
                Shape::new(format!("bare, subscribers: {reaches}")),
            ]
        })
        .collect();
    let mut pushes = WARM_UP;
    let mut until = None;
    while until.is_none_or(|until| Instant::now() < until) {
        let Receivers { same, other, far, further, bare, forwarders } = &mut receivers;
        let users = [("same", same), ("other", other), ("further", further)];
        for (shape, (user, players)) in local.iter_mut().zip(users) {
            for _ in 0..pushes {
                shape.times.push(backend.push(&format!("user={user}"), PAYLOAD, players.iter_mut())?);
            }
        }
        for ((reaches, bare), [of_nodes, of_bare]) in (1..).zip(bare).zip(&mut remote) {
            for _ in 0..pushes {
                let target = format!("group=reach-{reaches}");
                of_nodes.times.push(backend.push(&target, PAYLOAD, far[..reaches].iter_mut())?);
            }
            for _ in 0..pushes {
                of_bare.times.push(bare.publish(bus_payload)?);
            }
        }
        for _ in 0..pushes {
            forwarded.times.push(forwarders.push()?);
        }
        if until.is_none() {
            until = Some(Instant::now() + time);
            pushes = PUSHES;
            let all = local.iter_mut().chain(remote.as_flattened_mut()).chain([&mut forwarded]);
            all.for_each(|shape| shape.times.clear());
        }
    }
    show(&mut local, &mut remote, &mut forwarded);
    Ok(())
}

fn show(local: &mut [Shape; 3], remote: &mut [[Shape; 2]], forwarded: &mut Shape) {
    println!("{:36}{:>10}{:>10}{:>10}", "latency of a push", "pushes", "p50 us", "p99 us");
    let [within, across, further] = [0, 1, 2].map(|shape: usize| local[shape].part(0.5));
    for shape in local.iter_mut().chain(remote.as_flattened_mut()).chain([&mut *forwarded]) {
        let (name, count, p50, p99) =
            (shape.name.clone(), shape.times.len(), shape.part(0.5), shape.part(0.99));
        println!("{name:36}{count:>10}{p50:>10.1}{p99:>10.1}");
    }
    println!();
    for [of_nodes, of_bare] in remote.iter_mut() {
        let (p50, p99) = (of_nodes.part(0.5), of_nodes.part(0.99));
        let (bare_p50, bare_p99) = (of_bare.part(0.5), of_bare.part(0.99));
        println!(
            "{:18}{:.2} x the p50 and {:.2} x the p99 of the bare one; what the bus adds to a push on one reactor: {:.2} x the p50",
            of_nodes.name,
            p50 / bare_p50,
            p99 / bare_p99,
            (p50 - within) / bare_p50
        );
    }
    if let Some([of_nodes, of_bare]) = remote.first_mut() {
        let (p50, forwarded_p50) = (of_nodes.part(0.5), forwarded.part(0.5));
        let bare_p50 = of_bare.part(0.5);
        println!(
            "{:18}{:.2} x the p50 of the bare one; what the bus adds to a push between reactors: {:.2} x the p50",
            "another reactor",
            further / bare_p50,
            (further - across) / bare_p50
        );
        println!(
            "{:18}{:.2} x the p50 of the bare one; a push over the bus is {:.2} x theirs",
            "forwarders",
            forwarded_p50 / bare_p50,
            p50 / forwarded_p50
        );
    }
    println!();
}
