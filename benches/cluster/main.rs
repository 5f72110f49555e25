//! A cluster on a Redis of its own, beside that Redis alone: latency of a push on one reactor, from one to another, and to other nodes,
//! beside a bare PUBLISH → SUBSCRIBE; pushes a second over the bus beside `redis-benchmark`, and to groups that remember; and what Redis itself takes for
//! each message and channel, which `cluster_sim` calculates with.
//!
//! `cargo bench --bench cluster -- --seconds 20 --nodes 4`: the nodes, their players and the bare connections are in this process, on
//! loopback; `redis-server` and `redis-benchmark` have to be installed. What is compared alternates in rounds, so that a
//! drift of the machine's speed meets both. With `--awake` no core sleeps meanwhile (see `cpu`): what is left is the work.

mod cpu;
mod memory;
mod nodes;
mod redis;

use cpu::{Awake, Threads};
use gannet::PushError;
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use nodes::{Backend, Counter, Node, PREFIX, Player};
use redis::{BATCH, BarePair, Drain, Redis};
use std::time::{Duration, Instant};

pub type Failure = Box<dyn std::error::Error>;

/// What is pushed: 64 bytes, as a move in a game.
pub const PAYLOAD: &str = "sixty-four bytes of a move in a game, as any of them is sent her";
/// The channel of the bare connections.
const BARE: &str = "bare";
/// Pushes of each shape in a round, and in the first one, which is not counted.
const PUSHES: usize = 50;
const WARM_UP: usize = 200;
/// Pushes that are under way at once.
const WINDOW: u64 = 8_192;
/// How often pushes and redis-benchmark take turns for each number of nodes.
const TURNS: u32 = 3;
const CHANNELS: usize = 100_000;
const CHANNELS_A_COMMAND: usize = 1_000;

fn main() -> Result<(), Failure> {
    let Arguments { seconds, nodes: count, is_awake } = read_arguments()?;
    let _awake = is_awake.then(Awake::start).transpose()?;
    let redis = Redis::start()?;
    let all = nodes::start(&redis, count)?;
    println!("{count} nodes of two reactors each, payload {} bytes", PAYLOAD.len());
    let bytes = message_bytes(&redis, &all)?;
    let payload = "x".repeat(bytes);
    println!("a push on the bus is a message of {bytes} bytes\n");
    latency(&redis, &all, payload.as_bytes(), Duration::from_secs(seconds) / 2)?;
    let turn = Duration::from_secs(seconds) / 2 / (2 * TURNS * (count as u32 - 1));
    throughput(&redis, &all, &payload, turn)?;
    memory::measure(&redis, &all, Duration::from_secs(seconds) / 2 / 12)?;
    for node in all {
        node.stop()?;
    }
    channels(&redis)
}

struct Arguments {
    seconds: u64,
    nodes: usize,
    is_awake: bool,
}

fn read_arguments() -> Result<Arguments, Failure> {
    let mut read = Arguments { seconds: 20, nodes: 4, is_awake: false };
    // Cargo itself adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--seconds" => read.seconds = value().parse()?,
            "--nodes" => read.nodes = value().parse()?,
            "--awake" => read.is_awake = true,
            _ => return Err("cargo bench --bench cluster -- [--seconds 20] [--nodes 4] [--awake]".into()),
        }
    }
    match read.seconds == 0 || read.nodes < 2 {
        true => Err("at least one second and two nodes".into()),
        false => Ok(read),
    }
}

/// The player of the node `number`: a member of the groups that reach so many other nodes.
fn query(number: usize, count: usize) -> String {
    let groups: String = (number..count).map(|reaches| format!("&group=reach-{reaches}")).collect();
    format!("user=player-{number}{groups}")
}

/// How long the message of a push to a group is on the bus.
fn message_bytes(redis: &Redis, all: &[Node]) -> Result<usize, Failure> {
    let _player = Player::connect(all[1].clients, "group=reach-1")?;
    let mut bare = redis.connect()?;
    bare.subscribe(&[format!("{PREFIX}:g:default\u{1}reach-1").as_bytes()])?;
    push(&all[0], 1)?;
    let bytes = bare.payload_length()?;
    bare.quit()?;
    Ok(bytes)
}

