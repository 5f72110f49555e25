//! A session of this node whose client has come to another one.

use super::super::news::BusNews;
use super::super::speaking::{Outline, Place};
use super::super::{Bus, ear_of};
use super::state::{CrossingNews, Ending, Going, Heard, Parcel, Peer, Said, Step, has_come};
use crate::auth::{SealedTicket, Ticket};
use crate::cluster::crossing::{
    Asked, ClaimFromElsewhere, Facts, HeardOf, Names, Queued, Rest, Taking, ToNew, ToOld, Waiting, Written,
    write,
};
use crate::cluster::message::{Flags, Kind};
use crate::connection::{Claimant, Waits};
use crate::core::{Captured, Core, Envelope};
use crate::dispatch::EncodedFrame;
use crate::metrics::{LingerEnd, ResumeFailure};
use crate::session::{AppId, SessionId, close_codes};
use std::sync::Arc;

/// Of messages that a client has not read, so many bytes go together.
const PART_BYTES: usize = 256 * 1024;

/// How many patiences a session that is claimed is kept ready for: the other node needs two at the most.
const PATIENCES: u64 = 4;

impl Core {
    /// Another node says something of a session that crosses.
    pub(in crate::core::bus) fn hear_of_crossing(&mut self, news: CrossingNews) {
        let CrossingNews { server, peer, number, app, said } = news;
        match said {
            Said::ToOld(ToOld::Claim(asked)) => self.claimed_from_elsewhere(peer, number, app, &asked),
            Said::ToOld(ToOld::Take(taking)) => self.taken_from_elsewhere(server, peer, number, app, taking),
            Said::ToNew(said) => self.hear_of_claim(server, peer, number, said),
        }
    }

    fn claimed_from_elsewhere(&mut self, peer: Peer, number: u64, app: AppId, asked: &Asked) {
        let answer = match asked.claim() {
            Some(claim) => self.examine_from_elsewhere(peer, number, app, &claim),
            None => Some(ToNew::Refused(why_number(ResumeFailure::Unknown))),
        };
        if let Some(answer) = answer {
            self.say_of_crossing(peer, (app, number), Kind::ToNew, false, &answer);
        }
    }

    /// Looks at a claim. What is answered at once; nothing where the session may go.
    fn examine_from_elsewhere(
        &mut self,
        peer: Peer,
        number: u64,
        app: AppId,
        claim: &ClaimFromElsewhere,
    ) -> Option<ToNew> {
        let refused = |why| Some(ToNew::Refused(why_number(why)));
        if !self.bus.as_deref().is_some_and(Bus::has_one_list) {
            return refused(ResumeFailure::Gap);
        }
        let ClaimFromElsewhere { session, sealed, received, claimant } = claim;
        let ticket = match sealed {
            // Another node says so, which had the session before.
            None => Some(Ticket { session: *session, number: 0 }),
            Some(bytes) => {
                let sealed = SealedTicket::from_bytes(bytes);
                sealed.and_then(|sealed| self.shared.tickets.read_sealed(&sealed))
            }
        };
        let Some(ticket) = ticket.filter(|ticket| ticket.session == *session) else {
            return refused(ResumeFailure::Unknown);
        };
        match self.crossed_to(ticket) {
            Some(Some(new)) => return Some(ToNew::Elsewhere(new.as_u64())),
            Some(None) => return refused(ResumeFailure::Unknown),
            None => {}
        }
        let slot = session.slot();
        if self.bus.as_ref().is_some_and(|bus| bus.crossing.arriving.contains_key(&slot)) {
            return refused(ResumeFailure::Unknown);
        }
        let claimant = claimant.as_ref().map(|user| {
            Claimant(self.shared.tickets.digest_of_user(user.as_ref().map(|user| user.as_str())))
        });
        if let Err(why) = self.examine_count(ticket, app, claimant, *received) {
            self.give_up_for_gap(*session, *received, why);
            return refused(why);
        }
        if !self.wait_for_another_node(slot, *received) {
            return refused(ResumeFailure::Gap);
        }
        self.begin_to_go(slot, *session, peer, number, app);
        None
    }

