//! Commands on their way: which reactors have a part in one, what a part does to the sessions here, and the answer.
//! Knows nothing of the form in which a command came.

use super::changing::slot_of;
use super::{Core, Envelope};
use crate::connection::Phase;
use crate::dispatch::{
    Action, Command, CommandError, ErrorCode, Listen, Operation, OperationOutcome, Origin, Outcome, Push,
    PushOptions, ReceiptMode, Selector, SessionInfo, SessionRow, Target, TickPhase,
};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// A command that has come to its end.
pub enum Finished {
    /// A push whose publisher wants no receipt.
    Accepted,
    /// A push whose parts are all done.
    Push(Arc<Push>),
    /// An operation whose parts are all done.
    Operation(Arc<Operation>),
    /// A command that was refused before it began.
    Refused(CommandError),
}

/// How far a command came at once.
pub enum Started {
    /// It is done.
    Finished(Finished),
    /// A push of which other reactors have a part, or whose receipt waits for sockets.
    Push(Arc<Push>),
    /// An operation that is not done.
    Operation,
}

/// A page of sessions that is being described.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) operation: Arc<Operation>,
    pub(super) ids: std::vec::IntoIter<SessionId>,
}

impl Finished {
    /// Hands the outcome, and the action it is the outcome of, to whoever writes the answer. A link that listens is told the
    /// `ticks` of its app.
    pub fn with_outcome(
        &self,
        ticks: impl FnOnce(AppId) -> Vec<TickPhase>,
        answer: impl FnOnce(Option<&Action>, &Outcome),
    ) {
        match self {
            Self::Accepted => answer(None, &Outcome::Accepted),
            Self::Push(push) => answer(None, &Outcome::Receipt(push.receipt())),
            Self::Refused(error) => answer(None, &Outcome::Refused(error.clone())),
            Self::Operation(operation) => {
                let outcome = match (operation.outcome(), &operation.action) {
                    (Ok(done), Action::Listen { .. }) => {
                        let missing = match done {
                            OperationOutcome::Partial { missing, .. } => missing,
                            _ => Vec::new(),
                        };
                        Outcome::Listening { ticks: ticks(operation.app), missing }
                    }
                    (Ok(done), _) => Outcome::Done(done),
                    (Err(error), _) => Outcome::Refused(error),
                };
                answer(Some(&operation.action), &outcome);
            }
        }
    }
}

impl Core {
    /// Starts a command of a backend connection. What is not finished is answered to the connection later, under `sequence`.
    pub fn execute(&mut self, connection: SessionId, sequence: u64, app: AppId, command: Command) -> Started {
        let origin = Origin::Connection { connection, sequence };
        match command {
            Command::Push { target, frame, options } => {
                if let Err(error) = self.rules.delivery_rules.check_target(app, &target) {
                    return Started::Finished(Finished::Refused(error));
                }
                let receipt = options.receipt;
                let origin = if receipt == ReceiptMode::None { Origin::Nobody } else { origin };
                let push = new_push(self, app, target, frame, options, origin);
                let done = self.publish(&push);
                match receipt {
                    ReceiptMode::None => Started::Finished(Finished::Accepted),
                    _ if done => Started::Finished(Finished::Push(push)),
                    _ => Started::Push(push),
                }
            }
            Command::Act(action, scope) => {
                self.start_operation(Operation::new(app, action, origin).with_scope(scope))
            }
            Command::Listen(listen) => self.listen(self.seats.link_of(connection), app, listen, origin),
        }
    }

    /// A link of this reactor asks for events.
    pub fn listen(&mut self, link: SessionId, app: AppId, listen: Listen, origin: Origin) -> Started {
        let numbers = listen.numbers;
        let admitted = self.can_number(link, &listen).and_then(|()| self.expect_snapshot(link, &listen));
        let admitted = admitted.and_then(|()| {
            let admitted = self.shared.listening().admit(link, app, listen);
            admitted.inspect_err(|_| self.expect_no_snapshot(link))
        });
        match admitted {
            Err(error) => Started::Finished(Finished::Refused(error)),
            Ok(listen) => {
                self.link_asks(link, numbers);
                // Before any reactor tells it of sessions.
                self.open_gate(link);
                self.ring_has_changed(link);
                let action = Action::Listen { link, listen };
                self.start_operation(Operation::new(app, action, origin))
            }
        }
    }

