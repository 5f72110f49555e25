//! Links that hear of the sessions of all nodes, over the bus. The node of such a link tells the others that it listens, and each of them
//! has a [stand-in](crate::core::seats::StandIn) for it, which listens there as a link of its own. Control messages are said now or never: what is
//! lost is found by heartbeats, which have a number that stands for the links of their node.

use super::awaiting::Asked;
use super::links_known::{Differences, Other};
use super::news::{BusNews, LinkMatter, LinkNews};
use super::speaking::{Outline, TooLarge};
use super::{Bus, Core, Envelope};
use crate::cluster::links::{AllSaid, EndedSaid, LinkSaid, LinksSaid, write_links};
use crate::cluster::message::{Flags, Kind};
use crate::core::event_limit::EventLimit;
use crate::core::execute::{Finished, Started};
use crate::core::listeners::mixed;
use crate::core::seats::StandIn;
use crate::dispatch::{EventSet, LinkForm, Listen, Operation, Origin, Peer, With};
use crate::metrics::BusLoss;
use crate::session::{AppId, Name, SessionId};
use log::warn;
use std::sync::Arc;

impl Bus {
    /// Says something of links to a node, now or never; whether it was said.
    fn say_of_links(&mut self, reactor: usize, now_ms: u64, node: (u16, u64), said: &LinksSaid) -> bool {
        let channel = self.cluster.channels.of_node(node.0, node.1);
        let server = self.speaks.slot_of(&channel);
        self.tell(server, reactor, now_ms, &channel, Kind::Links, |out| write_links(said, out))
    }

    fn link_window(&self) -> EventLimit {
        let config = &self.cluster.config;
        EventLimit { events: config.link_window_messages, bytes: config.link_window_bytes }
    }
}

/// What the links of this node say.
impl Core {
    /// A link of this reactor listens to all nodes: the others are told, and have a part in the operation until it hears of them.
    pub(super) fn tell_of_link(&mut self, operation: &Arc<Operation>, link: SessionId, listen: &Listen) {
        let Some(said) = self.note_own_link(operation.app, link, listen) else { return };
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let place = bus.place_of_channel(bus.cluster.channels.of_nodes());
        if !bus.may_be_answered(&place) {
            return;
        }
        operation.add_part();
        let asked = Asked::Operation { operation: Arc::clone(operation), places: Default::default() };
        let deadline_ms = now_ms + bus.patience_ms();
        let reply = bus.awaiting.ask(index, asked, 1, deadline_ms);
        let (kind, flags, app) = (Kind::Links, Flags::NONE, said.app.clone());
        let outline = Outline { kind, flags, app: &app, reply, deadline_ms, ttl_left_ms: None };
        let said = LinksSaid::Listens(said);
        let is_taken = bus.publish(index, now_ms, &place, outline, |out| {
            write_links(&said, out);
            Ok::<(), TooLarge>(())
        });
        if !is_taken {
            self.lose(place.server, reply, BusLoss::Queue);
        }
    }

