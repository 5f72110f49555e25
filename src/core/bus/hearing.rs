//! What is heard on the bus: what other nodes push and ask, and what they answer.

use super::awaiting::{Asked, reactor_of};
use super::crossing::{CrossingNews, Said};
use super::ear::Sound;
use super::incoming::{About, Body, Incoming, Pushed, read};
use super::line::Heard;
use super::news::{Answer, BusNews, DigestAsked};
use super::remembering::place_in_group;
use super::{Bus, Core, Envelope};
use crate::cluster::crossing::{HeardOf, ToNew};
use crate::cluster::fence::read_fenced;
use crate::cluster::message::{Flags, Kind, Publisher};
use crate::cluster::places::read_seats;
use crate::cluster::{Heard as News, Way, part, way_of};
use crate::core::execute::{Finished, Started};
use crate::dispatch::{Operation, Origin, Peer, Push, Scope, Selector};
use crate::metrics::{BusLink, BusLoss};
use crate::session::AppId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a node that published it waits for what becomes of it here.
pub(super) fn waits_for_part(push: &Push) -> bool {
    matches!(&push.origin, Origin::Peer(peer) if !peer.is_answered.load(Ordering::Relaxed))
}

impl Core {
    /// Hears what has come over the bus: as much as the turn's budget allows.
    pub fn hear_bus(&mut self) {
        if self.bus.is_none() {
            return;
        }
        self.hear_lines();
        self.hear_ears();
        self.end_waiters();
    }

    /// Hears what Redis answers.
    pub(super) fn hear_lines(&mut self) {
        let now_ms = self.now.ms;
        for server in 0..self.bus.as_ref().map_or(0, |bus| bus.lines.len()) {
            if let Some(line) = self.bus.as_mut().and_then(|bus| bus.lines.get_mut(server)) {
                line.link().read_on(now_ms);
            }
            self.hear_line(server);
        }
    }

    /// Hears other nodes.
    pub(super) fn hear_ears(&mut self) {
        let now_ms = self.now.ms;
        for place in 0..self.bus.as_ref().map_or(0, |bus| bus.ears.len()) {
            if let Some((_, ear)) = self.bus.as_mut().and_then(|bus| bus.ears.get_mut(place)) {
                ear.link().read_on(now_ms);
            }
            self.hear_ear(place);
        }
        self.end_waiters();
    }

    fn hear_line(&mut self, server: usize) {
        let now_ms = self.now.ms;
        while let Some(heard) = self.bus.as_mut().and_then(|bus| bus.lines[server].next(now_ms)) {
            match heard {
                Heard::Up(greeting) => self.line_is_up(server, &greeting),
                Heard::Down(fault) => self.line_is_down(server, &fault),
                Heard::Published(number, nodes) => {
                    self.metrics().bus.server(server).published.add(1);
                    if number != 0
                        && let Some(ended) =
                            self.bus.as_mut().and_then(|bus| bus.awaiting.published(number, nodes))
                    {
                        self.end_question(ended);
                    }
                    if number != 0 && nodes == 0 {
                        self.nobody_has_heard(number);
                    }
                }
                Heard::Kept(number, published) => self.memory_is_published(server, number, &published),
                Heard::Refused(number, says) => {
                    self.bus_refused(server, &says);
                    self.lose(server, number, BusLoss::Refused);
                }
                Heard::Failed(fault) => self.line_is_down(server, &fault),
                Heard::Lease(reply) => self.lease_is_answered(&reply),
            }
        }
    }

    fn hear_ear(&mut self, place: usize) {
        for _ in 0..self.rules.settings.config.limits.turn_envelopes {
            if self.is_far_behind_with_work() {
                return;
            }
            let Some(Bus { ears, cluster, .. }) = self.bus.as_deref_mut() else { return };
            let Some((server, ear)) = ears.get_mut(place) else { return };
            let server = *server;
            let Some(sound) = ear.next() else { return };
            match sound {
                Sound::Message(message) => match read(message, cluster.incarnation, &self.rules.apps) {
                    Ok(incoming) => self.take_message(server, incoming),
                    Err(why) => self.metrics().bus.server(server).lost.of(why).add(1),
                },
                Sound::Up(greeting) => self.ear_is_up(server, &greeting),
                Sound::Down(fault) => self.ear_is_down(server, &fault),
                Sound::Whole => self.ear_is_whole(server),
                Sound::Failed(fault) => self.ear_is_down(server, &fault),
                Sound::Answer => {}
                Sound::Told(question, answer) => self.redis_tells(question, Some(&answer)),
            }
        }
    }

