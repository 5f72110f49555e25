//! Over which Redis servers the channels are spread, as all reactors of this node see it: the servers, the plan in force, and how far each
//! reactor follows it.

use crate::cluster::{Plan, Planner, Spread, hash, tag_of};
use crate::config::{Cluster as ClusterConfig, RedisUrl};
use crate::hub::MAX_REACTORS;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A Redis server, as all reactors of this node see it.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub url: Arc<RedisUrl>,
    /// What the names of all channels and keys begin with there: empty but for a part of a Redis Cluster.
    pub tag: Box<[u8]>,
    /// Whether this node hears everything there that it wants to.
    pub is_whole: AtomicBool,
    /// Whether all nodes said so since this node's last connection there.
    pub all_are_back: AtomicBool,
    /// Whether this node hears some names there by hashed channels.
    pub has_buckets: AtomicBool,
    /// Whether publishers are still to say what was missed there.
    pub has_gaps: AtomicBool,
    /// How many changes of what this node hears there are under way.
    underway: Arc<AtomicUsize>,
    /// By reactor: the number of the last message to a group that remembers of which the sessions of this node have been served without
    /// Redis.
    served: Box<[AtomicU64]>,
}

/// Names that are not heard yet: see [`Server::begin_to_hear`].
#[derive(Debug)]
pub struct Underway(Arc<AtomicUsize>);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// See the module.
pub struct Placing {
    planner: Mutex<Planner>,
    /// Put there by [`Placing::put`].
    pub in_force: ArcSwap<InForce>,
    /// The number of the plan in force: the look at it is all that a turn without a change costs.
    pub number: AtomicU64,
    marks: Mutex<Vec<Mark>>,
}

/// A plan, and the servers that it is about.
pub struct InForce {
    /// The plan.
    pub plan: Arc<Plan>,
    /// By slot. One that is open no more keeps its place.
    pub servers: Box<[Arc<Server>]>,
}

/// How far a reactor is.
#[derive(Clone)]
pub struct Mark {
    /// The number of the plan that it follows.
    pub followed: u64,
    /// The number of the plan of which everything is heard that it has told the ears.
    pub heard: u64,
    /// By which set it publishes.
    pub speaks: Arc<Spread>,
}

/// The hash of an address, or of a part of a Redis Cluster, by which channels are spread.
pub fn hash_of(url: &RedisUrl) -> u64 {
    hash(url.identity().as_bytes())
}

impl Server {
    /// One to which there is no connection yet.
    pub fn new(url: RedisUrl) -> Self {
        let [is_whole, all_are_back, has_buckets, has_gaps] = [false; 4].map(AtomicBool::new);
        let served = (0..MAX_REACTORS).map(|_| AtomicU64::new(0)).collect();
        let tag = url.shard().map_or_else(Box::default, tag_of);
        let underway = Arc::default();
        Self { url: Arc::new(url), tag, is_whole, all_are_back, has_buckets, has_gaps, underway, served }
    }

    /// Names are to be heard there that were not, until what this gives is dropped.
    pub fn begin_to_hear(&self) -> Underway {
        self.underway.fetch_add(1, Ordering::AcqRel);
        Underway(Arc::clone(&self.underway))
    }

    /// Whether names that reactors have told are still to be heard there. To a reactor, its own are always among them.
    pub fn has_underway(&self) -> bool {
        self.underway.load(Ordering::Acquire) > 0
    }

    /// The sessions of this node are served without Redis with what the reactor publishes under this number.
    pub fn serve(&self, reactor: usize, sequence: u64) {
        if let Some(served) = self.served.get(reactor) {
            served.fetch_max(sequence, Ordering::AcqRel);
        }
    }

    /// The number of the last message of which that was so; 0 is none.
    pub fn served(&self, reactor: usize) -> u64 {
        self.served.get(reactor).map_or(0, |served| served.load(Ordering::Acquire))
    }
}

impl Placing {
    /// Of a node with these servers, which `planner` knows in the same order.
    pub fn new(planner: Planner, urls: Vec<RedisUrl>) -> Self {
        let plan = Arc::clone(planner.plan());
        let number = AtomicU64::new(plan.number);
        let servers = urls.into_iter().map(|url| Arc::new(Server::new(url))).collect();
        let in_force = ArcSwap::from_pointee(InForce { plan, servers });
        Self { planner: Mutex::new(planner), in_force, number, marks: Mutex::default() }
    }

    /// Who plans, which nobody else does meanwhile.
    pub fn planner(&self) -> MutexGuard<'_, Planner> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the reactors are.
    pub fn marks(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the planner's plan in force.
    pub fn put(&self, planner: &Planner, servers: Box<[Arc<Server>]>) {
        let plan = Arc::clone(planner.plan());
        let number = plan.number;
        self.in_force.store(Arc::new(InForce { plan, servers }));
        self.number.store(number, Ordering::Release);
    }
}

/// What plans where a node with this configuration and these servers, of which `aim` are in its list, is heard.
pub fn planner(config: &ClusterConfig, urls: &[RedisUrl], aim: &[usize]) -> Planner {
    let [keep_ms, linger_ms] = [config.lease, config.linger].map(|time| time.as_millis() as u64);
    Planner::new(urls.iter().map(hash_of).collect(), aim, keep_ms, linger_ms)
}
