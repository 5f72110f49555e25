//! A link: a backend's WebSocket, commands in, replies and events out. Replies come as soon as their commands are done;
//! only what changes something is done before the next command is looked at. Knows nothing of HTTP after the upgrade.

mod carry;

pub use carry::CarriedLink;

use super::asker::Asker;
use super::receipts::Receipts;
use crate::app::Message;
use crate::auth::BackendKeys;
use crate::connection::{Kind, Pause, Phase};
use crate::core::{Core, Finished, Reply, Started};
use crate::dispatch::{Action, Command, CommandError, LinkForm, Outcome, Push, ReceiptMode};
use crate::gateway::api::json::{self, LinkCommand, LinkError, RequestId};
use crate::gateway::api::{binary, render};
use crate::ops::bounds::bad_request;
use crate::protocol::{FrameHeader, OpCode, WebSocket};
use crate::session::{AppId, SessionId};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// A reply; empty where there is to be none. Most replies of the binary link fit in without an allocation.
type ReplyBytes = SmallVec<[u8; 48]>;

/// Which command a reply is for. A command without an id gets none when it is done.
#[derive(Debug)]
enum ReplyTo {
    /// In JSON, under this id.
    Json(Option<RequestId>),
    /// In the binary layout; 0 is no id.
    Binary(u32),
}

impl ReplyTo {
    /// The reply to a command that has come to its end.
    fn done(&self, scratch: &mut Vec<u8>, asked: Option<&Action>, outcome: &Outcome) -> ReplyBytes {
        match self {
            Self::Json(None) | Self::Binary(0) => ReplyBytes::new(),
            Self::Json(Some(id)) => in_json(|out| render::reply(out, Some(id), asked, outcome)),
            Self::Binary(id) => in_binary(scratch, |out| binary::reply(*id, outcome, out)),
        }
    }

    /// The reply to what could not be understood, which nobody might otherwise hear of.
    fn not_understood(&self, scratch: &mut Vec<u8>, error: &CommandError) -> ReplyBytes {
        match self {
            Self::Json(id) => in_json(|out| render::reply_error(out, id.as_ref(), error)),
            Self::Binary(id) => in_binary(scratch, |out| binary::reply_error(*id, error, out)),
        }
    }
}

fn in_json(render: impl FnOnce(&mut String)) -> ReplyBytes {
    let mut json = String::new();
    render(&mut json);
    ReplyBytes::from_vec(json.into_bytes())
}

fn in_binary(scratch: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) -> ReplyBytes {
    scratch.clear();
    encode(scratch);
    ReplyBytes::from_slice(scratch)
}

/// A message that the link's form does not have.
pub struct Refused {
    /// The close reason.
    pub reason: &'static str,
}

/// The state of a link.
#[derive(Debug)]
pub struct Link {
    id: SessionId,
    /// The app of commands that name none.
    app: AppId,
    form: LinkForm,
    /// Who opened it, and may do what each command asks for.
    asker: Asker,
    commands: Commands,
    receipts: Receipts,
    /// Where replies are encoded.
    scratch: Vec<u8>,
    /// The command that has to be done before the next one starts.
    barrier: Option<u64>,
    listens: bool,
    /// Its last command waits behind what turns left over: until it is done, others ask.
    ticket: u64,
    /// The commands of a message that holds several, which have not begun: nothing is read meanwhile.
    queued: VecDeque<Box<[u8]>>,
}

/// The commands that are not done, by their sequence numbers: a place in the table, and above it a count that makes sure
/// that an answer which comes too late finds nobody.
#[derive(Debug, Default)]
struct Commands {
    waiting: Slab<Waiting>,
    begun: u32,
    /// Those that wait for sockets.
    receipts: usize,
}

#[derive(Debug)]
struct Waiting {
    sequence: u64,
    reply_to: ReplyTo,
    waits_for_sockets: bool,
}

impl Commands {
    /// The number of the next command, and its place.
    fn open(&mut self, reply_to: ReplyTo, waits_for_sockets: bool) -> u64 {
        self.begun = self.begun.wrapping_add(1);
        self.receipts += usize::from(waits_for_sockets);
        let entry = self.waiting.vacant_entry();
        let sequence = u64::from(self.begun) << 32 | entry.key() as u64;
        entry.insert(Waiting { sequence, reply_to, waits_for_sockets });
        sequence
    }

