//! The slab that holds a worker's live sessions, with a generation a slot. Knows nothing of what it holds.
//!
//! Slots come in chunks, so growing never copies live entries, and a chunk without live entries gives its memory back: all
//! that stays of it is the highest generation of its slots, at which they begin again. The lowest free slot is taken first,
//! so that the high chunks can empty.

mod carry;

pub use carry::CarriedGenerations;

use super::SessionId;

/// Slots that are allocated and given back together. So many connections take more than 64 KiB, which the program's heap maps
/// by themselves and gives back. Tests want many chunks.
const CHUNK: usize = if cfg!(any(test, fuzzing)) { 128 } else { 1024 };
/// Words of a bit set over the slots of a chunk.
const WORDS: usize = CHUNK / 64;
/// Chunks that the list of them has room for from the start: made later, it would lie behind the entries of a storm, and
/// keep their memory from being given back.
const CHUNKS: usize = 64;
const MAX_CHUNKS: usize = (1 << SessionId::SLOT_BITS) / CHUNK;

/// Live entries under ids that are never used twice.
///
/// A slot that has been through all its generations is retired. `GENERATION_BITS` is less than the id has room for only
/// in tests.
pub struct GenerationalSlab<T, const GENERATION_BITS: u32 = { SessionId::GENERATION_BITS }> {
    /// An id with the node and the worker of all ids here.
    origin: SessionId,
    first_generation: u32,
    chunks: Vec<Chunk<T>>,
    /// Bit `c` is set when chunk `c` has a free slot.
    open: Vec<u64>,
    len: usize,
}

struct Chunk<T> {
    /// Of the slots from the first to the highest that has been used since the chunk was last empty; without memory while
    /// it is.
    entries: Vec<Option<T>>,
    /// Beside each entry: the generation of the session in the slot; where there is none, of the next.
    generations: Vec<u32>,
    /// The generation at which the slots behind these begin.
    begin: u32,
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
            chunks: Vec::with_capacity(CHUNKS),
            open: Vec::new(),
            len: 0,
        }
    }

    /// Takes in what `make` makes of its id; `None` when all slots are used or retired.
    pub fn insert_with(&mut self, make: impl FnOnce(SessionId) -> T) -> Option<SessionId> {
        let (id, number, index) = self.take_slot()?;
        self.chunks[number].entries[index] = Some(make(id));
        self.note_open(number);
        Some(id)
    }

    /// An id that names nothing of this slab, now and for ever; `None` when all slots are used or retired.
    pub fn take_id(&mut self) -> Option<SessionId> {
        let (id, ..) = self.take_slot()?;
        self.leave(id);
        Some(id)
    }

    /// The lowest slot that is free is used from now on: its id, its chunk, and its place there.
    fn take_slot(&mut self) -> Option<(SessionId, usize, usize)> {
        let number = self.open_chunk()?;
        let chunk = &mut self.chunks[number];
        let index = chunk.first_free()?;
        chunk.reach(index);
        let id = id_with(self.origin, chunk.generations[index], number * CHUNK + index);
        set(&mut chunk.used, index);
        chunk.live += 1;
        chunk.free -= 1;
        self.len += 1;
        Some((id, number, index))
    }

    /// The entry of `id`; node, worker, generation and slot must all match.
    pub fn get(&self, id: SessionId) -> Option<&T> {
        let (chunk, index) = split(id.slot());
        let chunk = self.chunks.get(chunk).filter(|chunk| chunk.is_at(index, id.generation()))?;
        chunk.entry(index).filter(|_| self.is_ours(id))
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
        let value = self.chunks[number].entries.get_mut(index)?.take()?;
        self.leave(id);
        Some(value)
    }

    /// Nothing is in the slot of `id` any more: its next entry has another generation.
    fn leave(&mut self, id: SessionId) {
        let (number, index) = split(id.slot());
        let chunk = &mut self.chunks[number];
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
            chunk.empty(|generation| generation.wrapping_sub(self.first_generation) % Self::GENERATIONS);
        }
        self.note_open(number);
    }

    /// Live entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no live entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        self.add_chunk();
        Some(number)
    }

    fn add_chunk(&mut self) {
        let number = self.chunks.len();
        self.chunks.push(Chunk::new(self.first_generation));
        if number.is_multiple_of(64) {
            self.open.push(0);
        }
        set(&mut self.open, number);
    }

    fn note_open(&mut self, number: usize) {
        match self.chunks[number].free {
            0 => unset(&mut self.open, number),
            _ => set(&mut self.open, number),
        }
    }
}

impl<T> Chunk<T> {
    fn new(begin: u32) -> Self {
        Self {
            entries: Vec::new(),
            generations: Vec::new(),
            begin,
            used: [0; WORDS],
            retired: [0; WORDS],
            live: 0,
            free: CHUNK,
        }
    }

