//! The slab that holds a worker's live sessions, with a generation a slot. Knows nothing of what it holds.
//!
//! Slots come in chunks, so growing never copies live entries, and a chunk without live entries gives its memory back;
//! only its generations stay, 4 bytes a slot. The lowest free slot is taken first, so that the high chunks can empty.

use super::SessionId;

/// Slots that are allocated and given back together.
const CHUNK: usize = 256;
/// Words of a bit set over the slots of a chunk.
const WORDS: usize = CHUNK / 64;
const MAX_CHUNKS: usize = (1 << SessionId::SLOT_BITS) / CHUNK;

type Entries<T> = Box<[Option<T>; CHUNK]>;

/// Live entries under ids that are never used twice.
///
/// A slot that has been through all its generations is retired. `GENERATION_BITS` is less than the id has room for only
/// in tests.
///
/// ```
/// use gannet::session::GenerationalSlab;
/// let mut slab: GenerationalSlab<&str> = GenerationalSlab::new(1, 0, 77);
/// let ada = slab.insert("ada").unwrap();
/// assert_eq!(slab.remove(ada), Some("ada"));
/// let bob = slab.insert("bob").unwrap();
/// assert_eq!((bob.slot(), slab.get(bob)), (ada.slot(), Some(&"bob")));
/// assert_eq!(slab.get(ada), None, "a stale id reaches nobody");
/// ```
pub struct GenerationalSlab<T, const GENERATION_BITS: u32 = { SessionId::GENERATION_BITS }> {
    /// An id with the node and the worker of all ids here.
    origin: SessionId,
    first_generation: u32,
    chunks: Vec<Chunk<T>>,
    /// Bit `c` is set when chunk `c` has a free slot.
    open: Vec<u64>,
    /// The entries of one emptied chunk, all `None`: coming and going at a chunk's edge allocates nothing.
    spare: Option<Entries<T>>,
    len: usize,
}

struct Chunk<T> {
    /// `None` when no slot is used.
    entries: Option<Entries<T>>,
    /// Of the session in the slot; where there is none, of the next.
    generations: Box<[u32; CHUNK]>,
    used: [u64; WORDS],
    retired: [u64; WORDS],
    live: usize,
    /// Slots neither used nor retired.
    free: usize,
}

impl<T, const GENERATION_BITS: u32> GenerationalSlab<T, GENERATION_BITS> {
    const GENERATIONS: u32 = {
        assert!(GENERATION_BITS <= SessionId::GENERATION_BITS);
        1 << GENERATION_BITS
    };

    /// An empty slab. A `first_generation` that is random in every process makes the ids of an earlier one stale; bits
    /// beyond the generation's width are cut off.
    pub fn new(node: u16, worker: u8, first_generation: u32) -> Self {
        Self {
            origin: SessionId::new(node, worker, 0, 0),
            first_generation: first_generation % Self::GENERATIONS,
            chunks: Vec::new(),
            open: Vec::new(),
            spare: None,
            len: 0,
        }
    }

    /// Takes `value` in; `None` (and `value` is dropped) when all slots are used or retired.
    pub fn insert(&mut self, value: T) -> Option<SessionId> {
        self.insert_with(|_| value)
    }

    /// Takes in what `make` makes of its id; `None` when all slots are used or retired.
    pub fn insert_with(&mut self, make: impl FnOnce(SessionId) -> T) -> Option<SessionId> {
        let number = self.open_chunk()?;
        let chunk = &mut self.chunks[number];
        let index = chunk.first_free()?;
        let id = id_with(self.origin, chunk.generations[index], number * CHUNK + index);
        let value = make(id);
        let entries = chunk.entries.get_or_insert_with(|| self.spare.take().unwrap_or_else(empty_entries));
        entries[index] = Some(value);
        set(&mut chunk.used, index);
        chunk.live += 1;
        chunk.free -= 1;
        self.len += 1;
        self.note_open(number);
        Some(id)
    }

    /// The entry of `id`; node, worker, generation and slot must all match.
    pub fn get(&self, id: SessionId) -> Option<&T> {
        let (chunk, index) = split(id.slot());
        let chunk = self.chunks.get(chunk).filter(|chunk| chunk.generations[index] == id.generation())?;
        chunk.entry(index).filter(|_| self.is_ours(id))
    }

    /// As [`GenerationalSlab::get`].
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut T> {
        let ours = self.is_ours(id);
        let (chunk, index) = split(id.slot());
        let chunk = self.chunks.get_mut(chunk).filter(|chunk| chunk.generations[index] == id.generation())?;
        chunk.entry_mut(index).filter(|_| ours)
    }

