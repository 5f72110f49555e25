//! What is said on the bus: pushes and commands to the nodes that have an interest, and answers to what they ask. Nothing waits for
//! Redis.

use super::asking::{Question, questions};
use super::awaiting::{Asked, Ended};
use super::news::Answer;
use super::{Bus, Core};
use crate::cluster::message::{Flags, Header, Kind, Publisher, renumber};
use crate::cluster::{Cut, HeldMessage, Way, command, cut, hash_for, part, push, write_publish};
use crate::core::Remembering;
use crate::dispatch::{
    Action, Operation, Origin, Peer, Push, PushId, PushIds, PushOptions, ReceiptMode, Scope, Selector,
};
use crate::link_bin::TooLong;
use crate::metrics::BusLoss;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A message that is to be published, but for its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outline<'a> {
    pub kind: Kind,
    pub flags: Flags,
    pub app: &'a str,
    /// Under which number answers are waited for, or which question it answers; 0 is none.
    pub reply: u64,
    /// Until when it is worth publishing, in milliseconds of the server's clock.
    pub deadline_ms: u64,
    pub ttl_left_ms: Option<u32>,
}

/// What could not be made into a message: something in it is longer than the layout allows, which the limits of commands do not let
/// through.
#[derive(Debug)]
pub(super) struct TooLarge;

/// Where a message goes.
#[derive(Debug)]
pub(super) struct Place {
    pub server: usize,
    /// Where it goes if a fence is passed, on which it waits.
    pub next: Option<usize>,
    pub channel: Box<[u8]>,
}

impl Bus {
    /// Where what is published to a channel goes.
    pub(super) fn place_of_channel(&self, channel: Box<[u8]>) -> Place {
        let server = self.speaks.slot_of(&channel);
        let next = self.fence.as_ref().map(|fence| fence.target().slot_of(&channel));
        Place { server, next: next.filter(|next| *next != server), channel }
    }

    /// Where the sessions of a part of a target are heard of; `None` where it is a node that there is not.
    pub(super) fn place_of(&self, app: &str, way: &Way) -> Option<Place> {
        let channel = match way {
            Way::Set(selector) => self.cluster.channel_of(app, selector)?,
            Way::Node(node) => {
                let incarnation = self.cluster.node(*node)?.incarnation;
                self.cluster.channels.of_node(*node, incarnation)
            }
        };
        Some(self.place_of_channel(channel))
    }

    /// Publishes a message. Returns whether it was taken: without room, it is not.
    pub(super) fn publish(
        &mut self,
        reactor: usize,
        stamp_ms: u64,
        place: &Place,
        outline: Outline<'_>,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLarge>,
    ) -> bool {
        let line = &mut self.lines[place.server];
        let publisher = Publisher {
            node: self.cluster.node,
            incarnation: self.cluster.incarnation,
            reactor: reactor as u8,
            server: place.server as u8,
        };
        let header = Header {
            kind: outline.kind,
            flags: outline.flags,
            publisher,
            // What waits on a fence has its number when it is known where it goes.
            sequence: if place.next.is_none() { line.next_sequence() } else { 0 },
            stamp_ms,
            reply: outline.reply,
            ttl_left_ms: outline.ttl_left_ms,
            app: outline.app,
        };
        self.message.clear();
        if header.encode(&mut self.message).is_err() || body(&mut self.message).is_err() {
            return false;
        }
        let is_question = matches!(
            outline.kind,
            Kind::Push | Kind::Command | Kind::Took | Kind::Fence | Kind::ToOld | Kind::Links
        );
        let number = if is_question { outline.reply } else { 0 };
        if let (Some(next), Some(fence)) = (place.next, &mut self.fence) {
            let (server, channel, deadline_ms) = (place.server, place.channel.clone(), outline.deadline_ms);
            let message = self.message.clone();
            return fence.hold(HeldMessage { server, next, channel, message, deadline_ms, number });
        }
        self.command.clear();
        let tag = &self.in_force.servers[place.server].tag;
        write_publish(&mut self.command, tag, &place.channel, &[&self.message]);
        self.has_news |= !matches!(outline.kind, Kind::PushPart | Kind::OperationPart);
        line.publish(&self.command, hash_for(&place.channel, false), outline.deadline_ms, number).is_ok()
    }

