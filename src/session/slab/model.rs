//! The obvious slab: a table of every slot there ever was, and operations read from bytes that it and the real one must
//! answer alike. A fuzzer may choose the bytes.

use super::{CHUNK, GenerationalSlab};
use crate::choices::Choices;
use crate::session::SessionId;
use std::collections::BTreeSet;

const NODE: u16 = 7;
const WORKER: u8 = 3;
/// Live entries, at most: enough for some chunks.
const MOST: usize = 2_500;
/// Entries taken in, at most: it bounds the time that an input takes.
const MOST_INSERTS: u64 = 5_000;

#[derive(Clone)]
struct Slot {
    generation: u32,
    value: Option<u64>,
}

struct Model {
    first_generation: u32,
    generations: u32,
    slots: Vec<Slot>,
    /// At which the slots of a chunk that have not been used yet begin.
    begins: Vec<u32>,
    /// Slots that can be taken again.
    free: BTreeSet<u32>,
    live: BTreeSet<u32>,
}

impl Model {
    fn insert(&mut self, value: u64) -> SessionId {
        let slot = self.free.pop_first().unwrap_or_else(|| {
            let slot = self.slots.len();
            self.begins.resize(slot / CHUNK + 1, self.first_generation);
            self.slots.push(Slot { generation: self.begins[slot / CHUNK], value: None });
            slot as u32
        });
        self.slots[slot as usize].value = Some(value);
        self.live.insert(slot);
        SessionId::new(NODE, WORKER, self.slots[slot as usize].generation, slot)
    }

    fn id_of(&self, slot: u32) -> Option<SessionId> {
        let Slot { generation, value } = self.slots.get(slot as usize)?;
        value.map(|_| SessionId::new(NODE, WORKER, *generation, slot))
    }

    fn get(&self, id: SessionId) -> Option<u64> {
        let value = self.slots.get(id.slot() as usize)?.value;
        value.filter(|_| self.id_of(id.slot()) == Some(id))
    }

    fn remove(&mut self, id: SessionId) -> Option<u64> {
        let value = self.get(id)?;
        let slot = &mut self.slots[id.slot() as usize];
        slot.value = None;
        slot.generation = (slot.generation + 1) % self.generations;
        if slot.generation != self.first_generation {
            self.free.insert(id.slot());
        }
        self.live.remove(&id.slot());
        self.renew_emptied(id.slot() as usize / CHUNK);
        Some(value)
    }

    /// All slots of a chunk without live entries begin at the highest generation of those that can be taken again.
    fn renew_emptied(&mut self, chunk: usize) {
        let slots = (chunk * CHUNK) as u32..((chunk + 1) * CHUNK) as u32;
        if self.live.range(slots.clone()).next().is_some() {
            return;
        }
        let age = |slot: &u32| {
            self.slots[*slot as usize].generation.wrapping_sub(self.first_generation) % self.generations
        };
        if let Some(oldest) = self.free.range(slots.clone()).copied().max_by_key(age) {
            self.begins[chunk] = self.slots[oldest as usize].generation;
            self.free
                .range(slots)
                .for_each(|slot| self.slots[*slot as usize].generation = self.begins[chunk]);
        }
    }
}

struct Pair<const BITS: u32> {
    slab: GenerationalSlab<u64, BITS>,
    model: Model,
    inserts: u64,
}

/// Does what `bytes` say to a slab with generations of `BITS`, and panics where the model answers differently.
pub(crate) fn obey<const BITS: u32>(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let generations = 1 << BITS;
    let first_generation = choices.number(u32::BITS) as u32;
    let model = Model {
        first_generation: first_generation % generations,
        generations,
        slots: Vec::new(),
        begins: Vec::new(),
        free: BTreeSet::new(),
        live: BTreeSet::new(),
    };
    let mut pair: Pair<BITS> =
        Pair { slab: GenerationalSlab::new(NODE, WORKER, first_generation), model, inserts: 0 };
    while !choices.is_empty() {
        pair.step(&mut choices);
        assert_eq!(pair.slab.len(), pair.model.live.len());
        assert_eq!(pair.slab.is_empty(), pair.model.live.is_empty());
    }
    pair.check();
}

