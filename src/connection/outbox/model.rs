//! The obvious outbox, one list in the order of arrival, and operations read from bytes that it and the real one must
//! answer alike, before a socket that takes what it is told to. A fuzzer may choose the bytes.

use super::*;
use crate::choices::Choices;
use crate::config::{Slow, SlowPolicy};
use crate::dispatch::{EncodedFrame, Origin, Push, PushOptions, ReceiptMode, Selector, Target, Wire};
use crate::metrics::{DropReason, Label};
use crate::session::AppId;
use crate::timer::Moment;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A socket that takes what a script says: so many bytes a call, then `WouldBlock`.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) taken: Vec<u8>,
    /// What each call may take; none left: the socket is full.
    pub(super) script: VecDeque<Answer>,
    /// Slices of each vectored call.
    pub(super) slices: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Takes(usize),
    Interrupted,
    Reset,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.slices.push(slices.len());
        let mut room = match self.script.pop_front() {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Answer::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Answer::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Answer::Takes(room)) => room,
        };
        let before = self.taken.len();
        for slice in slices {
            let count = slice.len().min(room);
            self.taken.extend_from_slice(&slice[..count]);
            room -= count;
        }
        Ok(self.taken.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn push_of(
    payload: &[u8],
    deadline_ms: u64,
    class: Class,
    key: Option<&str>,
    receipt: ReceiptMode,
) -> Arc<Push> {
    let options = PushOptions { class, key: key.map(Into::into), receipt, ..PushOptions::default() };
    let target = Target::from(Selector::All);
    Arc::new(Push::new(
        AppId(0),
        target,
        EncodedFrame::binary(payload),
        options,
        0,
        deadline_ms,
        Origin::Nobody,
    ))
}

/// A push for one session.
pub(super) fn shared(push: Arc<Push>) -> Item {
    push.count_matched(1);
    Item::Shared(Rc::new(LocalPush::new(push)), Wire::Plain)
}

pub(super) fn at(ms: u64) -> Moment {
    Moment { ms, ns: ms * 1_000_000 }
}

const TICK: Tick = Tick(50);

/// What the naive outbox knows of an item: an entry of one list, searched from end to end.
#[derive(Debug, Clone)]
struct Entry {
    number: usize,
    bytes: Vec<u8>,
    class: Class,
    is_push: bool,
    key: Option<u8>,
    deadline_ms: u64,
    begun: bool,
    /// Bytes on the wire.
    sent: usize,
}

/// The obvious outbox: one list in the order of arrival.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    wire: Vec<u8>,
    fates: BTreeMap<usize, Fate>,
    /// Only urgent ones may be written.
    waits: bool,
    /// A newer message that is not urgent replaces none.
    keeps_all: bool,
    /// Of each key the last number that was written whole.
    last: BTreeMap<u8, usize>,
    dropped: [u64; DropReason::COUNT],
}