/// A push of the node to the group that reaches so many other nodes, without a receipt. Waits while the node cannot take it.
fn push(node: &Node, reaches: usize) -> Result<(), Failure> {
    let target = Target::from(Selector::Group(Name::new(&format!("reach-{reaches}"))?));
    let options = PushOptions { receipt: ReceiptMode::None, ..PushOptions::default() };
    loop {
        match node.pusher.push("default", target.clone(), EncodedFrame::text(PAYLOAD), options.clone()) {
            Err(PushError::Overloaded) => std::thread::sleep(Duration::from_micros(50)),
            done => return Ok(done?),
        }
    }
}

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

fn latency(redis: &Redis, all: &[Node], bus_payload: &[u8], time: Duration) -> Result<(), Failure> {
    let mut backend = Backend::connect(all[0].backend)?;
    let home = backend.reactor()?;
    let mut same = [all[0].player_on("user=same", |reactor| reactor == home)?];
    let mut other = [all[0].player_on("user=other", |reactor| reactor != home)?];
    let mut far = Vec::new();
    for (number, node) in all.iter().enumerate().skip(1) {
        far.push(Player::connect(node.clients, &query(number, all.len()))?);
    }
    let mut bare = Vec::new();
    for reaches in 1..all.len() {
        bare.push(BarePair::connect(redis, &format!("{BARE}-{reaches}"), reaches)?);
    }
    // Who has a connection may not be heard of on other nodes yet.
    std::thread::sleep(Duration::from_millis(200));

    let mut local = [Shape::new("on one reactor"), Shape::new("from one reactor to another")];
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
        for _ in 0..pushes {
            local[0].times.push(backend.push("user=same", PAYLOAD, same.iter_mut())?);
        }
        for _ in 0..pushes {
            local[1].times.push(backend.push("user=other", PAYLOAD, other.iter_mut())?);
        }
        for ((reaches, bare), [of_nodes, of_bare]) in (1..).zip(&mut bare).zip(&mut remote) {
            for _ in 0..pushes {
                let target = format!("group=reach-{reaches}");
                of_nodes.times.push(backend.push(&target, PAYLOAD, far[..reaches].iter_mut())?);
            }
            for _ in 0..pushes {
                of_bare.times.push(bare.publish(bus_payload)?);
            }
        }
        if until.is_none() {
            until = Some(Instant::now() + time);
            pushes = PUSHES;
            local.iter_mut().chain(remote.as_flattened_mut()).for_each(|shape| shape.times.clear());
        }
    }
    show_latency(&mut local, &mut remote);
    Ok(())
}

fn show_latency(local: &mut [Shape; 2], remote: &mut [[Shape; 2]]) {
    println!("{:30}{:>10}{:>10}{:>10}", "latency of a push", "pushes", "p50 us", "p99 us");
    let across = local[1].part(0.5);
    for shape in local.iter_mut().chain(remote.as_flattened_mut()) {
        let (name, count, p50, p99) =
            (shape.name.clone(), shape.times.len(), shape.part(0.5), shape.part(0.99));
        println!("{name:30}{count:>10}{p50:>10.1}{p99:>10.1}");
    }
    println!();
    for [of_nodes, of_bare] in remote {
        let (p50, p99) = (of_nodes.part(0.5), of_nodes.part(0.99));
        let (bare_p50, bare_p99) = (of_bare.part(0.5), of_bare.part(0.99));
        println!(
            "{:18}{:.2} x the p50 and {:.2} x the p99 of the bare one; what the bus adds to a push between reactors: {:.2} x the p50",
            of_nodes.name,
            p50 / bare_p50,
            p99 / bare_p99,
            (p50 - across) / bare_p50
        );
    }
    println!();
}