    /// The entry in a slot, for the worker's own lists of slots.
    pub fn slot(&self, slot: u32) -> Option<&T> {
        let (chunk, index) = split(slot);
        self.chunks.get(chunk)?.entry(index)
    }

    /// As [`GenerationalSlab::slot`].
    pub fn slot_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, index) = split(slot);
        self.chunks.get_mut(chunk)?.entry_mut(index)
    }

    /// The id of the entry in a slot.
    pub fn id_of(&self, slot: u32) -> Option<SessionId> {
        let (chunk, index) = split(slot);
        let chunk = self.chunks.get(chunk)?;
        chunk.entry(index)?;
        Some(id_with(self.origin, chunk.generations[index], slot as usize))
    }

    /// Takes the entry of `id` out; from then on the id is stale.
    pub fn remove(&mut self, id: SessionId) -> Option<T> {
        self.get(id)?;
        let (number, index) = split(id.slot());
        let chunk = &mut self.chunks[number];
        let value = chunk.entries.as_mut()?[index].take()?;
        unset(&mut chunk.used, index);
        chunk.live -= 1;
        self.len -= 1;
        let next = (id.generation() + 1) % Self::GENERATIONS;
        chunk.generations[index] = next;
        if next == self.first_generation {
            set(&mut chunk.retired, index);
        } else {
            chunk.free += 1;
        }
        if chunk.live == 0 {
            let entries = chunk.entries.take();
            self.spare = self.spare.take().or(entries);
        }
        self.note_open(number);
        Some(value)
    }

    /// Live entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no live entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The live entries by slot.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &T)> {
        self.slots().filter_map(|slot| Some((self.id_of(slot)?, self.slot(slot)?)))
    }

    /// The slots that are used, ascending.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.next_slot(0), |slot| self.next_slot(slot + 1))
    }

    /// The first used slot from `from` on: how to walk while entries change, or a part a turn.
    pub fn next_slot(&self, from: u32) -> Option<u32> {
        let (first_chunk, first_index) = split(from);
        let mut index = first_index;
        for (number, chunk) in self.chunks.iter().enumerate().skip(first_chunk) {
            if chunk.live > 0
                && let Some(index) = first_set(&chunk.used, index)
            {
                return Some((number * CHUNK + index) as u32);
            }
            index = 0;
        }
        None
    }

    fn is_ours(&self, id: SessionId) -> bool {
        (id.node(), id.worker()) == (self.origin.node(), self.origin.worker())
    }

    /// The lowest chunk with a free slot, made if need be.
    fn open_chunk(&mut self) -> Option<usize> {
        if let Some(number) = first_set(&self.open, 0) {
            return Some(number);
        }
        let number = self.chunks.len();
        if number == MAX_CHUNKS {
            return None;
        }
        self.chunks.push(Chunk::new(self.first_generation));
        if number.is_multiple_of(64) {
            self.open.push(0);
        }
        set(&mut self.open, number);
        Some(number)
    }

    fn note_open(&mut self, number: usize) {
        match self.chunks[number].free {
            0 => unset(&mut self.open, number),
            _ => set(&mut self.open, number),
        }
    }
}

impl<T> Chunk<T> {
    fn new(first_generation: u32) -> Self {
        let generations = boxed(|| first_generation);
        Self { entries: None, generations, used: [0; WORDS], retired: [0; WORDS], live: 0, free: CHUNK }
    }

    fn entry(&self, index: usize) -> Option<&T> {
        self.entries.as_ref()?[index].as_ref()
    }

