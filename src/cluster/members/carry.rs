//! The nodes on their way to the process that goes on with them.

use super::delay::Delay;
use super::{Heartbeat, Member, Members};
use crate::session::Name;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// See [`Members`].
#[derive(Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct CarriedMembers(#[n(0)] Vec<CarriedMember>);

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedMember {
    #[n(0)]
    said: Heartbeat,
    /// For how long nothing had come of it, in milliseconds.
    #[n(1)]
    silent_ms: u64,
    #[n(2)]
    ready: u64,
    /// How its clock differs: the least in this window and in the one before, and since when that is, in milliseconds of this node's
    /// clock.
    #[n(3)]
    delay: (Option<i64>, Option<i64>, u64),
}

impl Members {
    /// What another process goes on with.
    pub fn carry(&self, now_ms: u64) -> CarriedMembers {
        let members = self.members.values().map(|member| {
            // The rest of it stands in what it said.
            let Member { node: _, incarnation: _, name: _, has_buckets: _, said, heard_ms, ready, delay } =
                member;
            CarriedMember {
                said: said.clone(),
                silent_ms: now_ms.saturating_sub(*heard_ms),
                ready: *ready,
                delay: delay.carry(),
            }
        });
        CarriedMembers(members.collect())
    }

    /// Goes on with the nodes of another process: that nobody was heard in between is no silence of theirs.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn go_on_from(&mut self, carried: CarriedMembers, now_ms: u64) -> Result<(), InvalidState> {
        for CarriedMember { said, silent_ms, ready, delay } in carried.0 {
            let name = Name::new(&said.name);
            let name = name.map_err(|_| InvalidState::new("another node is called what no node is"))?;
            let (node, incarnation, has_buckets) = (said.node, said.incarnation, said.has_buckets);
            let (heard_ms, delay) = (now_ms.saturating_sub(silent_ms), Delay::going_on(delay));
            let member = Member { node, incarnation, name, has_buckets, said, heard_ms, ready, delay };
            self.members.insert(incarnation, member);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SharedLinks;
    use super::*;

    fn said(is_ready: bool) -> Heartbeat {
        Heartbeat {
            node: 5,
            incarnation: 9,
            name: "b".to_owned(),
            advertise: Some("wss://b".to_owned()),
            version: "1".to_owned(),
            is_draining: false,
            sessions: 3,
            has_buckets: true,
            is_reachable: true,
            is_ready,
            published: 4,
            stamp_ms: 1_000,
            aim: 6,
            hears: vec![6, 7],
            speaks: vec![vec![1, 2]],
            tells_users: true,
            asks_users: vec!["chess".to_owned()],
            asked: 5,
            shares: vec![SharedLinks { app: "chess".to_owned(), share: "s".to_owned(), links: 2, events: 3 }],
            links: 0,
        }
    }

    #[test]
    fn nodes_are_known_as_they_were_and_their_silence_is_that_of_before() {
        let mut first = Members::new(500);
        first.hear(said(true), 0, 2_000);
        first.hear(said(false), 1, 2_000);
        let carried = minicbor::to_vec(first.carry(2_400)).unwrap();
        let mut second = Members::new(500);
        second.go_on_from(minicbor::decode(&carried).unwrap(), 7_000).unwrap();
        let member = second.reached().next().unwrap();
        assert_eq!((member.node, member.incarnation, &*member.name, member.has_buckets), (5, 9, "b", true));
        assert_eq!(member.said, said(false));
        assert_eq!(second.silent_for_ms(9, 7_000), 400);
        assert!(second.are_all_ready(0) && !second.are_all_ready(1));
        assert_eq!(second.excess_delay_ms(9, 1_000, 2_030), 30);
        assert!(second.expire(7_100).is_empty());
        assert_eq!(second.expire(7_101).len(), 1);
    }
}
