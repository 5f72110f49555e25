//! Where the Redis of a link is: at one place for ever, or at whichever server of a Redis Cluster has a slot. Those that the configuration
//! names are asked; one that has it not says who has.

use super::super::fault::Fault;
use super::super::slots::tag_of;
use crate::config::{Cluster, RedisPlace, RedisUrl};
use std::sync::Arc;

/// So many servers in a row may say that another one has the slot before that counts as a failure.
const HOPS: u32 = 5;

/// Where a part of a Redis Cluster is asked for.
#[derive(Debug, Default)]
pub struct Directory {
    /// Those of its servers that the configuration names.
    servers: Vec<RedisUrl>,
    /// A key that is asked for behind the tag of the part: whoever has no slot for it says who has.
    key: String,
}

/// See the module.
#[derive(Debug)]
pub struct Route {
    /// Where the next connection goes.
    url: Arc<RedisUrl>,
    directory: Arc<Directory>,
    /// Which of its servers is asked next.
    next: usize,
    /// What the names of all channels and keys begin with; empty without a cluster.
    tag: Box<[u8]>,
    hops: u32,
}

impl Directory {
    /// Of the servers that the configuration names.
    pub fn of(config: &Cluster) -> Self {
        Self { servers: config.named(), key: format!("{}:born", config.prefix) }
    }
}

impl Route {
    /// To this server, or from it on to the one that has its part of the Redis Cluster.
    pub fn to(url: Arc<RedisUrl>, directory: Arc<Directory>) -> Self {
        let tag = url.shard().map_or_else(Box::default, tag_of);
        let next = url.shard().map_or(0, |shard| usize::from(shard.number) + 1);
        Self { url, directory, next, tag, hops: 0 }
    }

    /// Where the next connection goes, or the last one went.
    pub fn url(&self) -> &Arc<RedisUrl> {
        &self.url
    }

    /// What the names of all channels and keys begin with there.
    pub fn tag(&self) -> &[u8] {
        &self.tag
    }

    /// The key by which a server is asked whether it has the part; `None` without a cluster.
    pub fn key(&self) -> Option<Vec<u8>> {
        self.is_of_cluster().then(|| [&self.tag, self.directory.key.as_bytes()].concat())
    }

    /// Whether it is a part of a Redis Cluster.
    pub fn is_of_cluster(&self) -> bool {
        !self.tag.is_empty()
    }

    /// Which server of a Redis Cluster the connection goes to; `None` without a cluster.
    pub fn at(&self) -> Option<(Box<str>, u16)> {
        match self.url.place() {
            RedisPlace::Tcp { host, port } if self.is_of_cluster() => Some((host.as_str().into(), *port)),
            _ => None,
        }
    }

    /// The connection of another process goes there: what it is told of other servers is told by that one.
    pub fn is_at(&mut self, host: &str, port: u16) {
        if self.is_of_cluster() {
            self.url = Arc::new(self.url.moved_to(host, port));
        }
    }

    /// A connection is up.
    pub fn came_up(&mut self) {
        self.hops = 0;
    }

    /// A connection or a try has ended. Whether the next try goes to the one that has the slot, at once.
    pub fn ended(&mut self, fault: &Fault) -> bool {
        let Some(shard) = self.url.shard() else { return false };
        if let Some((host, port)) = fault.moved_to()
            && self.hops < HOPS
        {
            self.hops += 1;
            self.url = Arc::new(self.url.moved_to(host, port));
            return true;
        }
        // It may be gone for good; any other knows who has its slots now.
        self.hops = 0;
        let servers = &self.directory.servers;
        if let Some(url) = servers.get(self.next.checked_rem(servers.len()).unwrap_or(0)) {
            self.url = Arc::new(url.clone().of_shard(shard));
            self.next = self.next.wrapping_add(1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fault::FaultKind;
    use super::*;
    use crate::config::Shard;

    fn url(text: &str) -> RedisUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_of_its_own_stays_where_it_is() {
        let mut route = Route::to(Arc::new(url("redis://h")), Arc::default());
        assert!(!route.ended(&Fault::moved("MOVED 7 h:1").unwrap()));
        assert_eq!(
            (route.url().to_string(), route.tag(), route.is_of_cluster()),
            ("redis://h:6379".into(), &b""[..], false)
        );
    }

    #[test]
    fn a_part_of_a_cluster_is_where_its_servers_say_and_they_are_asked_anew_when_that_fails() {
        let servers = vec![url("redis://a"), url("redis://b")];
        let shard = Shard { number: 0, of: 1 };
        let first = Arc::new(servers[0].clone().of_shard(shard));
        let mut route = Route::to(first, Arc::new(Directory { servers, key: "p:born".to_owned() }));
        assert_eq!((route.tag(), route.key()), (&b"{0}"[..], Some(b"{0}p:born".to_vec())));
        assert!(route.ended(&Fault::moved("MOVED 7 c:7000").unwrap()));
        assert_eq!(route.url().to_string(), "redis://c:7000#0/1");
        // Without a host it is that of the server which says so.
        assert!(route.ended(&Fault::moved("MOVED 7 :7001").unwrap()));
        assert_eq!(route.url().to_string(), "redis://c:7001#0/1");
        for next in ["redis://b:6379#0/1", "redis://a:6379#0/1", "redis://b:6379#0/1"] {
            assert!(!route.ended(&Fault::new(FaultKind::Closed, "gone")));
            assert_eq!(route.url().to_string(), next);
        }
        for _ in 0..HOPS {
            assert!(route.ended(&Fault::moved("MOVED 7 [::1]:7002").unwrap()));
        }
        assert_eq!(route.url().to_string(), "redis://[::1]:7002#0/1");
        assert!(!route.ended(&Fault::moved("MOVED 7 c:7000").unwrap()), "they send it round in a circle");
        route.ended(&Fault::moved("MOVED 7 c:7000").unwrap());
        route.came_up();
        assert!(route.ended(&Fault::moved("MOVED 7 c:7000").unwrap()));
    }

    #[test]
    fn a_connection_of_another_process_is_where_it_was() {
        let shard = Shard { number: 0, of: 1 };
        let part = || {
            let url = Arc::new(url("redis://a").of_shard(shard));
            Route::to(url, Arc::new(Directory { servers: vec![], key: String::new() }))
        };
        let mut before = part();
        assert!(before.ended(&Fault::moved("MOVED 7 c:7000").unwrap()));
        let (mut route, (host, port)) = (part(), before.at().unwrap());
        route.is_at(&host, port);
        assert_eq!(route.url().to_string(), "redis://c:7000#0/1");
        // A place without a host is on the host of whoever names it.
        assert!(route.ended(&Fault::moved("MOVED 7 :7001").unwrap()));
        assert_eq!(route.url().to_string(), "redis://c:7001#0/1");
        let mut alone = Route::to(Arc::new(url("redis://h")), Arc::default());
        alone.is_at("c", 7000);
        assert_eq!((alone.at(), alone.url().to_string()), (None, "redis://h:6379".to_owned()));
    }

    #[test]
    fn only_a_place_is_gone_to() {
        for error in [
            "MOVED",
            "MOVED 7",
            "MOVED 7 c",
            "MOVED 7 c:",
            "MOVED 7 c:0",
            "MOVED 7 c:65536",
            "MOVED 7 ?:6379",
            "ASK 7 c:1",
            "MOVEDX 7 c:1",
        ] {
            assert!(Fault::moved(error).is_none_or(|fault| fault.moved_to().is_none()), "{error}");
        }
    }
}
