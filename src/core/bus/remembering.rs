//! Groups that remember, in a cluster: Redis numbers and keeps their pushes and publishes them, for the sessions of this node too, so
//! that there is one order for everybody. A reactor publishes them on its own connection. The ear of the server that has the group's
//! channel hears them, and stands for the owner that a group has without a cluster: see [`reading`](super::reading) and
//! [`recall`](super::super::recall).
//!
//! Without its Redis a group remembers nothing: the sessions of this node get a push at once then, and the message that waits for
//! Redis is for those of other nodes.

use super::awaiting::Asked;
use super::reading::{Asking, Question};
use super::speaking::{Outline, Place};
use super::{Bus, Cluster, Core, Envelope, ear_of};
use crate::cluster::memory::{
    GivenPlace, Keep, Keys, Published, Read, Stay, Wanted, read_forgotten, read_kept, write_renew,
};
use crate::cluster::message::{Flags, Header, Kind, Publisher};
use crate::cluster::{Cut, Set, Value, hash_for, push as push_body};
use crate::core::recollection::{RecallAnswer, RecallRequest};
use crate::dispatch::{
    Action, CommandError, Epoch, ErrorCode, KeptMessage, KeptPage, Operation, Origin, Peer,
    Place as PlaceInGroup, Push, PushOptions, Recalled, ReceiptMode, Selector, Target,
};
use crate::hub::{Asked as AskedOfMemory, Kept, MemoryRule, OVERHEAD, scope_of};
use crate::metrics::{BusLoss, MemoryLoss};
use crate::session::{AppId, Name};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Groups of which Redis is told in one turn that they have members.
const RENEWED_A_TURN: usize = 256;

impl Cluster {
    /// The reactor, of so many, that hears the pushes to the group and reads what it remembers.
    pub fn owner_of(&self, app: &str, group: &Name, reactors: usize) -> usize {
        let channel = self.channels.of_set(app, Set::Group(group));
        ear_of(self.first_speaks().slot_of(&channel), reactors)
    }
}

impl Bus {
    /// Where what the group remembers is, and its pushes are published.
    fn place_of_group(&self, app: &str, group: &Name) -> Place {
        self.place_of_channel(self.cluster.channels.of_set(app, Set::Group(group)))
    }

    /// Which server is asked for what the group remembers: of those that have it, the first of which this reactor is the ear.
    fn server_of_group(&self, app: &str, group: &Name) -> Option<usize> {
        let channel = self.cluster.channels.of_set(app, Set::Group(group));
        let heard = self.in_force.plan.slots_of(&channel);
        let slots = std::iter::once(self.speaks.slot_of(&channel)).chain(heard);
        slots.into_iter().find(|slot| self.ears.iter().any(|(server, _)| server == slot))
    }

    /// Whether what is published at `place` comes back to this node.
    fn comes_back(&mut self, place: &Place) -> bool {
        let is_heard = self.server(place.server).is_whole.load(Ordering::Acquire);
        is_heard && self.lines[place.server].link().is_up()
    }

    /// Publishes a push to a group that remembers, at `place` or, as the copy of the message `copy_of`, at its hashed channel. The number
    /// of the message, if it was taken.
    fn publish_kept(
        &mut self,
        reactor: usize,
        stamp_ms: u64,
        place: &Place,
        outline: Outline<'_>,
        kept: &Keeping<'_>,
        copy_of: Option<u64>,
    ) -> Option<u64> {
        let line = &mut self.lines[place.server];
        let publisher = Publisher {
            node: self.cluster.node,
            incarnation: self.cluster.incarnation,
            reactor: reactor as u8,
            server: place.server as u8,
        };
        let sequence = line.next_sequence();
        let Outline { kind, flags, app, reply, deadline_ms, ttl_left_ms } = outline;
        let header = Header { kind, flags, publisher, sequence, stamp_ms, reply, ttl_left_ms, app };
        self.message.clear();
        header.encode(&mut self.message).ok()?;
        let keep = Keep {
            tag: &self.in_force.servers[place.server].tag,
            channel: &place.channel,
            head: &self.message,
            tail: kept.body,
            publisher,
            sequence: copy_of.unwrap_or(sequence),
            is_copy: copy_of.is_some(),
            epoch: kept.epoch,
            weight: kept.weight,
            key: kept.key,
            rule: kept.rule,
        };
        self.has_news = true;
        self.command.clear();
        keep.write(kept.keys, &mut self.command);
        let hash = hash_for(&place.channel, !flags.has(Flags::SERVED));
        line.publish(&self.command, hash, deadline_ms, reply).is_ok().then_some(sequence)
    }
}

