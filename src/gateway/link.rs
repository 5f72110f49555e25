//! A link: a backend's WebSocket, commands in, replies and events out. What a command changes is done before the next one
//! is looked at. Knows nothing of HTTP after the upgrade.

use super::execute::{Finished, is_barrier};
use super::link_json::{self, RequestId};
use super::{Gateway, render};
use crate::connection::{Item, Lane, Phase, Stage};
use crate::dispatch::Command;
use crate::protocol::{CloseCode, Event, Input, OpCode, WebSocket, encode_frame};
use crate::reactor::Core;
use crate::session::{AppId, SessionId};

/// The state of a link.
#[derive(Debug)]
pub struct Link {
    /// The RFC 6455 state.
    pub websocket: WebSocket,
    /// The app of commands that name none.
    app: AppId,
    /// Replies in the order of their commands.
    lane: Lane<Option<RequestId>>,
    /// The command that has to be done before the next one starts.
    barrier: Option<u64>,
    /// Read, but not parsed: what came behind a barrier.
    held: Vec<u8>,
    /// Nothing is read until a command is done or the outbox has drained.
    paused: bool,
    listens: bool,
}

impl Link {
    /// A link right after its upgrade; `held` came behind the request.
    pub fn new(websocket: WebSocket, app: AppId, held: Vec<u8>) -> Self {
        let lane = Lane::default();
        Self { websocket, app, lane, barrier: None, held, paused: false, listens: false }
    }

    /// Whether it is not to be read.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it asked for events, so that the reactors have to be told of its end.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The app of commands that name none.
    pub fn app(&self) -> AppId {
        self.app
    }

    /// The answer to a command is there.
    pub fn fill(&mut self, sequence: u64, finished: &Finished) {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        finished.with_outcome(|asked, outcome| {
            self.lane.fill(sequence, |id| match id {
                Some(id) => {
                    let mut json = String::new();
                    render::reply(&mut json, Some(id), asked, outcome);
                    encode_frame(OpCode::Text, json.as_bytes())
                }
                // A command without an id gets no reply.
                None => Vec::new(),
            });
        });
    }

    /// Moves the replies that may leave to `replies`. Returns whether any command's place became free.
    fn take_replies(&mut self, replies: &mut Vec<u8>) -> bool {
        let before = self.lane.len();
        while let Some(reply) = self.lane.take_ready() {
            replies.extend_from_slice(&reply);
        }
        self.lane.len() < before
    }

    fn may_go_on(&self, most: usize) -> bool {
        self.barrier.is_none() && self.lane.len() < most && self.websocket.can_receive()
    }
}

impl Gateway {
    /// Bytes from a link.
    pub fn link_input(&mut self, core: &mut Core, slot: u32, input: &[u8]) {
        if let Some(Stage::Link(link)) = core.connection(slot).map(|connection| &mut connection.stage) {
            link.held.extend_from_slice(input);
        }
        self.run_link(core, slot);
    }

    /// Handles what has been read of a link as far as it may go, and sends the replies that are ready.
    pub fn run_link(&mut self, core: &mut Core, slot: u32) {
        let most = core.shared.settings.config.limits.max_pipelined;
        let Some(id) = core.connections.id_of(slot) else { return };
        let Some(connection) = core.connection(slot) else { return };
        let phase = connection.phase;
        if phase == Phase::Doomed {
            return;
        }
        // While it is worked on, nobody else may find it: the core can be used freely.
        let mut link = match std::mem::replace(&mut connection.stage, Stage::Discard) {
            Stage::Link(link) => link,
            other => {
                connection.stage = other;
                return;
            }
        };
        let mut held = std::mem::take(&mut link.held);
        let mut used = 0;
        let mut replies = Vec::new();
        let mut ending = None;
        // The replies that leave make room for further commands.
        while ending.is_none() {
            ending = self.run_commands(core, id, &mut link, &mut held, &mut used, phase);
            if !link.take_replies(&mut replies) {
                break;
            }
        }
        held.drain(..used);
        link.held = held;
        let was_paused = link.paused;
        link.paused = ending.is_none() && !link.may_go_on(most);
        let resumed = was_paused && !link.paused;
        if let Some(connection) = core.connection(slot) {
            connection.stage = Stage::Link(link);
        }
        if !replies.is_empty() {
            core.offer(slot, Item::Owned(replies.into()));
        }
        match ending {
            None => core.write_answers(slot),
            Some(LinkEnding::PeerClosed) => core.peer_closed(slot, CloseCode::NORMAL.0, ""),
            Some(LinkEnding::Violated(error)) => core.violated(slot, &error),
            Some(LinkEnding::Unsupported) => {
                core.write_answers(slot);
                core.close(slot, CloseCode::UNSUPPORTED_DATA, "gannet.link.json takes text messages");
            }
        }
        if resumed {
            core.read_later(slot);
        }
    }

    /// Handles whole messages in `held` from `used` on, until one has to wait.
    fn run_commands(
        &mut self,
        core: &mut Core,
        id: SessionId,
        link: &mut Link,
        held: &mut [u8],
        used: &mut usize,
        phase: Phase,
    ) -> Option<LinkEnding> {
        let most = core.shared.settings.config.limits.max_pipelined;
        while link.may_go_on(most) && *used < held.len() {
            let mut input = Input::new(&mut held[*used..]);
            let before = input.remaining();
            let received = link.websocket.receive(&mut input, &mut core.control);
            *used += before - input.remaining();
            match received {
                Ok(None | Some(Event::Ping(_) | Event::Pong(_))) => {}
                Ok(Some(Event::Close(_))) => return Some(LinkEnding::PeerClosed),
                // After our Close nobody is answered, and so nothing is done (RFC 6455 §5.5.1).
                Ok(Some(_)) if phase != Phase::Open => {}
                Ok(Some(Event::Text(text))) => self.link_command(core, id, link, &text),
                Ok(Some(Event::Binary(_))) => return Some(LinkEnding::Unsupported),
                Err(error) => return Some(LinkEnding::Violated(error)),
            }
        }
        None
    }

    fn link_command(&mut self, core: &mut Core, id: SessionId, link: &mut Link, text: &str) {
        let parsed = link_json::parse(text, &core.shared.apps, &core.shared.settings.command_limits);
        match parsed {
            Ok(parsed) => {
                let app = parsed.app.unwrap_or(link.app);
                let barrier = is_barrier(&parsed.command);
                link.listens |= matches!(parsed.command, Command::Listen(_));
                let sequence = link.lane.open(parsed.id);
                match self.execute(core, id, sequence, app, parsed.command) {
                    Some(finished) => link.fill(sequence, &finished),
                    None if barrier => link.barrier = Some(sequence),
                    None => {}
                }
            }
            Err(refused) => {
                let sequence = link.lane.open(refused.id);
                link.lane.fill(sequence, |id| {
                    let mut json = String::new();
                    render::reply_error(&mut json, id.as_ref(), &refused.error);
                    encode_frame(OpCode::Text, json.as_bytes())
                });
            }
        }
    }
}

/// Why a link's input ends.
enum LinkEnding {
    PeerClosed,
    Violated(crate::protocol::ProtocolError),
    Unsupported,
}
