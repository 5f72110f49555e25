//! Pushing and commanding from any thread.

use crate::core::{Envelope, Remembering, Rules, Shared, scope_of};
use crate::dispatch::{
    Action, CommandError, EncodedFrame, Operation, OperationOutcome, Origin, Push, PushOptions, Receipt,
    ReceiptMode, Target, Who, check_close_code, check_close_reason,
};
use crate::protocol::CloseCode;
use crate::session::AppId;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Pushes from any thread to sessions on every reactor; cheap to clone. Messages from one thread to one session arrive
/// in order within a class.
///
/// ```no_run
/// use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
/// use gannet::session::Name;
///
/// fn tick(pusher: &gannet::Pusher) -> Result<(), Box<dyn std::error::Error>> {
///     let room = Target::from(Selector::Group(Name::new("room-1")?));
///     pusher.push("default", room, EncodedFrame::text("tick"), PushOptions::default())?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Pusher {
    shared: Arc<Shared>,
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pusher")
    }
}

/// Why a push or a command from another thread came to nothing.
///
/// ```
/// use gannet::PushError;
/// assert!(PushError::UnknownApp.to_string().contains("[apps.NAME]"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushError {
    /// The configuration has no such app.
    UnknownApp,
    /// The answer did not come in the time that was given; the push or command may still be carried out.
    TimedOut,
    /// The server said why.
    Refused(CommandError),
    /// The server stops or has stopped.
    Stopped,
    /// A reactor's mailbox took no more. The reactors whose mailboxes did have the message or the command: sessions there
    /// get it. Try again later, or send less.
    Overloaded,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownApp => f.write_str("no such app: add a table [apps.NAME] to the configuration"),
            Self::TimedOut => f.write_str("no answer in time: the reactors are busy, or sockets are behind"),
            Self::Refused(error) => f.write_str(&error.message),
            Self::Stopped => f.write_str("the server stops or has stopped"),
            Self::Overloaded => f.write_str(
                "a reactor's mailbox is full, and its sessions were not reached: send less, or raise \
                 limits.mailbox_messages and limits.mailbox_bytes",
            ),
        }
    }
}

impl std::error::Error for PushError {}

/// The reactor that publishes to other nodes what other threads push and ask: always the same, so that the order is kept.
const SPEAKER: usize = 0;

/// An action that is under way, and whether every reactor with a part in it was reached.
type Begun = (Arc<Operation>, Result<(), PushError>);