    fn entry_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.as_mut()?[index].as_mut()
    }

    fn first_free(&self) -> Option<usize> {
        let words = self.used.iter().zip(&self.retired).map(|(used, retired)| !(used | retired));
        words
            .enumerate()
            .find(|(_, word)| *word != 0)
            .map(|(at, word)| at * 64 + word.trailing_zeros() as usize)
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

fn id_with(origin: SessionId, generation: u32, slot: usize) -> SessionId {
    SessionId::new(origin.node(), origin.worker(), generation, slot as u32)
}

fn empty_entries<T>() -> Entries<T> {
    boxed(|| None)
}

/// An array on the heap that never stood on the stack.
fn boxed<V>(mut value: impl FnMut() -> V) -> Box<[V; CHUNK]> {
    let values: Box<[V]> = std::iter::repeat_with(&mut value).take(CHUNK).collect();
    values.try_into().unwrap_or_else(|_| unreachable!("CHUNK values were taken"))
}

fn set(words: &mut [u64], bit: usize) {
    words[bit / 64] |= 1 << (bit % 64);
}

fn unset(words: &mut [u64], bit: usize) {
    words[bit / 64] &= !(1 << (bit % 64));
}

/// The first bit set from `from` on.
fn first_set(words: &[u64], from: usize) -> Option<usize> {
    let masked =
        |at: usize| if at == from / 64 { words[at] >> (from % 64) << (from % 64) } else { words[at] };
    let at = (from / 64..words.len()).find(|&at| masked(at) != 0)?;
    Some(at * 64 + masked(at).trailing_zeros() as usize)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::random_bytes;

    fn allocated<T, const BITS: u32>(slab: &GenerationalSlab<T, BITS>) -> usize {
        slab.chunks.iter().filter(|chunk| chunk.entries.is_some()).count() + usize::from(slab.spare.is_some())
    }

    #[test]
    fn answers_like_the_model() {
        for seed in 1..5 {
            model::obey::<22>(&random_bytes(seed, 3_000));
        }
    }

    #[test]
    fn answers_like_the_model_where_slots_retire() {
        for seed in 5..9 {
            model::obey::<2>(&random_bytes(seed, 3_000));
            model::obey::<0>(&random_bytes(seed, 1_000));
        }
    }

    #[test]
    fn a_slot_retires_after_its_last_generation() {
        let mut slab: GenerationalSlab<(), 3> = GenerationalSlab::new(1, 1, 6);
        let mut generations = Vec::new();
        for _ in 0..8 {
            let id = slab.insert(()).unwrap();
            assert_eq!(id.slot(), 0);
            generations.push(id.generation());
            slab.remove(id);
        }
        assert_eq!(generations, [6, 7, 0, 1, 2, 3, 4, 5]);
        assert_eq!(slab.insert(()).map(SessionId::slot), Some(1), "slot 0 is retired");
        assert_eq!(slab.slot(0), None);
        for generation in 0..8 {
            assert_eq!(slab.get(SessionId::new(1, 1, generation, 0)), None);
        }
    }

    #[test]
    fn every_part_of_the_id_must_match() {
        let mut slab: GenerationalSlab<u8> = GenerationalSlab::new(5, 6, 0xFFFF_FFFF);
        let id = slab.insert_with(|id| id.worker()).unwrap();
        assert_eq!((id.node(), id.worker(), id.generation(), id.slot()), (5, 6, (1 << 22) - 1, 0));
        assert_eq!(slab.get(id), Some(&6));
        for bit in 0..64 {
            let other = SessionId::from_u64(id.as_u64() ^ 1 << bit);
            assert_eq!(slab.get(other), None, "bit {bit}");
            assert_eq!(slab.get_mut(other), None, "bit {bit}");
            assert_eq!(slab.remove(other), None, "bit {bit}");
        }
        assert_eq!(slab.slot_mut(u32::MAX), None);
        assert_eq!(slab.next_slot(u32::MAX), None);
        slab.remove(id);
        assert_eq!(slab.get(SessionId::new(5, 6, 0, 0)), None, "the generation to come is nobody's yet");
    }

    #[test]
    fn emptied_chunks_give_their_memory_back() {
        let mut slab: GenerationalSlab<[u8; 100]> = GenerationalSlab::new(0, 0, 0);
        let ids: Vec<SessionId> = (0..10 * CHUNK).filter_map(|_| slab.insert([0; 100])).collect();
        assert_eq!(allocated(&slab), 10);
        // At the edge of a chunk nothing is allocated or freed.
        let last = ids[9 * CHUNK..].to_vec();
        last.iter().for_each(|id| assert!(slab.remove(*id).is_some()));
        assert_eq!((allocated(&slab), slab.spare.is_some()), (10, true));
        let again = slab.insert([1; 100]).unwrap();
        assert_eq!((again.slot() as usize, slab.spare.is_none()), (9 * CHUNK, true));
        slab.remove(again);

        ids[..9 * CHUNK].iter().skip(1).for_each(|id| assert!(slab.remove(*id).is_some()));
        assert_eq!((slab.len(), allocated(&slab)), (1, 2), "one in use and the spare");
        let refilled = slab.insert([2; 100]).unwrap();
        assert_eq!(refilled.slot(), 1, "the lowest free slot");
    }

    #[test]
    fn it_is_full_when_the_slots_of_an_id_are() {
        let mut slab: GenerationalSlab<()> = GenerationalSlab::new(0, 0, 9);
        let slots = 1 << SessionId::SLOT_BITS;
        for slot in 0..slots {
            assert_eq!(slab.insert(()).map(SessionId::slot), Some(slot));
        }
        assert_eq!(slab.insert(()), None);
        let id = slab.id_of(slots - 5).unwrap();
        slab.remove(id);
        assert_eq!(slab.insert(()).map(SessionId::slot), Some(slots - 5));
        assert_eq!(slab.len(), slots as usize);
    }
}