    fn is_waiting(&self, sequence: u64) -> bool {
        self.waiting.get(sequence as u32 as usize).is_some_and(|waiting| waiting.sequence == sequence)
    }

    fn take(&mut self, sequence: u64) -> Option<ReplyTo> {
        if !self.is_waiting(sequence) {
            return None;
        }
        let waiting = self.waiting.remove(sequence as u32 as usize);
        self.receipts -= usize::from(waiting.waits_for_sockets);
        Some(waiting.reply_to)
    }

    /// Those that wait for reactors only.
    fn quick(&self) -> usize {
        self.waiting.len() - self.receipts
    }
}

impl Link {
    /// A link right after its upgrade.
    pub fn new(core: &Core, id: SessionId, app: AppId, form: LinkForm, asker: Asker) -> Self {
        core.metrics().links.add(1);
        Self {
            id,
            app,
            form,
            asker,
            commands: Commands::default(),
            receipts: Receipts::default(),
            scratch: Vec::new(),
            barrier: None,
            listens: false,
            ticket: 0,
            queued: VecDeque::new(),
        }
    }

    /// The connection in `slot` is a link from here on, whose state is at `door`; `rest` came behind the request.
    pub fn begin(core: &mut Core, slot: u32, door: u32, rest: Vec<u8>) {
        let websocket = WebSocket::server(Arc::clone(&core.rules.settings.link_limits));
        let attended_ms = core.attended_ms();
        let Some(connection) = core.connection(slot) else { return };
        connection.kind = Kind::Link;
        connection.websocket = Some(websocket);
        connection.set_door(door);
        connection.touch(attended_ms);
        if !rest.is_empty() {
            connection.extras().held = rest;
        }
        core.set_door_due(slot, None);
        core.resume(slot, Pause::Barrier);
        core.resume(slot, Pause::Answers);
        core.read_later(slot);
    }

    /// Its connection.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Its connection has become a link.
    pub fn note_opened(&self) {
        self.asker.note_link_opened(self.id, self.app);
    }

    /// Its connection has gone.
    pub fn note_closed(&self) {
        self.asker.note_link_closed(self.id, self.app);
    }

    /// The keys of the port are others: it goes on with what its key may do now. `false` where that is less than before.
    pub fn follow_keys(&mut self, before: &BackendKeys, now: &BackendKeys) -> bool {
        self.asker.follow_keys(before, now)
    }

    /// How it speaks.
    pub fn form(&self) -> LinkForm {
        self.form
    }

    /// Whether it asked for events, so that the reactors have to be told of its end.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// Another connection has the link now: this one's end is nobody's.
    pub fn listens_no_more(&mut self) {
        self.listens = false;
    }

    /// The link that it goes on with had asked for events.
    pub fn listens_again(&mut self) {
        self.listens = true;
    }

    /// The app of commands that name none.
    pub fn app(&self) -> AppId {
        self.app
    }

    /// A message of the link: one command.
    ///
    /// # Errors
    /// A message that is not of the link's form: it is to be closed with 1003.
    pub fn message(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
        message: Message<'_>,
    ) -> Result<(), Refused> {
        let most = core.rules.settings.config.limits.max_pipelined;
        let (bytes, commands) = match (message, self.form) {
            (Message::Text(text), LinkForm::Json) => {
                (text.as_bytes(), json::is_list(text).then(|| json::list(text, most)))
            }
            (Message::Binary(bytes), LinkForm::Binary) => (bytes, binary::list(bytes, most).transpose()),
            (_, LinkForm::Json) => return Err(Refused { reason: "gannet.link.json takes text messages" }),
            (_, LinkForm::Binary) => return Err(Refused { reason: "gannet.link.bin takes binary messages" }),
        };
        match commands {
            None => {
                let out = self.carry_out(core, id, bytes);
                self.frame(&out, &mut reply.messages);
            }
            Some(Ok(commands)) => self.begin_several(core, reply, id, commands),
            Some(Err(error)) => {
                let nobody = match self.form {
                    LinkForm::Json => ReplyTo::Json(None),
                    LinkForm::Binary => ReplyTo::Binary(0),
                };
                let out = nobody.not_understood(&mut self.scratch, &error);
                self.frame(&out, &mut reply.messages);
            }
        }
        if reply.is_full() {
            core.write_reply(id.slot(), reply);
        }
        self.settle(core, id);
        Ok(())
    }

