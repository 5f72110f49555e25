//! A client that has come to this node for a session of another one.

use super::super::awaiting::reactor_of;
use super::super::news::{BusNews, Waiter};
use super::state::{Coming, Heard, Held, Peer, Stage, Step, has_come};
use crate::cluster::crossing::{Asked, ClaimFromElsewhere, Facts, Names, Queued, Rest, Taking, ToNew, ToOld};
use crate::cluster::message::Kind;
use crate::connection::{Item, KeptFrame, LocalPush};
use crate::core::traveller::Traveller;
use crate::core::{Core, Envelope};
use crate::dispatch::{
    EncodedFrame, Epoch, Origin, Place, Push, PushId, PushOptions, ReceiptMode, Target, Wire,
};
use crate::metrics::ResumeFailure;
use crate::session::{AppId, SessionId};
use hashbrown::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// A client is sent from node to node so often at the most.
const MOST_REDIRECTS: u8 = 4;

/// Parts of a rest: more than `cluster.resume_bytes` ever comes to.
const MOST_PARTS: usize = 1 << 16;

impl Core {
    /// A client has come for a session of another node: that one is asked.
    pub(in crate::core) fn claim_elsewhere(
        &mut self,
        traveller: Traveller,
        session: SessionId,
        redirects: u8,
    ) {
        let (now_ms, index) = (self.now.ms, self.index);
        let node = self.bus.as_deref().and_then(|bus| bus.cluster.node(session.node()));
        let Some((bus, node)) = self.bus.as_deref_mut().zip(node) else {
            return self.refuse_traveller(traveller, ResumeFailure::Unknown);
        };
        if !bus.has_one_list() {
            return self.refuse_traveller(traveller, ResumeFailure::Gap);
        }
        let peer: Peer = (session.node(), node.incarnation);
        let number = bus.awaiting.number(index);
        let due_ms = now_ms + bus.patience_ms();
        let sealed = traveller.sealed().filter(|_| redirects == 0);
        let asked = Asked::of(&ClaimFromElsewhere {
            session,
            sealed: sealed.map(|sealed| sealed.as_bytes().to_vec()),
            received: traveller.received(),
            claimant: traveller.claimant().map(|user| user.cloned()),
        });
        let app = traveller.app();
        let coming = Coming {
            traveller,
            session,
            peer,
            redirects,
            stage: Stage::Asked,
            heard: Heard::new(),
            facts: None,
            new: None,
            unheard: 0,
            held: Vec::new(),
            held_bytes: 0,
            is_full: false,
            is_all_given: false,
            rest: Vec::new(),
            due_ms,
        };
        bus.crossing.coming.insert(number, coming);
        self.say_of_crossing(peer, (app, number), Kind::ToOld, false, &ToOld::Claim(Box::new(asked)));
    }

    fn coming(&mut self, number: u64) -> Option<&mut Coming> {
        self.bus.as_deref_mut()?.crossing.coming.get_mut(&number)
    }

