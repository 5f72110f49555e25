//! What Redis takes for a push to a group that remembers, by what it remembers.

use crate::nodes::{Counter, Node, Player};
use crate::redis::Redis;
use crate::{Failure, PAYLOAD, median};
use gannet::PushError;
use gannet::config::{Config, GroupConfig, LogConfig};
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use std::time::{Duration, Instant};

const TURNS: usize = 3;
/// Keys that take turns.
const KEYS: u64 = 100;
/// Pushes that are under way at once: fewer than keys, so that none is replaced by the next one with its key.
const UNDER_WAY: u64 = 64;

/// How the names of groups begin that remember this: a log, keys.
const KINDS: [(&str, bool, bool); 4] =
    [("nothing", false, false), ("log", true, false), ("keys", false, true), ("both", true, true)];

/// The groups that remember.
pub fn configure(config: &mut Config) {
    let Some(app) = config.apps.get_mut("default") else { return };
    for (name, has_log, has_keys) in KINDS {
        let log = has_log.then(|| LogConfig { messages: 200, ..LogConfig::default() });
        app.groups.push(GroupConfig { latest: has_keys, log, ..GroupConfig::new(format!("{name}-")) });
    }
}

/// Each kind for `time` in each of its turns, from one node to a player of another.
pub fn measure(redis: &Redis, all: &[Node], time: Duration) -> Result<(), Failure> {
    println!("{:>24}{:>12}{:>24}", "a group that remembers", "pushes/s", "us CPU of Redis a push");
    let query: String = KINDS.iter().map(|(name, ..)| format!("&group={name}-1")).collect();
    let player = Player::connect(all[1].clients, &format!("user=remembers{query}"))?.count()?;
    std::thread::sleep(Duration::from_millis(200));
    let mut measured: [Vec<(f64, f64)>; KINDS.len()] = Default::default();
    for _ in 0..TURNS {
        for ((name, ..), measured) in KINDS.iter().zip(&mut measured) {
            let before_s = redis.cpu_s()?;
            let (pushes, took) = push_for(&all[0], &format!("{name}-1"), &player, time)?;
            let cpu_us = (redis.cpu_s()? - before_s) * 1e6 / pushes as f64;
            measured.push((pushes as f64 / took.as_secs_f64(), cpu_us));
        }
    }
    for ((name, ..), measured) in KINDS.iter().zip(measured) {
        let (rates, cpu): (Vec<f64>, Vec<f64>) = measured.into_iter().unzip();
        println!("{name:>24}{:>12.0}{:>24.2}", median(&rates), median(&cpu));
    }
    println!();
    player.end()
}

fn push_for(node: &Node, group: &str, player: &Counter, time: Duration) -> Result<(u64, Duration), Failure> {
    let target = Target::from(Selector::Group(Name::new(group)?));
    let (before, start) = (player.get(), Instant::now());
    let mut sent = 0;
    while start.elapsed() < time || player.get() - before < sent {
        if start.elapsed() > time + Duration::from_secs(10) {
            return Err(format!("of {sent} messages to {group} some were lost").into());
        }
        if start.elapsed() >= time || sent - (player.get() - before) > UNDER_WAY {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        let key = Some(format!("key-{}", sent % KEYS).into());
        let options = PushOptions { receipt: ReceiptMode::None, key, ..PushOptions::default() };
        match node.pusher.push("default", target.clone(), EncodedFrame::text(PAYLOAD), options) {
            Err(PushError::Overloaded) => std::thread::sleep(Duration::from_micros(50)),
            done => {
                done?;
                sent += 1;
            }
        }
    }
    Ok((sent, start.elapsed()))
}