impl Model {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len() - entry.sent).sum()
    }

    fn end(&mut self, index: usize, fate: Fate) {
        let entry = self.entries.remove(index);
        assert_eq!(self.fates.insert(entry.number, fate), None, "one fate each");
    }

    fn place_of(&self, entry: &Entry) -> usize {
        self.entries.iter().position(|one| one.number == entry.number).expect("it waits")
    }

    fn has_room(&self, bytes: usize, limits: OutboxLimits) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < limits.messages && self.bytes() + bytes <= limits.bytes)
    }

    fn offer(&mut self, entry: Entry, limits: OutboxLimits) -> &'static str {
        let replaces = !self.keeps_all || entry.class == Class::Urgent;
        let of_key = |one: &&Entry| replaces && !one.begun && one.key.is_some() && one.key == entry.key;
        let mut older: Vec<Entry> = self.entries.iter().filter(of_key).cloned().collect();
        // The first of those that would be written.
        older.sort_by_key(|one| one.class != Class::Urgent);
        for one in older.iter().skip(1) {
            self.end(self.place_of(one), Fate::Replaced);
        }
        if let Some(older) = older.first() {
            let index = self.place_of(older);
            let same_lane = (older.class == Class::Urgent) == (entry.class == Class::Urgent);
            let fits = self.bytes() - older.bytes.len() + entry.bytes.len() <= limits.bytes;
            self.end(index, Fate::Replaced);
            if same_lane && fits {
                self.entries.insert(index, entry);
                return "queued";
            }
        }
        if !self.has_room(entry.bytes.len(), limits) {
            return "full";
        }
        self.entries.push(entry);
        "queued"
    }

    /// Whether a push of `lower` gives way to one of `class`, or with `None` to the connection's own.
    fn gives_way(lower: Class, class: Option<Class>, slow: &Slow) -> bool {
        let losable = |class| slow.of(class) != SlowPolicy::Close;
        let same = |class| slow.of(class) == SlowPolicy::DropOldest;
        match (lower, class) {
            (Class::Droppable, Some(Class::Droppable)) => same(Class::Droppable),
            (Class::Droppable, _) => true,
            (Class::Normal, Some(Class::Droppable)) => false,
            (Class::Normal, Some(Class::Normal)) => same(Class::Normal),
            (Class::Normal, Some(Class::Urgent)) => losable(Class::Normal) || same(Class::Urgent),
            (Class::Normal, None) => losable(Class::Normal),
            (Class::Urgent, Some(Class::Urgent)) => same(Class::Urgent),
            (Class::Urgent, Some(_)) => false,
            (Class::Urgent, None) => losable(Class::Normal) && losable(Class::Urgent),
        }
    }

    /// Drops the fewest, the first in order, that make room for `bytes`; none where no number of them does.
    fn make_room(&mut self, bytes: usize, class: Option<Class>, limits: OutboxLimits, slow: &Slow) -> bool {
        let mut victims = Vec::new();
        for lower in [Class::Droppable, Class::Normal, Class::Urgent] {
            let gives_way = Self::gives_way(lower, class, slow);
            let of_class = |one: &&Entry| gives_way && one.is_push && !one.begun && one.class == lower;
            victims.extend(self.entries.iter().filter(of_class).map(|one| one.number));
        }
        for count in 0..=victims.len() {
            let stays = |one: &&Entry| !victims[..count].contains(&one.number);
            let left = self.entries.iter().filter(stays).map(|one| one.bytes.len() - one.sent);
            let (messages, before) = (left.clone().count(), left.sum::<usize>());
            if messages == 0 || (messages < limits.messages && before + bytes <= limits.bytes) {
                for number in &victims[..count] {
                    let index = self.entries.iter().position(|one| one.number == *number).expect("it waits");
                    self.end(index, Fate::Dropped);
                    self.dropped[DropReason::Oldest.index()] += 1;
                }
                return true;
            }
        }
        false
    }

    fn offer_at_bound(&mut self, entry: Entry, limits: OutboxLimits, slow: &Slow) -> &'static str {
        if self.make_room(entry.bytes.len(), Some(entry.class), limits, slow) {
            self.entries.push(entry);
            return "queued";
        }
        if slow.of(entry.class) == SlowPolicy::Close {
            return "too slow";
        }
        self.dropped[DropReason::Newest.index()] += 1;
        "dropped"
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some(index) = self.entries.iter().position(|one| !one.begun && one.deadline_ms < now_ms) {
            self.end(index, Fate::Expired);
        }
    }

    /// The one on the wire, else the first urgent one, else the first.
    fn next(&self) -> Option<usize> {
        let begun = self.entries.iter().position(|one| one.begun);
        let urgent = || self.entries.iter().position(|one| one.class == Class::Urgent);
        begun.or_else(urgent).or((!self.waits && !self.entries.is_empty()).then_some(0))
    }

    fn write(&mut self, mut room: usize) {
        while room > 0
            && let Some(index) = self.next()
        {
            let entry = &mut self.entries[index];
            let left = &entry.bytes[entry.sent..];
            let count = left.len().min(room);
            self.wire.extend_from_slice(&left[..count]);
            room -= count;
            entry.begun = true;
            entry.sent += count;
            if entry.sent == entry.bytes.len() {
                let older = entry.key.and_then(|key| self.last.insert(key, entry.number));
                assert!(older < Some(entry.number), "none is older than the one before with its key");
                self.end(index, Fate::Written);
            }
        }
    }

    fn clear(&mut self, unsent_only: bool) {
        while let Some(index) = self.entries.iter().position(|one| !(unsent_only && one.begun)) {
            self.end(index, Fate::Closed);
        }
    }
}

/// Does what `bytes` say to an outbox, and panics where the model answers differently. Returns what became of it all.
pub(crate) fn obey(bytes: &[u8]) -> Settlements {
    let mut choices = Choices::new(bytes);
    let limits =
        OutboxLimits { bytes: 20 + choices.number(12) as usize, messages: 1 + choices.number(8) as usize };
    let mut policy = || {
        let policies = [SlowPolicy::Close, SlowPolicy::DropOldest, SlowPolicy::DropNewest];
        policies[choices.below(3) as usize]
    };
    let slow = Slow { normal: policy(), urgent: policy(), droppable: policy() };
    let mut pair = Pair::new(limits, slow);
    while !choices.is_empty() {
        pair.step(&mut choices);
        pair.agree();
    }
    pair.finish()
}

