//! A cluster on a Redis of its own, beside that Redis alone: latency of a push on one reactor, from one to another, and to other nodes,
//! beside a bare PUBLISH → SUBSCRIBE; pushes a second over the bus beside `redis-benchmark`, and to groups that remember; and what Redis itself takes for
//! each message and channel, which `cluster_sim` calculates with.
//!
//! `cargo bench --bench cluster -- --seconds 20 --nodes 4`: the nodes, their players and the bare connections are in this process, on
//! loopback; `redis-server` and `redis-benchmark` have to be installed. What is compared alternates in rounds, so that a
//! drift of the machine's speed meets both. With `--awake` no core sleeps meanwhile (see `cpu`): what is left is the work.

mod arrivals;
mod cpu;
mod forwarders;
#[path = "../../src/cli/heap.rs"]
mod heap;
mod latency;
mod memory;
mod nodes;
mod redis;
mod throughput;

use cpu::Awake;
use gannet::PushError;
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use nodes::{Node, PREFIX};
use redis::Redis;
use std::time::{Duration, Instant};

/// The heap of the program, as it is in `gannet serve`.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub type Failure = Box<dyn std::error::Error>;

/// What is pushed: 64 bytes, as a move in a game.
pub const PAYLOAD: &str = "sixty-four bytes of a move in a game, as any of them is sent her";
const CHANNELS: usize = 100_000;
const CHANNELS_A_COMMAND: usize = 1_000;

fn main() -> Result<(), Failure> {
    heap::give_memory_back()?;
    let Arguments { seconds, nodes: count, is_awake } = read_arguments()?;
    let _awake = is_awake.then(Awake::start).transpose()?;
    let redis = Redis::start()?;
    let all = nodes::start(&redis, count)?;
    println!("{count} nodes of two reactors each, payload {} bytes", PAYLOAD.len());
    let message = throughput::push_on_bus(&redis, &all[0], 1)?;
    println!("a push on the bus is a message of {} bytes\n", message.len());
    let half = Duration::from_secs(seconds) / 2;
    latency::measure(&redis, &all, &message, half)?;
    throughput::measure(&redis, &all, message.len(), throughput::turn(half, count))?;
    memory::measure(&redis, &all, half / 12)?;
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

/// A push of the node to a group, without a receipt. Waits while the node cannot take it.
fn push(node: &Node, group: &str) -> Result<(), Failure> {
    let target = Target::from(Selector::Group(Name::new(group)?));
    let options = PushOptions { receipt: ReceiptMode::None, ..PushOptions::default() };
    loop {
        match node.pusher.push("default", target.clone(), EncodedFrame::text(PAYLOAD), options.clone()) {
            Err(PushError::Overloaded) => std::thread::sleep(Duration::from_micros(50)),
            done => return Ok(done?),
        }
    }
}

pub fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
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