    /// A link of this reactor is one of those that the others are told of.
    fn note_own_link(&mut self, app: AppId, link: SessionId, listen: &Listen) -> Option<LinkSaid> {
        let bus = self.bus.as_deref()?;
        // Of users each node is told by the others, and tells its own links.
        let events = listen.events.without(EventSet::USERS);
        let text = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned());
        let said = LinkSaid {
            link: link.as_u64(),
            version: 0,
            app: self.rules.apps.name_of(app).as_str().to_owned(),
            share: text(&listen.share),
            name: text(&listen.name),
            events: events.bits(),
            with: listen.with.bits(),
            is_binary: listen.form == LinkForm::Binary,
        };
        Some(bus.cluster.links.lock().listens(said))
    }

    /// The links of this reactor that listened to all nodes in the process before this one are told of again.
    pub(in crate::core) fn tell_of_links_again(&mut self) {
        let own = self
            .listeners
            .links()
            .filter(|(link, _, listen)| listen.everywhere && usize::from(link.worker()) == self.index);
        let own: Vec<(SessionId, AppId, Listen)> =
            own.map(|(link, app, listen)| (link, app, listen.clone())).collect();
        for (link, app, listen) in own {
            self.note_own_link(app, link, &listen);
        }
        let Some(bus) = self.bus.as_deref() else { return };
        let mut known = bus.cluster.links.lock();
        for (link, StandIn { incarnation, link: theirs, version, .. }) in self.seats.stand_ins() {
            known.put(*incarnation, *theirs, Other { version: *version, stand_in: Some(link) });
        }
    }

    /// A link of this reactor has ended; what each node is told of that.
    pub(in crate::core) fn link_ends_abroad(&mut self, link: SessionId, of: Vec<(u64, EndedSaid)>) {
        let Some(bus) = self.bus.as_deref() else { return };
        let cluster = Arc::clone(&bus.cluster);
        if !cluster.links.lock().has_ended(link.as_u64(), of) {
            return;
        }
        let members = cluster.members();
        let nodes: Vec<(u16, u64)> =
            members.all().iter().map(|member| (member.node, member.incarnation)).collect();
        drop(members);
        nodes.into_iter().for_each(|node| self.tell_all_links(node));
    }

    fn tell_all_links(&mut self, node: (u16, u64)) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let all: AllSaid = bus.cluster.links.lock().all_for(node.1);
        // One that is lost is asked for.
        bus.say_of_links(index, now_ms, node, &LinksSaid::All(all));
    }

    /// Says what the turn has left to say: events for links of other nodes, and how many of theirs links here have.
    pub(super) fn tell_of_events(&mut self) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(window) = self.bus.as_deref().map(Bus::link_window) else { return };
        for link in self.take_stand_ins_due() {
            while let Some((node, said)) = self.next_for_elsewhere(link, window) {
                let count = said.events.len() as u64;
                let Some(bus) = self.bus.as_deref_mut() else { return };
                if !bus.say_of_links(index, now_ms, node, &LinksSaid::Events(said)) {
                    self.was_not_sent(link);
                    break;
                }
                self.was_sent(link);
                self.metrics().link_events_sent.add(count);
            }
        }
        for stream in self.take_told_due() {
            let Some(bus) = self.bus.as_deref_mut() else { return };
            // One that is lost is asked for.
            bus.say_of_links(
                index,
                now_ms,
                (stream.node, stream.incarnation),
                &LinksSaid::Took(stream.said()),
            );
        }
    }

    /// A heartbeat is due: what may have been lost is said again, and a link whose node says nothing is given up.
    pub(super) fn look_at_links(&mut self) {
        let silent_ms = self.rules.settings.config.timeouts.link_stalled.as_millis() as u64;
        for link in self.look_at_stand_ins(silent_ms) {
            self.give_stand_in_up(link);
        }
    }

    /// Events for the link that this stands for were lost, or it takes none. It begins anew when it is told of again.
    pub(in crate::core) fn give_stand_in_up(&mut self, link: SessionId) {
        let Some(stand_in) = self.end_stand_in(link, None) else { return };
        if let Some(bus) = self.bus.as_deref() {
            bus.cluster.links.lock().forget(stand_in.incarnation, stand_in.link);
        }
    }
}

/// What is heard of links of other nodes.
impl Core {
    pub(super) fn hear_of_links(&mut self, from: (u16, u64), peer: Option<Peer>, said: LinksSaid) {
        match said {
            LinksSaid::Listens(said) => {
                // It is news unless as much is known already.
                let as_of = said.version.saturating_sub(1);
                self.hand_link(from, said, as_of, peer.map(Box::new));
            }
            LinksSaid::Asks => self.tell_all_links(from),
            LinksSaid::All(all) => {
                let (Some(bus), as_of) = (self.bus.as_deref(), all.as_of) else { return };
                let Differences { listen, ended } = bus.cluster.links.lock().compare(from.1, all);
                for (stand_in, taken) in ended {
                    let about = LinkMatter::Ended(stand_in, taken);
                    self.hand_links(usize::from(stand_in.worker()), LinkNews { from, about });
                }
                listen.into_iter().for_each(|said| self.hand_link(from, said, as_of, None));
            }
            LinksSaid::Events(said) => {
                let worker = SessionId::from_u64(said.link).worker();
                let about = LinkMatter::Said(LinksSaid::Events(said));
                self.hand_links(usize::from(worker), LinkNews { from, about });
            }
            LinksSaid::Took(said) => {
                let worker = SessionId::from_u64(said.stand_in).worker();
                let about = LinkMatter::Said(LinksSaid::Took(said));
                self.hand_links(usize::from(worker), LinkNews { from, about });
            }
        }
    }

    /// The reactor that is to have what stands for a link is always the same.
    fn hand_link(&mut self, from: (u16, u64), said: LinkSaid, as_of: u64, peer: Option<Box<Peer>>) {
        let hash = mixed(SessionId::from_u64(said.link), SessionId::from_u64(from.1));
        let reactor = (hash % self.shared.reactors() as u64) as usize;
        self.hand_links(reactor, LinkNews { from, about: LinkMatter::Listens(said, as_of, peer) });
    }