    /// Carries out the commands of one message as far as they may begin; the rest of them waits.
    fn begin_several(&mut self, core: &mut Core, reply: &mut Reply, id: SessionId, commands: Vec<&[u8]>) {
        let mut commands = commands.into_iter();
        while self.may_begin(core, id)
            && let Some(command) = commands.next()
        {
            let out = self.carry_out(core, id, command);
            self.frame(&out, &mut reply.messages);
            if reply.is_full() {
                core.write_reply(id.slot(), reply);
            }
        }
        self.queued.extend(commands.map(Box::from));
    }

    /// Goes on with the commands of a message that holds several.
    fn go_on_with_several(&mut self, core: &mut Core, id: SessionId) {
        while self.may_begin(core, id)
            && let Some(command) = self.queued.pop_front()
        {
            let out = self.carry_out(core, id, &command);
            self.send(core, id, &out);
        }
    }

    /// Carries out one command, which is all of a message or one of several in it; the reply, where there is one already.
    fn carry_out(&mut self, core: &mut Core, id: SessionId, command: &[u8]) -> ReplyBytes {
        let (apps, limits) = (self.asker.apps(), &core.rules.settings.command_limits);
        match self.form {
            LinkForm::Binary => {
                let parsed = binary::parse(command, apps, limits);
                self.command(core, id, parsed, ReplyTo::Binary)
            }
            LinkForm::Json => {
                let refused = |_| LinkError { id: None, error: bad_request("the command is not UTF-8") };
                let parsed = str::from_utf8(command).map_err(refused);
                let parsed = parsed.and_then(|text| json::parse(text, apps, limits));
                self.command(core, id, parsed, ReplyTo::Json)
            }
        }
    }

    /// Carries out one command; the reply, where there is one already.
    fn command<I>(
        &mut self,
        core: &mut Core,
        id: SessionId,
        parsed: Result<LinkCommand<I>, LinkError<I>>,
        reply_to: impl FnOnce(I) -> ReplyTo,
    ) -> ReplyBytes {
        let mut parsed = match parsed {
            Ok(parsed) => parsed,
            Err(refused) => return reply_to(refused.id).not_understood(&mut self.scratch, &refused.error),
        };
        if let Err(error) = self.asker.permit(core, parsed.op.row.needs) {
            return reply_to(parsed.id).not_understood(&mut self.scratch, &error);
        }
        self.asker.narrow(core, &mut parsed.command);
        let (app, is_barrier) = (parsed.app.unwrap_or(self.app), parsed.op.row.is_barrier);
        let asks_for_events = matches!(parsed.command, Command::Listen(_));
        let waits_for_sockets = waits_for_sockets(&parsed.command);
        let sequence = self.commands.open(reply_to(parsed.id), waits_for_sockets);
        let started = core.execute(id, sequence, app, parsed.command);
        self.ticket = core.work_ticket();
        self.listens |= asks_for_events && !matches!(started, Started::Finished(Finished::Refused(_)));
        match started {
            Started::Finished(finished) => return self.finish(core, sequence, &finished),
            Started::Push(push) => self.await_receipt(core, sequence, push),
            Started::Operation if is_barrier => self.barrier = Some(sequence),
            Started::Operation => {}
        }
        ReplyBytes::new()
    }

    fn await_receipt(&mut self, core: &Core, sequence: u64, push: Arc<Push>) {
        let deadline_ms = core.now.ms + core.rules.settings.receipt_ms;
        let Self { receipts, commands, .. } = self;
        receipts.add(deadline_ms, sequence, push, |sequence| commands.is_waiting(sequence));
    }

    /// The reply to a command that is done, unless it has been answered.
    fn finish(&mut self, core: &Core, sequence: u64, finished: &Finished) -> ReplyBytes {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        self.asker.note(finished);
        let Some(reply_to) = self.commands.take(sequence) else { return ReplyBytes::new() };
        let mut out = ReplyBytes::new();
        let ticks = |app| core.tick_phases(app);
        finished.with_outcome(ticks, |asked, outcome| out = reply_to.done(&mut self.scratch, asked, outcome));
        out
    }

