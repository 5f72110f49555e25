//! What a session that joins a group gets of what the group remembers. The session is a member at once, and its reactor asks
//! the owner of the group. The owner answers through the mailbox through which it sends the pushes to the group: those that come
//! before the answer are older than what the answer has, those that come after it are newer. So the session's pushes of the group
//! are held until the answer is there, and go out with what is kept, in the owner's order: a message that is in both once.

use super::Core;
use super::envelope::Envelope;
use super::memory::{AroundMemory, no_log};
use super::recollection::{RecallAnswer, RecallRequest, Recollection};
use crate::connection::{Item, LocalPush, Tick};
use crate::dispatch::{CommandError, Fate, Operation, Push, Recall, ReceiptMode, Wire};
use crate::hub::{Asked, Kind, scope_of};
use crate::metrics::{DeliveryOutcome, DropReason};
use crate::session::{AppId, Name, SessionId};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// The sessions of a reactor that wait for what their groups remember.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    by_slot: HashMap<u32, SmallVec<[Recalling; 1]>>,
    requests: u64,
    /// Kept messages that wait in outboxes here, by the address of the push, which each of them holds: so that what many queues
    /// share counts once.
    waiting: HashMap<usize, Weak<LocalPush>>,
    /// At this length those that wait no more are taken out.
    swept_at: usize,
}

/// A session that waits for what one group remembers.
#[derive(Debug)]
struct Recalling {
    /// The request whose answer it waits for.
    number: u64,
    /// The group's.
    scope: u64,
    held: Vec<Held>,
    held_bytes: usize,
}

/// A push of the group that has come meanwhile.
#[derive(Debug)]
struct Held {
    order: u64,
    local: Rc<LocalPush>,
    tick: Option<Tick>,
}

/// What becomes of a push for a session that may have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// It does not wait.
    Not,
    /// It is held.
    Held,
    /// As much is held as may be: it is lost.
    Full,
}

/// So many kept messages are remembered to wait before the first sweep.
const FEW: usize = 64;

impl Recalls {
    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// The session in `slot` waits for the answer to another request, and goes on holding what it holds already.
    fn wait(&mut self, slot: u32, number: u64, scope: u64) {
        let recalling = self.by_slot.entry(slot).or_default();
        match recalling.iter_mut().find(|one| one.scope == scope) {
            Some(one) => one.number = number,
            None => recalling.push(Recalling { number, scope, held: Vec::new(), held_bytes: 0 }),
        }
    }

    /// What the session in `slot` holds for this request, for which it waits no more.
    fn take(&mut self, slot: u32, number: u64) -> Option<Recalling> {
        let all = self.by_slot.get_mut(&slot)?;
        let index = all.iter().position(|one| one.number == number)?;
        let recalling = all.remove(index);
        if all.is_empty() {
            self.by_slot.remove(&slot);
        }
        Some(recalling)
    }

    /// A kept message as the outboxes here share it.
    fn local(&mut self, push: &Arc<Push>) -> Rc<LocalPush> {
        let address = Arc::as_ptr(push).addr();
        if let Some(local) = self.waiting.get(&address).and_then(Weak::upgrade) {
            return local;
        }
        if self.waiting.len() >= self.swept_at {
            self.waiting.retain(|_, local| local.strong_count() > 0);
            self.waiting.shrink_to(FEW);
            self.swept_at = 2 * self.waiting.len() + FEW;
        }
        let local = Rc::new(LocalPush::new(Arc::clone(push)));
        self.waiting.insert(address, Rc::downgrade(&local));
        local
    }
}

/// Asking.
impl Core {
    /// Sessions have joined a group here: they get what it remembers, if it is such a group. `recall` says which part of its log.
    pub(super) fn recall(
        &mut self,
        app: AppId,
        group: &Name,
        sessions: SmallVec<[SessionId; 1]>,
        recall: Option<Recall>,
        operation: Option<&Arc<Operation>>,
    ) {
        let Some(rule) = self.rules.delivery_rules.memory(app, group) else { return };
        let asked = match recall {
            Some(recall) if rule.log.is_some() => Asked::Log(recall),
            _ if rule.latest.is_some() => Asked::Latest,
            _ => return,
        };
        if sessions.is_empty() {
            return;
        }
        let scope = scope_of(app, group);
        self.recalls.requests += 1;
        let number = self.recalls.requests;
        for id in &sessions {
            self.recalls.wait(id.slot(), number, scope);
        }
        if let Some(operation) = operation {
            operation.add_part();
        }
        let (reactor, operation) = (self.index, operation.cloned());
        let group = group.clone();
        let request = RecallRequest { reactor, app, group, asked, sessions, number, operation };
        if self.bus.is_some() {
            return self.recall_from_redis(request);
        }
        match self.shared.owner_of(scope) {
            owner if owner == self.index => {
                let answer = self.answer_recall(Box::new(request));
                self.recalled(answer);
            }
            // Its answer must come: sessions wait for it.
            owner => self.peers.post_always(owner, Envelope::Recall(Box::new(request))),
        }
    }

