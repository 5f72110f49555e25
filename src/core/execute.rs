//! Commands on their way: which reactors have a part in one, what a part does to the sessions here, and the answer.
//! Knows nothing of the form in which a command came.

use super::places::bind;
use super::{Core, Envelope};
use crate::connection::Stage;
use crate::dispatch::{
    Action, Command, CommandError, ErrorCode, Operation, Origin, Outcome, Push, PushOptions, ReceiptMode,
    Selector, SessionInfo, SessionRow, Target, Who,
};
use crate::hub::Kind;
use crate::protocol::CloseCode;
use crate::session::{AppId, Name, SessionId};
use smallvec::SmallVec;
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

impl Finished {
    /// Hands the outcome, and the action it is the outcome of, to whoever writes the answer.
    pub fn with_outcome(&self, answer: impl FnOnce(Option<&Action>, &Outcome)) {
        match self {
            Self::Accepted => answer(None, &Outcome::Accepted),
            Self::Push(push) => answer(None, &Outcome::Receipt(push.receipt())),
            Self::Refused(error) => answer(None, &Outcome::Refused(error.clone())),
            Self::Operation(operation) => {
                let outcome = match (operation.outcome(), &operation.action) {
                    (Ok(_), Action::Listen { .. }) => Outcome::Listening,
                    (Ok(done), _) => Outcome::Done(done),
                    (Err(error), _) => Outcome::Refused(error),
                };
                answer(Some(&operation.action), &outcome);
            }
        }
    }
}

impl Core {
    /// Starts a command of a backend connection. `None` where other reactors have a part in it: then the answer comes to
    /// the connection later, under `sequence`.
    pub fn execute(
        &mut self,
        connection: SessionId,
        sequence: u64,
        app: AppId,
        command: Command,
    ) -> Option<Finished> {
        let origin = Origin::Connection { connection, sequence };
        match command {
            Command::Push { target, frame, options } => {
                let receipt = options.receipt;
                let origin = if receipt == ReceiptMode::None { Origin::Nobody } else { origin };
                let push = new_push(self, app, target, frame, options, origin);
                let done = self.publish(&push);
                match receipt {
                    ReceiptMode::None => Some(Finished::Accepted),
                    _ => done.then_some(Finished::Push(push)),
                }
            }
            Command::Act(action) => self.start_operation(Operation::new(app, action, origin)),
            Command::Listen(listen) => {
                let action = Action::Listen { link: connection, listen };
                self.start_operation(Operation::new(app, action, origin))
            }
        }
    }

