//! What is subscribed to, on its way to the process that goes on with it. Who has sessions of a name is not carried: the sessions
//! arrive, and say so anew. A name that none of them has lingers as if the last had just left.

use super::{Names, Order, Wanted, hash_for};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// For so long at the least, in milliseconds, a name that came lingers without a session: so long all reactors have to say what they
/// have.
const GRACE_MS: u64 = 5_000;

/// See [`Names`].
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedNames {
    /// Channels that are subscribed to by themselves, but for those that always are.
    #[n(0)]
    by_name: Vec<ByteVec>,
    /// Channels that are heard by hashed channels.
    #[n(1)]
    bucketed: Vec<ByteVec>,
    /// What has not been said to Redis: whether it is a subscription, and to what.
    #[n(2)]
    orders: Vec<(bool, ByteVec)>,
    /// Subscriptions that Redis has not confirmed, those that have not been said among them.
    #[n(3)]
    unconfirmed: u64,
}

impl Names {
    /// What another process goes on with.
    pub fn carry(&self) -> CarriedNames {
        let Self {
            channels: _,
            always: _,
            wanted,
            // They follow from the names.
            buckets: _,
            hashes: _,
            by_name: _,
            max_by_name: _,
            linger_ms: _,
            lingering: _,
            // The connection says so.
            is_up: _,
            orders,
            asked,
            confirmed,
        } = self;
        let of_kind = |is_bucketed: bool| {
            let names = wanted.iter().filter(move |(_, wanted)| wanted.is_bucketed == is_bucketed);
            names.map(|(channel, _)| ByteVec::from(channel.to_vec())).collect()
        };
        let orders = orders.iter().map(|order| match order {
            Order::Subscribe(channel) => (true, channel.to_vec().into()),
            Order::Unsubscribe(channel) => (false, channel.to_vec().into()),
        });
        CarriedNames {
            by_name: of_kind(false),
            bucketed: of_kind(true),
            orders: orders.collect(),
            unconfirmed: asked.saturating_sub(*confirmed),
        }
    }

    /// These names, in which only those are that are always wanted, go on with those of another process. With `is_up` its connection
    /// has come along; otherwise all are subscribed to on the next one.
    pub fn go_on_from(&mut self, carried: CarriedNames, is_up: bool, now_ms: u64) {
        let CarriedNames { by_name, bucketed, orders, unconfirmed } = carried;
        let since_ms = now_ms + GRACE_MS.saturating_sub(self.linger_ms);
        for (channels, is_bucketed) in [(by_name, false), (bucketed, true)] {
            for channel in channels {
                let channel: Box<[u8]> = Vec::from(channel).into();
                if !self.wanted.contains_key(&channel) {
                    self.linger_anew(channel, is_bucketed, since_ms);
                }
            }
        }
        self.is_up = is_up;
        if is_up {
            let order = |(is_wanted, channel): (bool, ByteVec)| {
                let channel = Vec::from(channel).into();
                if is_wanted { Order::Subscribe(channel) } else { Order::Unsubscribe(channel) }
            };
            self.orders = orders.into_iter().map(order).collect();
            (self.asked, self.confirmed) = (unconfirmed, 0);
        }
    }

    fn linger_anew(&mut self, channel: Box<[u8]>, is_bucketed: bool, since_ms: u64) {
        self.hashes.insert(hash_for(&channel, false));
        match is_bucketed {
            true => *self.buckets.entry(self.channels.bucket_of(&channel)).or_default() += 1,
            false => self.by_name += 1,
        }
        self.lingering.push_back((since_ms + self.linger_ms, channel.clone()));
        let wanted = Wanted { reactors: 0, idle_since_ms: Some(since_ms), is_bucketed };
        self.wanted.insert(channel, wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Channels;

    fn channel(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    /// One name by itself, as the one that is always wanted, and one in a bucket; one is confirmed.
    fn names() -> Names {
        let mut names = empty();
        names.came_up();
        names.appears(channel("x"));
        names.take_orders(2);
        names.confirm();
        names.appears(channel("y"));
        names
    }

    fn empty() -> Names {
        Names::new(Channels::new("p", 4), &[channel("all")], 1, 100)
    }

    fn carried(names: &Names) -> CarriedNames {
        minicbor::decode(&minicbor::to_vec(names.carry()).unwrap()).unwrap()
    }

    #[test]
    fn on_the_connection_that_came_only_what_was_not_said_is_said() {
        let mut second = empty();
        second.go_on_from(carried(&names()), true, 1_000);
        let bucket = Channels::new("p", 4).bucket_of(b"y");
        assert_eq!(second.take_orders(10), [Order::Subscribe(bucket.clone())]);
        assert!(!second.is_whole());
        (0..2).for_each(|_| second.confirm());
        assert!(second.is_whole() && second.uses_buckets());
        assert_eq!(second.len(), 3);
        assert!(second.has_by_name(b"x") && !second.has_by_name(b"y"));
        assert!(second.has_hash(hash_for(b"x", true)) && second.has_hash(hash_for(b"y", false)));
        // Sessions of one of them come, and none of the other.
        second.appears(channel("x"));
        second.let_go(1_000 + GRACE_MS - 1);
        assert_eq!(second.take_orders(10), []);
        second.let_go(1_000 + GRACE_MS);
        assert_eq!(second.take_orders(10), [Order::Unsubscribe(bucket)]);
        assert!(second.has_by_name(b"x"));
    }

    #[test]
    fn without_the_connection_all_is_subscribed_to_anew() {
        let mut second = empty();
        second.go_on_from(carried(&names()), false, 1_000);
        assert_eq!(second.take_orders(10), []);
        second.came_up();
        assert_eq!(second.take_orders(10).len(), 3);
        (0..3).for_each(|_| second.confirm());
        assert!(second.is_whole());
    }
}