    fn begin_to_go(&mut self, slot: u32, session: SessionId, peer: Peer, number: u64, app: AppId) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let due_ms = now_ms + PATIENCES * bus.patience_ms();
        bus.crossing.claims += 1;
        let claim = bus.crossing.claims;
        let going = Going {
            session,
            claim,
            peer,
            number,
            app,
            facts: Facts::default(),
            heard: Heard::new(),
            new: None,
            given: Vec::new(),
            is_full: false,
            due_ms,
        };
        // Of two that have claimed it the later one is where the client is.
        let before = bus.crossing.going.insert(slot, going);
        self.refuse_to_go(before, ResumeFailure::Unknown);
        self.when_settled(Step::Answer(session, claim));
    }

    /// What a session is now that has gone to another node, if that is remembered: inside, `None` where the ticket is used up.
    pub(in crate::core) fn crossed_to(&self, ticket: Ticket) -> Option<Option<SessionId>> {
        let bus =
            self.bus.as_deref().filter(|_| self.hub.id_of(ticket.session.slot()) != Some(ticket.session))?;
        bus.crossing.went_to(ticket.session, ticket.number)
    }

    /// What was given before the claim is known to Redis by now: what the session is is told, behind that.
    pub(super) fn answer_claim(&mut self, session: SessionId, claim: u64) {
        let slot = session.slot();
        let facts = self.facts_of(slot);
        let Some(going) = self.going(session, claim) else { return };
        going.facts = facts.clone();
        let (peer, app, number) = (going.peer, going.app, going.number);
        self.say_of_crossing(peer, (app, number), Kind::ToNew, true, &ToNew::Facts(Box::new(facts)));
    }

    fn going(&mut self, session: SessionId, claim: u64) -> Option<&mut Going> {
        let going = self.bus.as_deref_mut()?.crossing.going.get_mut(&session.slot())?;
        (going.session == session && going.claim == claim).then_some(going)
    }

    fn facts_of(&self, slot: u32) -> Facts {
        let Captured { groups, tags, profile } = self.capture(slot);
        Facts::of(&Names { user: self.hub.user_of(slot).cloned(), groups, tags, profile })
    }

    fn taken_from_elsewhere(&mut self, server: usize, peer: Peer, number: u64, app: AppId, taking: Taking) {
        let session = SessionId::from_u64(taking.session);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = Arc::clone(&bus.cluster);
        let going = bus.crossing.going.get_mut(&session.slot());
        let is_it = |going: &&mut Going| (going.session, going.peer, going.number) == (session, peer, number);
        match going.filter(is_it) {
            Some(going) => {
                let claim = going.claim;
                going.new = Some(SessionId::from_u64(taking.new));
                if has_come(&mut going.heard, server, &cluster) {
                    self.when_settled(Step::Cut(session, claim));
                }
            }
            // Its client has come here, or to a third node, or the session has ended.
            None => {
                let answer = ToNew::Refused(why_number(ResumeFailure::Unknown));
                self.say_of_crossing(peer, (app, number), Kind::ToNew, false, &answer);
            }
        }
    }

    /// All that was published before the session was taken is in its queue: the session goes.
    pub(super) fn let_go(&mut self, session: SessionId, claim: u64) {
        let slot = session.slot();
        let facts = self.facts_of(slot);
        let is_waiting = self.recalls_wait(slot);
        let Some(going) = self.going(session, claim) else { return };
        if is_waiting {
            // What a group remembers is on its way to it.
            return self.when_settled(Step::Cut(session, claim));
        }
        if going.facts != facts {
            // It has joined or left something meanwhile: the other node is to hear the same.
            going.heard.clear();
            return self.answer_claim(session, claim);
        }
        let Some(going) = self.forget_going(slot) else { return };
        let Going { peer, app, number, given, is_full, new, .. } = going;
        let parts = self.pack_rest(slot).filter(|_| !is_full);
        let why = if parts.is_some() { LingerEnd::Moved } else { LingerEnd::Gap };
        if let (Some(resume), Some(new), true) = (self.resume_of(slot), new, parts.is_some()) {
            let (ticket, is_proven) = (resume.ticket, resume.is_proven);
            if let Some(bus) = self.bus.as_deref_mut() {
                bus.crossing.has_gone(session, new, ticket, is_proven);
            }
        }
        let reason = new.map_or_else(String::new, |new| format!("resumed on another node as {new}"));
        self.clear_outbox(slot);
        self.end_away(slot, close_codes::REPLACED.0, &reason, why);
        let Some(mut parts) = parts else {
            let answer = ToNew::Refused(why_number(ResumeFailure::Gap));
            return self.say_of_crossing(peer, (app, number), Kind::ToNew, false, &answer);
        };
        if let Some(first) = parts.first_mut() {
            first.given = given;
        }
        self.when_settled(Step::Send(Box::new(Parcel { peer, number, app, parts })));
    }

    /// What the client of the session in `slot` has not read; `None` where that is more than may go to another node.
    fn pack_rest(&self, slot: u32) -> Option<Vec<Rest>> {
        let most = self.rules.settings.config.cluster.resume_bytes;
        let resume = self.resume_of(slot)?;
        let (mut kept, mut waiting) = (Vec::new(), Vec::new());
        kept.extend(resume.kept.frames().map(Written::of));
        let mut sent = resume.kept.sent();
        let outbox = self.connections.slot(slot).and_then(|connection| connection.outbox.as_ref());
        for one in outbox.into_iter().flat_map(|outbox| outbox.waits()) {
            match one {
                Waits::Again(frame) => {
                    // It was written before, and on no connection since.
                    sent += 1;
                    kept.push(Written::of(frame));
                }
                Waits::Own(frame) => waiting.push(self.queued(frame, None)),
                Waits::Push(push) => waiting.push(self.queued(&push.frame, Some(push))),
            }
        }
        let bytes = kept.iter().map(Written::len).chain(waiting.iter().map(Waiting::len)).sum::<usize>();
        (bytes <= most).then(|| cut_up(sent, kept, waiting))
    }

    fn queued(&self, frame: &EncodedFrame, push: Option<&crate::dispatch::Push>) -> Waiting {
        let deadline_ms = push.map_or(u64::MAX, |push| push.deadline_ms);
        Waiting::of(&Queued {
            frame: frame.clone(),
            class: push.map(|push| push.options.class).unwrap_or_default(),
            ttl_left_ms: (deadline_ms < u64::MAX).then(|| deadline_ms.saturating_sub(self.now.ms)),
            key: push.and_then(|push| push.options.key.clone()),
            scope: push.and_then(|push| push.place()).map(|place| place.scope),
        })
    }

    /// Redis has taken what this node had published of what the session was given: the rest goes behind that.
    pub(super) fn send_parcel(&mut self, parcel: Parcel) {
        let Parcel { peer, number, app, parts } = parcel;
        for part in parts {
            self.say_of_crossing(peer, (app, number), Kind::ToNew, false, &ToNew::Rest(Box::new(part)));
        }
        let servers = self.bus.as_deref().map(|bus| Arc::clone(&bus.speaks));
        for server in servers.iter().flat_map(|servers| servers.slots()).copied() {
            let ending = Ending { server, peer, number, app };
            match ear_of(server, self.shared.reactors()) {
                ear if ear == self.index => self.end_crossing(ending),
                ear => {
                    let news = BusNews::CrossingEnds(ending);
                    self.peers.post_always(ear, Envelope::Bus(Box::new(news)));
                }
            }
        }
    }

    /// Says, behind all that was heard over a Redis of which this reactor is the ear, what that was.
    pub(in crate::core::bus) fn end_crossing(&mut self, ending: Ending) {
        let Ending { server, peer, number, app } = ending;
        let Some(ear) = self.bus.as_deref_mut().and_then(|bus| bus.ear(server)) else { return };
        let heard = ear.hearing().heard();
        let heard = heard.map(|((incarnation, reactor), last)| HeardOf { incarnation, reactor, last });
        let said = ToNew::End(heard.collect());
        self.say_over(server, peer, (app, number), Kind::ToNew, &said);
    }

    fn forget_going(&mut self, slot: u32) -> Option<Going> {
        self.bus.as_deref_mut().and_then(|bus| bus.crossing.going.remove(&slot))
    }

    /// The session in `slot` does not go, if it was about to.
    pub(in crate::core) fn does_not_go(&mut self, slot: u32, why: ResumeFailure) {
        let going = self.forget_going(slot);
        self.refuse_to_go(going, why);
    }

    fn refuse_to_go(&mut self, going: Option<Going>, why: ResumeFailure) {
        if let Some(Going { peer, app, number, .. }) = going {
            let answer = ToNew::Refused(why_number(why));
            self.say_of_crossing(peer, (app, number), Kind::ToNew, false, &answer);
        }
    }

    /// Says something of a session that crosses to another node; over each Redis, where it is `everywhere`.
    pub(super) fn say_of_crossing<T: minicbor::Encode<()>>(
        &mut self,
        peer: Peer,
        (app, number): (AppId, u64),
        kind: Kind,
        everywhere: bool,
        body: &T,
    ) {
        let Some(bus) = self.bus.as_deref() else { return };
        let home = bus.place_of_channel(bus.cluster.channels.of_node(peer.0, peer.1)).server;
        let servers = Arc::clone(&bus.speaks);
        for server in servers.slots().iter().copied().filter(|server| everywhere || *server == home) {
            self.say_over(server, peer, (app, number), kind, body);
        }
    }

    /// The same over one Redis. What there is no room for is missed there, and waited for in vain.
    fn say_over<T: minicbor::Encode<()>>(
        &mut self,
        server: usize,
        peer: Peer,
        (app, reply): (AppId, u64),
        kind: Kind,
        body: &T,
    ) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let rules = Arc::clone(&self.rules);
        let app = rules.apps.name_of(app).as_str();
        let place = Place { server, next: None, channel: bus.cluster.channels.of_node(peer.0, peer.1) };
        let deadline_ms = now_ms + bus.patience_ms();
        let outline = Outline { kind, flags: Flags::NONE, app, reply, deadline_ms, ttl_left_ms: None };
        bus.publish(index, now_ms, &place, outline, |out| {
            write(body, out);
            Ok(())
        });
    }
}