    /// Makes sure of an entry at `index`. The memory for all is asked for at once and touched as it is needed.
    fn reach(&mut self, index: usize) {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(CHUNK);
            self.generations.reserve_exact(CHUNK);
        }
        while self.entries.len() <= index {
            self.entries.push(None);
            self.generations.push(self.begin);
        }
    }

    /// Gives the memory back; `age` says how many generations came before one.
    fn empty(&mut self, age: impl Fn(u32) -> u32) {
        let generations =
            self.generations.iter().enumerate().filter(|(index, _)| !is_set(&self.retired, *index));
        let begin = generations.map(|(_, generation)| *generation).max_by_key(|generation| age(*generation));
        self.begin = begin.unwrap_or(self.begin);
        self.entries = Vec::new();
        self.generations = Vec::new();
    }

    fn is_at(&self, index: usize, generation: u32) -> bool {
        self.generations.get(index) == Some(&generation)
    }

    fn entry(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    fn entry_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)?.as_mut()
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

fn set(words: &mut [u64], bit: usize) {
    words[bit / 64] |= 1 << (bit % 64);
}

fn unset(words: &mut [u64], bit: usize) {
    words[bit / 64] &= !(1 << (bit % 64));
}

fn is_set(words: &[u64], bit: usize) -> bool {
    words[bit / 64] >> (bit % 64) & 1 == 1
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
    use crate::choices::random_bytes;

    fn allocated<T, const BITS: u32>(slab: &GenerationalSlab<T, BITS>) -> usize {
        slab.chunks.iter().filter(|chunk| chunk.entries.capacity() > 0).count()
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
    fn a_stale_id_reaches_no_later_entry_of_its_slot() {
        let mut slab: GenerationalSlab<&str> = GenerationalSlab::new(1, 0, 77);
        let ada = slab.insert_with(|_| "ada").unwrap();
        assert_eq!(slab.remove(ada), Some("ada"));
        let bob = slab.insert_with(|_| "bob").unwrap();
        assert_eq!((bob.slot(), slab.get(bob)), (ada.slot(), Some(&"bob")));
        assert_eq!(slab.get(ada), None);
    }

    #[test]
    fn a_slot_retires_after_its_last_generation() {
        let mut slab: GenerationalSlab<(), 3> = GenerationalSlab::new(1, 1, 6);
        let mut generations = Vec::new();
        for _ in 0..8 {
            let id = slab.insert_with(|_| ()).unwrap();
            assert_eq!(id.slot(), 0);
            generations.push(id.generation());
            slab.remove(id);
        }
        assert_eq!(generations, [6, 7, 0, 1, 2, 3, 4, 5]);
        assert_eq!(slab.insert_with(|_| ()).map(SessionId::slot), Some(1), "slot 0 is retired");
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
            assert_eq!(slab.remove(other), None, "bit {bit}");
        }
        assert_eq!(slab.slot_mut(u32::MAX), None);
        assert_eq!(slab.next_slot(u32::MAX), None);
        slab.remove(id);
        assert_eq!(slab.get(SessionId::new(5, 6, 0, 0)), None, "the generation to come is nobody's yet");
    }

    #[test]
    fn emptied_chunks_give_their_memory_back_and_begin_at_their_highest_generation() {
        let mut slab: GenerationalSlab<[u8; 100]> =
            GenerationalSlab::new(0, 0, SessionId::new(0, 0, u32::MAX, 0).generation());
        let first = slab.insert_with(|_| [0; 100]).unwrap();
        slab.remove(first);
        assert_eq!(allocated(&slab), 0);
        let ids: Vec<SessionId> = (0..10 * CHUNK).filter_map(|_| slab.insert_with(|_| [0; 100])).collect();
        assert_eq!(
            (allocated(&slab), ids[0].generation(), ids[CHUNK].generation()),
            (10, 0, first.generation())
        );
        assert!(ids[..CHUNK].iter().all(|id| id.generation() == 0), "as its first slot");

        ids.iter().skip(1).for_each(|id| assert!(slab.remove(*id).is_some()));
        assert_eq!((slab.len(), allocated(&slab)), (1, 1));
        let refilled = slab.insert_with(|_| [2; 100]).unwrap();
        assert_eq!((refilled.slot(), refilled.generation()), (1, 1), "the lowest free slot");
        assert_eq!(ids[1..].iter().find(|id| slab.get(**id).is_some()), None);
    }

    #[test]
    fn it_is_full_when_the_slots_of_an_id_are() {
        let mut slab: GenerationalSlab<()> = GenerationalSlab::new(0, 0, 9);
        let slots = 1 << SessionId::SLOT_BITS;
        for slot in 0..slots {
            assert_eq!(slab.insert_with(|_| ()).map(SessionId::slot), Some(slot));
        }
        assert_eq!(slab.insert_with(|_| ()), None);
        let id = slab.id_of(slots - 5).unwrap();
        slab.remove(id);
        assert_eq!(slab.insert_with(|_| ()).map(SessionId::slot), Some(slots - 5));
        assert_eq!(slab.len(), slots as usize);
    }
}
