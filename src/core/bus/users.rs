//! Who is online, over the cluster. A node whose links ask says so with its heartbeats. Every reactor of every node tells it then all of
//! its users, some in each turn, and from then on the first session and the last of each; what comes of that is for
//! [`Online`](crate::core::online::Online). If anything of it was lost, all is told again.

use super::news::BusNews;
use super::speaking::{Outline, TooLarge};
use super::users_asked::{Asker, UsersPage};
use super::{Bus, Cluster, Core, Envelope};
use crate::cluster::message::{Flags, Kind};
use crate::cluster::online::{UsersSaid, write_users};
use crate::cluster::{PublisherKey, SharedLinks};
use crate::core::listeners::{Listeners, ShareElsewhere};
use crate::core::online::{Question, UserNews, UserReport};
use crate::dispatch::{Apps, EventSet, Operation};
use crate::hub::{MAX_REACTORS, scope_of};
use crate::metrics::BusLoss;
use crate::session::{AppId, Name};
use std::sync::Arc;

/// Users of one message: some 32 KB at the most.
const USERS_A_MESSAGE: usize = 256;

/// So many heartbeats are waited for until other nodes have told their users, beside the patience for their answers: one that asks, one
/// in which a message was lost and with which they tell again, and as many for a node that is slow.
const BEATS_AWAITED: u64 = 4;

impl Bus {
    /// Whether another node asks who is online in the app.
    #[inline]
    pub fn is_asked_for_users(&self, app: AppId) -> bool {
        self.askers.iter().any(|asker| asker.asks_about(app))
    }

    /// This reactor has a session of the user now, its first, or none any more.
    pub fn user_changes(&mut self, app: AppId, user: &Name, is_here: bool) {
        if self.is_asked_for_users(app) {
            self.users.push((app, user.clone(), is_here));
        }
    }

    /// Something that was said may not have reached the other nodes: they are told all again, though not at once again and again.
    pub(super) fn may_have_lost_users(&mut self) {
        self.askers.iter_mut().for_each(Asker::may_have_lost);
    }

    /// Whether the Redis that takes it there has been handed what the node was told so far: one that is away or slow has no more to wait for
    /// it than a page.
    fn may_tell(&self, asker: &Asker) -> bool {
        let place = self.place_of_channel(self.cluster.channels.of_node(asker.node, asker.incarnation));
        !self.lines[place.server].has_unwritten()
    }

    /// Whether a node can be told more of the users of this reactor at once.
    pub(in crate::core) fn has_users_to_tell(&self, now_ms: u64) -> bool {
        self.askers.iter().any(|asker| asker.is_due(now_ms) && self.may_tell(asker))
    }
}

impl Core {
    /// Links ask about the users of these apps from now on: so this node asks the others. Who asked is answered when they have told theirs,
    /// or have been awaited for long enough.
    pub(in crate::core) fn ask_for_users(&mut self, apps: &[AppId], operation: Option<&Arc<Operation>>) {
        self.follow_shares();
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let config = &bus.cluster.config;
        let names = apps.iter().map(|app| self.rules.apps.name_of(*app).as_str().to_owned());
        bus.cluster.users_asked.ask(names.collect());
        bus.next_beat_ms = 0;
        let members = bus.cluster.members();
        let telling = members.all().into_iter().filter(|member| member.said.tells_users);
        let nodes: Vec<u64> = telling.map(|member| member.incarnation).collect();
        drop(members);
        let beats_ms = BEATS_AWAITED * config.heartbeat.as_millis() as u64;
        let until_ms = self.now.ms + beats_ms + config.patience.as_millis() as u64;
        let most = config.online_users.div_ceil(self.shared.reactors());
        self.online.ask_elsewhere(&Question { apps, nodes: &nodes, until_ms, most });
        if let Some(operation) = operation.filter(|_| self.online.awaits_others() && !self.stands_still) {
            operation.add_part();
            self.online_waits.push(Arc::clone(operation));
        }
    }

    /// Which shares have links on which other nodes.
    fn follow_shares(&mut self) {
        let Some(bus) = self.bus.as_deref() else { return };
        let apps = &self.rules.apps;
        let members = bus.cluster.members();
        let all = members.all().into_iter().flat_map(|member| {
            member.said.shares.iter().filter_map(|said| {
                let SharedLinks { app, share, links, events } = said;
                let events = EventSet::from_bits(events & EventSet::USERS.bits())?;
                let (app, share) = (apps.find(app).ok()?, Name::new(share).ok()?);
                Some(ShareElsewhere { node: member.incarnation, app, share, links: *links, events })
            })
        });
        self.listeners.others_share(bus.cluster.incarnation, all.collect());
    }

    /// What nodes ask has changed, perhaps: who has not been told all users of this reactor is told them from the end of this turn on.
    pub(super) fn follow_askers(&mut self) {
        self.follow_shares();
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster: &Cluster = &bus.cluster;
        let before = std::mem::take(&mut bus.askers);
        let members = cluster.members();
        let asking = members.all().into_iter().filter(|member| !member.said.asks_users.is_empty());
        bus.askers = asking.map(|member| Asker::new(member, &self.rules.apps, &before)).collect();
    }