    /// Publishes a message that has waited on a fence. Returns whether it was taken.
    pub(super) fn publish_held(&mut self, server: usize, held: &HeldMessage) -> bool {
        let line = &mut self.lines[server];
        self.message.clear();
        self.message.extend_from_slice(&held.message);
        renumber(&mut self.message, line.next_sequence(), server as u8);
        self.command.clear();
        write_publish(&mut self.command, &self.in_force.servers[server].tag, &held.channel, &[&self.message]);
        self.has_news = true;
        line.publish(&self.command, hash_for(&held.channel, false), held.deadline_ms, held.number).is_ok()
    }

    /// Publishes a message to `place`, and to the hashed `bucket` where there is one. How many of these were not taken.
    pub(super) fn publish_to_both(
        &mut self,
        reactor: usize,
        stamp_ms: u64,
        (place, bucket): (&Place, Option<&Place>),
        outline: Outline<'_>,
        body: impl Fn(&mut Vec<u8>) -> Result<(), TooLarge>,
    ) -> usize {
        let places = [(Some(place), Flags::NONE), (bucket, Flags::BUCKET)];
        let each = places.into_iter().filter_map(|(place, flags)| Some((place?, flags)));
        each.filter(|(place, flags)| {
            !self.publish(reactor, stamp_ms, place, Outline { flags: *flags, ..outline }, &body)
        })
        .count()
    }

    /// Whether somebody may answer a question over the Redis of `place`: without a connection, and where no other node is known, it
    /// would be waited for in vain.
    pub(super) fn may_be_answered(&mut self, place: &Place) -> bool {
        self.cluster.has_nodes() || self.lines[place.server].link().is_up()
    }

    /// How a push is published, but for who waits for what becomes of it.
    pub(super) fn outline_of<'a>(&self, push: &Push, app: &'a str, now_ms: u64) -> Outline<'a> {
        let does_not_expire = push.deadline_ms == u64::MAX;
        let left_ms = push.deadline_ms.saturating_sub(now_ms);
        Outline {
            kind: Kind::Push,
            flags: Flags::NONE,
            app,
            reply: 0,
            deadline_ms: if does_not_expire { now_ms + self.queue_ms() } else { push.deadline_ms },
            ttl_left_ms: (!does_not_expire).then(|| u32::try_from(left_ms).unwrap_or(u32::MAX - 1)),
        }
    }

    /// Where the same is published a second time, for nodes that hear names by hashed channels.
    pub(super) fn bucket_of(&self, place: &Place, way: &Way) -> Option<Place> {
        let is_name = !matches!(way, Way::Node(_) | Way::Set(Selector::All));
        (is_name && self.cluster.some_node_has_buckets())
            .then(|| Place { channel: self.cluster.channels.bucket_of(&place.channel), ..*place })
    }
}

impl Core {
    /// Publishes a push of this node to the others that have an interest in it. It has a part there for each channel whose receivers
    /// are to answer. Whether the sessions of this node are served by that too, which is so where a group of the push remembers.
    pub(in crate::core) fn publish_on_bus(&mut self, push: &Arc<Push>) -> bool {
        let Some(bus) = &self.bus else { return false };
        if push.options.scope == Scope::Node {
            return false;
        }
        let node = bus.cluster.node;
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(push.app).as_str();
        let remembering = match rules.delivery_rules.remembering(push.app, &push.target) {
            Remembering::One(group, rule) if !self.is_moving(app, group) => {
                Some((Selector::Group(group.clone()), group, rule))
            }
            _ => None,
        };
        let first = remembering.as_ref().map(|(selector, ..)| selector);
        let mut comes_back = false;
        let mut ids = PushIds::new();
        for part in cut(&push.target, node, first) {
            let Some(place) = self.bus.as_ref().and_then(|bus| bus.place_of(app, &part.way)) else {
                continue;
            };
            ids.extend(self.next_id(&place));
            match &remembering {
                Some((selector, group, rule)) if part.way == Way::Set(selector.clone()) => {
                    comes_back = self.publish_to_memory(push, app, (group, rule), part, &place);
                }
                _ => self.publish_part(push, app, part, &place),
            }
        }
        push.know_as(ids);
        if comes_back && let Some(group) = first {
            self.serve_the_others(push, group);
        }
        comes_back
    }