    /// Posts an operation to every reactor that has a part in it, and does this one's.
    pub fn start_operation(&mut self, operation: Operation) -> Started {
        let operation = Arc::new(operation);
        self.begin_on_reactors(&operation);
        match operation.finish_part() {
            true => Started::Finished(Finished::Operation(operation)),
            false => Started::Operation,
        }
    }

    /// The same for an operation of a thread that is no reactor.
    pub fn start_for_thread(&mut self, operation: &Arc<Operation>) {
        self.begin_on_reactors(operation);
        self.finish_operation_part(operation);
    }

    fn begin_on_reactors(&mut self, operation: &Arc<Operation>) {
        self.ask_on_bus(operation);
        let reactors = self.shared.reactors_for(operation);
        for reactor in reactors.iter().filter(|reactor| *reactor != self.index) {
            operation.add_part();
            let envelope = Envelope::Operation(Arc::clone(operation));
            // All have to know, and the same.
            if operation.action.is_for_all() {
                self.peers.post_always(reactor, envelope);
            } else if self.peers.post(reactor, envelope).is_err() {
                operation.fail(CommandError::new(
                    ErrorCode::Overloaded,
                    "a reactor's mailbox is full: try again, and see gannet_mailbox_messages in /metrics",
                ));
                operation.finish_part();
            }
        }
        if reactors.contains(self.index) {
            operation.add_part();
            self.operate(operation);
        }
    }

    /// This reactor's part of an operation: at once, or behind what earlier turns left.
    pub fn operate(&mut self, operation: &Arc<Operation>) {
        match self.is_behind_with_work() {
            true => self.put_off_operation(operation),
            false => self.begin_operation(operation),
        }
    }

    pub(super) fn begin_operation(&mut self, operation: &Arc<Operation>) {
        let app = operation.app;
        match &operation.action {
            Action::Destroy { group } => {
                operation.count_sessions(self.destroy_group(app, group));
                self.forget_destroyed(operation, group);
                self.end_route_of(operation, group);
            }
            Action::Move { from, to } => {
                let recalled = self.recalled_by_move(app, from, to);
                operation.count_sessions(self.move_group(app, from, to));
                self.recall(app, to, recalled, None, Some(operation));
            }
            Action::Latest { .. } | Action::Log { .. } | Action::Forget { .. } => self.ask_memory(operation),
            Action::Describe { session } => {
                if let Some(slot) = slot_of(self, app, *session) {
                    operation.add_findings(1, Vec::new(), describe(self, slot).into_iter().collect());
                }
            }
            Action::Record { .. } | Action::StopRecord { .. } | Action::ReadRecord { .. } => {
                self.operate_record(operation);
            }
            Action::List { .. } => return self.list(operation),
            Action::Behind { .. } => return self.list_behind(operation),
            Action::Presence { .. } => return self.begin_presence(operation),
            Action::Count { by } => return self.begin_count(operation, by),
            Action::Names { .. } => return self.begin_naming(operation),
            Action::Route { what, link } => self.route(operation, what, link.as_ref()),
            Action::Rebalance { share } => self.rebalance(operation, share),
            Action::Listen { link, listen } => {
                self.open_gate(*link);
                if listen.share.is_some() || listen.everywhere {
                    self.seat_in_share(*link, listen.form);
                }
                let (before, was_served) = (self.listeners.wanted(), self.listeners.serves(app));
                self.begin_to_listen(*link, app, listen);
                self.follow_listeners(before, Some(operation));
                if !was_served {
                    self.tell_of_backend(app, true);
                }
                self.release_unheard(app);
            }
            Action::Unlisten { link } => {
                let before = (self.listeners.wanted(), self.listeners.app_of(*link));
                self.end_of_link(*link);
                self.follow_listeners(before.0, None);
                if let Some(left) = before.1.filter(|left| !self.listeners.serves(*left)) {
                    self.tell_of_backend(left, false);
                }
                self.remove_gate(*link);
                self.shared.listening().forget(*link);
            }
            // What is left changes sessions.
            _ => self.change(operation),
        }
        self.tell_edges(Some(operation));
        self.finish_operation_part(operation);
    }