impl<const BITS: u32> Pair<BITS> {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(9) {
            0 | 1 => self.insert(1),
            2 => self.insert(1 + 4 * u32::from(choices.byte())),
            3 | 4 => self.remove(choices, 1),
            5 => {
                let count = 1 + 4 * u32::from(choices.byte());
                self.remove(choices, count);
            }
            6 => self.look(choices),
            7 => self.take_id(),
            _ => self.walk(choices),
        }
    }

    fn insert(&mut self, count: u32) {
        for _ in 0..count {
            if self.model.live.len() >= MOST || self.inserts == MOST_INSERTS {
                return;
            }
            self.inserts += 1;
            let id = self.slab.insert_with(|id| id.as_u64() ^ self.inserts);
            let expected = self.model.insert(0);
            self.model.slots[expected.slot() as usize].value = Some(expected.as_u64() ^ self.inserts);
            assert_eq!(id, Some(expected), "the lowest free slot, under its next generation");
        }
    }

    fn take_id(&mut self) {
        if self.model.live.len() >= MOST || self.inserts == MOST_INSERTS {
            return;
        }
        self.inserts += 1;
        let id = self.model.insert(0);
        assert_eq!(self.slab.take_id(), Some(id), "as if an entry had come and gone");
        self.model.remove(id);
        self.agree_on(id);
    }

    /// Removes `count` entries from some slot on.
    fn remove(&mut self, choices: &mut Choices<'_>, count: u32) {
        let from = self.slot(choices);
        let slots = self.model.live.range(from..).take(count as usize);
        let ids: Vec<SessionId> = slots.filter_map(|&slot| self.model.id_of(slot)).collect();
        for id in ids {
            assert_eq!(self.slab.remove(id), self.model.remove(id));
            assert_eq!(self.slab.remove(id), None, "a stale id reaches nobody");
        }
    }

    /// Looks for an id that may differ from a live one in any part.
    fn look(&mut self, choices: &mut Choices<'_>) {
        let slot = self.slot(choices);
        let generation = self.model.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        let difference = [0, 0, 1 << 52, 1 << 44, 1 << 22, 1][choices.below(6) as usize];
        let id = SessionId::new(NODE, WORKER, generation, slot).as_u64() ^ difference;
        self.agree_on(SessionId::from_u64(id));
        if choices.below(4) == 0 {
            assert_eq!(self.slab.remove(SessionId::from_u64(id)), self.model.remove(SessionId::from_u64(id)));
        }
        self.agree_on(SessionId::from_u64(choices.number(u64::BITS)));
    }

    fn agree_on(&mut self, id: SessionId) {
        let expected = self.model.get(id);
        assert_eq!(self.slab.get(id), expected.as_ref());
        let mut in_slot = self.model.slots.get(id.slot() as usize).and_then(|slot| slot.value);
        assert_eq!(self.slab.slot(id.slot()), in_slot.as_ref());
        assert_eq!(self.slab.slot_mut(id.slot()), in_slot.as_mut());
        assert_eq!(self.slab.id_of(id.slot()), self.model.id_of(id.slot()));
    }

    fn walk(&mut self, choices: &mut Choices<'_>) {
        let from = self.slot(choices);
        assert_eq!(self.slab.next_slot(from), self.model.live.range(from..).next().copied());
    }

    /// A slot that exists, mostly.
    fn slot(&self, choices: &mut Choices<'_>) -> u32 {
        match choices.below(8) {
            0 => choices.number(u32::BITS) as u32,
            _ => choices.number(16) as u32 % self.model.slots.len().max(1) as u32,
        }
    }

    fn check(&self) {
        let model = &self.model;
        assert!(self.slab.slots().eq(model.live.iter().copied()));
        let live = model
            .live
            .iter()
            .filter_map(|&slot| Some((model.id_of(slot)?, model.slots[slot as usize].value?)));
        let slab = &self.slab;
        let entries = slab.slots().filter_map(|slot| Some((slab.id_of(slot)?, *slab.slot(slot)?)));
        assert!(entries.eq(live));
    }
}