    /// Whether a message has not been heard before. One that comes too late is counted as lost.
    fn is_news(&mut self, server: usize, incoming: &Incoming) -> bool {
        let Publisher { incarnation, reactor, .. } = incoming.heard.publisher;
        let BusLink { received, lost, .. } = self.shared.metrics.reactor(self.index).bus.server(server);
        let Some(bus) = &mut self.bus else { return false };
        // What is said now or never has no number, and what this node has said comes back once, unless it was said for its own sessions.
        let is_own = incarnation == bus.cluster.incarnation;
        if incoming.heard.sequence == 0 || is_own && !incoming.comes_back() {
            return true;
        }
        let Some(ear) = bus.ear(server) else { return false };
        let heard = ear.hearing().hear((incarnation, reactor), incoming.heard.sequence);
        match heard {
            News::New => received.add(1),
            // It was published twice, since nobody could know whether the first time had gone well.
            News::Again => {}
            News::TooLate => {
                lost.of(BusLoss::Missed).add(1);
                if matches!(incoming.body, Body::Users(..)) {
                    bus.cluster.users_asked.ask_again();
                }
            }
        }
        heard == News::New
    }

    fn take_message(&mut self, server: usize, incoming: Incoming) {
        if !self.is_news(server, &incoming) {
            return;
        }
        let Some(bus) = &self.bus else { return };
        let Incoming { heard, body } = incoming;
        let Publisher { node, incarnation, reactor, .. } = heard.publisher;
        let is_own = incarnation == bus.cluster.incarnation;
        let peer = (heard.reply != 0).then(|| Peer {
            node,
            incarnation,
            server: server as u8,
            number: heard.reply,
            is_answered: AtomicBool::new(false),
        });
        match body {
            // Nodes have the same apps: one that lacks it waits in vain.
            Body::OfNobody(Kind::ToOld | Kind::ToNew) => {}
            Body::OfNobody(_) | Body::Fence(_) if is_own => {
                if heard.reply != 0 {
                    self.hand_answer(Answer { number: heard.reply, node: None, body: Box::default() });
                }
            }
            Body::OfNobody(kind) => {
                if let Some(peer) = peer {
                    self.answer_nothing(&peer, answer_kind(kind));
                }
            }
            Body::Push(pushed) => self.hear_push(server, &heard, peer, pushed),
            Body::Command(app, action) => {
                if self.is_heard_twice(server, app, heard.flags, action.named().as_ref()) {
                    peer.inspect(|peer| self.answer_nothing(peer, Kind::OperationPart));
                    return;
                }
                let origin = peer.map_or(Origin::Nobody, |peer| Origin::Peer(Box::new(peer)));
                self.operate_from_bus(Operation::new(app, action, origin).with_scope(Scope::Node));
            }
            Body::Took(app, user) => {
                let Some(peer) = peer else { return };
                match self.is_heard_twice(server, app, heard.flags, Some(&Selector::User(user.clone()))) {
                    true => self.answer_nothing(&peer, Kind::Places),
                    false => self.answer_places(app, &user, &peer),
                }
            }
            Body::Surplus(app, surplus) => self.close_surplus(app, &surplus),
            Body::Bans(app, known) => self.learn_bans(app, known),
            Body::Sticky(app, known) => self.learn_sticky(app, known),
            Body::Nonces(app, used) => self.learn_nonces(app, &used),
            Body::Users(app, said) => self.hear_users((incarnation, reactor), app, said),
            Body::Links(said) => self.hear_of_links((node, incarnation), peer, said),
            Body::Crossing(..) if is_own => {}
            Body::Crossing(app, said) => {
                let (peer, number) = ((node, incarnation), heard.reply);
                self.hand_crossing(CrossingNews { server, peer, number, app, said });
            }
            Body::Answer(_) if is_own => {}
            Body::Answer(body) => self.hand_answer(Answer { number: heard.reply, node: Some(node), body }),
            Body::Heartbeat(heartbeat, _) if is_own => self.heard_itself(server, &heartbeat),
            Body::Heartbeat(heartbeat, kind) => self.heard_heartbeat(server, reactor, *heartbeat, kind),
            Body::Fence(id) => {
                if let Some(peer) = peer {
                    self.heard_fence(peer, id);
                }
            }
            Body::Goodbye if is_own => {}
            Body::Goodbye => self.heard_goodbye(incarnation),
            Body::DigestAsked(windows) => {
                let channel = bus.cluster.channels.of_node(node, incarnation);
                for (reactor, from) in windows {
                    self.hand_digest_asked(
                        usize::from(reactor),
                        DigestAsked { server, from, channel: channel.clone() },
                    );
                }
            }
            Body::Digest(digest) => self.heard_digest(server, (incarnation, reactor), &digest),
        }
    }