/// What is not read, in parts that follow on each other.
fn cut_up(sent: u64, kept: Vec<Written>, waiting: Vec<Waiting>) -> Vec<Rest> {
    let mut parts = vec![Rest { sent, ..Rest::default() }];
    let mut bytes = 0;
    let mut room_for = |parts: &mut Vec<Rest>, more: usize| {
        if bytes + more > PART_BYTES && bytes > 0 {
            parts.push(Rest { sent, ..Rest::default() });
            bytes = 0;
        }
        bytes += more;
    };
    for one in kept {
        room_for(&mut parts, one.len());
        if let Some(part) = parts.last_mut() {
            part.kept.push(one);
        }
    }
    for one in waiting {
        room_for(&mut parts, one.len());
        if let Some(part) = parts.last_mut() {
            part.waiting.push(one);
        }
    }
    let count = parts.len() as u32;
    for (number, part) in parts.iter_mut().enumerate() {
        (part.part, part.parts) = (number as u32, count);
    }
    parts
}

/// As other nodes are told.
pub(super) fn why_number(why: ResumeFailure) -> u8 {
    match why {
        ResumeFailure::Expired => 0,
        ResumeFailure::Gap => 1,
        ResumeFailure::Unknown => 2,
        ResumeFailure::User => 3,
    }
}