    /// Finds a page of sessions, and describes as many as the turn's budget allows.
    fn list(&mut self, operation: &Arc<Operation>) {
        let mut ids = Vec::new();
        if let Action::List { by, limit, after, detailed } = &operation.action {
            // One more than asked for tells whether there is a next page.
            let found = self.hub.page(operation.app, by, limit + 1, *after, &mut ids);
            operation.add_findings(found.members as u32, Vec::new(), Vec::new());
            if let (Selector::Group(_), false) = (by, detailed) {
                return self.list_members(operation, by, ids);
            }
        }
        self.go_on_listing(Listing { operation: Arc::clone(operation), ids: ids.into_iter() });
    }

    pub(super) fn go_on_listing(&mut self, mut listing: Listing) {
        let most = self.budget.listed.min(listing.ids.len());
        self.budget.listed -= most;
        let ids = listing.ids.by_ref().take(most);
        // A session may have ended since the page was found.
        let live = ids.filter(|id| self.hub.id_of(id.slot()) == Some(*id));
        if !matches!(listing.operation.action, Action::List { detailed: false, .. }) {
            let sessions = live.filter_map(|id| describe(self, id.slot())).collect();
            listing.operation.add_findings(0, Vec::new(), sessions);
        } else {
            let rows = live.map(|id| SessionRow { id, user: self.hub.user_of(id.slot()).cloned() }).collect();
            listing.operation.add_findings(0, rows, Vec::new());
        }
        match listing.ids.len() {
            0 => self.finish_operation_part(&listing.operation),
            _ => self.put_back(listing),
        }
    }
}

/// A push as a publisher on this reactor makes it.
pub fn new_push(
    core: &Core,
    app: AppId,
    target: Target,
    frame: crate::dispatch::EncodedFrame,
    options: PushOptions,
    origin: Origin,
) -> Arc<Push> {
    core.metrics().pushes.of(app.0).add(1);
    // The turn's reading of the clock may be some work old: the latency counts from here.
    let now = core.shared.clock.now();
    let deadline_ms = core.rules.deadline_ms(now, &options);
    Arc::new(Push::new(app, target, frame, options, now.ns, deadline_ms, origin))
}

/// Everything about the session in `slot`.
pub(super) fn describe(core: &Core, slot: u32) -> Option<SessionInfo> {
    let id = core.hub.id_of(slot)?;
    let app = core.hub.app_of(slot)?;
    let connection = core.connections.slot(slot)?;
    let figures = &connection.figures;
    let outbox = connection.outbox.as_ref();
    Some(SessionInfo {
        id,
        app: core.rules.apps.name_of(app).as_str().into(),
        user: core.hub.user_of(slot).cloned(),
        groups: core.hub.groups_of(slot).cloned().collect(),
        tags: core.hub.tags_of(slot).cloned().collect(),
        remote: connection.remote(),
        since_unix_ms: figures.since_unix_ms(),
        queued_messages: outbox.map_or(0, |outbox| outbox.messages() as u32),
        queued_bytes: outbox.map_or(0, |outbox| outbox.bytes() as u64),
        bytes_in: figures.bytes_in(),
        bytes_out: figures.bytes_out(),
        round_trip_us: (connection.round_trip_us > 0).then_some(connection.round_trip_us),
        away: connection.phase == Phase::Away,
        behind_since_unix_ms: outbox.and_then(|outbox| core.behind_since_unix_ms(outbox)),
        profile: core.profile_of(slot).cloned().unwrap_or_default(),
    })
}
