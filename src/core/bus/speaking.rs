//! What is said on the bus: pushes and commands to the nodes that have an interest, and answers to what they ask. Nothing waits for
//! Redis.

use super::asking::{Question, questions};
use super::awaiting::{Asked, Ended};
use super::{Bus, Cluster, Core};
use crate::cluster::message::{Flags, Header, Kind, Publisher};
use crate::cluster::{Cut, Way, command, cut, hash, part, push, write_publish};
use crate::dispatch::{
    Operation, Origin, Peer, Push, PushId, PushIds, PushOptions, ReceiptMode, Scope, Selector,
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
    pub channel: Box<[u8]>,
}

impl Cluster {
    /// Where the sessions of a part of a target are heard of; `None` where it is a node that there is not.
    pub(super) fn place_of(&self, app: &str, way: &Way) -> Option<Place> {
        let channel = match way {
            Way::Set(selector) => self.channel_of(app, selector)?,
            Way::Node(node) => {
                let incarnation = self.node(*node)?.incarnation;
                self.channels.of_node(*node, incarnation)
            }
        };
        Some(Place { server: self.server_of(&channel), channel })
    }
}

impl Bus {
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
            sequence: line.next_sequence(),
            stamp_ms,
            reply: outline.reply,
            ttl_left_ms: outline.ttl_left_ms,
            app: outline.app,
        };
        self.message.clear();
        if header.encode(&mut self.message).is_err() || body(&mut self.message).is_err() {
            return false;
        }
        self.command.clear();
        write_publish(&mut self.command, &place.channel, &[&self.message]);
        let is_question = matches!(outline.kind, Kind::Push | Kind::Command | Kind::Took | Kind::ToOld);
        let number = if is_question { outline.reply } else { 0 };
        line.publish(&self.command, hash(&place.channel), outline.deadline_ms, number).is_ok()
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
    fn may_be_answered(&mut self, place: &Place) -> bool {
        self.cluster.has_nodes() || self.lines[place.server].link().is_up()
    }

    /// Where the same is published a second time, for nodes that hear names by hashed channels.
    pub(super) fn bucket_of(&self, place: &Place, way: &Way) -> Option<Place> {
        let is_name = !matches!(way, Way::Node(_) | Way::Set(Selector::All));
        (is_name && self.cluster.some_node_has_buckets())
            .then(|| Place { server: place.server, channel: self.cluster.channels.bucket_of(&place.channel) })
    }
}

impl Core {
    /// Publishes a push of this node to the others that have an interest in it. It has a part there for each channel whose receivers
    /// are to answer.
    pub(in crate::core) fn publish_on_bus(&mut self, push: &Arc<Push>) {
        let Some(bus) = &self.bus else { return };
        if push.options.scope == Scope::Node {
            return;
        }
        let cluster = Arc::clone(&bus.cluster);
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(push.app).as_str();
        let mut ids = PushIds::new();
        for part in cut(&push.target, cluster.node) {
            if let Some(place) = cluster.place_of(app, &part.way) {
                ids.push(PushId {
                    incarnation: cluster.incarnation,
                    reactor: self.index as u8,
                    server: place.server as u8,
                    sequence: self.bus.as_ref().map_or(0, |bus| bus.lines[place.server].next_sequence()),
                });
                self.publish_part(push, app, part, &place);
            }
        }
        push.know_as(ids);
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
        let does_not_expire = push.deadline_ms == u64::MAX;
        let left_ms = push.deadline_ms.saturating_sub(now_ms);
        let outline = Outline {
            kind: Kind::Push,
            flags: Flags::NONE,
            app,
            reply,
            deadline_ms: if does_not_expire { now_ms + bus.queue_ms() } else { push.deadline_ms },
            ttl_left_ms: (!does_not_expire).then(|| u32::try_from(left_ms).unwrap_or(u32::MAX - 1)),
        };
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
        let cluster = Arc::clone(&bus.cluster);
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(operation.app).as_str();
        for question in questions(operation, &self.shared, cluster.node) {
            let place = match &question.way {
                Some(way) => cluster.place_of(app, way),
                None => {
                    let channel = cluster.channels.of_nodes();
                    Some(Place { server: cluster.server_of(&channel), channel })
                }
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
        let channel = bus.cluster.channels.of_node(peer.node, peer.incarnation);
        let place = Place { server: usize::from(peer.server).min(bus.lines.len() - 1), channel };
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
