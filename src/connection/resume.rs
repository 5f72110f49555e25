//! What a session that may resume has beside its connection: the ring of what it was sent, its ticket, and while its client is
//! away until when it waits. Most sessions of a server have none of it.

use super::outbox::{Restoring, Settlements};
use super::{Kept, KeptLimits};
use crate::dispatch::Packer;
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::fmt;

/// See the module.
#[derive(Debug)]
pub struct Resume {
    /// What it was sent and may not have read.
    pub kept: Kept,
    /// Who opened it.
    pub claimant: Claimant,
    /// The number of its newest ticket.
    pub ticket: u32,
    /// Whether its client has sent anything since it got the newest ticket: then the one before is used up. Until then the welcome
    /// with the newest one may have been lost on the way.
    pub is_proven: bool,
    /// While its client is away.
    pub away: Option<Box<Away>>,
    /// Of a client that polls.
    pub poll: Option<Box<Poll>>,
}

// A session that may resume costs this beside its ring.
const _: () = assert!(size_of::<Resume>() <= 104);

/// What a session knows of a client that polls. Between two polls, and while one waits, it is away.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Poll {
    /// The poll that waits for something.
    pub waiting: Option<Visitor>,
    /// gannet's own messages that the next poll gets, each one JSON object.
    pub own: Vec<Box<[u8]>>,
    /// The client is sent elsewhere, with this reason of a Close 1012: each answer that leaves nothing behind says so.
    pub leaving: Option<Box<str>>,
}

/// A request about a session that came on another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The connection.
    pub connection: SessionId,
    /// Which of its requests.
    pub sequence: u64,
}

/// A session waits for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Until when, in milliseconds of attended time.
    pub until_ms: u64,
    /// How its last connection ended (RFC 6455 §7.1.5).
    pub code: u16,
    /// The reason of that.
    pub reason: Box<str>,
}

/// Who opened a session: a digest of the user that was proven or claimed then. Who comes back for the session must be the same.
/// The user that a backend has bound the session to is another matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claimant(pub u64);

impl fmt::Debug for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claimant")
    }
}

impl Resume {
    /// A session that opens.
    pub fn new(claimant: Claimant) -> Self {
        Self { kept: Kept::default(), claimant, ticket: 0, is_proven: false, away: None, poll: None }
    }

    /// One that has come from another node. Its client has a ticket of the session that it was there, which is good as the one
    /// before the first: number 0 stands for that.
    pub fn of_crossed(claimant: Claimant) -> Self {
        Self { ticket: 1, ..Self::new(claimant) }
    }

    /// Whether the ticket with this number is good: the newest, or the one before while nothing has come from the client that got
    /// the newest.
    pub fn takes(&self, ticket: u32) -> bool {
        ticket == self.ticket || (!self.is_proven && ticket.checked_add(1) == Some(self.ticket))
    }
}

/// A [`Resume`] on its way to another process.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedResume {
    #[n(0)]
    sent: u64,
    /// The numbers of the frames.
    #[n(1)]
    kept: Vec<u32>,
    #[n(2)]
    claimant: u64,
    #[n(3)]
    ticket: u32,
    #[n(4)]
    is_proven: bool,
    #[n(5)]
    away: Option<CarriedAway>,
    #[n(6)]
    poll: Option<CarriedPoll>,
    /// How many messages its client has said to have read, where that is known.
    #[n(7)]
    confirmed: Option<u64>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedPoll {
    /// The connection whose poll waits, and which of its requests that is.
    #[n(0)]
    waiting: Option<(u64, u64)>,
    #[n(1)]
    own: Vec<minicbor::bytes::ByteVec>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedAway {
    /// In milliseconds of attended time.
    #[n(0)]
    until_ms: u64,
    #[n(1)]
    code: u16,
    #[n(2)]
    reason: Box<str>,
}

impl Resume {
    /// What another process goes on with.
    pub fn carry(&self, packer: &Packer) -> CarriedResume {
        let Self { kept, claimant, ticket, is_proven, away, poll } = self;
        let poll = poll.as_deref().map(|poll| {
            // No upgrade begins while a drain sends clients elsewhere.
            let Poll { waiting, own, leaving: _ } = poll;
            CarriedPoll {
                waiting: waiting.map(|Visitor { connection, sequence }| (connection.as_u64(), sequence)),
                own: own.iter().map(|json| json.to_vec().into()).collect(),
            }
        });
        let away = away.as_deref().map(|away| {
            let Away { until_ms, code, reason } = away;
            CarriedAway { until_ms: *until_ms, code: *code, reason: reason.clone() }
        });
        CarriedResume {
            sent: kept.sent(),
            kept: kept.frames().map(|frame| packer.frame(frame)).collect(),
            claimant: claimant.0,
            ticket: *ticket,
            is_proven: *is_proven,
            away,
            poll,
            confirmed: Some(kept.confirmed()),
        }
    }
}

impl CarriedPoll {
    fn restore(self) -> Box<Poll> {
        let Self { waiting, own } = self;
        let waiting = waiting
            .map(|(connection, sequence)| Visitor { connection: SessionId::from_u64(connection), sequence });
        Box::new(Poll {
            waiting,
            own: own.into_iter().map(|json| Vec::from(json).into()).collect(),
            leaving: None,
        })
    }
}

impl CarriedResume {
    /// Whether its client is away.
    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// The state that was carried.
    ///
    /// # Errors
    /// More is kept than was sent, or a frame did not come.
    pub fn restore(
        self,
        restoring: &mut Restoring<'_>,
        settlements: &mut Settlements,
    ) -> Result<Resume, InvalidState> {
        let Self { sent, kept, claimant, ticket, is_proven, away, poll, confirmed } = self;
        let first = sent.checked_sub(kept.len() as u64);
        let first = first.ok_or_else(|| InvalidState::new("more messages are kept than were sent"))?;
        let frames = kept.into_iter().map(|number| restoring.kept(number)).collect::<Result<Vec<_>, _>>()?;
        let confirmed = confirmed.unwrap_or(0);
        if confirmed > sent {
            return Err(InvalidState::new("more messages are read than were sent"));
        }
        let mut kept = Kept::since(first, confirmed);
        // They were within the bounds when they were written.
        let any = KeptLimits { messages: usize::MAX, bytes: usize::MAX };
        frames.into_iter().for_each(|frame| kept.keep(frame, any, settlements));
        let away = away.map(|away| {
            let CarriedAway { until_ms, code, reason } = away;
            Box::new(Away { until_ms, code, reason })
        });
        let poll = poll.map(CarriedPoll::restore);
        Ok(Resume { kept, claimant: Claimant(claimant), ticket, is_proven, away, poll })
    }
}
