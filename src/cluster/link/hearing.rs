//! What a link understands of what its connection brought.

use super::super::fault::{Fault, FaultKind};
use super::super::resp::{Frame, Value};
use super::greeting::Greeting;
use super::owed::Kind;
use super::{Ending, Event, Happened, Link, State, parser};

impl Link {
    pub(super) fn happened(&mut self) -> Option<Happened> {
        // What a connection brought before it ended comes first.
        loop {
            match self.parser.next() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    if let Some(happened) = self.take(frame) {
                        return Some(happened);
                    }
                }
                Err(error) => {
                    self.break_off(Fault::new(FaultKind::Protocol, error.to_string()));
                    break;
                }
            }
        }
        let Ending { fault, was_up, .. } = self.ending.take()?;
        self.forget();
        if self.route.ended(&fault) {
            self.state = State::Waiting(Some(0));
            // On its way nothing has failed: who has the slot was not known.
            if !was_up {
                return None;
            }
        }
        Some(Happened::Event(if was_up { Event::Down(fault) } else { Event::Failed(fault) }))
    }

    pub(super) fn take(&mut self, frame: Frame) -> Option<Happened> {
        let ended_in = self.ending.as_mut().and_then(|ending| ending.introduction.as_mut());
        if let (State::Greeting { introduction, .. }, _) | (_, Some(introduction)) =
            (&mut self.state, ended_in)
        {
            let Frame::Value(answer) = frame else { return None };
            let answered = introduction.answer(&answer, self.outgoing.tail());
            return self.answered(answered);
        }
        if let Frame::Value(Value::Error(error)) = &frame
            && self.route.is_of_cluster()
            && let Some(fault) = no_slot(error)
        {
            self.break_off(fault);
            return None;
        }
        let (kind, happened) = match frame {
            Frame::Message { channel, payload } => return Some(Happened::Message(channel, payload)),
            Frame::Value(Value::Push(_)) => return None,
            Frame::Subscribed(channel) => (Kind::Confirmation, Happened::Subscribed(channel)),
            Frame::Unsubscribed(channel) => (Kind::Confirmation, Happened::Unsubscribed(channel)),
            Frame::Value(Value::Error(error)) if self.owed.next() == Some(Kind::Confirmation) => {
                self.break_off(Fault::answered("SUBSCRIBE", &error));
                return None;
            }
            Frame::Value(value) => (Kind::Reply, Happened::Event(Event::Reply(value))),
        };
        if !self.owed.take(kind) {
            // A Redis Cluster ends subscriptions by itself when their slot goes to another server.
            let fault = match self.route.is_of_cluster() && kind == Kind::Confirmation {
                true => Fault::new(FaultKind::Moved, "its slot has gone to another server"),
                false => Fault::new(FaultKind::Protocol, "it answers what it was not asked"),
            };
            self.break_off(fault);
            return None;
        }
        if self.owed.is_empty() {
            self.silent_since_ms = None;
        }
        Some(happened)
    }

    /// Goes on with the greeting.
    pub(super) fn answered(&mut self, answered: Result<Option<Greeting>, Fault>) -> Option<Happened> {
        match answered {
            Err(fault) => self.break_off(fault),
            Ok(None) => self.write(),
            Ok(Some(greeting)) => {
                match std::mem::replace(&mut self.state, State::Waiting(None)) {
                    State::Greeting { wire, .. } => self.state = State::Up(wire),
                    // It has ended meanwhile, and was never up.
                    _ => {
                        self.parser = parser(&self.limits);
                        return None;
                    }
                }
                self.backoff.reset();
                self.route.came_up();
                self.greeted = Some(greeting.clone());
                return Some(Happened::Event(Event::Up(greeting)));
            }
        }
        None
    }

    /// Ends the connection because of what it brought; nothing behind that is looked at.
    pub(super) fn break_off(&mut self, fault: Fault) {
        self.parser = parser(&self.limits);
        match &mut self.ending {
            // It has ended already; this says more about why.
            Some(ending) => ending.fault = fault,
            None => self.end(fault),
        }
    }
}

/// What a server of a Redis Cluster answers that does not serve a slot: nothing is done, here or for now.
fn no_slot(error: &str) -> Option<Fault> {
    let is_down = error.starts_with("CLUSTERDOWN");
    Fault::moved(error).or_else(|| is_down.then(|| Fault::answered("a command", error)))
}