    /// The other node answers.
    pub(super) fn hear_of_claim(&mut self, server: usize, peer: Peer, number: u64, said: ToNew) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = Arc::clone(&bus.cluster);
        let Some(coming) = bus.crossing.coming.get_mut(&number).filter(|coming| coming.peer == peer) else {
            return;
        };
        match said {
            ToNew::Refused(why) => self.fail_to_come(number, why_of(why)),
            ToNew::Elsewhere(new) => self.follow_session(number, SessionId::from_u64(new)),
            // While the names of before are not heard here, nothing is new of it.
            ToNew::Facts(_) if coming.stage == Stage::Told => {}
            ToNew::Facts(facts) => {
                if has_come(&mut coming.heard, server, &cluster) {
                    self.is_told(number, &facts);
                }
            }
            ToNew::Rest(rest) => {
                match coming.rest.len() < MOST_PARTS {
                    true => coming.rest.push(*rest),
                    false => coming.is_full = true,
                }
                self.may_go_on(number);
            }
            ToNew::End(_) => {
                coming.is_all_given = has_come(&mut coming.heard, server, &cluster);
                self.may_go_on(number);
            }
        }
    }

    /// The session goes on if all parts of its rest have come, behind all that it was given, in whatever order.
    fn may_go_on(&mut self, number: u64) {
        let Some(coming) = self.coming(number) else { return };
        let parts = coming.rest.first().map_or(usize::MAX, |first| first.parts as usize);
        if coming.is_all_given && coming.rest.len() >= parts {
            self.when_settled(Step::GoOn(number));
        }
    }

    /// The session has crossed before.
    fn follow_session(&mut self, number: u64, new: SessionId) {
        let Some(coming) = self.take_coming(number) else { return };
        let (traveller, redirects) = (coming.traveller, coming.redirects + 1);
        let own = self.bus.as_deref().map(|bus| bus.cluster.node);
        if redirects > MOST_REDIRECTS {
            return self.refuse_traveller(traveller, ResumeFailure::Unknown);
        }
        match Some(new.node()) == own {
            true => self.send_home(traveller, new),
            false => self.claim_elsewhere(traveller, new, redirects),
        }
    }

    /// What the session is is known, behind all that other nodes had published before it was claimed.
    fn is_told(&mut self, number: u64, facts: &Facts) {
        let names = facts.names();
        let Some(coming) = self.coming(number) else { return };
        coming.heard.clear();
        (coming.stage, coming.facts) = (Stage::Told, names);
        match coming.facts.is_some() {
            true => self.when_settled(Step::Make(number)),
            false => self.fail_to_come(number, ResumeFailure::Unknown),
        }
    }

    /// Makes the session that goes on here, or has it hear what has changed since.
    pub(super) fn make_session(&mut self, number: u64) {
        if !self.bus.as_deref().is_some_and(|bus| bus.cluster.is_whole()) {
            // It would hear its names nobody knows when.
            return self.fail_to_come(number, ResumeFailure::Gap);
        }
        let Some(coming) = self.coming(number) else { return };
        let (new, names) = (coming.new, coming.facts.clone().unwrap_or_default());
        match new {
            Some(id) => self.rename_crossed(id.slot(), &names),
            None => {
                if let Err(why) = self.open_crossed(number, &names) {
                    return self.fail_to_come(number, why);
                }
            }
        }
        self.await_ears(number);
    }

    /// Has every ear say when it hears all that this reactor has sessions of.
    fn await_ears(&mut self, number: u64) {
        self.tell_edges(None);
        let Some(bus) = self.bus.as_deref() else { return };
        let servers = Arc::clone(&bus.speaks);
        if let Some(coming) = self.coming(number) {
            coming.unheard = servers.slots().len();
        }
        for server in servers.slots().iter().copied() {
            self.await_names(server, Waiter::Crossing(number));
        }
    }

    /// An ear hears the names of the session of a client; it goes on on the client's reactor.
    pub(in crate::core::bus) fn crossing_is_heard(&mut self, number: u64) {
        match reactor_of(number) {
            reactor if reactor == self.index => {}
            reactor => {
                let news = Envelope::Bus(Box::new(BusNews::CrossingHeard(number)));
                return self.peers.post_always(reactor, news);
            }
        }
        let Some(coming) = self.coming(number) else { return };
        coming.unheard = coming.unheard.saturating_sub(1);
        if coming.unheard == 0 {
            self.when_settled(Step::Take(number));
        }
    }

    /// Other nodes reach the session by its names, and have what was published here before it was there: it is taken.
    pub(super) fn take_session(&mut self, number: u64) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let due_ms = now_ms + bus.patience_ms();
        let Some(coming) = bus.crossing.coming.get_mut(&number) else { return };
        let Some(new) = coming.new else { return };
        (coming.stage, coming.due_ms) = (Stage::Taken, due_ms);
        let (peer, app) = (coming.peer, coming.traveller.app());
        let taking = Taking { session: coming.session.as_u64(), new: new.as_u64() };
        self.say_of_crossing(peer, (app, number), Kind::ToOld, true, &ToOld::Take(taking));
    }

    /// The rest is here, and so is all that the old session was given of what comes to this node: the session goes on with its client.
    pub(super) fn go_on_here(&mut self, number: u64) {
        let Some(coming) = self.coming(number) else { return };
        let is_whole = !coming.is_full
            && coming.rest.first().is_some_and(|first| first.parts as usize == coming.rest.len());
        let mut rest = std::mem::take(&mut coming.rest);
        rest.sort_by_key(|part| part.part);
        let Some(id) = coming.new.filter(|_| is_whole) else {
            return self.fail_to_come(number, ResumeFailure::Gap);
        };
        let given: HashSet<PushId> = rest.iter().flat_map(|part| part.given.iter().copied()).collect();
        if self.put_rest(id.slot(), rest).is_none() {
            return self.fail_to_come(number, ResumeFailure::Gap);
        }
        let Some(coming) = self.take_coming(number) else { return };
        let Coming { traveller, session, held, .. } = coming;
        for Held { local, tick } in held {
            let push = local.push();
            let was_given = push.ids().iter().any(|id| given.contains(id));
            match was_given || push.options.except == Some(session) {
                true => self.leave_held_out(&local),
                false => self.offer_what_was_held(id.slot(), local, tick),
            }
        }
        self.metrics().resumed_elsewhere.add(1);
        self.has_arrived(traveller, id);
    }

    /// Puts what the client has not read before all that the session has been sent here. `None` where it is not of the layout.
    fn put_rest(&mut self, slot: u32, rest: Vec<Rest>) -> Option<()> {
        let app = self.hub.app_of(slot)?;
        let sent = rest.first()?.sent;
        let (mut kept, mut waiting) = (Vec::new(), Vec::new());
        for part in &rest {
            for one in &part.kept {
                kept.push(Rc::new(KeptFrame::new(one.frame()?)));
            }
            for one in &part.waiting {
                waiting.push(self.item_of(app, one.queued()?));
            }
        }
        self.put_kept(slot, sent, kept)?;
        let pool = &mut self.pool;
        let connection = self.connections.slot_mut(slot)?;
        if !waiting.is_empty() {
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            outbox.put_before(waiting, &mut self.settlements);
        }
        Some(())
    }

    fn item_of(&self, app: AppId, queued: Queued) -> Item {
        let Queued { frame, class, ttl_left_ms, key, scope } = queued;
        let deadline_ms = ttl_left_ms.map_or(u64::MAX, |left_ms| self.now.ms.saturating_add(left_ms));
        let options = PushOptions { class, key, receipt: ReceiptMode::None, ..PushOptions::default() };
        let frame: EncodedFrame = frame;
        let (target, origin) = (Target::nobody(), Origin::Nobody);
        let push = Push::new(app, target, frame, options, Push::LONG_AGO, deadline_ms, origin);
        if let Some(scope) = scope {
            push.put_at(Place { scope, order: 0, epoch: Epoch::from_u64(0), offset: 0 });
        }
        Item::Shared(Rc::new(LocalPush::new(Arc::new(push))), Wire::Plain)
    }

    /// Redis has handed the claim to no node: the one that has the session is not there.
    pub(in crate::core::bus) fn nobody_has_heard(&mut self, number: u64) {
        match self.coming(number).map(|coming| coming.stage) {
            Some(Stage::Asked) => self.fail_to_come(number, ResumeFailure::Unknown),
            Some(Stage::Taken) => self.fail_to_come(number, ResumeFailure::Gap),
            Some(Stage::Told) | None => {}
        }
    }

    fn take_coming(&mut self, number: u64) -> Option<Coming> {
        let crossing = &mut self.bus.as_deref_mut()?.crossing;
        let coming = crossing.coming.remove(&number)?;
        if let Some(new) = coming.new {
            crossing.arriving.remove(&new.slot());
        }
        Some(coming)
    }

    /// The client cannot have its session: it gets another one.
    fn fail_to_come(&mut self, number: u64, why: ResumeFailure) {
        let Some(coming) = self.take_coming(number) else { return };
        coming.held.iter().for_each(|held| self.leave_held_out(&held.local));
        if let Some(new) = coming.new {
            self.unmake_crossed(new);
        }
        self.refuse_traveller(coming.traveller, why);
    }

    /// The session in `slot` has ended, of whatever: one that is on its way here does not come. Whether it was: nobody has been told
    /// of it then.
    pub(in crate::core) fn forget_crossing(&mut self, slot: u32) -> bool {
        let bus = self.bus.as_deref_mut().filter(|bus| bus.crossing.is_active());
        let Some(bus) = bus else { return false };
        let arriving = bus.crossing.arriving.remove(&slot);
        if let Some(number) = arriving {
            if let Some(coming) = bus.crossing.coming.get_mut(&number) {
                coming.new = None;
            }
            self.fail_to_come(number, ResumeFailure::Expired);
        }
        let id = self.hub.id_of(slot);
        let why = match id.is_some_and(|id| self.has_overflowed(id)) {
            true => ResumeFailure::Gap,
            false => ResumeFailure::Expired,
        };
        self.does_not_go(slot, why);
        arriving.is_some()
    }

    /// Those that have waited long enough.
    pub(in crate::core::bus) fn give_up_crossing(&mut self, now_ms: u64) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let crossing = &mut bus.crossing;
        if crossing.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        crossing.rounds.retain(|_, round| round.due_ms > now_ms);
        // What is not taken in time stays where it is.
        crossing.going.retain(|_, going| going.due_ms > now_ms);
        let late = crossing.coming.iter().filter(|(_, coming)| coming.due_ms <= now_ms);
        let late: Vec<(u64, bool)> = late
            .map(|(number, coming)| {
                let is_there = bus.cluster.has_node(coming.peer.0);
                (*number, is_there || coming.stage == Stage::Taken)
            })
            .collect();
        for (number, is_gap) in late {
            let why = if is_gap { ResumeFailure::Gap } else { ResumeFailure::Unknown };
            self.fail_to_come(number, why);
        }
    }

    fn open_crossed(&mut self, number: u64, names: &Names) -> Result<(), ResumeFailure> {
        let coming = self.bus.as_deref_mut().and_then(|bus| bus.crossing.coming.remove(&number));
        let mut coming = coming.ok_or(ResumeFailure::Gap)?;
        let opened = self.open_for_claim(&coming.traveller, names);
        coming.new = opened.ok();
        if let Some(bus) = self.bus.as_deref_mut() {
            bus.crossing.arriving.extend(coming.new.map(|new| (new.slot(), number)));
            bus.crossing.coming.insert(number, coming);
        }
        opened.map(|_| ())
    }
}

/// As another node has told; what is unknown here is unknown to the client.
fn why_of(number: u8) -> ResumeFailure {
    match number {
        0 => ResumeFailure::Expired,
        1 => ResumeFailure::Gap,
        3 => ResumeFailure::User,
        _ => ResumeFailure::Unknown,
    }
}
