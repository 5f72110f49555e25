//! The obvious outbox, one list that is searched from end to end, beside the real one under random operations.

use super::*;
use std::collections::BTreeMap;

/// Random numbers (Marsaglia's xorshift).
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 32) % u64::from(bound)) as u32
    }
}

/// What the naive outbox knows of an item: an entry of one list, searched from end to end.
#[derive(Debug, Clone)]
struct Entry {
    number: usize,
    bytes: Vec<u8>,
    class: Class,
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
}

impl Model {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len() - entry.sent).sum()
    }

    fn end(&mut self, index: usize, fate: Fate) {
        let entry = self.entries.remove(index);
        assert_eq!(self.fates.insert(entry.number, fate), None, "one fate each");
    }

    fn has_room(&self, bytes: usize, limits: OutboxLimits) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < limits.messages && self.bytes() + bytes <= limits.bytes)
    }

    fn offer(&mut self, entry: Entry, limits: OutboxLimits) -> &'static str {
        let older =
            self.entries.iter().position(|one| !one.begun && one.key.is_some() && one.key == entry.key);
        if let Some(index) = older {
            let older = &self.entries[index];
            let same_lane = (older.class == Class::Urgent) == (entry.class == Class::Urgent);
            let fits = self.bytes() - older.bytes.len() + entry.bytes.len() <= limits.bytes;
            self.end(index, Fate::Replaced);
            if same_lane && fits {
                self.entries.insert(index, entry);
                return "queued";
            }
        }
        while !self.has_room(entry.bytes.len(), limits) {
            let droppable = |one: &Entry| !one.begun && one.class == Class::Droppable;
            match self.entries.iter().position(droppable) {
                Some(index) => self.end(index, Fate::Dropped),
                None if entry.class == Class::Droppable => return "dropped",
                None => return "full",
            }
        }
        self.entries.push(entry);
        "queued"
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
        begun.or_else(urgent).or((!self.entries.is_empty()).then_some(0))
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

/// An outbox and the obvious one beside it.
struct Pair {
    outbox: Outbox,
    model: Model,
    socket: Socket,
    /// Every push that was taken, by number.
    pushes: BTreeMap<usize, Arc<Push>>,
    settlements: Settlements,
    limits: OutboxLimits,
    now_ms: u64,
    number: usize,
}

impl Pair {
    fn new(limits: OutboxLimits) -> Self {
        Self {
            outbox: Outbox::default(),
            model: Model::default(),
            socket: Socket::default(),
            pushes: BTreeMap::new(),
            settlements: Settlements::default(),
            limits,
            now_ms: 0,
            number: 0,
        }
    }

    fn step(&mut self, random: &mut Xorshift) {
        match random.below(20) {
            0..=9 => self.push(random),
            10 => self.control(random),
            11 => self.append(random),
            12 => self.resume(random),
            13 => self.now_ms += u64::from(random.below(8)),
            14 => {
                self.outbox.expire(self.now_ms, &mut self.settlements);
                self.model.expire(self.now_ms);
            }
            15 if random.below(10) == 0 => {
                self.outbox.clear_unsent(Fate::Closed, &mut self.settlements);
                self.model.clear(true);
            }
            _ => self.write(random),
        }
        self.agree();
    }

    fn entry(&mut self, bytes: Vec<u8>, class: Class) -> Entry {
        self.number += 1;
        Entry { number: self.number, bytes, class, key: None, deadline_ms: u64::MAX, begun: false, sent: 0 }
    }

    fn random_bytes(&self, random: &mut Xorshift) -> Vec<u8> {
        (0..1 + random.below(12)).map(|_| random.next() as u8).collect()
    }