/// What is kept of a push.
struct Keeping<'a> {
    keys: &'a Keys,
    body: &'a [u8],
    epoch: Epoch,
    weight: usize,
    key: Option<&'a str>,
    rule: &'a MemoryRule,
}

/// Publishing.
impl Core {
    /// Whether the group is about to move to another Redis. Meanwhile it remembers nothing, as without one: what is published waits for
    /// where it goes, and the sessions of this node are served at once.
    pub(super) fn is_moving(&self, app: &str, group: &Name) -> bool {
        let Some(bus) = self.bus.as_deref().filter(|bus| bus.fence.is_some()) else { return false };
        let place = bus.place_of_group(app, group);
        if place.next.is_some() {
            bus.server(place.server).serve(self.index, bus.lines[place.server].next_sequence());
            self.metrics().memory_lost.of(MemoryLoss::Redis).add(1);
        }
        place.next.is_some()
    }

    /// Publishes the part of a push that is for a group that remembers. Whether the group's sessions here get it from Redis too, by the
    /// place that it has there.
    pub(super) fn publish_to_memory(
        &mut self,
        push: &Arc<Push>,
        app: &str,
        (group, rule): (&Name, &MemoryRule),
        part: Cut,
        place: &Place,
    ) -> bool {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = &mut self.bus else { return false };
        let bucket = bus.bucket_of(place, &part.way);
        let comes_back = bus.comes_back(place);
        let mut body = Vec::new();
        if push_body::encode(&part.target, &push.frame, &push.options, &mut body).is_err() {
            self.lose(place.server, 0, BusLoss::Queue);
            return false;
        }
        let keys = Keys::new(&bus.cluster.channels, &bus.server(place.server).tag, app, group);
        let kept = Keeping {
            keys: &keys,
            body: &body,
            epoch: Epoch::from_u64(getrandom::u64().unwrap_or(push.accepted_ns)),
            weight: push.frame.wire_len() + push.options.key.as_ref().map_or(0, |key| key.len()) + OVERHEAD,
            key: push.options.key.as_deref(),
            rule,
        };
        let publishings = 1 + u32::from(bucket.is_some());
        let mut outline = bus.outline_of(push, app, now_ms);
        outline.kind = Kind::Kept;
        if push.options.receipt != ReceiptMode::None && bus.may_be_answered(place) {
            push.add_part();
            let asked = Asked::Push { push: Arc::clone(push), places: part.places };
            outline.reply = bus.awaiting.ask(index, asked, publishings, now_ms + bus.patience_ms());
        }
        let flags = if comes_back { Flags::NONE } else { Flags::SERVED };
        let first = bus.publish_kept(index, now_ms, place, Outline { flags, ..outline }, &kept, None);
        if !comes_back {
            // Should something of before come back after all, it comes behind what the sessions here get now: too late.
            let last = first.unwrap_or_else(|| bus.lines[place.server].next_sequence());
            bus.server(place.server).serve(index, last);
        }
        let copied = bucket.as_ref().zip(first).and_then(|(bucket, first)| {
            let outline = Outline { flags: flags.and(Flags::BUCKET), ..outline };
            bus.publish_kept(index, now_ms, bucket, outline, &kept, Some(first))
        });
        let taken = u32::from(first.is_some()) + u32::from(copied.is_some());
        for _ in taken..publishings {
            self.lose(place.server, outline.reply, BusLoss::Queue);
        }
        comes_back && first.is_some()
    }

