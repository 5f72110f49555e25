//! Where the entry of each key is, 4 bytes a key. Knows nothing of deadlines.

/// Keys of a chunk. Their positions take 64 KiB, which the program's heap maps by themselves and gives back. Tests want
/// many chunks.
const CHUNK: usize = if cfg!(any(test, fuzzing)) { 64 } else { 16_384 };
/// Chunks that the list of them has room for from the start: made later, it would lie behind the entries of a storm, and
/// keep their memory from being given back.
const CHUNKS: usize = 64;

/// Bits of a position that are the index in a list; the others are the list's number.
const INDEX_BITS: u32 = 23;
/// Lists that can be told apart: the highest number is left for keys without a position.
pub(super) const MOST_LISTS: usize = (1 << (u32::BITS - INDEX_BITS)) - 1;
/// Keys that can be told apart: an index is less than the number of keys.
pub(super) const MOST_KEYS: u32 = 1 << INDEX_BITS;

/// The key has not been armed since it was last removed.
const UNKNOWN: u32 = u32::MAX;
/// The key has fired.
const FIRED: u32 = u32::MAX - 1;

/// The list that an entry is in, and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position(u32);

impl Position {
    pub(super) fn new(list: usize, index: usize) -> Self {
        debug_assert!(list < MOST_LISTS && index < MOST_KEYS as usize);
        Self((list as u32) << INDEX_BITS | index as u32)
    }

    pub(super) fn list(self) -> usize {
        (self.0 >> INDEX_BITS) as usize
    }

    pub(super) fn index(self) -> usize {
        (self.0 & (MOST_KEYS - 1)) as usize
    }
}

/// Positions by key, in chunks that are allocated and freed as a whole: growing copies nothing.
///
/// A key that has fired keeps its chunk until it is removed: it is about to be armed again, and a chunk that went and came
/// with every deadline would cost a mapping each time.
#[derive(Debug)]
pub(super) struct Positions {
    chunks: Vec<Chunk>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Of the keys up to the highest known since the chunk was last empty; without memory while it is.
    cells: Vec<u32>,
    /// Cells that are not `UNKNOWN`.
    known: usize,
}

impl Positions {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::with_capacity(CHUNKS) }
    }

    /// Where the entry of `key` is, if it has one.
    pub(super) fn get(&self, key: u32) -> Option<Position> {
        let (chunk, cell) = split(key);
        let cell = *self.chunks.get(chunk)?.cells.get(cell)?;
        (cell < FIRED).then_some(Position(cell))
    }

    /// The entry of `key` is at `position` now.
    pub(super) fn set(&mut self, key: u32, position: Position) {
        debug_assert!(key < MOST_KEYS);
        let (number, cell) = split(key);
        while self.chunks.len() <= number {
            self.chunks.push(Chunk::default());
        }
        let chunk = &mut self.chunks[number];
        if chunk.cells.capacity() == 0 {
            chunk.cells.reserve_exact(CHUNK);
        }
        if chunk.cells.len() <= cell {
            chunk.cells.resize(cell + 1, UNKNOWN);
        }
        let before = std::mem::replace(&mut chunk.cells[cell], position.0);
        chunk.known += usize::from(before == UNKNOWN);
    }

    /// The entry of `key`, which has one, has fired.
    pub(super) fn fire(&mut self, key: u32) {
        let (chunk, cell) = split(key);
        self.chunks[chunk].cells[cell] = FIRED;
    }

    /// Forgets `key`. Returns where its entry is, if it has one.
    pub(super) fn remove(&mut self, key: u32) -> Option<Position> {
        let (chunk, cell) = split(key);
        let chunk = self.chunks.get_mut(chunk)?;
        let before = std::mem::replace(chunk.cells.get_mut(cell)?, UNKNOWN);
        if before != UNKNOWN {
            chunk.known -= 1;
            if chunk.known == 0 {
                chunk.cells = Vec::new();
            }
        }
        (before < FIRED).then_some(Position(before))
    }

    /// Keys that have an entry.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn armed(&self) -> usize {
        self.chunks.iter().flat_map(|chunk| &chunk.cells).filter(|&&cell| cell < FIRED).count()
    }

    /// Keys that there is memory for.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.cells.capacity()).sum()
    }
}

fn split(key: u32) -> (usize, usize) {
    (key as usize / CHUNK, key as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        for (list, index) in [(0, 0), (321, 7), (MOST_LISTS - 1, MOST_KEYS as usize - 1)] {
            let position = Position::new(list, index);
            assert_eq!((position.list(), position.index()), (list, index));
            assert!(position.0 < FIRED);
        }
    }

    #[test]
    fn a_chunk_stays_while_a_key_in_it_may_be_armed_again() {
        let mut positions = Positions::new();
        let (one, other) = (Position::new(0, 0), Position::new(3, 9));
        let (first, last) = (CHUNK as u32, 2 * CHUNK as u32 - 1);
        positions.set(first, one);
        positions.set(last, other);
        assert_eq!((positions.capacity(), positions.armed()), (CHUNK, 2));
        positions.fire(last);
        assert_eq!((positions.get(first), positions.get(last)), (Some(one), None));
        assert_eq!(positions.remove(first), Some(one));
        assert_eq!((positions.capacity(), positions.armed()), (CHUNK, 0));
        positions.set(last, one);
        assert_eq!(positions.get(last), Some(one));
        positions.fire(last);
        assert_eq!((positions.remove(last), positions.capacity()), (None, 0));
        for never in [0, last, u32::MAX] {
            assert_eq!((positions.get(never), positions.remove(never)), (None, None));
        }
    }
}
