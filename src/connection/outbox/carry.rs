//! How an outbox is carried to another process: its lanes in their order, and what of it is on the wire.

use super::item::Staged;
use super::keys::Keys;
use super::{Item, KeptItem, LocalPush, Outbox, Settlements, Tick};
use crate::connection::kept::KeptFrame;
use crate::dispatch::{Class, Packer, Unpacker, Wire};
use crate::session::{Name, SessionId};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// An [`Outbox`] on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedOutbox {
    /// What is partly on the wire, and how many bytes of it are.
    #[n(0)]
    wire: Option<(CarriedItem, u64)>,
    #[n(1)]
    urgent: Vec<CarriedItem>,
    #[n(2)]
    normal: Vec<CarriedItem>,
    /// The tick that the normal lane waits for, in milliseconds.
    #[n(3)]
    tick: Option<u16>,
    /// Several that wait may have the same key: whether the socket had taken all that was before them. Absent where a newer one
    /// replaces the one with its key, as in states of 0.2.0 and before.
    #[n(4)]
    keeps_all: Option<bool>,
    /// Since when its socket has been behind, in tenths of a second of the server's clock. States of 0.2.0 have none.
    #[n(5)]
    behind_since: Option<u32>,
}

#[derive(Debug, Encode, Decode)]
enum CarriedItem {
    #[n(0)]
    Owned(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The number of a frame.
    #[n(1)]
    Message(#[n(0)] u32),
    /// The number of a frame.
    #[n(2)]
    Event(#[n(0)] u32),
    /// The number of a push, and its form: 0 plain, 1 compressed, 2 with its mark doubled.
    #[n(3)]
    Shared(#[n(0)] u32, #[n(1)] u8),
    /// The number of a frame, whether its mark is doubled, and whether it has gone to the wire before.
    #[n(4)]
    Kept(#[n(0)] u32, #[n(1)] bool, #[n(2)] bool),
    /// Bytes of an event stream, and the items that they are of, each with the place of its end. Only on the wire.
    /// The same as [`CarriedItem::Shared`] of a push whose receipt names who misses it, and the session that it is for with its user.
    #[n(6)]
    Named(#[n(0)] u32, #[n(1)] u8, #[n(2)] u64, #[n(3)] Option<Box<str>>),
    #[n(5)]
    Staged(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>, #[n(1)] Vec<(CarriedItem, u64)>),
}

/// What the outboxes of one reactor have in common while they are restored.
#[derive(Debug)]
pub struct Restoring<'a> {
    unpacker: &'a Unpacker,
    pushes: &'a mut LocalPushes,
}

/// What outboxes and rings of this reactor share, by its numbers.
#[derive(Debug, Default)]
pub struct LocalPushes {
    pushes: HashMap<u32, Rc<LocalPush>>,
    kept: HashMap<u32, Rc<KeptFrame>>,
}

impl<'a> Restoring<'a> {
    /// Names what has come with `unpacker`.
    pub fn new(unpacker: &'a Unpacker, pushes: &'a mut LocalPushes) -> Self {
        Self { unpacker, pushes }
    }

    /// The reactor's one reference to a push, which has a part in it from the first on.
    fn push(&mut self, number: u32) -> Result<Rc<LocalPush>, InvalidState> {
        if let Some(local) = self.pushes.pushes.get(&number) {
            return Ok(Rc::clone(local));
        }
        let push = self.unpacker.push(number)?;
        push.add_part();
        let local = Rc::new(LocalPush::new(Arc::clone(push)));
        self.pushes.pushes.insert(number, Rc::clone(&local));
        Ok(local)
    }

    /// The reactor's one copy of a frame that rings keep.
    pub(in crate::connection) fn kept(&mut self, number: u32) -> Result<Rc<KeptFrame>, InvalidState> {
        if let Some(kept) = self.pushes.kept.get(&number) {
            return Ok(Rc::clone(kept));
        }
        let kept = Rc::new(KeptFrame::new(self.unpacker.frame(number)?.clone()));
        self.pushes.kept.insert(number, Rc::clone(&kept));
        Ok(kept)
    }

    fn item(&mut self, carried: CarriedItem) -> Result<Item, InvalidState> {
        Ok(match carried {
            CarriedItem::Owned(bytes) if bytes.is_empty() => return Err(InvalidState::new("nothing waits")),
            CarriedItem::Owned(bytes) => Item::Owned(bytes.into()),
            CarriedItem::Message(frame) => Item::Message(self.unpacker.frame(frame)?.clone()),
            CarriedItem::Event(frame) => Item::Event(self.unpacker.frame(frame)?.clone()),
            CarriedItem::Shared(number, form) => {
                let local = self.push(number)?;
                let wire = form_of(&local, form)?;
                Item::Shared(local, wire)
            }
            CarriedItem::Named(number, form, session, user) => {
                let push = self.unpacker.push(number)?;
                let user = user.map(|user| Name::new(&user)).transpose();
                let user = user.map_err(|_| InvalidState::new("a push for a user of no name"))?;
                push.split_part();
                let session = SessionId::from_u64(session);
                let local = Rc::new(LocalPush::of_session(Arc::clone(push), session, user));
                let wire = form_of(&local, form)?;
                Item::Shared(local, wire)
            }
            CarriedItem::Kept(number, is_marked, is_again) => {
                Item::Kept(KeptItem { frame: self.kept(number)?, is_marked, is_again })
            }
            CarriedItem::Staged(..) => return Err(InvalidState::new("events that wait in their last form")),
        })
    }

    /// What is on the wire.
    fn item_on_wire(&mut self, carried: CarriedItem) -> Result<Item, InvalidState> {
        let CarriedItem::Staged(bytes, items) = carried else { return self.item(carried) };
        let mut staged = Staged { bytes, ..Staged::default() };
        for (item, end) in items {
            let end = usize::try_from(end).ok().filter(|end| *end <= staged.bytes.len());
            let end = end.ok_or_else(|| InvalidState::new("an event that ends behind its bytes"))?;
            staged.items.push_back((self.item(item)?, end));
        }
        match staged.items.iter().is_sorted_by_key(|(_, end)| *end) {
            true => Ok(Item::Staged(Box::new(staged))),
            false => Err(InvalidState::new("events that are not in their order")),
        }
    }
}

/// The form of a push that has it.
fn form_of(local: &LocalPush, form: u8) -> Result<Wire, InvalidState> {
    match form {
        0 => Ok(Wire::Plain),
        1 if local.push().is_deflated() => Ok(Wire::Deflated),
        2 if local.push().mark() => Ok(Wire::Marked),
        _ => Err(InvalidState::new("a push has not that form")),
    }
}

impl Outbox {
    /// What another process goes on with.
    pub fn carry(&self, packer: &Packer) -> CarriedOutbox {
        // What is counted and noted of the items follows from them; the place in the reactor's list is made anew.
        let Self {
            wire,
            urgent,
            normal,
            bytes: _,
            exempt: _,
            exempt_bytes: _,
            earliest_deadline_ms: _,
            droppable: _,
            behind: _,
            behind_since,
            tick_ms,
            keys,
        } = self;
        let lane = |lane: &VecDeque<Item>| lane.iter().map(|item| CarriedItem::of(item, packer)).collect();
        CarriedOutbox {
            wire: wire.as_ref().map(|(item, written)| (CarriedItem::of(item, packer), *written as u64)),
            urgent: lane(urgent),
            normal: lane(normal),
            tick: (*tick_ms > 0).then_some(*tick_ms),
            keeps_all: match keys {
                Keys::Replace => None,
                Keys::KeepAll => Some(true),
                Keys::ReplaceAll => Some(false),
            },
            behind_since: (*behind_since > 0).then_some(*behind_since),
        }
    }

    /// Puts on the wire what was there, of which the socket has taken so many bytes.
    fn restore_wire(&mut self, item: Item, written: usize, settlements: &mut Settlements) {
        match &item {
            Item::Staged(staged) => {
                // What it is of waits until the socket has taken it; the bytes are those that it waits as.
                staged.items.iter().for_each(|(item, _)| settlements.admit(item));
                settlements.stage(staged);
                self.bytes += staged.bytes.len();
            }
            item => {
                self.admit(item, settlements);
                // On the wire it cannot be dropped any more.
                self.droppable -= u32::from(item.is_push_of(Class::Droppable));
            }
        }
        self.bytes -= written;
        self.wire = Some((item, written));
    }
}

impl CarriedItem {
    fn of(item: &Item, packer: &Packer) -> Self {
        match item {
            Item::Owned(bytes) => Self::Owned(bytes.to_vec()),
            Item::Message(frame) => Self::Message(packer.frame(frame)),
            Item::Event(frame) => Self::Event(packer.frame(frame)),
            Item::Kept(KeptItem { frame, is_marked, is_again }) => {
                Self::Kept(packer.frame(frame.frame()), *is_marked, *is_again)
            }
            Item::Shared(local, wire) => {
                let form = match wire {
                    Wire::Plain => 0,
                    Wire::Deflated => 1,
                    Wire::Marked => 2,
                };
                let number = packer.push(local.push());
                match local.whose() {
                    None => Self::Shared(number, form),
                    Some((session, user)) => {
                        let user = user.as_ref().map(|user| user.as_str().into());
                        Self::Named(number, form, session.as_u64(), user)
                    }
                }
            }
            Item::Staged(staged) => {
                let items = staged.items.iter().map(|(item, end)| (Self::of(item, packer), *end as u64));
                Self::Staged(staged.bytes.clone(), items.collect())
            }
        }
    }
}

impl CarriedOutbox {
    /// The outbox that goes on from it, where anything waits.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it is counted then but what was admitted before.
    pub fn restore(
        self,
        restoring: &mut Restoring<'_>,
        settlements: &mut Settlements,
    ) -> Result<Option<Box<Outbox>>, InvalidState> {
        let Self { wire, urgent, normal, tick, keeps_all, behind_since } = self;
        let mut outbox = Box::<Outbox>::default();
        if let Some((item, written)) = wire {
            let item = restoring.item_on_wire(item)?;
            let written = usize::try_from(written).ok().filter(|written| *written < item.bytes().len());
            let written = written.ok_or_else(|| InvalidState::new("more is on the wire than there was"))?;
            outbox.restore_wire(item, written, settlements);
        }
        for (carried, is_urgent) in
            urgent.into_iter().map(|item| (item, true)).chain(normal.into_iter().map(|item| (item, false)))
        {
            let item = restoring.item(carried)?;
            outbox.admit(&item, settlements);
            // Control frames stand in the urgent lane without being of its class.
            match is_urgent {
                true => outbox.urgent.push_back(item),
                false => outbox.normal.push_back(item),
            }
        }
        if tick == Some(0) {
            return Err(InvalidState::new("a tick of no length"));
        }
        outbox.wait_for(tick.map(Tick));
        outbox.keys = match keeps_all {
            None => Keys::Replace,
            Some(true) => Keys::KeepAll,
            Some(false) => Keys::ReplaceAll,
        };
        // Where its socket takes all of it at once it is not listed, and forgets this.
        outbox.behind_since = behind_since.unwrap_or(0);
        Ok((!outbox.is_empty()).then_some(outbox))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::random_bytes;
    use crate::connection::OutboxLimits;
    use crate::dispatch::{EncodedFrame, Origin, Push, PushOptions, ReceiptMode, Target};
    use crate::session::{AppId, SessionId};
    use crate::timer::Moment;

    const LIMITS: OutboxLimits = OutboxLimits { bytes: 1 << 20, messages: 1_000 };

    /// Outboxes through bytes, as between two processes.
    fn carried(outboxes: &[Outbox]) -> (Vec<Option<Box<Outbox>>>, Settlements, Unpacker) {
        let packer = Packer::default();
        let states: Vec<_> =
            outboxes.iter().map(|outbox| minicbor::to_vec(outbox.carry(&packer)).unwrap()).collect();
        let mut unpacker = Unpacker::default();
        for shared in packer.take_new() {
            let bytes = minicbor::to_vec(shared).unwrap();
            unpacker.take(minicbor::decode(&bytes).unwrap()).unwrap();
        }
        let (mut pushes, mut settlements) = (LocalPushes::default(), Settlements::default());
        let mut restoring = Restoring::new(&unpacker, &mut pushes);
        let restored = states.iter().map(|state| {
            let carried: CarriedOutbox = minicbor::decode(state).unwrap();
            carried.restore(&mut restoring, &mut settlements).unwrap()
        });
        let restored = restored.collect();
        (restored, settlements, unpacker)
    }

    fn push(text: &str, options: PushOptions, sequence: u64) -> Arc<Push> {
        let origin = Origin::Connection { connection: SessionId::from_u64(7), sequence };
        let frame = EncodedFrame::text(text);
        Arc::new(Push::new(AppId(3), Target::nobody(), frame, options, 11, 5_000, origin))
    }

    struct Slow(Vec<u8>, usize);

    impl std::io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.1);
            if taken == 0 {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            self.1 -= taken;
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn write_vectored(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            let all = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
            self.write(&all)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Two outboxes that share pushes, filled and written at random: carried, the rest comes out as it would have.
    #[test]
    fn the_rest_comes_out_as_it_would_have() {
        for seed in 1..60 {
            let mut choices = random_bytes(seed, 200).into_iter();
            let mut settlements = Settlements::default();
            let mut outboxes = [Outbox::default(), Outbox::default()];
            let now = Moment { ms: 10, ns: 10_000_000 };
            let mut written = [Vec::new(), Vec::new()];
            while let (Some(what), Some(which)) = (choices.next(), choices.next()) {
                let class = [Class::Normal, Class::Urgent, Class::Droppable][usize::from(which / 3 % 3)];
                let key = (which % 5 == 0).then(|| format!("k{}", which % 2).into_boxed_str());
                let options =
                    PushOptions { class, key, receipt: ReceiptMode::Written, ..PushOptions::default() };
                match what % 7 {
                    0 | 1 => {
                        let local =
                            Rc::new(LocalPush::new(push(&"x".repeat(usize::from(which)), options, 1)));
                        local.hold();
                        for outbox in &mut outboxes {
                            let item = Item::Shared(Rc::clone(&local), Wire::Plain);
                            let _ = outbox.offer(item, LIMITS, &mut settlements);
                        }
                    }
                    2 => outboxes[usize::from(which % 2)]
                        .append(Item::Owned(vec![which; 1 + usize::from(which)].into()), &mut settlements),
                    3 => outboxes[usize::from(which % 2)]
                        .append(Item::Event(EncodedFrame::binary(&[which; 40])), &mut settlements),
                    4 => {
                        _ = outboxes[usize::from(which % 2)].offer_control(
                            vec![0x8a, 0].into(),
                            LIMITS,
                            &mut settlements,
                        )
                    }
                    5 => {
                        let one = &mut outboxes[usize::from(which % 2)];
                        one.begin_tick(Tick(50), true);
                        if which % 4 > 1 {
                            one.wait_for_socket();
                            one.wait_for(None);
                        }
                    }
                    _ => {
                        let one = usize::from(which % 2);
                        let mut socket = Slow(Vec::new(), usize::from(what) * 3);
                        outboxes[one].write_to(&mut socket, now, &mut settlements, None).unwrap();
                        written[one].extend(socket.0);
                    }
                }
            }
            let (mut restored, mut after, unpacker) = carried(&outboxes);
            assert_eq!(after.waiting_messages, settlements.waiting_messages);
            assert_eq!(after.waiting_bytes, settlements.waiting_bytes);
            for (outbox, restored) in outboxes.iter_mut().zip(&mut restored) {
                assert_eq!(outbox.is_empty(), restored.is_none());
                let Some(restored) = restored else { continue };
                let of = |outbox: &Outbox| {
                    (
                        outbox.bytes,
                        outbox.exempt,
                        outbox.exempt_bytes,
                        outbox.droppable,
                        outbox.earliest_deadline_ms,
                        outbox.tick_ms,
                        outbox.keys,
                    )
                };
                assert_eq!(of(outbox), of(restored));
                outbox.wait_for(None);
                restored.wait_for(None);
                let mut sockets = [Slow(Vec::new(), usize::MAX), Slow(Vec::new(), usize::MAX)];
                outbox.write_to(&mut sockets[0], now, &mut settlements, None).unwrap();
                restored.write_to(&mut sockets[1], now, &mut after, None).unwrap();
                assert_eq!(sockets[0].0, sockets[1].0);
            }
            assert_eq!((after.waiting_messages, after.memory), (0, 0));
            // Each push has settled for this reactor; what is left is the unpacker's own part.
            let finished: Vec<_> = after.finished.iter().map(|push| push.finish_part()).collect();
            assert!(finished.iter().all(|last| !last));
            drop(unpacker);
        }
    }

    #[test]
    fn what_is_no_outbox_is_refused() {
        let empty = || CarriedOutbox {
            wire: None,
            urgent: Vec::new(),
            normal: Vec::new(),
            tick: None,
            keeps_all: None,
            behind_since: None,
        };
        let table = [
            CarriedOutbox { tick: Some(0), ..empty() },
            CarriedOutbox { wire: Some((CarriedItem::Owned(vec![1, 2]), 2)), ..empty() },
            CarriedOutbox { normal: vec![CarriedItem::Owned(Vec::new())], ..empty() },
            CarriedOutbox { normal: vec![CarriedItem::Message(0)], ..empty() },
            CarriedOutbox { urgent: vec![CarriedItem::Shared(0, 0)], ..empty() },
        ];
        for carried in table {
            let (unpacker, mut pushes) = (Unpacker::default(), LocalPushes::default());
            let mut restoring = Restoring::new(&unpacker, &mut pushes);
            assert!(carried.restore(&mut restoring, &mut Settlements::default()).is_err());
        }
    }
}