    /// The session in `slot` has joined the group.
    pub fn recall_for(&mut self, slot: u32, group: &Name, recall: Option<Recall>) {
        if let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) {
            self.recall(app, group, SmallVec::from_slice(&[id]), recall, None);
        }
    }

    /// Whether who joins the group is to get anything of what it remembers; with `recall`, whether it can.
    ///
    /// # Errors
    /// It keeps no log.
    pub fn check_recall(
        &self,
        app: AppId,
        group: &Name,
        recall: Option<Recall>,
    ) -> Result<bool, CommandError> {
        let rule = self.rules.delivery_rules.memory(app, group);
        match recall {
            Some(_) if rule.is_none_or(|rule| rule.log.is_none()) => Err(no_log(group)),
            recall => Ok(rule.is_some_and(|rule| recall.is_some() || rule.latest.is_some())),
        }
    }

    /// The sessions here that are members of `from` and not of `to`, where who joins that gets anything.
    pub(super) fn recalled_by_move(&self, app: AppId, from: &str, to: &Name) -> SmallVec<[SessionId; 1]> {
        if !self.check_recall(app, to, None).unwrap_or(false) || from == to.as_str() {
            return SmallVec::new();
        }
        let members = self.hub.members(app, Kind::Group, from);
        let news = members.filter(|slot| !self.hub.groups_of(*slot).any(|group| group == to));
        news.filter_map(|slot| self.hub.id_of(slot)).collect()
    }

    /// The owner's part: what the group remembers.
    fn answer_recall(&self, request: Box<RecallRequest>) -> RecallAnswer {
        let around = AroundMemory { rules: &self.rules, shared: &self.shared };
        let RecallRequest { app, group, asked, .. } = &*request;
        let (kept, recalled) = self.memory.recall(*app, group, *asked, self.now.ms, &around);
        RecallAnswer { request, kept, recalled }
    }

    /// Another reactor asks for what a group remembers.
    pub fn asked_to_recall(&mut self, request: Box<RecallRequest>) {
        if self.bus.is_some() {
            return self.ask_redis_for_sessions(request);
        }
        let reactor = request.reactor;
        let answer = self.answer_recall(request);
        self.peers.post_always(reactor, Envelope::Recalled(Box::new(answer)));
    }
}

/// Holding, and what is held and kept sent.
impl Core {
    /// Holds a push for the session in `slot`, where that waits for what the push's group remembers.
    #[cold]
    pub(super) fn hold(
        &mut self,
        slot: u32,
        local: &Rc<LocalPush>,
        wire: Wire,
        tick: Option<Tick>,
    ) -> Holding {
        let Some(place) = local.push().place() else { return Holding::Not };
        let recalling = self.recalls.by_slot.get_mut(&slot);
        let recalling = recalling.and_then(|all| all.iter_mut().find(|one| one.scope == place.scope));
        let Some(recalling) = recalling else { return Holding::Not };
        let limits = self.rules.settings.outbox;
        let bytes = local.push().wire_bytes(wire).len();
        if recalling.held.len() >= limits.messages || recalling.held_bytes + bytes > limits.bytes {
            self.settlements.drop_for(DropReason::Newest);
            return Holding::Full;
        }
        // Its part here is not done before it is let go.
        local.hold();
        recalling.held_bytes += bytes;
        recalling.held.push(Held { order: place.order, local: Rc::clone(local), tick });
        Holding::Held
    }

    /// The owner of a group has answered: at once, or behind what earlier turns left of the pushes that came before it.
    pub fn recalled(&mut self, answer: RecallAnswer) {
        let recollection = Box::new(Recollection { answer, done: 0 });
        match self.is_behind_with_work() {
            true => self.put_off_recollection(recollection),
            false => self.go_on_recollecting(recollection),
        }
    }

