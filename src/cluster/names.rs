//! What a node wants to hear from one Redis: the channels of the names that its reactors have, each once, however many reactors
//! have it. A name that nobody has any more stays subscribed for a while, since who leaves often comes back. Beyond a
//! number of names it is hashed channels that are subscribed to. Pure: it says what is to be subscribed to, and is told what has
//! been.

mod carry;

pub use carry::CarriedNames;

use super::channel::{Channels, hash_for};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;

/// See the module.
#[derive(Debug)]
pub struct Names {
    channels: Channels,
    /// They are subscribed to before all others: whoever hears a name hears these too.
    always: Box<[Box<[u8]>]>,
    /// By the channel of the name.
    wanted: HashMap<Box<[u8]>, Wanted>,
    /// How many names are in each hashed channel that is subscribed to.
    buckets: HashMap<Box<[u8]>, u32>,
    /// The hashes of all names, for the question what of a list was for this node.
    hashes: HashSet<u64>,
    /// Names subscribed to by themselves.
    by_name: usize,
    /// So many at the most.
    max_by_name: usize,
    linger_ms: u64,
    /// Names without a reactor, in the order in which their time is up.
    lingering: VecDeque<(u64, Box<[u8]>)>,
    is_up: bool,
    /// What is to be said to Redis, in this order.
    orders: VecDeque<Order>,
    /// Subscriptions that have been asked for on this connection, and those that Redis has confirmed: in the same order.
    asked: u64,
    confirmed: u64,
}

/// With fewer channels of single names than so many hashed ones count as in use from the beginning.
const FEW: usize = 1_024;

#[derive(Debug)]
struct Wanted {
    /// Reactors that have sessions of the name. A reactor says in turn that it has and has none.
    reactors: u32,
    /// When nobody has needed it any more; it lingers.
    idle_since_ms: Option<u64>,
    is_bucketed: bool,
}

/// Something to be said to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Messages of this channel are wanted.
    Subscribe(Box<[u8]>),
    /// They are not wanted any more.
    Unsubscribe(Box<[u8]>),
}

impl Names {
    /// Nothing is wanted; `always` is subscribed to as long as there is a connection.
    pub fn new(channels: Channels, always: &[Box<[u8]>], max_by_name: usize, linger_ms: u64) -> Self {
        let mut names = Self {
            channels,
            always: always.into(),
            wanted: HashMap::new(),
            buckets: HashMap::new(),
            hashes: HashSet::new(),
            by_name: 0,
            max_by_name: max_by_name + always.len(),
            linger_ms,
            lingering: VecDeque::new(),
            is_up: false,
            orders: VecDeque::new(),
            asked: 0,
            confirmed: 0,
        };
        always.iter().for_each(|channel| names.appears(channel.clone()));
        names
    }

    /// One more reactor has sessions of the name with this channel.
    pub fn appears(&mut self, channel: Box<[u8]>) {
        if let Some(wanted) = self.wanted.get_mut(&channel) {
            wanted.reactors += 1;
            wanted.idle_since_ms = None;
            return;
        }
        let is_bucketed = self.by_name >= self.max_by_name;
        self.hashes.insert(hash_for(&channel, false));
        let wanted = Wanted { reactors: 1, idle_since_ms: None, is_bucketed };
        self.wanted.insert(channel.clone(), wanted);
        if is_bucketed {
            let bucket = self.channels.bucket_of(&channel);
            let names = self.buckets.entry(bucket.clone()).or_default();
            *names += 1;
            if *names == 1 {
                self.order(Order::Subscribe(bucket));
            }
        } else {
            self.by_name += 1;
            self.order(Order::Subscribe(channel));
        }
    }

    /// A reactor has no sessions of the name any more.
    pub fn vanishes(&mut self, channel: &[u8], now_ms: u64) {
        let Some(wanted) = self.wanted.get_mut(channel) else { return };
        wanted.reactors = wanted.reactors.saturating_sub(1);
        if wanted.reactors == 0 && wanted.idle_since_ms.is_none() {
            wanted.idle_since_ms = Some(now_ms);
            self.lingering.push_back((now_ms + self.linger_ms, channel.into()));
        }
    }