fn throughput(redis: &Redis, all: &[Node], payload: &str, turn: Duration) -> Result<(), Failure> {
    println!(
        "pushes a second over the bus, redis-benchmark -c 1 -P {BATCH} publish with messages of the same length"
    );
    println!(
        "{:>6}{:>12}{:>17}{:>8}{:>24}{:>20}{:>24}",
        "nodes",
        "pushes/s",
        "redis-benchmark",
        "ratio",
        "us CPU of this process",
        "its busiest thread",
        "us CPU of Redis, alone"
    );
    let mut cpu = Vec::new();
    for reaches in 1..all.len() {
        let mut counters = Vec::new();
        for (number, node) in all.iter().enumerate().take(reaches + 1).skip(1) {
            counters.push(Player::connect(node.clients, &query(number, all.len()))?.count()?);
        }
        let channel = format!("{BARE}-{reaches}");
        std::thread::sleep(Duration::from_millis(200));
        let (mut rates, mut bare_rates) = (Vec::new(), Vec::new());
        let (mut pushed, mut own, mut published, mut redis_s) = (0, Threads::default(), 0, 0.0);
        let mut count = 100_000;
        for _ in 0..TURNS {
            let before = Threads::now()?;
            let (done, took) = push_for(&all[0], reaches, &counters, turn)?;
            own.add(&Threads::now()?.since(&before));
            pushed += done;
            rates.push(done as f64 / took.as_secs_f64());
            let drains: Vec<Drain> =
                (0..reaches).map(|_| Drain::start(redis, &channel)).collect::<Result<_, _>>()?;
            let before_s = redis.cpu_s()?;
            let rate = redis.benchmark(&channel, payload, count)?;
            redis_s += redis.cpu_s()? - before_s;
            published += count;
            bare_rates.push(rate);
            count = (rate * turn.as_secs_f64()).max(1_000.0) as u64;
            drains.into_iter().try_for_each(Drain::end)?;
        }
        let (rate, bare_rate) = (median(rates), median(bare_rates));
        let own_us = own.together_s() * 1e6 / pushed as f64;
        let busiest_us = own.busiest_s() * 1e6 / pushed as f64;
        let redis_us = redis_s * 1e6 / published as f64;
        cpu.push(redis_us);
        let ratio = rate / bare_rate;
        println!(
            "{reaches:>6}{rate:>12.0}{bare_rate:>17.0}{ratio:>8.2}{own_us:>24.2}{busiest_us:>20.2}{redis_us:>24.2}"
        );
        counters.into_iter().try_for_each(Counter::end)?;
    }
    if let [first, .., last] = cpu[..] {
        let copy_us = (last - first) / (cpu.len() - 1) as f64;
        match copy_us > 0.0 {
            true => println!(
                "\nfor cluster_sim: --publish-us {:.2} --copy-us {copy_us:.2} --bytes {}",
                first - copy_us,
                payload.len()
            ),
            false => println!("\ntoo short to tell what a copy takes of Redis: measure for more seconds"),
        }
    }
    println!();
    Ok(())
}

/// Pushes for so long; how many each of the players has got, and how long that took.
fn push_for(
    node: &Node,
    reaches: usize,
    players: &[Counter],
    time: Duration,
) -> Result<(u64, Duration), Failure> {
    let before: Vec<u64> = players.iter().map(Counter::get).collect();
    let got = || players.iter().zip(&before).map(|(player, before)| player.get() - before).min().unwrap_or(0);
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < time {
        for _ in 0..BATCH {
            push(node, reaches)?;
        }
        sent += u64::from(BATCH);
        while sent - got() > WINDOW {
            if start.elapsed() > time + Duration::from_secs(10) {
                return Err(format!("players lack {} messages", sent - got()).into());
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    while got() < sent {
        if start.elapsed() > time + Duration::from_secs(10) {
            return Err(format!("of {sent} messages {} were lost", sent - got()).into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok((sent, start.elapsed()))
}

pub fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// What channels take of Redis: to subscribe to them, to have them, and when the subscriber dies.
fn channels(redis: &Redis) -> Result<(), Failure> {
    let mut subscriber = redis.connect()?;
    let names: Vec<String> =
        (0..CHANNELS).map(|number| format!("{PREFIX}:u:default\u{1}player-{number:08}")).collect();
    let (memory, cpu_s, start) = (redis.memory_bytes()?, redis.cpu_s()?, Instant::now());
    for names in names.chunks(CHANNELS_A_COMMAND) {
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        subscriber.subscribe(&names)?;
    }
    let took = start.elapsed();
    let count = CHANNELS as f64;
    println!("{CHANNELS} channels, {CHANNELS_A_COMMAND} a command: {:.0} ms", took.as_secs_f64() * 1e3);
    println!("CPU of Redis a channel            {:8.2} us", (redis.cpu_s()? - cpu_s) * 1e6 / count);
    println!("memory of Redis a channel         {:8.0} bytes", (redis.memory_bytes()? - memory) / count);
    let mut other = redis.connect()?;
    drop(subscriber);
    let mut longest = Duration::ZERO;
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let start = Instant::now();
        other.send(&[b"PING"])?;
        other.line()?;
        longest = longest.max(start.elapsed());
    }
    println!("longest PING when their subscriber dies {:8.1} ms", longest.as_secs_f64() * 1e3);
    Ok(())
}
