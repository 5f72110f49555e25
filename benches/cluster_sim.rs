//! A cluster on paper: players and groups of Zipf sizes are put on nodes at random, and what that asks of Redis is counted. The
//! tables are those of docs/cluster.md.
//!
//! `cargo bench --bench cluster_sim`: one thread, no sockets, the same figures on every machine. `-- --help` lists what can be
//! set, as `-- --players 1000000 --nodes 3,10,100`.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What can be set, its default, and what it is.
const SETTINGS: [(&str, f64, &str); 16] = [
    ("players", 10_000_000.0, "players, each with one session and one user"),
    (
        "groups",
        1_000_000.0,
        "groups; the size of the k-th is proportional to 1/k^exponent, and 1 at the least",
    ),
    ("memberships", 2.0, "groups that a player is in, on average"),
    ("exponent", 0.8, "the exponent of the sizes"),
    ("user-pushes", 0.1, "pushes a second to a player"),
    ("group-pushes", 0.5, "pushes a second to a group"),
    ("receipts", 0.0, "the share of pushes that wait for a receipt"),
    ("session-s", 1200.0, "how long a session lasts, in seconds"),
    ("bytes", 300.0, "a message on the bus, in bytes"),
    ("publish-us", 0.91, "CPU time of Redis for a PUBLISH without its copies, in microseconds"),
    ("copy-us", 0.42, "the same for each copy of it"),
    ("subscribe-us", 1.9, "the same for a SUBSCRIBE or an UNSUBSCRIBE of a channel"),
    (
        "deliver-us",
        3.5,
        "CPU time of a node for a delivery to a player, in microseconds: benches/run fanout-small",
    ),
    (
        "bus-us",
        5.0,
        "the same of both nodes for a message over the bus; assumed, cargo bench --bench cluster measures it",
    ),
    ("use", 0.5, "the part of each core that may be used, so that peaks have room"),
    ("heartbeat-ms", 250.0, "cluster.heartbeat_ms"),
];

/// Channels of single names of a node at a Redis: the default of `cluster.max_channels`.
const MAX_CHANNELS: f64 = 100_000.0;
/// The default of `cluster.buckets`.
const BUCKETS: usize = 65_536;
/// Bytes of memory in Redis: a channel with its first subscriber, and each further one.
const CHANNEL_BYTES: f64 = 235.0;
const SUBSCRIBER_BYTES: f64 = 125.0;
const US_A_SECOND: f64 = 1e6;

fn main() -> Result<(), String> {
    let (settings, nodes) = read_arguments()?;
    let of = |name: &str| settings[name];
    println!(
        "{} players, {} groups, {} memberships a player, sizes ~ 1/k^{}",
        of("players"),
        of("groups"),
        of("memberships"),
        of("exponent")
    );
    let sizes = sizes(of("players") as u64, of("groups") as u64, of("memberships"), of("exponent"));
    println!("largest groups: {:?}; median size {}\n", &sizes[..3.min(sizes.len())], sizes[sizes.len() / 2]);
    let spreads: Vec<Spread> =
        nodes.iter().map(|nodes| Spread::draw(*nodes, of("players") as u64, &sizes)).collect();
    print!("{}", copies(&spreads));
    print!("{}", shards(&spreads, &settings));
    let members: u64 = sizes.iter().sum();
    print!("{}", cores(&spreads, members as f64, &settings));
    print!("{}", trees(&nodes, &settings));
    Ok(())
}

fn read_arguments() -> Result<(BTreeMap<&'static str, f64>, Vec<u32>), String> {
    let mut settings: BTreeMap<_, _> = SETTINGS.iter().map(|(name, default, _)| (*name, *default)).collect();
    let mut nodes = vec![3, 10, 30, 100, 300];
    // Cargo itself adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").unwrap_or_default();
        let setting = SETTINGS.iter().find(|(known, ..)| *known == name);
        if setting.is_none() && name != "nodes" {
            return Err(help());
        }
        let value = arguments.next().ok_or_else(help)?;
        let wrong = || format!("--{name} {value}: write numbers above 0");
        match setting {
            Some((name, ..)) => {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
                settings.insert(name, number.ok_or_else(wrong)?);
            }
            None => {
                nodes = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?
            }
        }
    }
    let positive = ["players", "groups", "session-s", "use", "heartbeat-ms"];
    match positive.iter().find(|name| settings[*name] <= 0.0) {
        Some(name) => Err(format!("--{name}: write a number above 0")),
        None if nodes.contains(&0) => Err("--nodes: write numbers above 0".to_owned()),
        None => Ok((settings, nodes)),
    }
}

fn help() -> String {
    let mut text = String::from("cargo bench --bench cluster_sim -- [--nodes 3,10,100]\n");
    for (name, default, about) in SETTINGS {
        // A string takes all that is written to it.
        let _ = writeln!(text, "    --{name} {default}: {about}");
    }
    text
}