impl Pusher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message on its way and returns. Sessions that are reached, and those that are not, are counted in the
    /// metrics.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::Stopped`]; [`PushError::Overloaded`] when at least one reactor with sessions
    /// of the target was not reached: the others have the message.
    pub fn push(
        &self,
        app: &str,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
    ) -> Result<(), PushError> {
        self.send(app, target, frame, options, Origin::Nobody)
    }

    /// Sends a message and waits for its receipt; `options.receipt` says how far it must have come. Never on a
    /// reactor's own thread, which would wait for itself. Reactors that were not reached are in the receipt; with
    /// [`ReceiptMode::None`] there is none, and they are an error as for [`Pusher::push`].
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::TimedOut`] after `patience`; [`PushError::Stopped`] as soon as the server
    /// ends without an answer.
    pub fn push_and_wait(
        &self,
        app: &str,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
        patience: Duration,
    ) -> Result<Receipt, PushError> {
        if options.receipt == ReceiptMode::None {
            self.send(app, target, frame, options, Origin::Nobody)?;
            return Ok(Receipt::default());
        }
        let (sender, receiver) = mpsc::channel();
        match self.send(app, target, frame, options, Origin::Receipt(sender)) {
            // The receipt says so, and what became of the rest.
            Ok(()) | Err(PushError::Overloaded) => receive(&receiver, patience),
            Err(error) => Err(error),
        }
    }

    /// Carries out an action on sessions and waits for the outcome. Never on a reactor's own thread.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::TimedOut`] after `patience`; [`PushError::Refused`] as the API says;
    /// [`PushError::Stopped`] as soon as the server ends without an answer; [`PushError::Overloaded`] when a reactor was not
    /// reached: the others have carried it out.
    pub fn act(&self, app: &str, action: Action, patience: Duration) -> Result<OperationOutcome, PushError> {
        let (sender, receiver) = mpsc::channel();
        let (operation, unreached) = self.begin(app, action, Origin::Outcome(sender))?;
        let outcome = match operation.finish_part() {
            true => operation.outcome(),
            false => {
                // Its end would not be heard while a sender is kept here.
                drop(operation);
                receive(&receiver, patience)?
            }
        };
        unreached.and(outcome.map_err(PushError::Refused))
    }

    /// Has an action carried out on sessions and returns: nothing waits for its outcome, so this is for an App's methods too.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::Stopped`]; [`PushError::Refused`] where that is known before any session is looked
    /// at; [`PushError::Overloaded`] when a reactor was not reached: the others carry it out.
    pub fn post(&self, app: &str, action: Action) -> Result<(), PushError> {
        let (operation, unreached) = self.begin(app, action, Origin::Nobody)?;
        match operation.finish_part() {
            true => unreached.and(operation.outcome().map(drop).map_err(PushError::Refused)),
            false => unreached,
        }
    }

    /// Posts an action to the reactors that have a part in it. It, with one part left, and whether all were reached.
    fn begin(&self, app: &str, action: Action, origin: Origin) -> Result<Begun, PushError> {
        let app = self.app(app)?;
        match &action {
            Action::Kick { code, reason, .. } => {
                check_close_code(*code)
                    .and_then(|()| check_close_reason(reason))
                    .map_err(PushError::Refused)?;
            }
            Action::Ban { reason, .. } => check_close_reason(reason).map_err(PushError::Refused)?,
            _ => {}
        }
        let operation = Arc::new(Operation::new(app, action, origin));
        let mut reached = Ok(());
        if self.shared.cluster.is_some() {
            operation.add_part();
            if self.shared.handle.post(SPEAKER, Envelope::Start(Arc::clone(&operation))).is_err() {
                reached = Err(self.not_taken(SPEAKER));
                operation.finish_part();
            }
            return Ok((operation, reached));
        }
        for reactor in self.shared.reactors_for(&operation).iter() {
            operation.add_part();
            if self.shared.handle.post(reactor, Envelope::Operation(Arc::clone(&operation))).is_err() {
                reached = Err(self.not_taken(reactor));
                operation.finish_part();
            }
        }
        Ok((operation, reached))
    }

    /// Closes sessions with `code` and `reason`; returns how many.
    ///
    /// # Errors
    /// As [`Pusher::act`]; [`PushError::Refused`] with `bad_request` where `code` is none of 1000, 1001, 1008, 1011 to
    /// 1013 and 3000 to 4999, or `reason` has more than 123 bytes.
    pub fn kick(
        &self,
        app: &str,
        who: Who,
        code: CloseCode,
        reason: &str,
        patience: Duration,
    ) -> Result<u32, PushError> {
        let action = Action::Kick { who, code: code.0, reason: reason.into() };
        Ok(match self.act(app, action, patience)? {
            OperationOutcome::Partial { of, .. } => sessions_of(&of),
            outcome => sessions_of(&outcome),
        })
    }

    /// The app called so, of a server that still has players.
    fn app(&self, app: &str) -> Result<AppId, PushError> {
        self.app_of(&self.shared.in_force.look(), app)
    }

    fn app_of(&self, rules: &Rules, app: &str) -> Result<AppId, PushError> {
        if self.shared.ending.load(Ordering::Acquire) {
            return Err(PushError::Stopped);
        }
        rules.apps.find(app).map_err(|_| PushError::UnknownApp)
    }

    /// Why the mailbox of `reactor` did not take what was posted.
    fn not_taken(&self, reactor: usize) -> PushError {
        match self.shared.handle.is_closed(reactor) {
            true => PushError::Stopped,
            false => PushError::Overloaded,
        }
    }

    fn count_push(&self, app: AppId) {
        self.shared.outside.pushes.of(app.0).fetch_add(1, Ordering::Relaxed);
        self.shared.outside.has_pushes.store(true, Ordering::Release);
    }

    fn send(
        &self,
        app: &str,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
        origin: Origin,
    ) -> Result<(), PushError> {
        let mut reached = Ok(());
        let rules = self.shared.in_force.look();
        let app = self.app_of(&rules, app)?;
        let now = self.shared.clock.now();
        rules.delivery_rules.check_target(app, &target).map_err(PushError::Refused)?;
        let deadline_ms = rules.deadline_ms(now, &options);
        let push = Arc::new(Push::new(app, target, frame, options, now.ns, deadline_ms, origin));
        if self.shared.cluster.is_some() {
            self.count_push(app);
            // Its own part is the reactor's.
            return self
                .shared
                .handle
                .post(SPEAKER, Envelope::Publish(push))
                .map_err(|_| self.not_taken(SPEAKER));
        }
        self.shared.count_unroutable(&push);
        if let Remembering::One(group, _) = rules.delivery_rules.remembering(app, &push.target) {
            // Its owner sends it to everybody.
            let owner = self.shared.owner_of(scope_of(app, group));
            push.add_part();
            if self.shared.handle.post(owner, Envelope::Remember(Arc::clone(&push))).is_err() {
                reached = Err(self.not_taken(owner));
                self.shared.count_owner_unreached(&push);
                self.shared.outside.dropped.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            for reactor in self.shared.interest.reactors_of(app, &push.target).iter() {
                push.add_part();
                if self.shared.handle.post(reactor, Envelope::Push(Arc::clone(&push))).is_err() {
                    reached = Err(self.not_taken(reactor));
                    self.shared.count_unreached(&push, reactor);
                    self.shared.outside.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        drop(rules);
        self.count_push(app);
        if push.finish_part() {
            let receipt = push.receipt();
            self.shared.outside.offline.fetch_add(u64::from(receipt.offline), Ordering::Relaxed);
            if let Origin::Receipt(sender) = &push.origin {
                // The receiver is waiting: it is in the caller's own frame.
                let _ = sender.send(receipt);
            }
        }
        reached
    }
}

/// How many sessions a kick has closed.
fn sessions_of(outcome: &OperationOutcome) -> u32 {
    match outcome {
        OperationOutcome::Sessions(count) | OperationOutcome::Changed { sessions: count, .. } => *count,
        OperationOutcome::Session(_)
        | OperationOutcome::Page(_)
        | OperationOutcome::Presence(_)
        | OperationOutcome::Renewed { .. }
        | OperationOutcome::Joined { .. }
        | OperationOutcome::Kept(_)
        | OperationOutcome::Unbanned(_)
        | OperationOutcome::Bans(_)
        | OperationOutcome::Counted(_)
        | OperationOutcome::Names(_)
        | OperationOutcome::Stats(_)
        | OperationOutcome::Recording { .. }
        | OperationOutcome::Record(_)
        | OperationOutcome::Forgotten(_)
        | OperationOutcome::Partial { .. } => 0,
    }
}

/// Waits for an answer. Without a sender there is none to come: the last reactor that had a part in it has ended.
fn receive<T>(receiver: &mpsc::Receiver<T>, patience: Duration) -> Result<T, PushError> {
    receiver.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => PushError::TimedOut,
        RecvTimeoutError::Disconnected => PushError::Stopped,
    })
}
