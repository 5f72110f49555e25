//! The sessions that a user may have, over all nodes. A session is let in by what its own node knows. When its user's channel is heard
//! here, the other nodes are asked for their sessions of the user, and those of all that are too many are closed, wherever they are:
//! of two nodes where a session opens at the same time, the one that asks later hears of both.

use super::awaiting::Asked;
use super::news::{BusNews, Closing, Took, Waiter};
use super::speaking::{Outline, TooLarge};
use super::{Core, Envelope, ear_of};
use crate::cluster::message::{Flags, Kind};
use crate::cluster::places::{Seat, Surplus, surplus, write_seats, write_surplus, write_took};
use crate::cluster::{Set, Way};
use crate::config::PerUserPolicy;
use crate::dispatch::{Peer, Selector};
use crate::metrics::BusLoss;
use crate::session::{AppId, Name, SessionId, close_codes};
use crate::timer::Clock;
use std::sync::Arc;

/// What the sessions of a user who may have only so many are told as they are closed.
const REPLACED: &str = "replaced by a newer session";
const REFUSED: &str = "the user has as many sessions as per_user allows";

impl Core {
    /// The session has taken a place of its user's: where an app bounds them, other nodes are to know.
    pub(in crate::core) fn took_place(&mut self, app: AppId, session: SessionId) {
        if self.bus.is_none() || self.shared.admission.per_user(app).is_none() {
            return;
        }
        let Some(user) = self.hub.user_of(session.slot()).cloned() else { return };
        self.shared.admission.since(app, &user, session, Clock::wall_unix_us());
        if let Some(bus) = &mut self.bus {
            bus.placed.push((app, user));
        }
    }

    /// Hands the users who have taken places in this turn to the ears of their channels, which have been told to subscribe to those.
    pub(super) fn tell_places(&mut self) {
        let Some(bus) = &mut self.bus else { return };
        if bus.placed.is_empty() {
            return;
        }
        let (cluster, plan) = (Arc::clone(&bus.cluster), Arc::clone(&bus.in_force.plan));
        let mut here = std::mem::take(&mut bus.placed);
        here.dedup();
        for (app, user) in here {
            let channel = cluster.channels.of_set(self.rules.apps.name_of(app), Set::User(&user));
            self.hand_place(Took { servers: plan.slots_of(&channel), app, user });
        }
    }

    /// Hands it to the ear of the next server on which the channel is to be heard.
    fn hand_place(&mut self, took: Took) {
        let Some(server) = took.servers.last() else { return };
        match ear_of(*server, self.shared.reactors()) {
            ear if ear == self.index => self.follow_place(took),
            ear => self.peers.post_always(ear, Envelope::Bus(Box::new(BusNews::Took(took)))),
        }
    }

    /// A user has taken a place on this node, whose channel this reactor subscribes to: the other nodes are asked when it is heard.
    pub(super) fn follow_place(&mut self, mut took: Took) {
        let Some(server) = took.servers.pop() else { return };
        self.await_names(server, Waiter::Place(took));
    }

    /// Asks other nodes for the sessions of a user whose channel is heard by now on all servers.
    pub(super) fn ask_for_places(&mut self, took: Took) {
        if !took.servers.is_empty() {
            return self.hand_place(took);
        }
        let Took { app, user, .. } = took;
        let asked = Asked::Places { app, user: user.clone(), seats: Vec::new() };
        self.publish_of_user(app, &user, Kind::Took, Some(asked), |out| {
            write_took(&user, out).map_err(|_| TooLarge)
        });
    }

    /// Another node asks for the sessions of a user.
    pub(super) fn answer_places(&mut self, app: AppId, user: &Name, peer: &Peer) {
        let seats = self.seats_of(app, user);
        self.answer(peer, Kind::Places, |out| {
            write_seats(&seats, out);
            Ok(())
        });
    }

    fn seats_of(&self, app: AppId, user: &Name) -> Vec<Seat> {
        let places = self.shared.admission.places(app, user).into_iter();
        places.map(|(id, since_unix_us)| Seat { since_unix_us, session: id.as_u64() }).collect()
    }

    /// Other nodes have said which sessions of the user they have: what is too many is closed everywhere.
    pub(super) fn places_are_known(&mut self, app: AppId, user: Name, mut seats: Vec<Seat>) {
        let Some(bound) = self.shared.admission.per_user(app) else { return };
        seats.extend(self.seats_of(app, &user));
        let sessions = surplus(bound, &mut seats);
        if sessions.is_empty() {
            return;
        }
        let surplus = Surplus { user, sessions };
        self.publish_of_user(app, &surplus.user, Kind::Surplus, None, |out| {
            write_surplus(&surplus, out).map_err(|_| TooLarge)
        });
        self.close_surplus(app, &surplus);
    }

    /// The sessions here that are too many are closed. Where they are the newer ones, the others are asked whether they are still there.
    pub(super) fn close_surplus(&mut self, app: AppId, surplus: &Surplus) {
        let Surplus { user, sessions } = surplus;
        let Some(bound) = self.shared.admission.per_user(app) else { return };
        let gone = self.shared.admission.give_way(app, user, sessions);
        for reactor in 0..self.shared.reactors() {
            let here = gone.iter().copied().filter(|id| usize::from(id.worker()) == reactor);
            let closing = Closing { app, sessions: here.collect(), policy: bound.policy };
            match reactor {
                _ if closing.sessions.is_empty() => {}
                own if own == self.index => self.close_beyond(closing),
                other => self.peers.post_always(other, Envelope::Bus(Box::new(BusNews::Closing(closing)))),
            }
        }
        if bound.policy == PerUserPolicy::Refuse {
            self.probe_sessions_of(app, user);
        }
    }

    /// Closes sessions here that have lost their places.
    pub(super) fn close_beyond(&mut self, closing: Closing) {
        let Closing { app, sessions, policy } = closing;
        let reason = match policy {
            PerUserPolicy::ReplaceOldest => REPLACED,
            PerUserPolicy::Refuse => REFUSED,
        };
        for id in sessions {
            if self.hub.contains(id, app) {
                self.close(id.slot(), close_codes::REPLACED, reason);
            }
        }
    }

    /// Publishes something about a user on its channel; what is `asked` is answered by all who hear it.
    fn publish_of_user(
        &mut self,
        app: AppId,
        user: &Name,
        kind: Kind,
        asked: Option<Asked>,
        body: impl Fn(&mut Vec<u8>) -> Result<(), TooLarge>,
    ) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(app).as_str();
        let way = Way::Set(Selector::User(user.clone()));
        let Some(place) = bus.place_of(app, &way) else { return };
        let bucket = bus.bucket_of(&place, &way);
        let deadline_ms = now_ms + bus.patience_ms();
        let publishings = 1 + u32::from(bucket.is_some());
        let reply = asked.map_or(0, |asked| bus.awaiting.ask(index, asked, publishings, deadline_ms));
        let outline = Outline { kind, flags: Flags::NONE, app, reply, deadline_ms, ttl_left_ms: None };
        let lost = bus.publish_to_both(index, now_ms, (&place, bucket.as_ref()), outline, body);
        for _ in 0..lost {
            self.lose(place.server, reply, BusLoss::Queue);
        }
    }
}