    /// Gives the sessions of this node a push, but for those of `group`, which get it from Redis.
    pub(super) fn serve_the_others(&mut self, push: &Arc<Push>, group: &Selector) {
        let selectors = push.target.selectors();
        if selectors.iter().all(|selector| selector == group) {
            return;
        }
        // Nobody stands in its place, so that the places of the others are as they were.
        let nobody = Selector::AllOf(Vec::new().into());
        let others = selectors
            .iter()
            .map(|selector| if selector == group { nobody.clone() } else { selector.clone() });
        let target = others.fold(Target::nobody(), Target::or);
        let without = push.options.without.iter().chain([group]).cloned().collect();
        let options = PushOptions { without, ..push.options.clone() };
        let places = (0..selectors.len() as u16).collect();
        let mut origin = Origin::Nobody;
        if push.options.receipt != ReceiptMode::None
            && let Some(bus) = &mut self.bus
        {
            push.add_part();
            let asked = Asked::Push { push: Arc::clone(push), places };
            let number = bus.awaiting.ask(self.index, asked, 0, self.now.ms + bus.patience_ms());
            let (node, incarnation) = (bus.cluster.node, bus.cluster.incarnation);
            let is_answered = AtomicBool::new(false);
            origin = Origin::Peer(Box::new(Peer { node, incarnation, server: 0, number, is_answered }));
        }
        let (frame, accepted_ns, deadline_ms) = (push.frame.clone(), push.accepted_ns, push.deadline_ms);
        let others = Push::new(push.app, target, frame, options, accepted_ns, deadline_ms, origin);
        others.know_as(push.ids().iter().copied().collect());
        self.deliver_from_bus(Arc::new(others));
    }

    /// Redis has published a push to a group that remembers.
    pub(super) fn memory_is_published(&mut self, server: usize, number: u64, published: &Published) {
        let metrics = self.metrics();
        metrics.bus.server(server).published.add(1);
        metrics.memory_lost.of(MemoryLoss::Redis).add(u64::from(published.is_unkept));
        for (reason, lost) in
            [MemoryLoss::Messages, MemoryLoss::Bytes, MemoryLoss::Keys].into_iter().zip(published.lost)
        {
            metrics.memory_lost.of(reason).add(lost);
        }
        let Some(bus) = &mut self.bus else { return };
        if let Some(Asked::Push { push, .. }) = bus.awaiting.asked(number)
            && let Some(numbered) = published.numbered
        {
            push.is_numbered(numbered);
        }
        if let Some(ended) = bus.awaiting.published(number, published.nodes) {
            self.end_question(ended);
        }
    }
}

/// Hearing.
impl Core {
    /// Whether a push to a group that remembers, which this node has published itself and hears, comes behind what its sessions have
    /// got without Redis.
    pub(super) fn comes_too_late(&self, server: usize, reactor: u8, sequence: u64) -> bool {
        self.bus.as_ref().is_some_and(|bus| sequence < bus.server(server).served(usize::from(reactor)))
    }
}

/// The place of a push, as Redis has given it; `None` where it was not kept.
pub(super) fn place_in_group(app: AppId, target: &Target, given: Option<GivenPlace>) -> Option<PlaceInGroup> {
    let [Selector::Group(group)] = target.selectors() else { return None };
    let GivenPlace { epoch, offset, order } = given?;
    Some(PlaceInGroup { scope: scope_of(app, group), order, epoch, offset })
}

/// Reading.
impl Core {
    /// The sessions of a request have joined a group: what it remembers is asked for when everything is told that they have come into.
    pub(in crate::core) fn recall_from_redis(&mut self, request: RecallRequest) {
        if let Some(bus) = &mut self.bus {
            bus.recalls.push(request);
        }
    }

    /// Hands on what was put off until the names of the turn are told.
    pub(super) fn hand_recalls(&mut self) {
        let Some(bus) = &mut self.bus else { return };
        for request in std::mem::take(&mut bus.recalls) {
            let owner = self.shared.owner_of_group(request.app, &request.group);
            match owner == self.index {
                true => self.ask_redis_for_sessions(Box::new(request)),
                // Its answer must come: sessions wait for it.
                false => self.peers.post_always(owner, Envelope::Recall(Box::new(request))),
            }
        }
    }

    /// Asks Redis, as the ear of the group, what sessions that have joined it get.
    pub(in crate::core) fn ask_redis_for_sessions(&mut self, request: Box<RecallRequest>) {
        let (app, group) = (request.app, request.group.clone());
        let wanted = Some(wanted_by(request.asked));
        self.ask_redis(Question::new(app, group, wanted, Asking::Sessions(request)));
    }