    /// When the next name has lingered long enough, in milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.lingering.front().map(|(due_ms, _)| *due_ms)
    }

    /// Lets go of the names that have lingered long enough.
    pub fn let_go(&mut self, now_ms: u64) {
        while self.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            let Some((due_ms, channel)) = self.lingering.pop_front() else { return };
            // It may have been wanted again, and have vanished once more.
            let since_ms = due_ms - self.linger_ms;
            if self.wanted.get(&channel).is_some_and(|wanted| wanted.idle_since_ms == Some(since_ms)) {
                self.forget(&channel);
            }
        }
    }

    fn forget(&mut self, channel: &[u8]) {
        let Some(wanted) = self.wanted.remove(channel) else { return };
        self.hashes.remove(&hash_for(channel, false));
        if !wanted.is_bucketed {
            self.by_name -= 1;
            return self.order(Order::Unsubscribe(channel.into()));
        }
        let bucket = self.channels.bucket_of(channel);
        if let Some(names) = self.buckets.get_mut(&bucket) {
            *names -= 1;
            if *names == 0 {
                self.buckets.remove(&bucket);
                self.order(Order::Unsubscribe(bucket));
            }
        }
    }

    /// While there is no connection nothing is said: all of it is when there is one.
    fn order(&mut self, order: Order) {
        if self.is_up {
            self.asked += u64::from(matches!(order, Order::Subscribe(_)));
            self.orders.push_back(order);
        }
    }

    /// There is a connection: everything is to be subscribed to.
    pub fn came_up(&mut self) {
        self.is_up = true;
        self.orders.clear();
        (self.asked, self.confirmed) = (0, 0);
        let by_name = self.wanted.iter().filter(|(_, wanted)| !wanted.is_bucketed);
        let by_name = by_name.map(|(channel, _)| channel).filter(|channel| !self.always.contains(channel));
        let all = self.always.iter().chain(by_name).chain(self.buckets.keys());
        self.orders.extend(all.cloned().map(Order::Subscribe));
        self.asked = self.orders.len() as u64;
    }

    /// The connection is gone, and with it every subscription.
    pub fn went_down(&mut self) {
        self.is_up = false;
        self.orders.clear();
    }

    /// What is to be said to Redis next: of one kind, `most` channels at the most.
    pub fn take_orders(&mut self, most: usize) -> Vec<Order> {
        let Some(first) = self.orders.front() else { return Vec::new() };
        let kind = std::mem::discriminant(first);
        let same = self.orders.iter().take(most).take_while(|order| std::mem::discriminant(*order) == kind);
        let count = same.count();
        self.orders.drain(..count).collect()
    }

    /// Redis has confirmed a subscription.
    pub fn confirm(&mut self) {
        self.confirmed += 1;
    }

    /// Stands for everything that is wanted now; see [`Names::is_confirmed`].
    pub fn ticket(&self) -> u64 {
        self.asked
    }

    /// Whether everything that was wanted when the ticket was taken is heard, or there is no connection to hear it over.
    pub fn is_confirmed(&self, ticket: u64) -> bool {
        !self.is_up || self.confirmed >= ticket
    }

    /// Whether everything that is wanted is heard.
    pub fn is_whole(&self) -> bool {
        self.is_up && self.confirmed >= self.asked
    }

    /// Whether a name is wanted, by its own channel or another.
    pub fn wants(&self, channel: &[u8]) -> bool {
        self.wanted.contains_key(channel)
    }

    /// The channels of all names that are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = &[u8]> {
        self.wanted.keys().map(|channel| &**channel)
    }

    /// Whether messages of the name come by its own channel.
    pub fn has_by_name(&self, channel: &[u8]) -> bool {
        self.wanted.get(channel).is_some_and(|wanted| !wanted.is_bucketed)
    }

    /// Whether a channel with this hash is wanted, whatever it says of coming back.
    pub fn has_hash(&self, hash: u64) -> bool {
        self.hashes.contains(&(hash & !1))
    }

    /// Whether hashed channels are in use, or may be soon: then every message has to go to those too. Other nodes hear of it with the
    /// next heartbeat, and it has to be before the first name is heard so.
    pub fn uses_buckets(&self) -> bool {
        self.max_by_name < FEW || self.by_name >= self.max_by_name / 4 * 3 || !self.buckets.is_empty()
    }

    /// Channels that are subscribed to.
    pub fn len(&self) -> usize {
        self.by_name + self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(max_by_name: usize) -> Names {
        Names::new(Channels::new("p", 4), &[], max_by_name, 100)
    }

    fn channel(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn a_name_of_two_reactors_is_subscribed_to_once_and_lingers_after_the_last() {
        let mut names = names(10);
        names.came_up();
        names.appears(channel("x"));
        names.appears(channel("x"));
        assert_eq!(names.take_orders(10), [Order::Subscribe(channel("x"))]);
        names.vanishes(b"x", 0);
        names.let_go(1_000);
        assert_eq!(names.take_orders(10), [], "one reactor still has it");
        names.vanishes(b"x", 1_000);
        names.let_go(1_099);
        assert_eq!(names.take_orders(10), []);
        names.appears(channel("x"));
        names.let_go(1_100);
        assert_eq!(names.take_orders(10), [], "it came back while it lingered");
        names.vanishes(b"x", 1_150);
        names.let_go(1_200);
        assert_eq!(names.take_orders(10), []);
        names.let_go(1_250);
        assert_eq!(names.take_orders(10), [Order::Unsubscribe(channel("x"))]);
        assert_eq!((names.len(), names.has_hash(hash_for(b"x", false))), (0, false));
    }

    #[test]
    fn a_ticket_is_confirmed_with_the_last_subscription_before_it_or_without_a_connection() {
        let mut names = names(10);
        names.came_up();
        names.appears(channel("x"));
        names.appears(channel("y"));
        let ticket = names.ticket();
        names.appears(channel("z"));
        assert_eq!(names.take_orders(10).len(), 3);
        names.confirm();
        assert!(!names.is_confirmed(ticket));
        names.confirm();
        assert!(names.is_confirmed(ticket) && !names.is_whole());
        names.confirm();
        assert!(names.is_whole());
        names.appears(channel("w"));
        let ticket = names.ticket();
        names.went_down();
        assert!(names.is_confirmed(ticket) && !names.is_whole());
    }

    #[test]
    fn a_new_connection_subscribes_to_all_that_is_wanted_and_to_nothing_else() {
        let mut names = names(2);
        for name in ["x", "y", "b1", "b2", "b3"] {
            names.appears(channel(name));
        }
        names.vanishes(b"y", 0);
        names.let_go(100);
        names.came_up();
        let orders = names.take_orders(100);
        assert!(orders.contains(&Order::Subscribe(channel("x"))));
        assert!(!orders.contains(&Order::Subscribe(channel("y"))));
        assert_eq!(orders.len(), names.len());
        assert!(names.uses_buckets() && names.has_by_name(b"x") && !names.has_by_name(b"b1"));
        for name in ["b1", "b2", "b3"] {
            let bucket = Channels::new("p", 4).bucket_of(name.as_bytes());
            assert!(orders.contains(&Order::Subscribe(bucket)), "{name}");
            assert!(names.has_hash(hash_for(name.as_bytes(), true)), "{name}");
        }
    }

    #[test]
    fn what_is_always_wanted_is_subscribed_to_first_and_once() {
        let always = [channel("all"), channel("own")];
        let mut names = Names::new(Channels::new("p", 4), &always, 100, 100);
        (0..50).for_each(|number| names.appears(channel(&format!("name-{number}"))));
        names.came_up();
        let orders = names.take_orders(100);
        assert_eq!(orders[..2], always.map(Order::Subscribe));
        assert_eq!(orders.len(), 52);
    }

    #[test]
    fn orders_are_taken_in_runs_of_one_kind() {
        let mut names = names(10);
        names.came_up();
        names.appears(channel("x"));
        names.appears(channel("y"));
        names.vanishes(b"x", 0);
        names.let_go(100);
        names.appears(channel("z"));
        assert_eq!(names.take_orders(1), [Order::Subscribe(channel("x"))]);
        assert_eq!(names.take_orders(10), [Order::Subscribe(channel("y"))]);
        assert_eq!(names.take_orders(10), [Order::Unsubscribe(channel("x"))]);
        assert_eq!(names.take_orders(10), [Order::Subscribe(channel("z"))]);
        assert_eq!(names.take_orders(10), []);
    }
}
