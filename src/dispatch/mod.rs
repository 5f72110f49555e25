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
pub use outcome::{OperationOutcome, Page, SessionInfo, SessionRow};
pub use presence::{NotPresentAfter, Presence, Present, PresentAfter, PresentSession};
pub use profile::{Param, Profile};
pub use push::{Class, PushOptions, ReceiptMode};
pub use receipt::Receipt;
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
pub(crate) use push::{Push, PushPart, Wire};
pub(crate) use quoted::Quoted;

use crate::session::SessionId;
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
}