    /// A command is done that was not done at once.
    pub fn answer(&mut self, core: &mut Core, id: SessionId, sequence: u64, finished: &Finished) {
        let out = self.finish(core, sequence, finished);
        self.send(core, id, &out);
        self.go_on(core, id);
    }

    /// Answers the receipts whose time is over with what is known of them.
    pub fn answer_late_receipts(&mut self, core: &mut Core, id: SessionId) {
        while let Some((sequence, push)) = self.receipts.take_late(core.now.ms) {
            let out = self.finish(core, sequence, &Finished::Push(push));
            self.send(core, id, &out);
        }
        self.go_on(core, id);
    }

    /// Its outbox has drained, or the next turn has come, or a command is done.
    pub fn go_on(&mut self, core: &mut Core, id: SessionId) {
        self.go_on_with_several(core, id);
        self.settle(core, id);
    }

    /// Says whether the link is read on, and when it is due.
    fn settle(&mut self, core: &mut Core, id: SessionId) {
        let slot = id.slot();
        core.set_pause(slot, Pause::Barrier, self.barrier.is_some());
        let has_to_wait = !core.is_work_done(self.ticket);
        let waits = self.is_full(core, id) || has_to_wait || !self.queued.is_empty();
        core.set_pause(slot, Pause::Answers, waits);
        if has_to_wait {
            core.read_later(slot);
        }
        let Self { receipts, commands, .. } = self;
        core.set_door_due(slot, receipts.next_due_ms(|sequence| commands.is_waiting(sequence)));
    }

    /// Whether as much as may be waits: commands that are not done, or replies that it does not take.
    fn is_full(&self, core: &Core, id: SessionId) -> bool {
        let limits = &core.rules.settings.config.limits;
        let (most, most_receipts) = (limits.max_pipelined, limits.max_receipts);
        let room = core.rules.settings.outbox.bytes;
        let outbox = core.connections.get(id).and_then(|connection| connection.outbox.as_ref());
        // Events are bounded elsewhere: what is meant are its own replies, which it does not take.
        let is_behind = outbox.is_some_and(|outbox| outbox.bounded_bytes() > room);
        is_behind || self.commands.quick() >= most || self.commands.receipts >= most_receipts
    }

    /// Whether the next of several commands may begin.
    fn may_begin(&self, core: &Core, id: SessionId) -> bool {
        let is_held = self.barrier.is_some() || core.stands_still || !core.is_work_done(self.ticket);
        !is_held && !self.is_full(core, id)
    }

    /// Queues a reply. How many there can be is bounded by the commands that are not done.
    fn send(&mut self, core: &mut Core, id: SessionId, out: &[u8]) {
        let is_open = core.connections.get(id).is_some_and(|connection| connection.phase == Phase::Open);
        if is_open && !out.is_empty() {
            let mut frame = Vec::with_capacity(out.len() + 10);
            self.frame(out, &mut frame);
            core.append(id.slot(), frame);
        }
    }

    fn frame(&self, reply: &[u8], out: &mut Vec<u8>) {
        if reply.is_empty() {
            return;
        }
        let opcode = match self.form {
            LinkForm::Json => OpCode::Text,
            LinkForm::Binary => OpCode::Binary,
        };
        FrameHeader::plain(opcode, reply.len()).encode(out);
        out.extend_from_slice(reply);
    }
}

fn waits_for_sockets(command: &Command) -> bool {
    matches!(command, Command::Push { options, .. } if options.receipt == ReceiptMode::Written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_too_late_finds_nobody() {
        let mut commands = Commands::default();
        let first = commands.open(ReplyTo::Binary(1), true);
        let second = commands.open(ReplyTo::Binary(2), false);
        assert_eq!((commands.receipts, commands.quick()), (1, 1));
        assert!(matches!(commands.take(first), Some(ReplyTo::Binary(1))));
        // The place is taken again, by another command.
        let third = commands.open(ReplyTo::Binary(3), false);
        assert!(commands.take(first).is_none() && first as u32 == third as u32);
        assert!(commands.is_waiting(second) && commands.is_waiting(third));
        assert_eq!((commands.receipts, commands.quick()), (0, 2));
    }
}