    /// Asks Redis, as the ear of the group, what a command wants of what it remembers.
    pub(in crate::core) fn ask_redis_for_command(&mut self, operation: &Arc<Operation>) {
        let wanted = match &operation.action {
            Action::Latest { .. } => Some(Wanted::Newest),
            Action::Log { after, epoch, limit, .. } => Some(Wanted::Page(*after, *epoch, *limit)),
            _ => None,
        };
        let (Action::Latest { group }
        | Action::Log { group, .. }
        | Action::Forget { group, .. }
        | Action::Destroy { group }) = &operation.action
        else {
            return;
        };
        operation.add_part();
        let asking = Asking::Command(Arc::clone(operation));
        self.ask_redis(Question::new(operation.app, group.clone(), wanted, asking));
    }

    fn ask_redis(&mut self, question: Question) {
        let now_ms = self.now.ms;
        let app = self.rules.apps.name_of(question.app);
        let Some(bus) = &mut self.bus else { return };
        let server = bus.server_of_group(app, &question.group);
        // As long as the connection itself is believed in: a session that gives up misses what its group remembers.
        let due_ms = now_ms + bus.silent_ms();
        match server.and_then(|server| bus.ear(server)).filter(|ear| ear.is_up()) {
            Some(ear) => ear.ask(question, due_ms),
            None => self.redis_tells(question, None),
        }
    }

    /// Redis has answered what was asked of a group, or does not.
    pub(super) fn redis_tells(&mut self, question: Question, answer: Option<&Value>) {
        let Question { app, group, wanted, asking } = question;
        let rule = self.rules.delivery_rules.memory(app, &group);
        let log = rule.as_ref().and_then(|rule| rule.log.as_ref());
        let read = wanted.zip(answer).map(|(wanted, answer)| read_kept(answer, wanted, log));
        let forgotten = answer.filter(|_| wanted.is_none()).map(read_forgotten);
        if matches!(read, Some(None)) || matches!(forgotten, Some(None)) {
            let says = match answer {
                Some(Value::Error(says)) => says,
                _ => "what a group remembers is not as it was kept",
            };
            self.bus_refused(0, says);
        }
        let (read, forgotten) = (read.flatten(), forgotten.flatten());
        let kept = read.as_ref().map_or_else(|| Kept::from([]), |read| kept_for_sessions(app, &group, read));
        for asking in asking {
            match asking {
                Asking::Sessions(request) => self.answer_sessions(request, read.as_ref(), Arc::clone(&kept)),
                Asking::Command(operation) => {
                    self.answer_command(&operation, read.as_ref(), forgotten);
                    self.finish_operation_part(&operation);
                }
            }
        }
    }

    fn answer_command(&self, operation: &Operation, read: Option<&Read>, forgotten: Option<u32>) {
        match (read, forgotten, &operation.action) {
            (Some(read), ..) => operation.kept(page_of(read)),
            (None, Some(forgotten), action) => {
                if matches!(action, Action::Forget { .. }) {
                    operation.count_sessions(forgotten);
                }
                self.metrics().memory_lost.of(MemoryLoss::Forgotten).add(u64::from(forgotten));
            }
            (None, None, _) => operation.fail(CommandError::new(
                ErrorCode::Overloaded,
                "Redis does not tell what the group remembers: try again later".to_owned(),
            )),
        }
    }

    fn answer_sessions(&mut self, request: Box<RecallRequest>, read: Option<&Read>, kept: Kept) {
        let recalled = match read {
            Some(Read { epoch, offset, complete, .. }) => {
                Recalled { epoch: *epoch, offset: *offset, complete: *complete }
            }
            None => Recalled { epoch: None, offset: 0, complete: false },
        };
        let reactor = request.reactor;
        let answer = RecallAnswer { kept, recalled, request };
        match reactor == self.index {
            true => self.recalled(answer),
            false => self.peers.post_always(reactor, Envelope::Recalled(Box::new(answer))),
        }
    }

    /// Nobody waits any longer for a Redis that says nothing.
    pub(super) fn give_up_reading(&mut self, now_ms: u64) {
        loop {
            let ears = self.bus.iter_mut().flat_map(|bus| &mut bus.ears);
            let Some(question) = ears.map(|(_, ear)| ear).find_map(|ear| ear.reading().give_up(now_ms))
            else {
                return;
            };
            self.redis_tells(question, None);
        }
    }

