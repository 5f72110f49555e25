//! A real Redis Cluster.

use crate::support::{Redis, until};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The slots of a Redis Cluster.
const SLOTS: usize = 16_384;

/// Primaries among which the slots are spread, and perhaps a replica of each behind them.
pub struct RedisCluster {
    pub servers: Vec<Redis>,
    folder: PathBuf,
}

impl RedisCluster {
    /// So many primaries.
    pub fn start(primaries: usize) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("gannet-redis-cluster-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut cluster = Self { servers: Vec::new(), folder };
        (0..primaries).for_each(|_| cluster.add());
        for (number, server) in cluster.servers.iter().enumerate() {
            let (first, end) = (number * SLOTS / primaries, (number + 1) * SLOTS / primaries);
            assert_eq!(server.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1)), "+OK\r\n");
            assert_eq!(server.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)), "+OK\r\n");
        }
        cluster.meet();
        cluster
    }

    /// The same, and a replica of each in the same order behind them.
    pub fn with_replicas(primaries: usize) -> Self {
        let mut cluster = Self::start(primaries);
        (0..primaries).for_each(|_| cluster.add());
        cluster.meet();
        for number in 0..primaries {
            let (primary, replica) = (&cluster.servers[number], &cluster.servers[primaries + number]);
            let command = format!("CLUSTER REPLICATE {}", id_of(primary));
            until("a replica", || replica.ask(&command).starts_with("+OK"));
            until("its copy", || replica.ask("INFO replication").contains("master_link_status:up"));
        }
        // Who is whose replica is told around: without it nobody would take a primary's place.
        let is_known = |server: &Redis| server.ask("CLUSTER NODES").matches("slave").count() == primaries;
        cluster.servers.iter().for_each(|server| until("the replicas to be known", || is_known(server)));
        cluster
    }

    fn add(&mut self) {
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
        let name = format!("nodes-{}.conf", self.servers.len());
        let folder = self.folder.to_str().unwrap();
        // By default the port for the other servers is 10,000 higher than that for clients, which may be none.
        self.servers.push(Redis::start_with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &port,
            "--cluster-config-file",
            &name,
            "--dir",
            folder,
            "--cluster-node-timeout",
            "1000",
        ]));
    }

    /// All of them know each other, and the slots.
    fn meet(&self) {
        let first = self.servers[0].address();
        for server in &self.servers {
            let bus = self.servers[0].ask("CONFIG GET cluster-port");
            let bus = bus.lines().nth(4).unwrap();
            server.ask(&format!("CLUSTER MEET {} {} {bus}", first.ip(), first.port()));
        }
        let count = format!("cluster_known_nodes:{}", self.servers.len());
        for server in &self.servers {
            until("a whole Redis Cluster", || {
                let info = server.ask("CLUSTER INFO");
                info.contains("cluster_state:ok") && info.contains(&count)
            });
        }
    }

    /// The servers, as nodes are given them.
    pub fn all(&self) -> Vec<&Redis> {
        self.servers.iter().collect()
    }

    /// The slots with channels that nodes have subscribed to at a server.
    pub fn slots_in_use(&self, server: usize) -> Vec<u64> {
        let server = &self.servers[server];
        let channels = server.ask("PUBSUB SHARDCHANNELS");
        let names = channels.lines().filter(|line| line.starts_with('{'));
        let slot_of = |name: &str| {
            // What stands in the braces is all that counts.
            let tag = &name[..=name.find('}').unwrap()];
            server.ask(&format!("CLUSTER KEYSLOT {tag}")).trim_start_matches(':').trim_end().parse().unwrap()
        };
        let mut slots: Vec<u64> = names.map(slot_of).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The slot goes from one server to another, with its keys.
    pub fn move_slot(&self, slot: u64, from: usize, to: usize) {
        let [source, target] = [from, to].map(|server| &self.servers[server]);
        let (old, new) = (id_of(source), id_of(target));
        assert_eq!(target.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {old}")), "+OK\r\n");
        assert_eq!(source.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {new}")), "+OK\r\n");
        let address = target.address();
        loop {
            let keys = source.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1"));
            let Some(key) = keys.lines().nth(2) else { break };
            let migrate = format!("MIGRATE {} {} \"{key}\" 0 5000 REPLACE", address.ip(), address.port());
            source.ask(&migrate);
        }
        for server in [target, source] {
            assert_eq!(server.ask(&format!("CLUSTER SETSLOT {slot} NODE {new}")), "+OK\r\n");
        }
    }
}

fn id_of(server: &Redis) -> String {
    server.ask("CLUSTER MYID").lines().nth(1).unwrap().to_owned()
}

impl Drop for RedisCluster {
    fn drop(&mut self) {
        self.servers.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
