//! Pushing and commanding from any thread.

use crate::core::{Envelope, Shared};
use crate::dispatch::{
    Action, CommandError, EncodedFrame, ErrorCode, Operation, OperationOutcome, Origin, Push, PushOptions,
    Receipt, ReceiptMode, Target, Who,
};
use crate::protocol::CloseCode;
use crate::session::AppId;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushError {
    /// The configuration has no such app.
    UnknownApp,
    /// The answer did not come in the time that was given; the push or command may still be carried out.
    TimedOut,
    /// The server said why.
    Refused(CommandError),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownApp => f.write_str("no such app: add a table [apps.NAME] to the configuration"),
            Self::TimedOut => {
                f.write_str("no answer in time: the reactors are busy, or the server has stopped")
            }
            Self::Refused(error) => f.write_str(&error.message),
        }
    }
}

impl std::error::Error for PushError {}

impl Pusher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message on its way and returns. Sessions that are reached, and those that are not, are counted in the
    /// metrics.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`].
    pub fn push(
        &self,
        app: &str,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
    ) -> Result<(), PushError> {
        let app = self.app(app)?;
        self.send(app, target, frame, options, Origin::Nobody);
        Ok(())
    }

    /// Sends a message and waits for its receipt; `options.receipt` says how far it must have come. Never on a
    /// reactor's own thread, which would wait for itself.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::TimedOut`] after `patience`.
    pub fn push_and_wait(
        &self,
        app: &str,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
        patience: Duration,
    ) -> Result<Receipt, PushError> {
        let app = self.app(app)?;
        if options.receipt == ReceiptMode::None {
            self.send(app, target, frame, options, Origin::Nobody);
            return Ok(Receipt::default());
        }
        let (sender, receiver) = mpsc::channel();
        self.send(app, target, frame, options, Origin::Receipt(sender));
        receiver.recv_timeout(patience).map_err(|_| PushError::TimedOut)
    }

    /// Carries out an action on sessions and waits for the outcome. Never on a reactor's own thread.
    ///
    /// # Errors
    /// [`PushError::UnknownApp`]; [`PushError::TimedOut`] after `patience`; [`PushError::Refused`] as the API says.
    pub fn act(&self, app: &str, action: Action, patience: Duration) -> Result<OperationOutcome, PushError> {
        let app = self.app(app)?;
        let (sender, receiver) = mpsc::channel();
        let operation = Arc::new(Operation::new(app, action, Origin::Outcome(sender.clone())));
        for reactor in self.shared.reactors_for(&operation).iter() {
            operation.add_part();
            if self.shared.handle.post(reactor, Envelope::Operation(Arc::clone(&operation))).is_err() {
                operation
                    .fail(CommandError::new(ErrorCode::Overloaded, "a reactor's mailbox is full: try again"));
                operation.finish_part();
            }
        }
        if operation.finish_part() {
            return operation.outcome().map_err(PushError::Refused);
        }
        let outcome = receiver.recv_timeout(patience).map_err(|_| PushError::TimedOut)?;
        outcome.map_err(PushError::Refused)
    }

    /// Closes sessions with `code` and `reason` (at most 123 bytes); returns how many.
    ///
    /// # Errors
    /// As [`Pusher::act`].
    pub fn kick(
        &self,
        app: &str,
        who: Who,
        code: CloseCode,
        reason: &str,
        patience: Duration,
    ) -> Result<u32, PushError> {
        let action = Action::Kick { who, code: code.0, reason: reason.into() };
        match self.act(app, action, patience)? {
            OperationOutcome::Sessions(count) => Ok(count),
            OperationOutcome::Session(_) | OperationOutcome::Page(_) => Ok(0),
        }
    }

    fn app(&self, app: &str) -> Result<AppId, PushError> {
        self.shared.apps.find(app).map_err(|_| PushError::UnknownApp)
    }

    fn send(&self, app: AppId, target: Target, frame: EncodedFrame, options: PushOptions, origin: Origin) {
        let now = self.shared.clock.now();
        let deadline_ms = self.shared.deadline_ms(now, &options);
        let push = Arc::new(Push::new(app, target, frame, options, now.ns, deadline_ms, origin));
        self.shared.count_unroutable(&push);
        for reactor in self.shared.interest.reactors_of(app, &push.target).iter() {
            push.add_part();
            if self.shared.handle.post(reactor, Envelope::Push(Arc::clone(&push))).is_err() {
                self.shared.count_unreached(&push, reactor);
                self.shared.outside.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.outside.pushes.fetch_add(1, Ordering::Relaxed);
        if !push.finish_part() {
            return;
        }
        let receipt = push.receipt();
        self.shared.outside.offline.fetch_add(u64::from(receipt.offline), Ordering::Relaxed);
        if let Origin::Receipt(sender) = &push.origin {
            // The receiver is waiting: it is in the caller's own frame.
            let _ = sender.send(receipt);
        }
    }
}