    /// The connection is gone on which this was asked.
    pub(super) fn stop_reading(&mut self, server: usize) {
        let ear = self.bus.as_mut().and_then(|bus| bus.ear(server));
        let questions = ear.map(|ear| ear.reading().went_down()).unwrap_or_default();
        questions.into_iter().for_each(|question| self.redis_tells(question, None));
    }
}

/// Keeping.
impl Core {
    /// The groups with these channels have members here: what they remember is to stay.
    pub(super) fn renew_from_now(&mut self, server: usize, channels: &[Box<[u8]>]) {
        for channel in channels {
            if let Some((.., stay)) = self.memory_at(channel) {
                let due_ms = self.now.ms + stay.renewed_ms();
                if let Some(ear) = self.bus.as_mut().and_then(|bus| bus.ear(server)) {
                    ear.renew(channel.clone(), due_ms);
                }
            }
        }
    }

    /// Other rules hold: other groups may remember.
    pub(in crate::core) fn renew_all_memories(&mut self) {
        let ears = self.bus.iter().flat_map(|bus| &bus.ears);
        let wanted =
            ears.map(|(server, ear)| (*server, ear.wanted().map(Box::from).collect::<Vec<Box<[u8]>>>()));
        for (server, channels) in wanted.collect::<Vec<_>>() {
            self.renew_from_now(server, &channels);
        }
    }

    /// Tells Redis which groups that remember have members, as their time has come.
    pub(super) fn renew_memories(&mut self, now_ms: u64) {
        let servers: Vec<usize> =
            self.bus.iter().flat_map(|bus| bus.ears.iter().map(|(server, _)| *server)).collect();
        for server in servers {
            for _ in 0..RENEWED_A_TURN {
                let ear = self.bus.as_mut().and_then(|bus| bus.ear(server));
                let Some(channel) = ear.and_then(|ear| ear.take_renewal(now_ms)) else { break };
                self.renew_memory(server, channel, now_ms);
            }
        }
    }

    fn renew_memory(&mut self, server: usize, channel: Box<[u8]>, now_ms: u64) {
        let Some((app, group, stay)) = self.memory_at(&channel) else { return };
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(app).as_str();
        let Some(bus) = &mut self.bus else { return };
        let mut command = Vec::new();
        let keys = Keys::new(&bus.cluster.channels, &bus.server(server).tag, app, &group);
        write_renew(&keys, stay, &mut command);
        if let Some(ear) = bus.ear(server) {
            ear.say_members(&command);
            ear.renew(channel, now_ms + stay.renewed_ms());
        }
    }

    /// The group that is heard of by a channel, if it remembers.
    fn memory_at(&self, channel: &[u8]) -> Option<(AppId, Name, Stay)> {
        let (app, group) = self.bus.as_ref()?.cluster.channels.group_of(channel)?;
        let app = self.rules.apps.find(app).ok()?;
        let rule = self.rules.delivery_rules.memory(app, group)?;
        Some((app, Name::new(group).ok()?, Stay::of(&rule)))
    }
}

fn wanted_by(asked: AskedOfMemory) -> Wanted {
    match asked {
        AskedOfMemory::Latest => Wanted::Newest,
        AskedOfMemory::Log(recall) => Wanted::Log(recall),
    }
}

/// What was read as sessions get it.
fn kept_for_sessions(app: AppId, group: &Name, read: &Read) -> Kept {
    let (scope, epoch) = (scope_of(app, group), read.epoch.unwrap_or(Epoch::from_u64(0)));
    let kept = read.kept.iter().map(|kept| {
        let place = PlaceInGroup { scope, order: kept.order, epoch, offset: kept.offset };
        Arc::new(Push::kept(app, kept.frame.clone(), kept.key.clone(), place))
    });
    kept.collect()
}

fn page_of(read: &Read) -> KeptPage {
    let Read { epoch, offset, complete, kept } = read;
    let messages = kept.iter().map(|kept| KeptMessage {
        offset: kept.offset,
        key: kept.key.clone(),
        frame: kept.frame.clone(),
    });
    KeptPage { epoch: *epoch, offset: *offset, messages: messages.collect(), complete: *complete }
}
