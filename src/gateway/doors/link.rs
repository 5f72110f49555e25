//! A link: a backend's WebSocket, commands in, replies and events out. What a command changes is done before the next one
//! is looked at. Knows nothing of HTTP after the upgrade.

use crate::connection::{Item, Lane, Phase, Stage};
use crate::core::Core;
use crate::core::Finished;
use crate::dispatch::{Action, Command, CommandError, LinkForm, Outcome};
use crate::gateway::Gateway;
use crate::gateway::api::json::{self, LinkCommand, LinkError, RequestId};
use crate::gateway::api::{binary as link_bin, render};
use crate::protocol::{CloseCode, Event, FrameHeader, Input, OpCode, WebSocket};
use crate::session::{AppId, SessionId};
use smallvec::SmallVec;

/// A reply; empty where there is to be none. Most replies of the binary link fit in without an allocation.
type Reply = SmallVec<[u8; 48]>;

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
    fn done(&self, scratch: &mut Vec<u8>, asked: Option<&Action>, outcome: &Outcome) -> Reply {
        match self {
            Self::Json(None) | Self::Binary(0) => Reply::new(),
            Self::Json(Some(id)) => json(|out| render::reply(out, Some(id), asked, outcome)),
            Self::Binary(id) => binary(scratch, |out| link_bin::reply(*id, outcome, out)),
        }
    }

    /// The reply to what could not be understood, which nobody might otherwise hear of.
    fn not_understood(&self, scratch: &mut Vec<u8>, error: &CommandError) -> Reply {
        match self {
            Self::Json(id) => json(|out| render::reply_error(out, id.as_ref(), error)),
            Self::Binary(id) => binary(scratch, |out| link_bin::reply_error(*id, error, out)),
        }
    }
}

fn json(render: impl FnOnce(&mut String)) -> Reply {
    let mut json = String::new();
    render(&mut json);
    Reply::from_vec(json.into_bytes())
}

fn binary(scratch: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) -> Reply {
    scratch.clear();
    encode(scratch);
    Reply::from_slice(scratch)
}

/// The state of a link.
#[derive(Debug)]
pub struct Link {
    /// The RFC 6455 state.
    pub websocket: WebSocket,
    /// The app of commands that name none.
    app: AppId,
    form: LinkForm,
    /// Replies in the order of their commands.
    lane: Lane<ReplyTo, Reply>,
    /// Where replies are encoded before they wait for their turn.
    scratch: Vec<u8>,
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
    pub fn new(websocket: WebSocket, form: LinkForm, app: AppId, held: Vec<u8>) -> Self {
        let lane = Lane::default();
        let scratch = Vec::new();
        Self { websocket, app, form, lane, scratch, barrier: None, held, paused: false, listens: false }
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
            self.lane.fill(sequence, |reply_to| reply_to.done(&mut self.scratch, asked, outcome));
        });
    }

    fn refuse(&mut self, sequence: u64, error: &CommandError) {
        self.lane.fill(sequence, |reply_to| reply_to.not_understood(&mut self.scratch, error));
    }

    /// Moves the replies that may leave to `replies`. Returns whether any command's place became free.
    fn take_replies(&mut self, replies: &mut Vec<u8>) -> bool {
        let before = self.lane.len();
        let opcode = match self.form {
            LinkForm::Json => OpCode::Text,
            LinkForm::Binary => OpCode::Binary,
        };
        while let Some(reply) = self.lane.take_ready() {
            if !reply.is_empty() {
                let payload_length = reply.len() as u64;
                FrameHeader { fin: true, rsv1: false, opcode, payload_length, mask: None }.encode(replies);
                replies.extend_from_slice(&reply);
            }
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
        let wrong_kind = match link.form {
            LinkForm::Json => "gannet.link.json takes text messages",
            LinkForm::Binary => "gannet.link.bin takes binary messages",
        };
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
                core.close(slot, CloseCode::UNSUPPORTED_DATA, wrong_kind);
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
                Ok(Some(Event::Text(text))) if link.form == LinkForm::Json => {
                    let (apps, limits) = (&core.shared.apps, &core.shared.settings.command_limits);
                    let parsed = json::parse(&text, apps, limits);
                    self.link_command(core, id, link, parsed, ReplyTo::Json);
                }
                Ok(Some(Event::Binary(bytes))) if link.form == LinkForm::Binary => {
                    let (apps, limits) = (&core.shared.apps, &core.shared.settings.command_limits);
                    let parsed = link_bin::parse(&bytes, apps, limits);
                    self.link_command(core, id, link, parsed, ReplyTo::Binary);
                }
                Ok(Some(_)) => return Some(LinkEnding::Unsupported),
                Err(error) => return Some(LinkEnding::Violated(error)),
            }
        }
        None
    }

    fn link_command<I>(
        &mut self,
        core: &mut Core,
        id: SessionId,
        link: &mut Link,
        parsed: Result<LinkCommand<I>, LinkError<I>>,
        reply_to: impl FnOnce(I) -> ReplyTo,
    ) {
        match parsed {
            Ok(parsed) => {
                let app = parsed.app.unwrap_or(link.app);
                let barrier = parsed.command.is_barrier();
                link.listens |= matches!(parsed.command, Command::Listen(_));
                let sequence = link.lane.open(reply_to(parsed.id));
                match core.execute(id, sequence, app, parsed.command) {
                    Some(finished) => link.fill(sequence, &finished),
                    None if barrier => link.barrier = Some(sequence),
                    None => {}
                }
            }
            Err(refused) => {
                let sequence = link.lane.open(reply_to(refused.id));
                link.refuse(sequence, &refused.error);
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