/// An outbox and the obvious one beside it.
struct Pair {
    outbox: Outbox,
    model: Model,
    socket: Socket,
    /// Every push that was taken, by number.
    pushes: BTreeMap<usize, Arc<Push>>,
    settlements: Settlements,
    limits: OutboxLimits,
    slow: Slow,
    now_ms: u64,
    number: usize,
}

impl Pair {
    fn new(limits: OutboxLimits, slow: Slow) -> Self {
        Self {
            outbox: Outbox::default(),
            model: Model::default(),
            socket: Socket::default(),
            pushes: BTreeMap::new(),
            settlements: Settlements::default(),
            limits,
            slow,
            now_ms: 0,
            number: 0,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(23) {
            0..=9 => self.push(choices),
            10 => self.control(choices),
            11 => self.append(choices),
            12 => self.resume(choices),
            13 => self.now_ms += u64::from(choices.below(8)),
            14 => {
                self.outbox.expire(self.now_ms, &mut self.settlements);
                self.model.expire(self.now_ms);
            }
            15 if choices.below(10) == 0 => {
                self.outbox.clear_unsent(Fate::Closed, &mut self.settlements);
                self.model.clear(true);
            }
            16 => {
                let tick = (choices.below(2) == 0).then_some(TICK);
                self.outbox.wait_for(tick);
                self.model.waits = tick.is_some();
            }
            17 => {
                let is_ready = choices.below(4) > 0;
                self.outbox.begin_tick(TICK, is_ready);
                (self.model.waits, self.model.keeps_all) = (true, is_ready);
            }
            18 => {
                let is_new = self.outbox.wait_for_socket();
                assert_eq!(is_new, std::mem::take(&mut self.model.keeps_all));
            }
            19 if self.outbox.is_empty() => {
                self.outbox.reset();
                (self.model.waits, self.model.keeps_all) = (false, false);
            }
            _ => self.write(choices),
        }
    }

    fn entry(&mut self, bytes: Vec<u8>, class: Class) -> Entry {
        self.number += 1;
        Entry {
            number: self.number,
            bytes,
            class,
            is_push: false,
            key: None,
            deadline_ms: u64::MAX,
            begun: false,
            sent: 0,
        }
    }

    /// Bytes that differ from one item to the next; mostly few.
    fn bytes(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let length = match choices.below(8) {
            0 => choices.below(256),
            _ => choices.below(12),
        };
        (0..=length as usize).map(|position| (self.number * 31 + position) as u8).collect()
    }

    fn push(&mut self, choices: &mut Choices<'_>) {
        let class = [Class::Normal, Class::Urgent, Class::Droppable][choices.below(3) as usize];
        let key = (choices.below(2) == 0).then(|| choices.below(4) as u8);
        let deadline_ms = match choices.below(24) {
            20.. => u64::MAX,
            ms => self.now_ms + u64::from(ms),
        };
        let payload = self.bytes(choices);
        let named = key.map(|key| key.to_string());
        let push = push_of(&payload, deadline_ms, class, named.as_deref(), ReceiptMode::Written);
        let entry = self.entry(push.frame.as_bytes().to_vec(), class);
        let entry = Entry { key, deadline_ms, is_push: true, ..entry };
        let number = entry.number;
        let mut expected = self.model.offer(entry.clone(), self.limits);
        let offered = self.outbox.offer(shared(Arc::clone(&push)), self.limits, &mut self.settlements);
        let mut came = if offered.is_ok() { "queued" } else { "full" };
        assert_eq!(came, expected);
        if let Err(item) = offered
            && choices.below(4) > 0
        {
            expected = self.model.offer_at_bound(entry, self.limits, &self.slow);
            came = match self.outbox.offer_at_bound(item, self.limits, &self.slow, &mut self.settlements) {
                Offered::Queued => "queued",
                Offered::Dropped => "dropped",
                Offered::TooSlow(_) => "too slow",
            };
            assert_eq!(came, expected);
        }
        if came == "queued" {
            self.pushes.insert(number, push);
        }
    }

    fn control(&mut self, choices: &mut Choices<'_>) {
        let bytes = self.bytes(choices);
        let entry = self.entry(bytes.clone(), Class::Urgent);
        if choices.below(2) == 0 {
            let made = self.model.make_room(bytes.len(), None, self.limits, &self.slow);
            let room = self.outbox.make_room(bytes.len(), self.limits, &self.slow, &mut self.settlements);
            assert_eq!(room, made);
        }
        let fits = self.model.entries.len() < self.limits.messages
            && self.model.bytes() + bytes.len() <= self.limits.bytes;
        if fits {
            self.model.entries.push(entry);
        }
        let queued = self.outbox.offer_control(bytes.into(), self.limits, &mut self.settlements);
        assert_eq!(queued.is_ok(), fits);
    }

    fn append(&mut self, choices: &mut Choices<'_>) {
        let bytes = self.bytes(choices);
        let entry = self.entry(bytes.clone(), Class::Normal);
        self.model.entries.push(entry);
        self.outbox.append(Item::Owned(bytes.into()), &mut self.settlements);
    }

    fn resume(&mut self, choices: &mut Choices<'_>) {
        if self.outbox.is_empty() {
            let bytes = self.bytes(choices);
            let entry = self.entry(bytes.clone(), Class::Normal);
            self.model.entries.push(Entry { begun: true, ..entry });
            self.outbox.begin_with(bytes.into(), &mut self.settlements);
        }
    }

    fn write(&mut self, choices: &mut Choices<'_>) {
        let answers = choices.below(4);
        self.socket.script = (0..answers).map(|_| Answer::Takes(1 + choices.below(40) as usize)).collect();
        let last = match choices.below(32) {
            0 => Some(Answer::Reset),
            1 => Some(Answer::Takes(0)),
            _ => None,
        };
        self.socket.script.extend(last);
        if choices.below(4) == 0 {
            self.socket.script.push_front(Answer::Interrupted);
        }
        let (before, calls) = (self.socket.taken.len(), self.socket.slices.len());
        let result = self.outbox.write_to(&mut self.socket, at(self.now_ms), &mut self.settlements, None);
        let written = self.socket.taken.len() - before;
        self.model.expire(self.now_ms);
        self.model.write(written);
        match result {
            Ok(progress) => {
                let writes = (self.socket.slices.len() - calls) as u32;
                assert_eq!(progress, Progress { written, writes, blocked: self.model.next().is_some() });
            }
            Err(error) => {
                let met = [io::ErrorKind::ConnectionReset, io::ErrorKind::WriteZero].contains(&error.kind());
                assert!(met && last.is_some() && self.socket.script.is_empty());
            }
        }
    }

    fn agree(&mut self) {
        let (outbox, model) = (&self.outbox, &self.model);
        assert_eq!(self.socket.taken, model.wire);
        assert_eq!((outbox.messages(), outbox.bytes()), (model.entries.len(), model.bytes()));
        let whole: usize = model.entries.iter().map(|entry| entry.bytes.len()).sum();
        assert_eq!(self.settlements.waiting_messages as usize, model.entries.len());
        assert_eq!(self.settlements.waiting_bytes as usize, whole);
        let memory = |entry: &Entry| {
            let push = if entry.is_push { size_of::<Push>() } else { 0 };
            size_of::<Item>() + push + entry.bytes.len()
        };
        assert_eq!(self.settlements.memory as usize, model.entries.iter().map(memory).sum::<usize>());
        assert_eq!(self.settlements.dropped, model.dropped);
        let earliest = model.entries.iter().filter(|one| !one.begun).map(|one| one.deadline_ms).min();
        assert!(
            outbox.next_expiry_ms().unwrap_or(u64::MAX)
                <= earliest.map_or(u64::MAX, |ms| ms.saturating_add(1))
        );
        for push in self.settlements.finished.drain(..) {
            let number =
                self.pushes.iter().find(|(_, one)| Arc::ptr_eq(one, &push)).map(|(number, _)| *number);
            let receipt = push.receipt();
            let counts = [
                receipt.written.unwrap_or_default(),
                receipt.replaced,
                receipt.dropped,
                receipt.expired,
                receipt.closed,
            ];
            let fates = [Fate::Written, Fate::Replaced, Fate::Dropped, Fate::Expired, Fate::Closed];
            let number = number.expect("finished once, and only what was taken");
            let expected = fates.map(|fate| u32::from(model.fates[&number] == fate));
            assert_eq!(counts, expected, "one fate, and the one of the model");
            self.pushes.remove(&number);
        }
        let waiting = model.entries.iter().filter(|entry| self.pushes.contains_key(&entry.number)).count();
        assert_eq!(self.pushes.len(), waiting, "what has a fate is finished, what waits is not");
        self.socket.taken.clear();
        self.model.wire.clear();
    }

    fn finish(mut self) -> Settlements {
        self.outbox.clear(Fate::Closed, &mut self.settlements);
        self.model.clear(false);
        self.agree();
        assert_eq!((self.outbox.bytes(), self.outbox.messages()), (0, 0));
        assert!(self.pushes.is_empty());
        self.settlements
    }
}