/// The sizes of the groups, the largest first.
fn sizes(players: u64, groups: u64, memberships: f64, exponent: f64) -> Vec<u64> {
    let weight = |rank: u64| (rank as f64).powf(-exponent);
    let sum: f64 = (1..=groups).map(weight).sum();
    let all = players as f64 * memberships;
    (1..=groups).map(|rank| ((all * weight(rank) / sum).round() as u64).clamp(1, players)).collect()
}

/// The next number of splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Below `bound`; that it is not quite even does not show.
    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// Players and groups on some nodes: on how many of them each name is, on average.
struct Spread {
    nodes: u32,
    /// Nodes with a member, where each group counts alike.
    of_a_group: f64,
    /// The same where each member counts alike, so that large groups count more.
    of_a_member: f64,
    /// Nodes that hear a user, and a group, if all names are in buckets.
    user_in_buckets: f64,
    group_in_buckets: f64,
    /// Channels of a node, by name.
    channels: f64,
    /// Channels of all nodes, each once.
    names: f64,
}

impl Spread {
    fn draw(nodes: u32, players: u64, sizes: &[u64]) -> Self {
        let mut random = Random(u64::from(nodes));
        let mut buckets = Buckets::new(nodes);
        let mut users_in = vec![0_u32; BUCKETS];
        let mut groups_in = vec![0_u32; BUCKETS];
        for _ in 0..players {
            let bucket = random.below(BUCKETS as u32) as usize;
            users_in[bucket] += 1;
            buckets.put(bucket, random.below(nodes));
        }
        let (mut of_groups, mut of_members, mut members) = (0_u64, 0_u64, 0_u64);
        // The last group that was seen on each node.
        let mut seen = vec![0_u64; nodes as usize];
        for (number, size) in (1..).zip(sizes) {
            let bucket = random.below(BUCKETS as u32) as usize;
            groups_in[bucket] += 1;
            let mut on = 0;
            for _ in 0..*size {
                let node = random.below(nodes);
                if std::mem::replace(&mut seen[node as usize], number) != number {
                    on += 1;
                    buckets.put(bucket, node);
                }
                if on == nodes {
                    break;
                }
            }
            of_groups += u64::from(on);
            of_members += u64::from(on) * size;
            members += size;
        }
        Self {
            nodes,
            of_a_group: of_groups as f64 / sizes.len() as f64,
            of_a_member: of_members as f64 / members as f64,
            user_in_buckets: buckets.average(&users_in),
            group_in_buckets: buckets.average(&groups_in),
            channels: (players + of_groups) as f64 / f64::from(nodes),
            names: players as f64 + sizes.len() as f64,
        }
    }
}

/// Which nodes are subscribed to each bucket.
struct Buckets {
    words: usize,
    bits: Vec<u64>,
}

impl Buckets {
    fn new(nodes: u32) -> Self {
        let words = nodes.div_ceil(64) as usize;
        Self { words, bits: vec![0; words * BUCKETS] }
    }

    fn put(&mut self, bucket: usize, node: u32) {
        self.bits[bucket * self.words + node as usize / 64] |= 1 << (node % 64);
    }

    /// How many nodes hear a name, where so many names are in each bucket.
    fn average(&self, names: &[u32]) -> f64 {
        let nodes = |bucket: usize| -> u32 {
            self.bits[bucket * self.words..][..self.words].iter().map(|word| word.count_ones()).sum()
        };
        let heard: u64 =
            names.iter().enumerate().map(|(bucket, names)| u64::from(nodes(bucket) * names)).sum();
        let names: u64 = names.iter().copied().map(u64::from).sum();
        heard as f64 / names as f64
    }
}

fn copies(spreads: &[Spread]) -> String {
    let mut text = String::from(
        "Copies of a push\n\n\
         | nodes | to a user | to a group: each group alike | each member alike | user, all names in buckets | group, all names in buckets |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for spread in spreads {
        let Spread { nodes, of_a_group, of_a_member, user_in_buckets, group_in_buckets, .. } = spread;
        let _ = writeln!(
            text,
            "| {nodes} | 1 | {of_a_group:.1} | {of_a_member:.1} | {user_in_buckets:.1} | {group_in_buckets:.1} |"
        );
    }
    text + "\n"
}

/// What the Redis servers of a cluster have to do, all together.
struct Load {
    published: f64,
    copied: f64,
    /// SUBSCRIBE and UNSUBSCRIBE: at most, since a group's channel ends with its last member on a node.
    changes: f64,
    /// The part of a core of each server that heartbeats take: every node tells every node, over every server.
    beats: f64,
    servers_for_cpu: Option<f64>,
    servers_for_channels: f64,
}

