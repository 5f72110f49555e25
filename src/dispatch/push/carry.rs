//! How pushes and frames are carried to another process. Many queues share them, so each is carried once, and the states of
//! queues name them by number. What a reactor does with a push is done when it is packed: its parts are the queues that still
//! hold it.

use super::super::Peer;
mod missed;

use super::super::missed::Gathering;
use super::{
    Class, Elsewhere, EncodedFrame, Epoch, Origin, Place, Push, PushOptions, ReceiptMode, Tally, Target,
};
use crate::session::{AppId, Name, SessionId};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use missed::CarriedMissed;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Where all reactors of a process leave the frames and pushes that their queues hold.
#[derive(Debug, Default)]
pub struct Packer(Mutex<Packed>);

#[derive(Debug, Default)]
struct Packed {
    /// By the address of what is shared, which stays what it is as long as the second list holds it.
    numbers: HashMap<usize, u32>,
    frames: Vec<EncodedFrame>,
    pushes: Vec<Arc<Push>>,
    /// How many of each have been taken.
    taken_frames: usize,
    taken_pushes: usize,
}

/// A frame or a push on its way; each has the number that the count of those of its kind before it is.
#[derive(Debug, Encode, Decode)]
pub enum CarriedShared {
    /// A whole frame.
    #[n(0)]
    Frame(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// A push, whose frame came before.
    #[n(1)]
    Push(#[n(0)] Box<CarriedPush>),
}

/// A push on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedPush {
    #[n(0)]
    app: u16,
    #[n(1)]
    frame: u32,
    #[n(2)]
    deadline_ms: u64,
    #[n(3)]
    accepted_ns: u64,
    #[n(4)]
    key: Option<Box<str>>,
    /// 0 normal, 1 urgent, 2 droppable.
    #[n(5)]
    class: u8,
    /// Its receipt waits for sockets, and is for this connection and answer there.
    #[n(6)]
    receipt: Option<CarriedReceipt>,
    /// The compressed form that some have begun to get.
    #[n(7)]
    deflated: Option<u32>,
    /// Its place among the pushes of its group, where that remembers.
    #[n(8)]
    place: Option<CarriedPlace>,
    /// Who has missed it, where its receipt names them.
    #[n(9)]
    missed: Option<CarriedMissed>,
}

/// The place of a push among those of its group. The owner's order is left out: nothing waits for the owner.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedPlace {
    #[n(0)]
    scope: u64,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    offset: u64,
}

/// What a receipt that waits for sockets knows.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedReceipt {
    #[n(0)]
    connection: u64,
    #[n(1)]
    sequence: u64,
    #[n(2)]
    matched: u32,
    #[n(3)]
    queued: u32,
    #[n(4)]
    written: u32,
    #[n(5)]
    replaced: u32,
    #[n(6)]
    dropped: u32,
    #[n(7)]
    expired: u32,
    #[n(8)]
    closed: u32,
    #[n(9)]
    offline: u32,
    #[n(10)]
    unreached: u32,
    #[n(11)]
    away: Option<u32>,
    /// The nodes that have not answered.
    #[n(12)]
    missing: Option<Vec<Box<str>>>,
    /// The node that waits for it, in the place of a connection.
    #[n(13)]
    peer: Option<CarriedPeer>,
    /// Which users are here of those that its selectors name, for that node.
    #[n(14)]
    found: Option<Vec<bool>>,
}

/// A node that waits for the part of this one.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedPeer {
    #[n(0)]
    node: u16,
    #[n(1)]
    incarnation: u64,
    #[n(2)]
    server: u8,
    #[n(3)]
    number: u64,
}

impl CarriedPeer {
    /// `None` where it has been answered.
    fn of(peer: &Peer) -> Option<Self> {
        let Peer { node, incarnation, server, number, is_answered } = peer;
        let (node, incarnation, server, number) = (*node, *incarnation, *server, *number);
        (!is_answered.load(Ordering::Relaxed)).then_some(Self { node, incarnation, server, number })
    }