    /// Gives sessions what they have waited for, as many as the budget allows.
    pub(super) fn go_on_recollecting(&mut self, mut recollection: Box<Recollection>) {
        let Recollection { answer, done } = &mut *recollection;
        let kept: Vec<Rc<LocalPush>> = answer.kept.iter().map(|push| self.recalls.local(push)).collect();
        while let Some(id) = answer.request.sessions.get(*done) {
            if self.budget.is_spent_on_deliveries() {
                return self.put_back(recollection);
            }
            *done += 1;
            self.recollect(*id, &answer.request, &kept);
        }
        if let Some(operation) = &answer.request.operation {
            operation.recalled(answer.recalled);
            self.finish_operation_part(operation);
        }
    }

    /// Gives one session what it has waited for.
    fn recollect(&mut self, id: SessionId, request: &RecallRequest, kept: &[Rc<LocalPush>]) {
        let slot = id.slot();
        // It may have closed, or joined anew and wait for a later answer.
        let is_here = self.hub.id_of(slot) == Some(id);
        let waits = if is_here { self.recalls.take(slot, request.number) } else { None };
        let Some(recalling) = waits else { return };
        // One that has left gets what it was sent while it was a member.
        let is_member = self.hub.groups_of(slot).any(|group| *group == request.group);
        let kept = if is_member { kept } else { &[] };
        let order = |local: &Rc<LocalPush>| local.push().place().map_or(0, |place| place.order);
        let mut held = recalling.held.into_iter().peekable();
        let mut sent = 0;
        for local in kept {
            let mut is_held = false;
            while let Some(before) = held.next_if(|held| held.order <= order(local)) {
                // The push itself goes, whose receipt may wait for it.
                is_held = before.order == order(local);
                self.offer_held(slot, before);
            }
            if !is_held {
                sent += 1;
                self.offer_kept(slot, local);
            }
        }
        held.for_each(|held| self.offer_held(slot, held));
        let metrics = self.metrics();
        metrics.recalls.add(u64::from(is_member));
        metrics.recalled_messages.add(sent);
    }

    fn offer_kept(&mut self, slot: u32, local: &Rc<LocalPush>) {
        self.budget.deliveries = self.budget.deliveries.saturating_sub(1);
        let wire = self.wire_for(slot, local.push());
        let app = local.push().app.0;
        if self.offer(slot, Item::Shared(Rc::clone(local), wire)) {
            let metrics = self.metrics();
            metrics.deliveries.of(DeliveryOutcome::Queued).add(1);
            metrics.apps.queued.of(app).add(1);
        }
    }

    fn offer_held(&mut self, slot: u32, held: Held) {
        let Held { order: _, local, tick } = held;
        // Its client may have come back on another connection meanwhile, which agreed on other forms.
        let wire = self.wire_for(slot, local.push());
        self.budget.deliveries = self.budget.deliveries.saturating_sub(1);
        let item = Item::Shared(Rc::clone(&local), wire);
        let taken = match tick {
            None => self.offer(slot, item),
            Some(tick) => self.offer_for_tick(slot, item, tick),
        };
        self.let_go_of_held(&local, (!taken).then_some(Fate::Dropped));
    }

    /// What was held waits in an outbox now, or has come to this end.
    pub(super) fn let_go_of_held(&mut self, local: &Rc<LocalPush>, fate: Option<Fate>) {
        let push = local.push();
        let waits = push.options.receipt == ReceiptMode::Written;
        if let Some(fate) = fate.filter(|_| waits) {
            push.count_fate(fate, 1);
        }
        if self.settlements.let_go(local) && waits {
            self.settlements.finished.push(Arc::clone(push));
        }
    }

    /// Whether the session in `slot` waits for what a group remembers.
    pub(super) fn recalls_wait(&self, slot: u32) -> bool {
        self.recalls.by_slot.contains_key(&slot)
    }

    /// The session in `slot` is over.
    pub(super) fn forget_recalls(&mut self, slot: u32) {
        for recalling in self.recalls.by_slot.remove(&slot).into_iter().flatten() {
            for held in recalling.held {
                self.settlements.closed += 1;
                self.let_go_of_held(&held.local, Some(Fate::Closed));
            }
        }
    }
}