impl Load {
    fn new(spread: &Spread, settings: &BTreeMap<&'static str, f64>) -> Self {
        let of = |name: &str| settings[name];
        let nodes = f64::from(spread.nodes);
        let user_pushes = of("players") * of("user-pushes");
        let group_pushes = of("groups") * of("group-pushes");
        let copies = user_pushes + group_pushes * spread.of_a_group;
        // Each copy that waits is answered by a PUBLISH to one node.
        let answers = copies * of("receipts");
        let (published, copied) = (user_pushes + group_pushes + answers, copies + answers);
        let changes = 2.0 * spread.channels * nodes / of("session-s");
        let busy_us = published * of("publish-us") + copied * of("copy-us") + changes * of("subscribe-us");
        let beats_a_second = nodes * 1_000.0 / of("heartbeat-ms");
        let beats = beats_a_second * (of("publish-us") + nodes * of("copy-us")) / US_A_SECOND;
        let left = of("use") - beats;
        let servers_for_cpu = (left > 0.0).then(|| (busy_us / US_A_SECOND / left).ceil());
        let servers_for_channels = (spread.channels / MAX_CHANNELS).ceil();
        Self { published, copied, changes, beats, servers_for_cpu, servers_for_channels }
    }

    /// So many servers are enough; `None` if no number is.
    fn servers(&self) -> Option<f64> {
        self.servers_for_cpu.map(|servers| servers.max(self.servers_for_channels))
    }
}

fn shown(servers: Option<f64>) -> String {
    servers.map_or("none is enough".to_owned(), |servers| format!("{servers:.0}"))
}

fn shards(spreads: &[Spread], settings: &BTreeMap<&'static str, f64>) -> String {
    let mut text = String::from(
        "Redis servers\n\n\
         | nodes | `PUBLISH` a second | copies a second | changes of subscriptions a second | channels a node | heartbeats: CPU of each server | servers for the CPU | for the channels | out of all servers | their memory |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for spread in spreads {
        let load = Load::new(spread, settings);
        let subscriptions = spread.channels * f64::from(spread.nodes);
        let memory =
            spread.names * CHANNEL_BYTES + (subscriptions - spread.names).max(0.0) * SUBSCRIBER_BYTES;
        let _ = writeln!(
            text,
            "| {} | {:.2} M | {:.2} M | {:.0} k | {:.0} k | {:.1} % | {} | {:.0} | {:.1} Gbit/s | {:.1} GB |",
            spread.nodes,
            load.published / 1e6,
            load.copied / 1e6,
            load.changes / 1e3,
            spread.channels / 1e3,
            load.beats * 100.0,
            shown(load.servers_for_cpu),
            load.servers_for_channels,
            load.copied * settings["bytes"] * 8.0 / 1e9,
            memory / 1e9,
        );
    }
    text + "\n"
}

/// What the whole costs, in cores of which no more than the part `use` is used.
fn cores(spreads: &[Spread], members: f64, settings: &BTreeMap<&'static str, f64>) -> String {
    let of = |name: &str| settings[name];
    let mut text = String::from(
        "Cores\n\n\
         | nodes | players a node | to deliver | for the bus | Redis | together | cores a node |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let average = members / of("groups");
    let delivered = of("players") * of("user-pushes") + of("groups") * of("group-pushes") * average;
    for spread in spreads {
        let load = Load::new(spread, settings);
        let nodes = f64::from(spread.nodes);
        let cores = |messages: f64, us: &str| messages * of(us) / US_A_SECOND / of("use");
        let (deliver, bus) = (cores(delivered, "deliver-us"), cores(load.copied, "bus-us"));
        let all = load.servers().map(|servers| servers + deliver + bus);
        let _ = writeln!(
            text,
            "| {nodes} | {:.0} k | {deliver:.0} | {bus:.0} | {} | {} | {:.1} |",
            of("players") / nodes / 1e3,
            shown(load.servers()),
            shown(all),
            (deliver + bus) / nodes,
        );
    }
    text + "\n"
}

/// A message to all nodes: by one PUBLISH, and by one that reaches a node of each part of the cluster, which publishes it to its part.
fn trees(nodes: &[u32], settings: &BTreeMap<&'static str, f64>) -> String {
    let mut text = String::from(
        "A message to all nodes\n\n\
         | nodes | copies by one PUBLISH | it takes of one Redis | tree of two steps: copies a step | it takes of the busiest Redis | all Redis together |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    let takes = |copies: f64| settings["publish-us"] + copies * settings["copy-us"];
    for nodes in nodes {
        let all = f64::from(*nodes);
        let first = all.sqrt().ceil();
        let second = (all / first).ceil();
        let _ = writeln!(
            text,
            "| {nodes} | {nodes} | {:.1} µs | {first:.0}, then {second:.0} | {:.1} µs | {:.1} µs |",
            takes(all),
            takes(first.max(second)),
            takes(first) + first * takes(second),
        );
    }
    text
}
