//! Pushes a second over the bus beside what `redis-benchmark` publishes, in batches of the same size and messages of the same length. A
//! push has two ends, and each is measured by itself too: a node in the place of `redis-benchmark`, before the same subscribers that
//! only read; and nodes and their players in the place of these subscribers, behind one connection that publishes as it does.

use crate::cpu::Threads;
use crate::nodes::{Counter, Node, PREFIX, Player};
use crate::redis::{self, BATCH, Bare, Drain, Redis};
use crate::{Failure, median, push, query};
use std::time::{Duration, Instant};

/// Pushes that are under way at once; beyond it, half of them come first, so that who pushes does not sleep for each batch.
const WINDOW: u64 = 8_192;
/// How often those that are compared take turns for each number of nodes.
const TURNS: u32 = 3;
/// What `redis-benchmark` publishes in its first turn; in the next ones as much as it gets done in the time of one.
const FIRST: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the pushes of one turn go on, where all of them together with these nodes are to take `time`.
pub fn turn(time: Duration, nodes: usize) -> Duration {
    time / (4 * TURNS * (nodes as u32 - 1))
}

/// The rates of each shape, and the CPU time that was used.
#[derive(Default)]
struct Measured {
    whole: Vec<f64>,
    published: Vec<f64>,
    heard: Vec<f64>,
    bare: Vec<f64>,
    own: Threads,
    pushes: u64,
    redis_s: f64,
    bare_publishes: u64,
}

/// What cluster_sim calculates with is printed last, with the length of a push on the bus.
pub fn measure(redis: &Redis, all: &[Node], bytes: usize, time: Duration) -> Result<(), Failure> {
    println!(
        "pushes a second over the bus, beside redis-benchmark -c 1 -P {BATCH} publish with messages of the same length"
    );
    println!(
        "{:>6}{:>17}{:>22}{:>30}{:>30}",
        "nodes",
        "redis-benchmark",
        "node to node, ratio",
        "a node to readers, ratio",
        "a connection to nodes, ratio"
    );
    let mut all_measured = Vec::new();
    for reaches in 1..all.len() {
        let measured = of(redis, all, reaches, time)?;
        let bare = median(&measured.bare);
        print!("{reaches:>6}{bare:>17.0}");
        for (rates, width) in [(&measured.whole, 16), (&measured.published, 24), (&measured.heard, 24)] {
            print!("{:>width$.0}{:>6.2}", median(rates), median(rates) / bare);
        }
        println!();
        all_measured.push(measured);
    }
    println!(
        "\n{:>6}{:>32}{:>20}{:>24}",
        "nodes", "us CPU of this process a push", "its busiest thread", "us CPU of Redis, alone"
    );
    let mut cpu = Vec::new();
    for (reaches, measured) in (1..).zip(&all_measured) {
        let of_push = 1e6 / measured.pushes as f64;
        let (own_us, busiest_us) = (measured.own.together_s() * of_push, measured.own.busiest_s() * of_push);
        let redis_us = measured.redis_s * 1e6 / measured.bare_publishes as f64;
        println!("{reaches:>6}{own_us:>32.2}{busiest_us:>20.2}{redis_us:>24.2}");
        cpu.push(redis_us);
    }
    if let [first, .., last] = cpu[..] {
        let copy_us = (last - first) / (cpu.len() - 1) as f64;
        match copy_us > 0.0 {
            true => println!(
                "\nfor cluster_sim: --publish-us {:.2} --copy-us {copy_us:.2} --bytes {}",
                first - copy_us,
                bytes
            ),
            false => println!("\ntoo short to tell what a copy takes of Redis: measure for more seconds"),
        }
    }
    println!();
    Ok(())
}

