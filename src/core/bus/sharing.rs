//! What all nodes know alike. Bans and sticky groups are told as they change by the commands that change them; here a node that comes,
//! or hears again, and those that were there tell each other all of them. Nonces are told as they are used. All of it may be told twice.

use super::news::{Banning, BusNews};
use super::speaking::{Outline, Place, TooLarge};
use super::{Core, Envelope};
use crate::cluster::known::{Known, KnownBan, StickyUser, UsedNonce, write_list};
use crate::cluster::message::{Flags, Kind};
use crate::core::changing::banned_here;
use crate::dispatch::{Action, Ban, Operation, Origin, Scope, Who};
use crate::metrics::BusLoss;
use crate::session::{AppId, close_codes};
use crate::timer::Clock;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Entries of one message: some 100 KB at the most.
const ENTRIES_A_MESSAGE: usize = 256;

impl Core {
    /// Greets the others, who answer with what they know, and tells them what this node knows: when the ear of a Redis hears everything
    /// and there is a way out, whichever comes last.
    pub(super) fn greet_when_whole(&mut self, server: usize) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let is_whole = bus.server(server).is_whole.load(Ordering::Acquire);
        if is_whole && bus.ear(server).is_some() && bus.lines[server].link().is_up() {
            self.tell_of_itself(server, Kind::Hello, None);
            self.tell_known(server, None);
        }
    }

    /// Tells what this node knows to the node with this channel, or to all, over one Redis.
    pub(super) fn tell_known(&mut self, server: usize, channel: Option<&[u8]>) {
        let Some(bus) = &self.bus else { return };
        let channel = channel.map_or_else(|| bus.cluster.channels.of_nodes(), Into::into);
        let place = Place { server, next: None, channel };
        let rules = Arc::clone(&self.rules);
        for app in (0..rules.apps.names().count() as u16).map(AppId) {
            let bans = self.shared.bans.known(app, Clock::wall_unix_ms());
            self.tell_list(app, &place, Kind::Bans, &bans);
            if self.shared.sticky.has_any() {
                let users = self.shared.sticky.known(app, self.shared.clock.now().ms);
                self.tell_list(app, &place, Kind::Sticky, &users);
            }
        }
    }

    fn tell_list<T: Known>(&mut self, app: AppId, place: &Place, kind: Kind, list: &[T]) {
        let (now_ms, index, rules) = (self.now.ms, self.index, Arc::clone(&self.rules));
        let app = rules.apps.name_of(app).as_str();
        for page in list.chunks(ENTRIES_A_MESSAGE) {
            let Some(bus) = self.bus.as_deref_mut() else { return };
            let deadline_ms = now_ms + bus.queue_ms();
            let outline = Outline { kind, flags: Flags::NONE, app, reply: 0, deadline_ms, ttl_left_ms: None };
            let taken =
                bus.publish(index, now_ms, place, outline, |out| write_list(page, out).map_err(|_| TooLarge));
            if !taken {
                self.lose(place.server, 0, BusLoss::Queue);
            }
        }
    }

    /// Another node tells whom it has banned, and whom no more.
    pub(super) fn learn_bans(&mut self, app: AppId, known: Vec<KnownBan>) {
        let (most, unix_ms) = (self.rules.settings.config.limits.max_bans, Clock::wall_unix_ms());
        for known in known {
            let Some(ban) = self.shared.bans.learn(app, known, most, unix_ms) else { continue };
            let ban = Arc::new(ban);
            for reactor in (0..self.shared.reactors()).filter(|reactor| *reactor != self.index) {
                let banning = Banning { app, ban: Arc::clone(&ban) };
                self.peers.post_always(reactor, Envelope::Bus(Box::new(BusNews::Banning(banning))));
            }
            self.close_banned(app, &ban);
        }
    }

    /// The sessions here that are banned are closed.
    pub(super) fn close_banned(&mut self, app: AppId, ban: &Ban) {
        for slot in banned_here(self, app, &ban.whom) {
            self.close_for_good(slot, close_codes::KICKED, &ban.reason);
        }
    }

    /// A query has been taken here: on no other node is it to be taken again.
    pub fn used_nonce(&self, app: AppId, nonce: &str, signed_unix_ms: u64) {
        if let Some(bus) = &self.bus {
            bus.nonces.borrow_mut().push((app, UsedNonce { signed_unix_ms, nonce: nonce.into() }));
        }
    }

    /// Tells the nonces that have been used in this turn.
    pub(super) fn tell_nonces(&mut self) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if bus.nonces.get_mut().is_empty() {
            return;
        }
        let mut used = bus.nonces.take();
        let channel = bus.cluster.channels.of_nodes();
        let place = bus.place_of_channel(channel);
        used.sort_by_key(|(app, _)| *app);
        for of_app in used.chunk_by(|(one, _), (other, _)| one == other) {
            let nonces: Vec<UsedNonce> = of_app.iter().map(|(_, nonce)| nonce.clone()).collect();
            self.tell_list(of_app[0].0, &place, Kind::Nonces, &nonces);
        }
    }

    /// Another node has taken queries: none of them is taken here.
    pub(super) fn learn_nonces(&mut self, app: AppId, used: &[UsedNonce]) {
        let unix_ms = Clock::wall_unix_ms();
        let mut nonces = self.shared.nonces();
        for UsedNonce { signed_unix_ms, nonce } in used {
            // One that is known, too old to pass here or beyond the bound of nonces is refused here too.
            let _ = nonces.spend(app, nonce, *signed_unix_ms, unix_ms);
        }
    }

    /// Another node tells which users are in which groups with every session: so they are here.
    pub(super) fn learn_sticky(&mut self, app: AppId, known: Vec<StickyUser>) {
        let now_ms = self.shared.clock.now().ms;
        for StickyUser { user, mut groups } in known {
            let own = self.shared.sticky.groups_of(app, &user, now_ms);
            groups.retain(|group| !own.contains(group));
            if !groups.is_empty() {
                let who = Who::Users(vec![user]);
                let action = Action::JoinSticky { who, groups, recall: None };
                self.operate_from_bus(Operation::new(app, action, Origin::Nobody).with_scope(Scope::Node));
            }
        }
    }
}