    /// Under which number what is published to `place` next is known on all nodes; none where it is not known yet where it goes.
    fn next_id(&self, place: &Place) -> Option<PushId> {
        let bus = self.bus.as_deref().filter(|_| place.next.is_none())?;
        let sequence = bus.lines[place.server].next_sequence();
        let (incarnation, reactor) = (bus.cluster.incarnation, self.index as u8);
        Some(PushId { incarnation, reactor, server: place.server as u8, sequence })
    }

    fn publish_part(&mut self, push: &Arc<Push>, app: &str, part: Cut, place: &Place) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = &mut self.bus else { return };
        let bucket = bus.bucket_of(place, &part.way);
        let is_asked = push.options.receipt != ReceiptMode::None && bus.may_be_answered(place);
        let Cut { target, without, places, .. } = part;
        let mut reply = 0;
        if is_asked {
            push.add_part();
            let asked = Asked::Push { push: Arc::clone(push), places };
            let publishings = 1 + u32::from(bucket.is_some());
            reply = bus.awaiting.ask(index, asked, publishings, now_ms + bus.patience_ms());
        }
        let outline = Outline { reply, ..bus.outline_of(push, app, now_ms) };
        let further = (!without.is_empty()).then(|| PushOptions {
            without: [&push.options.without[..], &without].concat(),
            ..push.options.clone()
        });
        let options = further.as_ref().unwrap_or(&push.options);
        let lost = bus.publish_to_both(index, now_ms, (place, bucket.as_ref()), outline, |out| {
            push::encode(&target, &push.frame, options, out).map_err(|_| TooLarge)
        });
        for _ in 0..lost {
            self.lose(place.server, reply, BusLoss::Queue);
        }
    }

    /// Asks the other nodes for their part in an operation of this node.
    pub(in crate::core) fn ask_on_bus(&mut self, operation: &Arc<Operation>) {
        let Some(bus) = &self.bus else { return };
        if operation.scope == Scope::Node || matches!(operation.origin, Origin::Peer(_)) {
            return;
        }
        if let Action::Listen { link, listen } = &operation.action {
            if listen.everywhere {
                self.tell_of_link(operation, *link, listen);
            }
            return;
        }
        let cluster = Arc::clone(&bus.cluster);
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(operation.app).as_str();
        for question in questions(operation, &self.shared, cluster.node) {
            let Some(bus) = &self.bus else { return };
            let place = match &question.way {
                Some(way) => bus.place_of(app, way),
                None => Some(bus.place_of_channel(cluster.channels.of_nodes())),
            };
            if let Some(place) = place {
                self.ask_part(operation, app, &question, &place);
            }
        }
    }

    fn ask_part(&mut self, operation: &Arc<Operation>, app: &str, question: &Question<'_>, place: &Place) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = &mut self.bus else { return };
        if !bus.may_be_answered(place) {
            return;
        }
        let bucket = question.way.as_ref().and_then(|way| bus.bucket_of(place, way));
        operation.add_part();
        let asked = Asked::Operation { operation: Arc::clone(operation), places: question.places.clone() };
        let deadline_ms = now_ms + bus.patience_ms();
        let reply = bus.awaiting.ask(index, asked, 1 + u32::from(bucket.is_some()), deadline_ms);
        let outline =
            Outline { kind: Kind::Command, flags: Flags::NONE, app, reply, deadline_ms, ttl_left_ms: None };
        let lost = bus.publish_to_both(index, now_ms, (place, bucket.as_ref()), outline, |out| {
            command::encode(&question.action, &self.rules.apps, out).map_err(|_| TooLarge)
        });
        for _ in 0..lost {
            self.lose(place.server, reply, BusLoss::Queue);
        }
    }

    /// A message was not published; who waits under `number`, if anybody, is told.
    pub(super) fn lose(&mut self, server: usize, number: u64, why: BusLoss) {
        self.metrics().bus.server(server).lost.of(why).add(1);
        let Some(bus) = &mut self.bus else { return };
        bus.may_have_lost_users();
        if let Some(Asked::Push { push, .. }) = bus.awaiting.asked(number) {
            push.count_unreached();
        }
        if let Some(ended) = bus.awaiting.published(number, 0) {
            self.end_question(ended);
        }
    }

    /// A question has been answered by all, or is given up.
    pub(super) fn end_question(&mut self, ended: Ended) {
        let Ended { asked, answered, missing } = ended;
        let Some(bus) = &self.bus else { return };
        if let Asked::Fence { questions, is_refused } = asked {
            return self.fence_is_over(questions, is_refused, &answered, missing);
        }
        let missing = match missing {
            Some(0) => Vec::new(),
            missing => bus.cluster.missing(&answered, missing, self.now.ms),
        };
        match asked {
            Asked::Push { push, places } => {
                push.nodes_answered(&missing, &places);
                self.finish_push_part(&push);
            }
            Asked::Operation { operation, .. } => {
                missing.iter().for_each(|name| operation.miss_node(name));
                self.finish_operation_part(&operation);
            }
            Asked::Places { app, user, seats } => self.places_are_known(app, user, seats),
            Asked::Fence { .. } => {}
        }
    }

    /// What became here of a push of another node is told, once.
    pub(in crate::core) fn answer_push(&mut self, push: &Push) {
        let Origin::Peer(peer) = &push.origin else { return };
        if !peer.is_answered.swap(true, Ordering::Relaxed) {
            let part = push.part();
            self.answer(peer, Kind::PushPart, |out| part::encode_push(&part, out));
        }
    }

    /// What an operation of another node came to here is told.
    pub(in crate::core) fn answer_operation(&mut self, operation: &Operation) {
        let Origin::Peer(peer) = &operation.origin else { return };
        let part = operation.part();
        self.answer(peer, Kind::OperationPart, |out| part::encode_operation(&part, out));
    }

    /// Nothing of what another node asked for is here.
    pub(super) fn answer_nothing(&mut self, peer: &Peer, kind: Kind) {
        self.answer(peer, kind, |_| Ok(()));
    }

    pub(super) fn answer(
        &mut self,
        peer: &Peer,
        kind: Kind,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
    ) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = &mut self.bus else { return };
        if peer.incarnation == bus.cluster.incarnation {
            let mut bytes = Vec::new();
            // One that cannot be told is missing at the publisher, which says so.
            if body(&mut bytes).is_ok() {
                self.hand_answer(Answer { number: peer.number, node: None, body: bytes.into() });
            }
            return;
        }
        let channel = bus.cluster.channels.of_node(peer.node, peer.incarnation);
        let place = Place { server: usize::from(peer.server).min(bus.lines.len() - 1), next: None, channel };
        let outline = Outline {
            kind,
            flags: Flags::NONE,
            app: "",
            reply: peer.number,
            deadline_ms: now_ms + bus.patience_ms(),
            ttl_left_ms: None,
        };
        // One that there is no room for is missing at the publisher, which says so.
        bus.publish(index, now_ms, &place, outline, |out| body(out).map_err(|_| TooLarge));
    }
}