    /// Tells one of the nodes that ask a further page of all users of this reactor: behind the changes of the turn, which it has then.
    pub(super) fn tell_page_of_users(&mut self) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut().filter(|_| !self.stands_still) else { return };
        let is_next = |asker: &Asker| asker.is_due(now_ms) && bus.may_tell(asker);
        let Some(place) = bus.askers.iter().position(is_next) else { return };
        let asker = &mut bus.askers[place];
        let again_ms = now_ms + bus.cluster.config.lease.as_millis() as u64;
        let UsersPage { apps, begins, ends } =
            asker.next_page(&self.hub, self.rules.settings.config.limits.turn_users, again_ms);
        let node = (asker.node, asker.incarnation);
        for (name, users) in apps {
            let last = users.len().div_ceil(USERS_A_MESSAGE).max(1) - 1;
            for number in 0..=last {
                let some = users.chunks(USERS_A_MESSAGE).nth(number).unwrap_or_default();
                let ends = (begins && number == 0, ends && number == last);
                let is_empty = some.is_empty() && !ends.0 && !ends.1;
                if !is_empty && !self.tell_users_to(node, &name, some, ends) {
                    // All is told again, later: what is left out must not be taken for gone.
                    return;
                }
            }
        }
    }

    /// Tells the changes of this turn.
    pub(super) fn tell_users(&mut self) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if bus.users.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut bus.users);
        let each = bus.askers.iter().flat_map(|asker| {
            asker.apps.iter().map(|(name, app)| ((asker.node, asker.incarnation), name.clone(), *app))
        });
        for (node, name, app) in each.collect::<Vec<_>>() {
            let of_app = changes.iter().filter(|(of, ..)| Some(*of) == app);
            let users: Vec<(Name, bool)> =
                of_app.map(|(_, user, is_here)| (user.clone(), *is_here)).collect();
            for page in users.chunks(USERS_A_MESSAGE) {
                self.tell_users_to(node, &name, page, (false, false));
            }
        }
    }

    /// Whether it was taken.
    fn tell_users_to(
        &mut self,
        (node, incarnation): (u16, u64),
        app: &str,
        users: &[(Name, bool)],
        (begins, ends): (bool, bool),
    ) -> bool {
        let (now_ms, index, reactors) = (self.now.ms, self.index, self.shared.reactors());
        let Some(bus) = self.bus.as_deref_mut() else { return false };
        let place = bus.place_of_channel(bus.cluster.channels.of_node(node, incarnation));
        let deadline_ms = now_ms + bus.queue_ms();
        let (kind, flags) = (Kind::Users, Flags::NONE);
        let outline = Outline { kind, flags, app, reply: 0, deadline_ms, ttl_left_ms: None };
        let said = UsersSaid { begins, ends, reactors: reactors as u8, users: users.to_vec() };
        let is_taken =
            bus.publish(index, now_ms, &place, outline, |out| write_users(&said, out).map_err(|_| TooLarge));
        if !is_taken {
            self.lose(place.server, 0, BusLoss::Queue);
        }
        is_taken
    }

    /// A reactor of another node tells of its users: each is for the reactor here that owns it, and that it begins or ends is for all.
    pub(super) fn hear_users(&mut self, teller: PublisherKey, app: AppId, said: UsersSaid) {
        if usize::from(teller.1) >= MAX_REACTORS {
            return;
        }
        let mut by_owner: Vec<Vec<(Name, bool)>> = vec![Vec::new(); self.shared.reactors()];
        for (user, is_there) in said.users {
            by_owner[self.shared.owner_of(scope_of(app, &user))].push((user, is_there));
        }
        for (owner, users) in by_owner.into_iter().enumerate() {
            if users.is_empty() && !said.begins && !said.ends {
                continue;
            }
            let UsersSaid { begins, ends, reactors, .. } = said;
            let said = UsersSaid { begins, ends, reactors, users };
            let news = UserNews::Elsewhere(teller, app, said);
            let report = UserReport { reactor: self.index, news, operation: None };
            match owner == self.index {
                true => self.hear_of_users(report),
                false => self.peers.post_always(owner, Envelope::Users(Box::new(report))),
            }
        }
    }

    /// Another node asks something else than before.
    pub(super) fn others_ask(&mut self) {
        for reactor in (0..self.shared.reactors()).filter(|reactor| *reactor != self.index) {
            self.peers.post_always(reactor, Envelope::Bus(Box::new(BusNews::UsersAsked)));
        }
        self.follow_askers();
    }
}

/// The shares of this node that the others are told of, in each heartbeat: so many at the most.
pub(super) fn shared_links(listeners: &Listeners, apps: &Apps, most: usize) -> Vec<SharedLinks> {
    let shares = listeners.shares_of_users().map(|(app, share, links, events)| SharedLinks {
        app: apps.name_of(app).as_str().to_owned(),
        share: share.as_str().to_owned(),
        links,
        events: events.bits(),
    });
    shares.take(most).collect()
}