    /// Posts an operation to every reactor that has a part in it, and does this one's.
    pub fn start_operation(&mut self, operation: Operation) -> Option<Finished> {
        let operation = Arc::new(operation);
        let reactors = self.shared.reactors_for(&operation);
        for reactor in reactors.iter().filter(|reactor| *reactor != self.index) {
            operation.add_part();
            let envelope = Envelope::Operation(Arc::clone(&operation));
            if matches!(operation.action, Action::Listen { .. } | Action::Unlisten { .. }) {
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
            self.operate(&operation);
        }
        operation.finish_part().then_some(Finished::Operation(operation))
    }

    /// This reactor's part of an operation.
    pub fn operate(&mut self, operation: &Arc<Operation>) {
        let app = operation.app;
        match &operation.action {
            Action::Join { who, group } => {
                each(self, operation, who, |core, slot| join(core, slot, group));
            }
            Action::Leave { who, group } => {
                each(self, operation, who, |core, slot| Ok(core.hub.leave(slot, group)));
            }
            Action::Destroy { group } => operation.count_sessions(self.hub.destroy(app, group)),
            Action::Move { from, to } => operation.count_sessions(self.hub.move_members(app, from, to)),
            Action::Kick { who, code, reason } => each(self, operation, who, |core, slot| {
                core.close(slot, CloseCode(*code), reason);
                Ok(true)
            }),
            Action::Bind { session, user } => {
                each(self, operation, &Who::Session(*session), |core, slot| bind(core, slot, user.as_ref()));
            }
            Action::Tag { session, tag } => {
                each(self, operation, &Who::Session(*session), |core, slot| add_tag(core, slot, tag));
            }
            Action::Untag { session, tag } => {
                each(self, operation, &Who::Session(*session), |core, slot| Ok(core.hub.untag(slot, tag)))
            }
            Action::Describe { session } => {
                if let Some(slot) = slot_of(self, app, *session) {
                    operation.add_findings(1, Vec::new(), describe(self, slot).into_iter().collect());
                }
            }
            Action::List { by, limit, after, detailed } => {
                list(self, operation, by, *limit, *after, *detailed);
            }
            Action::Listen { link, listen } => self.listeners.add(*link, app, listen.clone()),
            Action::Unlisten { link } => self.listeners.remove(*link),
        }
        self.finish_operation_part(operation);
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
    core.metrics().pushes.add(1);
    // The turn's reading of the clock may be some work old: the latency counts from here.
    let now = core.shared.clock.now();
    let deadline_ms = core.shared.deadline_ms(now, &options);
    Arc::new(Push::new(app, target, frame, options, now.ns, deadline_ms, origin))
}

/// Does something to each session that `who` names here.
fn each(
    core: &mut Core,
    operation: &Operation,
    who: &Who,
    mut act: impl FnMut(&mut Core, u32) -> Result<bool, CommandError>,
) {
    let slots: SmallVec<[u32; 4]> = match who {
        Who::Session(id) => match slot_of(core, operation.app, *id) {
            Some(slot) => SmallVec::from_slice(&[slot]),
            None => return operation.fail(CommandError::unknown_session(*id)),
        },
        Who::User(user) => core.hub.members(operation.app, Kind::User, user).collect(),
    };
    for slot in slots {
        match act(core, slot) {
            Ok(changed) => operation.count_sessions(u32::from(changed)),
            Err(error) => operation.fail(error),
        }
    }
}

fn slot_of(core: &Core, app: AppId, id: SessionId) -> Option<u32> {
    core.hub.contains(id, app).then_some(id.slot())
}

/// Joins unless the session is in as many groups as it may be.
pub fn join(core: &mut Core, slot: u32, group: &Name) -> Result<bool, CommandError> {
    let most = core.shared.settings.config.limits.groups_per_session;
    if core.hub.groups_len(slot) >= most && !core.hub.groups_of(slot).any(|name| name == group) {
        let message =
            format!("a session is in at most {most} groups: leave one, or raise limits.groups_per_session");
        return Err(CommandError::new(ErrorCode::BadRequest, message));
    }
    Ok(core.hub.join(slot, group))
}

/// Tags unless the session has as many tags as it may have.
pub fn add_tag(core: &mut Core, slot: u32, tag: &Name) -> Result<bool, CommandError> {
    let most = core.shared.settings.config.limits.tags_per_session;
    if core.hub.tags_len(slot) >= most && !core.hub.tags_of(slot).any(|name| name == tag) {
        let message =
            format!("a session has at most {most} tags: remove one, or raise limits.tags_per_session");
        return Err(CommandError::new(ErrorCode::BadRequest, message));
    }
    Ok(core.hub.tag(slot, tag))
}

fn describe(core: &Core, slot: u32) -> Option<SessionInfo> {
    let id = core.hub.id_of(slot)?;
    let app = core.hub.app_of(slot)?;
    let connection = core.connections.slot(slot)?;
    let Stage::Player(player) = &connection.stage else { return None };
    let outbox = connection.outbox.as_ref();
    Some(SessionInfo {
        id,
        app: core.shared.apps.name_of(app).as_str().into(),
        user: core.hub.user_of(slot).cloned(),
        groups: core.hub.groups_of(slot).cloned().collect(),
        tags: core.hub.tags_of(slot).cloned().collect(),
        remote: connection.remote()?,
        since_unix_ms: player.since_unix_ms,
        queued_messages: outbox.map_or(0, |outbox| outbox.messages() as u32),
        queued_bytes: outbox.map_or(0, |outbox| outbox.bytes() as u64),
        bytes_in: player.bytes_in,
        bytes_out: player.bytes_out,
        round_trip_us: (player.round_trip_us > 0).then_some(player.round_trip_us),
    })
}

fn list(
    core: &Core,
    operation: &Operation,
    by: &Selector,
    limit: usize,
    after: Option<SessionId>,
    detailed: bool,
) {
    let mut ids = Vec::new();
    // One more than asked for tells whether there is a next page.
    let count = core.hub.page(operation.app, by, limit + 1, after, &mut ids).members as u32;
    let slots = ids.iter().map(|id| id.slot());
    if detailed {
        operation.add_findings(count, Vec::new(), slots.filter_map(|slot| describe(core, slot)).collect());
    } else {
        let row = |id: &SessionId| SessionRow { id: *id, user: core.hub.user_of(id.slot()).cloned() };
        operation.add_findings(count, ids.iter().map(row).collect(), Vec::new());
    }
}
