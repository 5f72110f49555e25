//! Items under the lowest numbers that are free, in chunks that are allocated and freed as a whole: growing copies nothing and
//! a storm leaves nothing behind. Knows nothing of what it holds.

use std::ops::{Index, IndexMut};

/// Items of a chunk. So many take more than 64 KiB, which the program's heap maps by themselves and gives back.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 2048 };
/// Chunks that the list of them has room for from the start: made later, it would lie behind the items of a storm, and keep
/// their memory from being given back.
const CHUNKS: usize = 64;
/// Words of a bit set over a chunk.
const WORDS: usize = CHUNK / 64;

/// See the module. A vacant place inside a chunk holds a default item.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Chunk<T>>,
    /// No chunk before this one has a free place.
    first_open: usize,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    /// Up to the highest place taken since the chunk was last empty; without memory while it is.
    items: Vec<T>,
    taken: [u64; WORDS],
    len: usize,
}

impl<T: Default> Chunked<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::with_capacity(CHUNKS), first_open: 0, len: 0 }
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk).filter(|chunk| chunk.is_taken(place))?.items.get(place)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = split(number);
        self.chunks.get_mut(chunk).filter(|chunk| chunk.is_taken(place))?.items.get_mut(place)
    }

    /// Puts `item` under the lowest free number.
    pub(super) fn insert(&mut self, item: T) -> u32 {
        while self.chunks.get(self.first_open).is_some_and(|chunk| chunk.len == CHUNK) {
            self.first_open += 1;
        }
        let place = self.chunks.get(self.first_open).map_or(0, Chunk::first_free);
        let number = (self.first_open * CHUNK + place) as u32;
        self.put(number, item);
        number
    }

    /// Puts `item` under `number`, in the place of what is there.
    pub(super) fn put(&mut self, number: u32, item: T) {
        let (number, place) = split(number);
        while self.chunks.len() <= number {
            self.chunks.push(Chunk { items: Vec::new(), taken: [0; WORDS], len: 0 });
        }
        let chunk = &mut self.chunks[number];
        if chunk.items.capacity() == 0 {
            chunk.items.reserve_exact(CHUNK);
        }
        while chunk.items.len() <= place {
            chunk.items.push(T::default());
        }
        chunk.items[place] = item;
        if !chunk.is_taken(place) {
            chunk.taken[place / 64] |= 1 << (place % 64);
            chunk.len += 1;
            self.len += 1;
        }
    }

    /// Takes out what is under `number`.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let item = std::mem::take(self.get_mut(number)?);
        let (number, place) = split(number);
        let chunk = &mut self.chunks[number];
        chunk.taken[place / 64] &= !(1 << (place % 64));
        chunk.len -= 1;
        if chunk.len == 0 {
            chunk.items = Vec::new();
        }
        self.len -= 1;
        self.first_open = self.first_open.min(number);
        while self.chunks.last().is_some_and(|chunk| chunk.len == 0) {
            self.chunks.pop();
        }
        if self.chunks.capacity() > CHUNKS && self.chunks.len() <= self.chunks.capacity() / 4 {
            self.chunks.shrink_to((self.chunks.len() * 2).max(CHUNKS));
        }
        Some(item)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The lowest number from `from` on that has an item.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        let (first, mut place) = split(from);
        for (number, chunk) in self.chunks.iter().enumerate().skip(first) {
            if chunk.len > 0
                && let Some(place) = chunk.first_taken(place)
            {
                return Some((number * CHUNK + place) as u32);
            }
            place = 0;
        }
        None
    }

    /// A number that is greater than those of all items, and not by much.
    pub(super) fn bound(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// The items by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.bound() as u32).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Items that there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.items.capacity()).sum()
    }
}

impl<T> Chunk<T> {
    fn is_taken(&self, place: usize) -> bool {
        self.taken[place / 64] >> (place % 64) & 1 == 1
    }

    /// Of a chunk that is not full.
    fn first_free(&self) -> usize {
        let word = self.taken.iter().position(|word| *word != u64::MAX).unwrap_or_default();
        word * 64 + self.taken[word].trailing_ones() as usize
    }

    /// From `from` on.
    fn first_taken(&self, from: usize) -> Option<usize> {
        let first = from / 64;
        let word = |at: usize| self.taken[at] & if at == first { u64::MAX << (from % 64) } else { u64::MAX };
        let at = (first..WORDS).find(|&at| word(at) != 0)?;
        Some(at * 64 + word(at).trailing_zeros() as usize)
    }
}

fn split(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

/// For numbers that are known to have an item.
impl<T: Default> Index<u32> for Chunked<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        let (chunk, place) = split(number);
        &self.chunks[chunk].items[place]
    }
}

impl<T: Default> IndexMut<u32> for Chunked<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        let (chunk, place) = split(number);
        &mut self.chunks[chunk].items[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Xorshift;
    use std::collections::BTreeMap;

    #[test]
    fn answers_like_a_map() {
        let mut random = Xorshift(7);
        let mut chunked: Chunked<u64> = Chunked::new();
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        for round in 0..50_000_u64 {
            let number = random.below(500);
            let grows = (round / 5_000).is_multiple_of(2);
            match random.below(if grows { 4 } else { 12 }) {
                0 => {
                    let lowest = (0..).find(|number| !model.contains_key(number)).unwrap();
                    assert_eq!(chunked.insert(round + 1), lowest);
                    model.insert(lowest, round + 1);
                }
                1 => {
                    chunked.put(number, round + 1);
                    model.insert(number, round + 1);
                }
                _ => assert_eq!(chunked.remove(number), model.remove(&number)),
            }
            assert_eq!((chunked.len(), chunked.get(number)), (model.len(), model.get(&number)));
            assert_eq!(chunked.next(number), model.range(number..).next().map(|(number, _)| *number));
            if round % 100 == 0 {
                assert!(chunked.iter().eq(model.iter().map(|(number, item)| (*number, item))));
                assert!(chunked.capacity() <= (model.len() + 1) * CHUNK);
            }
        }
        for number in model.keys().copied().collect::<Vec<_>>() {
            chunked.remove(number);
        }
        assert_eq!((chunked.len(), chunked.bound(), chunked.capacity()), (0, 0, 0));
        assert_eq!((chunked.get(u32::MAX), chunked.next(0), chunked.next(u32::MAX)), (None, None, None));
        assert_eq!(chunked.remove(0), None);
    }

    #[test]
    fn the_list_of_chunks_shrinks_with_what_it_lists() {
        let mut chunked: Chunked<u8> = Chunked::new();
        let numbers = 0..(20 * CHUNKS * CHUNK) as u32;
        numbers.clone().for_each(|number| chunked.put(number, 1));
        assert!(chunked.chunks.capacity() >= 20 * CHUNKS);
        numbers.rev().for_each(|number| _ = chunked.remove(number));
        assert_eq!(chunked.chunks.capacity(), CHUNKS);
    }
}
