//! What travels between cores: pushes with their receipts, and commands with their answers. One value is shared by every
//! reactor that has a part in it, and the last one to finish sends it home. Knows nothing of sockets, JSON or queues.

mod action;
mod apps;
mod ban;
mod command;
mod error;
mod fate;
mod frame;
mod kick;
mod limits;
mod listen;
mod mark;
mod memory;
mod missed;
mod names;
mod operation;
mod outcome;
mod presence;
mod profile;
mod push;
mod quoted;
mod receipt;
mod record;
mod right;
mod route;
mod scope;
mod target;
mod token;

pub use action::{Action, SessionEnd, Who};
pub use apps::InvalidApps;
pub use ban::{Ban, BanPage, Banned, NotBanned};
pub use error::{CommandError, ErrorCode};
pub use frame::EncodedFrame;
pub use listen::{Detail, EventForm, EventKind, EventSet, LinkForm, Listen, TickPhase, With};
pub use memory::{Epoch, InvalidEpoch, KeptMessage, KeptPage, Recall, Recalled};
pub use missed::{Missed, MissedList, Why};
pub use names::{AppStats, Counted, NameKind, NamePage};
pub(crate) use outcome::largest_first;
pub use outcome::{OperationOutcome, Page, SessionInfo, SessionRow};
pub use presence::{NotPresentAfter, Presence, Present, PresentAfter, PresentSession};
pub use profile::{Param, Profile};
pub use push::{Class, PushOptions, ReceiptMode};
pub use receipt::Receipt;
pub use record::{Happened, Record, Recorded, RecordedEnd, RecordedEvent};
pub use right::Right;
pub use route::Routed;
pub use scope::Scope;
pub use target::{Selector, Target};
pub use token::Token;

pub(crate) use apps::Apps;
pub(crate) use command::{Command, Outcome};
pub(crate) use error::{ERRORS, ErrorRow};
pub(crate) use fate::Fate;
pub(crate) use kick::{bad_code, check_close_code, check_close_reason};
pub(crate) use limits::CommandLimits;
pub(crate) use mark::{MARK, marked};
pub(crate) use memory::Place;
pub(crate) use operation::{Operation, OperationPart};
pub(crate) use presence::{Gathered, Page as PresencePage, PresencePart, user_hash};
pub(crate) use profile::Params;
pub(crate) use push::{CarriedShared, Packer, Unpacker};
pub(crate) use push::{Push, PushId, PushIds, PushPart, Wire};
pub(crate) use quoted::Quoted;

use crate::session::SessionId;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

/// Who is to be told when the last reactor has done its part.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Nobody.
    Nobody,
    /// A backend connection: its reactor, its id there, and the place of the answer among its answers.
    Connection {
        /// The id of the connection; its worker is the reactor to send the finished work to.
        connection: SessionId,
        /// Which of the connection's answers this is.
        sequence: u64,
    },
    /// A thread that waits for a receipt.
    Receipt(mpsc::Sender<Receipt>),
    /// A thread that waits for the outcome of a command.
    Outcome(mpsc::Sender<Result<OperationOutcome, CommandError>>),
    /// Another node.
    Peer(Box<Peer>),
}

/// A node that has asked for something, and waits for the part of this one.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The number of the node.
    pub node: u16,
    /// Which process it is.
    pub incarnation: u64,
    /// The Redis over which it has asked, and is answered.
    pub server: u8,
    /// The number of its question.
    pub number: u64,
    /// Whether it has been answered.
    pub is_answered: AtomicBool,
}