    /// Another node has published a push, or this one, to a group that remembers.
    fn hear_push(&mut self, server: usize, heard: &About, peer: Option<Peer>, pushed: Pushed) {
        let Pushed { app, place, target, frame, options } = pushed;
        let Publisher { incarnation, reactor, .. } = heard.publisher;
        let is_late = self.is_own(incarnation) && self.comes_too_late(server, reactor, heard.sequence);
        if is_late || self.is_heard_twice(server, app, heard.flags, target.selectors().first()) {
            self.metrics().bus.server(server).lost.of(BusLoss::Missed).add(u64::from(is_late));
            peer.inspect(|peer| self.answer_nothing(peer, Kind::PushPart));
            return;
        }
        let place = place.and_then(|place| place_in_group(app, &target, place));
        let deadline_ms = self.deadline_of(incarnation, heard.stamp_ms, heard.ttl_left_ms);
        let origin = peer.map_or(Origin::Nobody, |peer| Origin::Peer(Box::new(peer)));
        let push = Push::new(app, target, frame, options, self.now.ns, deadline_ms, origin);
        place.into_iter().for_each(|place| push.put_at(place));
        push.know_as([heard.id()].into_iter().collect());
        self.deliver_from_bus(Arc::new(push));
    }

    fn is_own(&self, incarnation: u64) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.cluster.incarnation == incarnation)
    }

    /// Whether a message that came by a hashed channel comes by the channel of its name too.
    fn is_heard_twice(
        &mut self,
        server: usize,
        app: AppId,
        flags: Flags,
        selector: Option<&Selector>,
    ) -> bool {
        let (Some(bus), Some(selector)) = (&mut self.bus, selector) else { return false };
        if !flags.has(Flags::BUCKET) {
            return false;
        }
        let Some(Way::Set(selector)) = way_of(selector, bus.cluster.node) else { return false };
        let app = self.rules.apps.name_of(app);
        let Some(channel) = bus.cluster.channel_of(app, &selector) else { return false };
        bus.ear(server).is_some_and(|ear| ear.has_by_name(&channel))
    }

    /// When what was published at `stamp_ms` of another node's clock expires, by this node's: what it took longer than usual to come
    /// is off the time that it had left.
    fn deadline_of(&self, incarnation: u64, stamp_ms: u64, ttl_left_ms: Option<u32>) -> u64 {
        let (Some(ttl_left_ms), Some(bus)) = (ttl_left_ms, &self.bus) else { return u64::MAX };
        let delay_ms = bus.cluster.excess_delay_ms(incarnation, stamp_ms, self.now.ms);
        (self.now.ms + u64::from(ttl_left_ms)).saturating_sub(delay_ms)
    }

    pub(super) fn deliver_from_bus(&mut self, push: Arc<Push>) {
        self.send_to_reactors(&push);
        match push.finish_part() {
            true => self.push_is_over(&push),
            false if waits_for_part(&push) => {
                // The publisher has only so much patience: what has not settled by then is told as it is.
                let Some(bus) = &mut self.bus else { return };
                let due_ms = self.now.ms + bus.patience_ms() * 4 / 5;
                bus.answering.push_back((due_ms, push));
            }
            false => {}
        }
    }

    pub(super) fn operate_from_bus(&mut self, operation: Operation) {
        if let Started::Finished(Finished::Operation(operation)) = self.start_operation(operation) {
            self.answer_operation(&operation);
        }
    }

    fn hand_crossing(&mut self, news: CrossingNews) {
        if let Said::ToNew(ToNew::End(heard)) = &news.said {
            self.others_have_heard(news.server, heard);
        }
        match news.said.reactor(reactor_of(news.number)) {
            reactor if reactor == self.index => self.hear_of_crossing(news),
            reactor if reactor < self.shared.reactors() => {
                let news = BusNews::Crossing(Box::new(news));
                self.peers.post_always(reactor, Envelope::Bus(Box::new(news)));
            }
            _ => self.not_understood(),
        }
    }

    /// A session comes from another node, which has heard so much. All of that is before what comes here from now on. Should a publisher
    /// whose connection breaks write it again, the session has had it, though this node has not.
    fn others_have_heard(&mut self, server: usize, heard: &[HeardOf]) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = Arc::clone(&bus.cluster);
        let Some(ear) = bus.ear(server) else { return };
        let members = cluster.members();
        for HeardOf { incarnation, reactor, last } in heard {
            if members.number_of(*incarnation).is_some() {
                ear.hearing().has_been_heard((*incarnation, *reactor), *last);
            }
        }
    }

    /// An answer goes to the reactor that has asked.
    pub(super) fn hand_answer(&mut self, answer: Answer) {
        match reactor_of(answer.number) {
            reactor if reactor == self.index => self.is_answered(answer),
            reactor if reactor < self.shared.reactors() => {
                self.peers.post_always(reactor, Envelope::Bus(Box::new(BusNews::Answer(answer))));
            }
            _ => self.not_understood(),
        }
    }

    fn hand_digest_asked(&mut self, reactor: usize, asked: DigestAsked) {
        match reactor {
            reactor if reactor == self.index => self.answer_digest(&asked),
            reactor if reactor < self.shared.reactors() => {
                self.peers.post_always(reactor, Envelope::Bus(Box::new(BusNews::DigestAsked(asked))));
            }
            _ => self.not_understood(),
        }
    }

    /// Another node has answered a question of this reactor.
    fn is_answered(&mut self, answer: Answer) {
        let Some(bus) = &mut self.bus else { return };
        let Answer { number, node, body } = answer;
        let is_read = match bus.awaiting.asked(number) {
            // It was given up, or somebody answers what nobody has asked.
            None => return,
            Some(_) if body.is_empty() => true,
            Some(Asked::Push { push, places }) => {
                part::decode_push(&body).map(|part| push.merge(part, places)).is_ok()
            }
            Some(Asked::Operation { operation, places }) => {
                part::decode_operation(&body).map(|part| operation.merge(part, places)).is_ok()
            }
            Some(Asked::Fence { is_refused, .. }) => {
                let is_passed = read_fenced(&body);
                *is_refused |= is_passed != Some(true);
                is_passed.is_some()
            }
            Some(Asked::Places { seats, .. }) => read_seats(&body).map(|more| seats.extend(more)).is_some(),
        };
        let ended = bus.awaiting.answered(number, node);
        if !is_read {
            self.not_understood();
        }
        if let Some(ended) = ended {
            self.end_question(ended);
        }
    }

    /// An answer or a question is for a reactor that there is not, or its body is of no layout.
    pub(super) fn not_understood(&self) {
        self.metrics().bus.server(0).lost.of(BusLoss::Malformed).add(1);
    }

    /// What another reactor says of the bus.
    pub fn bus_news(&mut self, news: BusNews) {
        match news {
            BusNews::Edges(edges) => self.follow_edges(edges),
            BusNews::Answer(answer) => self.is_answered(answer),
            BusNews::DigestAsked(asked) => self.answer_digest(&asked),
            BusNews::Gone(incarnation) => self.forget_publishers(incarnation),
            BusNews::UsersAsked => self.follow_askers(),
            BusNews::Heard(session) => self.session_is_heard(session),
            BusNews::Took(took) => self.follow_place(took),
            BusNews::Banning(banning) => self.close_banned(banning.app, &banning.ban),
            BusNews::Closing(closing) => self.close_beyond(closing),
            BusNews::PlanHeard => self.plan_is_heard(),
            BusNews::Crossing(news) => self.hear_of_crossing(*news),
            BusNews::Links(news) => self.links_news(*news),
            BusNews::CrossingEnds(ending) => self.end_crossing(ending),
            BusNews::CrossingHeard(number) => self.crossing_is_heard(number),
            BusNews::Settle { reactor, round } => self.is_asked_to_settle(reactor, round),
            BusNews::Settled { round } => self.one_is_settled(round),
        }
    }
}

fn answer_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Push | Kind::Kept => Kind::PushPart,
        Kind::Took => Kind::Places,
        _ => Kind::OperationPart,
    }
}