    fn unpack(&self) -> Origin {
        let Self { node, incarnation, server, number } = *self;
        Origin::Peer(Box::new(Peer {
            node,
            incarnation,
            server,
            number,
            is_answered: AtomicBool::new(false),
        }))
    }
}

impl Packer {
    /// The number of a frame, under which it is carried.
    pub fn frame(&self, frame: &EncodedFrame) -> u32 {
        self.lock().frame(frame)
    }

    /// The number of a push, under which it is carried.
    pub fn push(&self, push: &Arc<Push>) -> u32 {
        let mut packed = self.lock();
        let address = Arc::as_ptr(push).addr();
        if let Some(number) = packed.numbers.get(&address) {
            return *number;
        }
        let number = packed.pushes.len() as u32;
        packed.numbers.insert(address, number);
        packed.pushes.push(Arc::clone(push));
        number
    }

    /// What has got a number since this was last asked, in the order in which it is to be unpacked. What is named by a state goes
    /// before that state.
    pub fn take_new(&self) -> Vec<CarriedShared> {
        let packed = &mut *self.lock();
        let from = std::mem::replace(&mut packed.taken_pushes, packed.pushes.len());
        let pushes: Vec<_> = packed.pushes[from..].to_vec();
        let pushes: Vec<_> = pushes.iter().map(|push| CarriedPush::of(push, packed)).collect();
        let from = std::mem::replace(&mut packed.taken_frames, packed.frames.len());
        let frames = packed.frames[from..].iter();
        let frames = frames.map(|frame| CarriedShared::Frame(frame.as_bytes().to_vec()));
        frames.chain(pushes.into_iter().map(|push| CarriedShared::Push(Box::new(push)))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Packed> {
        // What a holder that panicked left is whole: a number is given when what it names is listed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packed {
    fn frame(&mut self, frame: &EncodedFrame) -> u32 {
        // Two frames of one address share their bytes, or one of them is empty of them: no frame is.
        let address = frame.as_bytes().as_ptr().addr();
        if let Some(number) = self.numbers.get(&address) {
            return *number;
        }
        let number = self.frames.len() as u32;
        self.numbers.insert(address, number);
        self.frames.push(frame.clone());
        number
    }
}

impl CarriedPush {
    fn of(push: &Push, packed: &mut Packed) -> Self {
        let Push {
            app,
            target: _,
            frame,
            options,
            deadline_ms,
            accepted_ns,
            origin,
            // Who has claimed it has filled it: no reactor is at work.
            deflate_claimed: _,
            deflated,
            // They are made again from the frame.
            marked: _,
            place,
            over_http: _,
            tally: _,
            missed: _,
            elsewhere: _,
            ids: _,
        } = push;
        // The time to live, the scope and who is excepted have had their effect.
        let PushOptions { ttl: _, key, class, except: _, without: _, receipt, names, scope: _ } = options;
        let receipt = match (origin, receipt) {
            (Origin::Connection { connection, sequence }, ReceiptMode::Written) => {
                Some(CarriedReceipt::of(push, *connection, *sequence))
            }
            (Origin::Peer(peer), ReceiptMode::Written) => {
                CarriedPeer::of(peer).map(|peer| CarriedReceipt::of_peer(push, peer))
            }
            _ => None,
        };
        Self {
            app: app.0,
            frame: packed.frame(frame),
            deadline_ms: *deadline_ms,
            accepted_ns: *accepted_ns,
            key: key.clone(),
            class: match class {
                Class::Normal => 0,
                Class::Urgent => 1,
                Class::Droppable => 2,
            },
            receipt,
            deflated: deflated.get().and_then(Option::as_ref).map(|frame| packed.frame(frame)),
            place: place.get().map(|Place { scope, order: _, epoch, offset }| CarriedPlace {
                scope: *scope,
                epoch: epoch.as_u64(),
                offset: *offset,
            }),
            missed: match origin {
                // A user who is not here may be elsewhere.
                Origin::Peer(_) => push.missed.as_ref().map(|missed| missed.list()),
                _ => push.missed(),
            }
            .map(|list| CarriedMissed::of(list, *names)),
        }
    }
}

impl CarriedReceipt {
    fn of(push: &Push, connection: SessionId, sequence: u64) -> Self {
        let Tally {
            pending: _,
            unselected: _,
            matched,
            queued,
            written,
            replaced,
            dropped,
            expired,
            closed,
            unreached,
            away,
            offline_sessions: _,
            found: _,
        } = &push.tally;
        let read = |counter: &AtomicU32| counter.load(Ordering::Acquire);
        Self {
            connection: connection.as_u64(),
            sequence,
            matched: read(matched),
            queued: read(queued),
            written: read(written),
            replaced: read(replaced),
            dropped: read(dropped),
            expired: read(expired),
            closed: read(closed),
            offline: push.offline(),
            unreached: read(unreached),
            away: Some(read(away)).filter(|away| *away > 0),
            missing: Some(push.missing())
                .filter(|missing| !missing.is_empty())
                .map(|missing| missing.iter().map(|node| node.as_str().into()).collect()),
            peer: None,
            found: None,
        }
    }

    fn of_peer(push: &Push, peer: CarriedPeer) -> Self {
        let Tally { offline_sessions, found, .. } = &push.tally;
        Self {
            // That node knows which users are nowhere.
            offline: offline_sessions.load(Ordering::Acquire),
            found: Some(found.iter().map(|found| found.load(Ordering::Relaxed)).collect()),
            peer: Some(peer),
            ..Self::of(push, SessionId::from_u64(0), 0)
        }
    }
}

/// The frames and pushes that came from another process, by their numbers.
#[derive(Debug, Default)]
pub struct Unpacker {
    frames: Vec<EncodedFrame>,
    pushes: Vec<Arc<Push>>,
}

impl Unpacker {
    /// Takes the next one in.
    ///
    /// # Errors
    /// A frame that is none, or a push whose frame has not come.
    pub fn take(&mut self, carried: CarriedShared) -> Result<(), InvalidState> {
        match carried {
            CarriedShared::Frame(bytes) => self.frames.push(EncodedFrame::of_wire(bytes)?),
            CarriedShared::Push(push) => {
                let push = push.unpack(self)?;
                self.pushes.push(Arc::new(push));
            }
        }
        Ok(())
    }

    /// The frame with this number.
    ///
    /// # Errors
    /// None has come with it.
    pub fn frame(&self, number: u32) -> Result<&EncodedFrame, InvalidState> {
        self.frames
            .get(number as usize)
            .ok_or_else(|| InvalidState::new("a frame that did not come is named"))
    }

    /// The push with this number. It has one part pending until [`Unpacker::into_done`]; a reactor whose queues hold it adds
    /// its own.
    ///
    /// # Errors
    /// None has come with it.
    pub fn push(&self, number: u32) -> Result<&Arc<Push>, InvalidState> {
        self.pushes.get(number as usize).ok_or_else(|| InvalidState::new("a push that did not come is named"))
    }

    /// When every reactor has unpacked its queues: the pushes whose receipts wait for none of them.
    pub fn into_done(self) -> impl Iterator<Item = Arc<Push>> {
        self.pushes
            .into_iter()
            .filter(|push| push.finish_part() && push.options.receipt == ReceiptMode::Written)
    }
}

impl CarriedPush {
    fn unpack(self, unpacker: &Unpacker) -> Result<Push, InvalidState> {
        let Self { app, frame, deadline_ms, accepted_ns, key, class, receipt, deflated, place, missed } =
            self;
        let missed = missed.map(CarriedMissed::unpack).transpose()?;
        let class = match class {
            0 => Class::Normal,
            1 => Class::Urgent,
            2 => Class::Droppable,
            _ => return Err(InvalidState::new("a push of no class")),
        };
        let deflated = deflated.map(|number| unpacker.frame(number).cloned()).transpose()?;
        let mode = if receipt.is_some() { ReceiptMode::Written } else { ReceiptMode::None };
        let origin = match &receipt {
            None => Origin::Nobody,
            Some(CarriedReceipt { peer: Some(peer), .. }) => peer.unpack(),
            Some(CarriedReceipt { connection, sequence, .. }) => {
                Origin::Connection { connection: SessionId::from_u64(*connection), sequence: *sequence }
            }
        };
        let elsewhere = receipt.as_ref().map_or(Ok(OnceLock::new()), CarriedReceipt::unpack_elsewhere)?;
        let tally = receipt.map_or_else(|| Tally::of_publisher(Box::default()), CarriedReceipt::unpack);
        Ok(Push {
            app: AppId(app),
            target: Target::nobody(),
            frame: unpacker.frame(frame)?.clone(),
            options: PushOptions {
                key,
                class,
                receipt: mode,
                names: missed.as_ref().map_or(0, |(most, _)| *most),
                ..PushOptions::default()
            },
            deadline_ms,
            accepted_ns,
            origin,
            deflate_claimed: AtomicBool::new(deflated.is_some()),
            deflated: deflated.map_or_else(OnceLock::new, |frame| OnceLock::from(Some(frame))),
            marked: OnceLock::new(),
            place: place.map_or_else(OnceLock::new, |place| OnceLock::from(place.unpack())),
            over_http: OnceLock::new(),
            tally,
            missed: missed.map(|(most, list)| Gathering::going_on(most as usize, list)),
            elsewhere,
            // Whoever is offered it from now on is of no session that crosses: none does while the world stands still.
            ids: OnceLock::new(),
        })
    }
}

impl CarriedPlace {
    fn unpack(self) -> Place {
        let Self { scope, epoch, offset } = self;
        Place { scope, order: 0, epoch: Epoch::from_u64(epoch), offset }
    }
}

impl CarriedReceipt {
    fn unpack_elsewhere(&self) -> Result<OnceLock<Box<Elsewhere>>, InvalidState> {
        let Some(missing) = &self.missing else { return Ok(OnceLock::new()) };
        let missing: Result<Vec<Name>, _> = missing.iter().map(|node| Name::new(node)).collect();
        let missing = missing.map_err(|_| InvalidState::new("a receipt waits for what is no node"))?;
        Ok(OnceLock::from(Box::new(Elsewhere::without(missing))))
    }

    fn unpack(self) -> Tally {
        let Self {
            connection: _,
            sequence: _,
            matched,
            queued,
            written,
            replaced,
            dropped,
            expired,
            closed,
            offline,
            unreached,
            away,
            missing: _,
            peer: _,
            found,
        } = self;
        // More fates than sessions would be a sum that no receipt may show.
        let fates = [written, replaced, dropped, expired, closed];
        let fates = fates.into_iter().fold(0, u32::saturating_add);
        Tally {
            pending: AtomicU32::new(1),
            unselected: AtomicU32::new(0),
            matched: AtomicU32::new(matched.max(fates)),
            queued: AtomicU32::new(queued),
            written: AtomicU32::new(written),
            replaced: AtomicU32::new(replaced),
            dropped: AtomicU32::new(dropped),
            expired: AtomicU32::new(expired),
            closed: AtomicU32::new(closed),
            unreached: AtomicU32::new(unreached),
            away: AtomicU32::new(away.unwrap_or(0)),
            offline_sessions: AtomicU32::new(offline),
            found: found.unwrap_or_default().into_iter().map(AtomicBool::new).collect(),
        }
    }
}