    fn hand_links(&mut self, reactor: usize, news: LinkNews) {
        match reactor {
            reactor if reactor == self.index => self.links_news(news),
            reactor if reactor < self.shared.reactors() => {
                let news = BusNews::Links(Box::new(news));
                self.peers.post_always(reactor, Envelope::Bus(Box::new(news)));
            }
            _ => self.not_understood(),
        }
    }

    /// Another node has said something of a link that is this reactor's affair.
    pub(super) fn links_news(&mut self, LinkNews { from, about }: LinkNews) {
        match about {
            LinkMatter::Listens(said, as_of, peer) => self.link_elsewhere_listens(from, said, as_of, peer),
            LinkMatter::Ended(stand_in, taken) => _ = self.end_stand_in(stand_in, taken),
            LinkMatter::Said(LinksSaid::Took(said)) => self.stand_in_is_told(said),
            LinkMatter::Said(LinksSaid::Events(said)) => {
                if !self.events_from_elsewhere(from, said) {
                    self.not_understood();
                }
            }
            LinkMatter::Said(LinksSaid::Listens(_) | LinksSaid::All(_) | LinksSaid::Asks) => {}
        }
    }

    fn link_elsewhere_listens(
        &mut self,
        from: (u16, u64),
        said: LinkSaid,
        as_of: u64,
        peer: Option<Box<Peer>>,
    ) {
        let Some(bus) = self.bus.as_deref() else { return };
        let cluster = Arc::clone(&bus.cluster);
        let mut known = cluster.links.lock();
        let before = known.other(from.1, said.link).and_then(|other| other.stand_in);
        // One that is known listens once more: who asks is answered when it does on all reactors.
        let asked = (!known.is_old(from.1, &said, as_of)).then(|| read(&said)).flatten();
        let asked = asked.and_then(|listen| Some((self.rules.apps.find(&said.app).ok()?, listen)));
        let is_full = before.is_none() && known.stand_ins() >= cluster.config.links_elsewhere;
        let stand_in = match &asked {
            Some(_) if is_full => {
                let most = cluster.config.links_elsewhere;
                warn!(
                    "a link of node {} hears nothing of this one: {most} links of other nodes do; see cluster.links_elsewhere",
                    from.0
                );
                None
            }
            Some((_, listen)) => before
                .or_else(|| self.open_stand_in(StandIn::new(from, said.link, said.version), listen.form)),
            None => None,
        };
        if !known.is_old(from.1, &said, as_of) {
            known.put(from.1, said.link, Other { version: said.version, stand_in });
        }
        drop(known);
        let (Some(stand_in), Some(asked)) = (stand_in, asked) else {
            return peer.iter().for_each(|peer| self.answer_nothing(peer, Kind::OperationPart));
        };
        let origin = peer.map_or(Origin::Nobody, Origin::Peer);
        let operation = self.stand_in_listens(stand_in, said.version, asked, origin);
        if let Started::Finished(Finished::Operation(operation)) = self.start_operation(operation) {
            self.answer_operation(&operation);
        }
    }

    /// What another node says of its links differs from what is known of them: it is asked for all.
    pub(super) fn compare_links(&mut self, node: (u16, u64), digest: u64) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if bus.cluster.links.lock().digest_of(node.1) != digest {
            bus.say_of_links(index, now_ms, node, &LinksSaid::Asks);
        }
    }

    /// A node is no more: its links have ended, and nobody knows how much they had read.
    pub(super) fn links_went_with(&mut self, incarnation: u64) {
        let of_node = self.seats.stand_ins().filter(|(_, stand_in)| stand_in.incarnation == incarnation);
        for link in of_node.map(|(link, _)| link).collect::<Vec<_>>() {
            self.end_stand_in(link, None);
        }
        if let Some(bus) = self.bus.as_deref() {
            bus.cluster.links.lock().forget_node(incarnation);
        }
        self.foreign_went(incarnation);
    }
}

/// What a link of another node asks for; `None` where its names are none. Kinds and details of a later version are none here.
fn read(said: &LinkSaid) -> Option<Listen> {
    let name = |text: &Option<String>| text.as_deref().map(Name::new).transpose().ok();
    let events = EventSet::from_bits(said.events & EventSet::ALL.without(EventSet::USERS).bits())?;
    Some(Listen {
        events,
        share: name(&said.share)?,
        with: With::from_bits(said.with & With::ALL.bits())?,
        name: name(&said.name)?,
        form: if said.is_binary { LinkForm::Binary } else { LinkForm::Json },
        ..Listen::default()
    })
}
