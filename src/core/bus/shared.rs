//! What all reactors of a node see of its cluster: who the node is, which Redis servers there are, which other nodes.

use super::links_known::LinksKnown;
use super::placing::{Placing, planner};
use super::users_asked::UsersAsked;
use crate::cluster::{Channels, Directory, Lease, Members, Set};
use crate::config::Cluster as ClusterConfig;
use crate::dispatch::Selector;
use crate::session::Name;
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
pub struct Cluster {
    /// The node's part of the session ids.
    pub node: u16,
    /// A random number of this process, so that nothing that is meant for it reaches another of the same node number.
    pub incarnation: u64,
    /// What the node is called in answers and logs.
    pub name: Box<str>,
    /// What the channels are called.
    pub channels: Channels,
    /// The Redis servers, and which of them has which channel.
    pub(super) placing: Placing,
    /// Where the parts of a Redis Cluster are asked for.
    pub(super) directory: Arc<Directory>,
    /// Times and bounds.
    pub config: ClusterConfig,
    members: Mutex<Members>,
    /// When a heartbeat of this node has come back to it last, in milliseconds of the server's clock.
    pub heard_itself_ms: AtomicU64,
    /// What users are hashed with. Before Redis has told it, it is the same on all nodes too, and no secret.
    secret: ArcSwap<[u8; 16]>,
    /// The other nodes by their numbers. Read for each message to a session elsewhere.
    nodes: ArcSwap<HashMap<u16, Node>>,
    /// What is asked of other nodes' users.
    pub(super) users_asked: UsersAsked,
    /// Links that hear of the sessions of all nodes.
    pub(super) links: LinksKnown,
    /// Questions of all reactors that wait for answers.
    pub questions: Arc<AtomicUsize>,
    /// Until the reactor that renews it takes it.
    lease: Mutex<Option<Lease>>,
    /// Whether another node hears some names by hashed channels.
    others_have_buckets: AtomicBool,
    /// Whether the node's number is its own, or nobody can have had it before.
    pub is_reachable: AtomicBool,
}

/// Another node, as it is reached.
#[derive(Debug, Clone)]
pub struct Node {
    /// The process that it is.
    pub incarnation: u64,
    /// What it is called.
    pub name: Name,
}

impl Cluster {
    /// The node `node` with this `incarnation`, which goes by `config`; its number is held by `lease`.
    pub fn new(config: ClusterConfig, node: u16, incarnation: u64, lease: Lease) -> Self {
        let urls = config.servers();
        let all: Vec<usize> = (0..urls.len()).collect();
        let planner = planner(&config, &urls, &all);
        Self::placed(config, node, incarnation, lease, Placing::new(planner, urls))
    }

    /// The same with these servers.
    pub(super) fn placed(
        config: ClusterConfig,
        node: u16,
        incarnation: u64,
        lease: Lease,
        placing: Placing,
    ) -> Self {
        Self {
            node,
            incarnation,
            name: config.node_name().into(),
            channels: Channels::new(&config.prefix, config.buckets),
            placing,
            directory: Arc::new(Directory::of(&config)),
            members: Mutex::new(Members::new(config.lease.as_millis() as u64)),
            heard_itself_ms: AtomicU64::new(0),
            secret: ArcSwap::default(),
            nodes: ArcSwap::default(),
            users_asked: UsersAsked::default(),
            links: LinksKnown::default(),
            questions: Arc::default(),
            lease: Mutex::new(Some(lease)),
            others_have_buckets: AtomicBool::new(false),
            is_reachable: AtomicBool::new(true),
            config,
        }
    }

    /// The channel of the sessions that a selector means, if they are those of an app, a user, a group or a tag.
    pub fn channel_of(&self, app: &str, selector: &Selector) -> Option<Box<[u8]>> {
        let set = match selector {
            Selector::All => Set::App,
            Selector::User(name) => Set::User(name),
            Selector::Group(name) => Set::Group(name),
            Selector::Tag(name) => Set::Tag(name),
            Selector::Session(_) | Selector::AllOf(_) => return None,
        };
        Some(self.channels.of_set(app, set))
    }

    /// The other node with this number.
    pub fn node(&self, number: u16) -> Option<Node> {
        self.nodes.load().get(&number).cloned()
    }

    /// Whether any other node is known.
    pub fn has_nodes(&self) -> bool {
        !self.nodes.load().is_empty()
    }

    /// Whether another node has this number.
    pub fn has_node(&self, number: u16) -> bool {
        self.nodes.load().contains_key(&number)
    }

    /// Whether another node hears some names by hashed channels.
    pub fn some_node_has_buckets(&self) -> bool {
        self.others_have_buckets.load(Ordering::Relaxed)
    }

    /// The names of nodes that have not `answered`: of `missing`, if it is known how many, those that have not been heard of for the
    /// longest time.
    pub fn missing(&self, answered: &[u16], missing: Option<u32>, now_ms: u64) -> Vec<Name> {
        let members = self.members();
        let mut silent: Vec<(u64, Name)> = self
            .nodes
            .load()
            .iter()
            .filter(|(number, _)| !answered.contains(number))
            .map(|(_, node)| (members.silent_for_ms(node.incarnation, now_ms), node.name.clone()))
            .collect();
        silent.sort_by(|one, other| other.cmp(one));
        silent.truncate(missing.map_or(usize::MAX, |missing| missing as usize));
        silent.into_iter().map(|(_, name)| name).collect()
    }

    /// The nodes as they were heard of. Locked for a look-up at a heartbeat, and for the deadline of a push from elsewhere.
    pub fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nodes have come or gone: from now on others are reached.
    pub fn reach(&self, members: &Members) {
        let nodes = members.reached().map(|member| {
            let node = Node { incarnation: member.incarnation, name: member.name.clone() };
            (member.node, node)
        });
        let nodes: HashMap<u16, Node> = nodes.collect();
        self.others_have_buckets.store(members.some_has_buckets(), Ordering::Relaxed);
        self.nodes.store(Arc::new(nodes));
    }

    /// How much longer than usual something took from another node, in milliseconds.
    pub fn excess_delay_ms(&self, incarnation: u64, stamp_ms: u64, now_ms: u64) -> u64 {
        self.members().excess_delay_ms(incarnation, stamp_ms, now_ms)
    }

    /// What users are hashed with, on all nodes alike.
    pub fn user_secret(&self) -> [u8; 16] {
        **self.secret.load()
    }

    /// What all nodes share and nobody else knows has been told by Redis.
    pub fn share(&self, secret: &[u8; 32]) {
        let mut first = [0; 16];
        first.copy_from_slice(&secret[..16]);
        self.secret.store(Arc::new(first));
    }

    /// The lease of the node's number; whoever asks first renews it.
    pub fn take_lease(&self) -> Option<Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The channel of this process.
    pub fn own_channel(&self) -> Box<[u8]> {
        self.channels.of_node(self.node, self.incarnation)
    }
}