    fn push(&mut self, random: &mut Xorshift) {
        let class = [Class::Normal, Class::Urgent, Class::Droppable][random.below(3) as usize];
        let key = (random.below(2) == 0).then(|| random.below(4) as u8);
        let deadline_ms = self.now_ms + u64::from(random.below(20));
        let payload = self.random_bytes(random);
        let named = key.map(|key| key.to_string());
        let push = push_of(&payload, deadline_ms, class, named.as_deref(), ReceiptMode::Written);
        let entry = self.entry(push.frame.as_bytes().to_vec(), class);
        let entry = Entry { key, deadline_ms, ..entry };
        let number = entry.number;
        let expected = self.model.offer(entry, self.limits);
        let came = match self.outbox.offer(shared(Arc::clone(&push)), self.limits, &mut self.settlements) {
            Offered::Queued => "queued",
            Offered::Dropped => "dropped",
            Offered::Full(_) => "full",
        };
        assert_eq!(came, expected);
        if came == "queued" {
            self.pushes.insert(number, push);
        }
    }

    fn control(&mut self, random: &mut Xorshift) {
        let bytes = self.random_bytes(random);
        let entry = self.entry(bytes.clone(), Class::Urgent);
        let fits = self.model.entries.len() < self.limits.messages
            && self.model.bytes() + bytes.len() <= self.limits.bytes;
        if fits {
            self.model.entries.push(entry);
        }
        let queued = self.outbox.offer_control(bytes.into(), self.limits, &mut self.settlements);
        assert_eq!(queued.is_ok(), fits);
    }

    fn append(&mut self, random: &mut Xorshift) {
        let bytes = self.random_bytes(random);
        let entry = self.entry(bytes.clone(), Class::Normal);
        self.model.entries.push(entry);
        self.outbox.append(bytes.into(), &mut self.settlements);
    }

    fn resume(&mut self, random: &mut Xorshift) {
        if self.outbox.is_empty() {
            let bytes = self.random_bytes(random);
            let entry = self.entry(bytes.clone(), Class::Normal);
            self.model.entries.push(Entry { begun: true, ..entry });
            self.outbox.resume(bytes.into(), &mut self.settlements);
        }
    }

    fn write(&mut self, random: &mut Xorshift) {
        self.socket.script =
            (0..random.below(4)).map(|_| Answer::Takes(1 + random.below(40) as usize)).collect();
        if random.below(4) == 0 {
            self.socket.script.push_front(Answer::Interrupted);
        }
        let before = self.socket.taken.len();
        let progress =
            self.outbox.write_to(&mut self.socket, at(self.now_ms), &mut self.settlements).unwrap();
        assert_eq!(progress.written, self.socket.taken.len() - before);
        assert_eq!(progress.drained, self.outbox.is_empty());
        self.model.expire(self.now_ms);
        self.model.write(progress.written);
    }

    fn agree(&mut self) {
        let (outbox, model) = (&self.outbox, &self.model);
        assert_eq!(self.socket.taken, model.wire);
        assert_eq!((outbox.messages(), outbox.bytes()), (model.entries.len(), model.bytes()));
        let whole: usize = model.entries.iter().map(|entry| entry.bytes.len()).sum();
        assert_eq!(self.settlements.waiting_messages as usize, model.entries.len());
        assert_eq!(self.settlements.waiting_bytes as usize, whole);
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
            let expected = fates.map(|fate| u32::from(model.fates[&number.unwrap()] == fate));
            assert_eq!(counts, expected, "one fate, and the one of the model");
            self.pushes.remove(&number.unwrap());
        }
        let waiting = model.entries.iter().filter(|entry| self.pushes.contains_key(&entry.number)).count();
        assert_eq!(self.pushes.len(), waiting, "what has a fate is finished, what waits is not");
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

#[test]
fn the_obvious_outbox_does_the_same() {
    let mut seen = [0; 5];
    for seed in 1..400 {
        let mut random = Xorshift(seed * 0x9e37_79b9);
        let limits = OutboxLimits {
            bytes: 20 + random.below(200) as usize,
            messages: 1 + random.below(if seed % 4 == 0 { 200 } else { 20 }) as usize,
        };
        let mut pair = Pair::new(limits);
        for _ in 0..200 {
            pair.step(&mut random);
        }
        let ended = pair.finish();
        for (seen, count) in
            seen.iter_mut().zip([ended.written, ended.replaced, ended.dropped, ended.expired, ended.closed])
        {
            *seen += count;
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "every fate is met often: {seen:?}");
}