/// What is published to so many other nodes, or subscribers.
fn of(redis: &Redis, all: &[Node], reaches: usize, time: Duration) -> Result<Measured, Failure> {
    let reached = channel(&format!("reach-{reaches}"));
    let message = unnumbered(push_on_bus(redis, &all[0], reaches)?);
    let mut players = Vec::new();
    for (number, node) in all.iter().enumerate().take(reaches + 1).skip(1) {
        players.push(Player::connect(node.clients, &query(number, all.len()))?.count()?);
    }
    let drained = channel(&format!("drain-{reaches}"));
    let drains: Vec<Drain> =
        (0..reaches).map(|_| Drain::start(redis, &drained, message.len())).collect::<Result<_, _>>()?;
    let (mut publisher, batch) = (redis.connect()?, redis::batch(&reached, &message));
    std::thread::sleep(Duration::from_millis(200));
    let mut measured = Measured::default();
    let (mut bare_count, mut heard_count) = (FIRST, FIRST);
    for _ in 0..TURNS {
        let before = Threads::now()?;
        let got = || players.iter().map(Counter::get).min().unwrap_or(0);
        let (pushes, took) = push_for(&all[0], &format!("reach-{reaches}"), got, time)?;
        measured.own.add(&Threads::now()?.since(&before));
        measured.pushes += pushes;
        measured.whole.push(pushes as f64 / took.as_secs_f64());

        let got_bare = || drains.iter().map(Drain::get).min().unwrap_or(0);
        let (pushes, took) = push_for(&all[0], &format!("drain-{reaches}"), got_bare, time)?;
        measured.published.push(pushes as f64 / took.as_secs_f64());

        let before_s = redis.cpu_s()?;
        let rate = redis.benchmark(&drained, &"x".repeat(message.len()), bare_count)?;
        measured.redis_s += redis.cpu_s()? - before_s;
        measured.bare_publishes += bare_count;
        measured.bare.push(rate);
        bare_count = (rate * time.as_secs_f64()).max(1_000.0) as u64;

        let rate = publish_count(&mut publisher, &batch, heard_count, got, time)?;
        measured.heard.push(rate);
        heard_count = (rate * time.as_secs_f64()).max(1_000.0) as u64;
    }
    drains.into_iter().try_for_each(Drain::end)?;
    players.into_iter().try_for_each(Counter::end)?;
    Ok(measured)
}

/// What a push to the group that reaches so many nodes is on the bus.
pub fn push_on_bus(redis: &Redis, node: &Node, reaches: usize) -> Result<Vec<u8>, Failure> {
    let group = format!("reach-{reaches}");
    let mut bare = redis.connect()?;
    bare.subscribe(&[channel(&group).as_bytes()])?;
    push(node, &group)?;
    let message = bare.payload()?;
    bare.quit()?;
    Ok(message)
}

/// The same message with 0 for its sequence: it is heard as often as it comes (the layout stands in src/cluster/message.rs).
fn unnumbered(mut message: Vec<u8>) -> Vec<u8> {
    message[16..24].fill(0);
    message
}

/// The channel of a group.
fn channel(group: &str) -> String {
    format!("{PREFIX}:g:default\u{1}{group}")
}

/// Pushes to the group for so long; how many each of those who get them has got, which `got` says, and how long that took.
fn push_for(
    node: &Node,
    group: &str,
    got: impl Fn() -> u64,
    time: Duration,
) -> Result<(u64, Duration), Failure> {
    let (before, start) = (got(), Instant::now());
    let mut sent = 0;
    while start.elapsed() < time {
        for _ in 0..BATCH {
            push(node, group)?;
        }
        sent += u64::from(BATCH);
        if sent - (got() - before) > WINDOW {
            wait_until(group, || sent - (got() - before) <= WINDOW / 2, start + time + PATIENCE)?;
        }
    }
    wait_until(group, || got() - before >= sent, start + time + PATIENCE)?;
    Ok((sent, start.elapsed()))
}

/// Publishes so many messages in batches; how many a second each of those who get them, of which `got` tells, has got of them. More than
/// a few that nobody has read yet would be more than what is kept for a player.
fn publish_count(
    publisher: &mut Bare,
    batch: &[u8],
    count: u64,
    got: impl Fn() -> u64,
    time: Duration,
) -> Result<f64, Failure> {
    let (before, start, mut sent) = (got(), Instant::now(), 0);
    let end = start + time + PATIENCE;
    while sent < count {
        publisher.publish_batch(batch)?;
        sent += u64::from(BATCH);
        wait_until("a bare connection", || sent - (got() - before) <= 4 * WINDOW, end)?;
    }
    wait_until("a bare connection", || got() - before >= sent, end)?;
    Ok(sent as f64 / start.elapsed().as_secs_f64())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool, end: Instant) -> Result<(), Failure> {
    while !is_so() {
        if Instant::now() > end {
            return Err(format!("{what}: some messages did not come").into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}
