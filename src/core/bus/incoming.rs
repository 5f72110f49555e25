//! A message of the bus as it has come: its header, and its body by its kind. Pure.

use super::crossing::Said;
use crate::cluster::fence::read_fence;
use crate::cluster::known::{KnownBan, StickyUser, UsedNonce, read_list};
use crate::cluster::links::{LinksSaid, read_links};
use crate::cluster::memory::{GivenPlace, read_place};
use crate::cluster::message::{Flags, Header, Kind, Malformed, Publisher};
use crate::cluster::online::{UsersSaid, read_users};
use crate::cluster::places::{Surplus, read_surplus, read_took};
use crate::cluster::{Digest, Heartbeat, command, crossing, push, read_digest, read_windows};
use crate::dispatch::{Action, Apps, EncodedFrame, PushId, PushOptions, Target};
use crate::metrics::BusLoss;
use crate::session::{AppId, Name};

/// A message that has been read.
#[derive(Debug)]
pub struct Incoming {
    /// What its header says.
    pub heard: About,
    /// What it says.
    pub body: Body,
}

/// What the header of a message says; see [`Header`].
#[derive(Debug)]
pub struct About {
    /// Who has published it.
    pub publisher: Publisher,
    /// Further things that it says.
    pub flags: Flags,
    /// Its number.
    pub sequence: u64,
    /// When it was published, by the publisher's clock.
    pub stamp_ms: u64,
    /// Under which number it is to be answered, or which question it answers; 0 is none.
    pub reply: u64,
    /// How long it may wait for its sockets.
    pub ttl_left_ms: Option<u32>,
}

/// A push that has come.
#[derive(Debug)]
pub struct Pushed {
    /// The app.
    pub app: AppId,
    /// Where it went to a group that remembers: the place that it has got there, if it was kept.
    pub place: Option<Option<GivenPlace>>,
    /// Whom it is for.
    pub target: Target,
    /// The message.
    pub frame: EncodedFrame,
    /// As its publisher has said.
    pub options: PushOptions,
}

impl Incoming {
    /// Whether it is for the node that has published it as well.
    pub fn comes_back(&self) -> bool {
        matches!(&self.body, Body::Push(Pushed { place: Some(_), .. }))
    }
}

impl About {
    /// Under which number a push is known on all nodes.
    pub fn id(&self) -> PushId {
        let Publisher { incarnation, reactor, server, .. } = self.publisher;
        // What went to a bucket went by its name before.
        let copy = u64::from(self.flags.has(Flags::BUCKET));
        PushId { incarnation, reactor, server, sequence: self.sequence.saturating_sub(copy) }
    }
}

/// What a message says.
#[derive(Debug)]
pub enum Body {
    Push(Pushed),
    Command(AppId, Action),
    Took(AppId, Name),
    Surplus(AppId, Surplus),
    Bans(AppId, Vec<KnownBan>),
    Sticky(AppId, Vec<StickyUser>),
    Nonces(AppId, Vec<UsedNonce>),
    Users(AppId, UsersSaid),
    Links(LinksSaid),
    /// A push or a command for an app that this node has not: nobody of it is here.
    OfNobody(Kind),
    Crossing(AppId, Said),
    Answer(Box<[u8]>),
    Heartbeat(Box<Heartbeat>, Kind),
    Goodbye,
    Fence(u64),
    DigestAsked(Vec<(u8, u64)>),
    Digest(Digest),
}

impl From<Malformed> for BusLoss {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::OtherVersion(_) => Self::Version,
            Malformed::Layout(_) => Self::Malformed,
        }
    }
}

/// Reads a message; what it names of this node's own `apps` is looked up. What the node `own` itself has published is not read further
/// than its header, but for what comes back for its own sessions.
pub fn read(message: &[u8], own: u64, apps: &Apps) -> Result<Incoming, BusLoss> {
    let (header, bytes) = Header::decode(message)?;
    let is_own = header.publisher.incarnation == own;
    let comes_back = header.kind == Kind::Kept && !header.flags.has(Flags::SERVED);
    let app = apps.find(header.app).ok().filter(|_| !is_own || comes_back);
    let body = match (header.kind, app) {
        (kind @ (Kind::Heartbeat | Kind::Hello), _) => {
            Body::Heartbeat(Box::new(Heartbeat::read(bytes).map_err(|_| BusLoss::Malformed)?), kind)
        }
        (kind @ (Kind::Push | Kind::Kept | Kind::Command | Kind::Took | Kind::Surplus), None) => {
            Body::OfNobody(kind)
        }
        (kind @ (Kind::Bans | Kind::Sticky | Kind::Nonces | Kind::Users), None) => Body::OfNobody(kind),
        (kind @ (Kind::ToOld | Kind::ToNew), None) => Body::OfNobody(kind),
        (Kind::Push, Some(app)) => {
            let (target, frame, options) = push::decode(bytes).map_err(|_| BusLoss::Malformed)?;
            Body::Push(Pushed { app, place: None, target, frame, options })
        }
        (Kind::Kept, Some(app)) => {
            let (place, bytes) = read_place(bytes).ok_or(BusLoss::Malformed)?;
            let (target, frame, options) = push::decode(bytes).map_err(|_| BusLoss::Malformed)?;
            Body::Push(Pushed { app, place: Some(place), target, frame, options })
        }
        (Kind::Command, Some(app)) => {
            Body::Command(app, command::decode(bytes, apps).map_err(|_| BusLoss::Malformed)?)
        }
        (Kind::Took, Some(app)) => Body::Took(app, read_took(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Surplus, Some(app)) => Body::Surplus(app, read_surplus(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Bans, Some(app)) => Body::Bans(app, read_list(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Sticky, Some(app)) => Body::Sticky(app, read_list(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Nonces, Some(app)) => Body::Nonces(app, read_list(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Users, Some(app)) => Body::Users(app, read_users(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::ToOld, Some(app)) => {
            Body::Crossing(app, Said::ToOld(crossing::read(bytes).ok_or(BusLoss::Malformed)?))
        }
        (Kind::ToNew, Some(app)) => {
            Body::Crossing(app, Said::ToNew(crossing::read(bytes).ok_or(BusLoss::Malformed)?))
        }
        (Kind::Links, _) if is_own => Body::OfNobody(Kind::Links),
        (Kind::Links, _) => Body::Links(read_links(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::PushPart | Kind::OperationPart | Kind::Places | Kind::Fenced, _) => Body::Answer(bytes.into()),
        (Kind::Fence, _) => Body::Fence(read_fence(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Goodbye, _) => Body::Goodbye,
        (Kind::DigestAsked, _) => Body::DigestAsked(read_windows(bytes).ok_or(BusLoss::Malformed)?),
        (Kind::Digest, _) => Body::Digest(read_digest(bytes).ok_or(BusLoss::Malformed)?),
    };
    let Header { publisher, flags, sequence, stamp_ms, reply, ttl_left_ms, .. } = header;
    let heard = About { publisher, flags, sequence, stamp_ms, reply, ttl_left_ms };
    Ok(Incoming { heard, body })
}
