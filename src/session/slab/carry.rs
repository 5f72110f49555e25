//! How a slab is carried to another process: every generation that has begun, so that no stale id comes alive. Its entries come
//! one by one, each under its id.

use super::{CHUNK, Chunk, GenerationalSlab, MAX_CHUNKS, is_set, set, split};
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// The generations of a slab on their way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedGenerations {
    /// The generation at which all slots began.
    #[n(0)]
    first: u32,
    /// Of the slots from 0 on: so many in a row have this one. Where a slot is taken it is that of its entry, else the next.
    #[n(1)]
    runs: Vec<(u32, u32)>,
    /// Slots that have been through all of theirs.
    #[n(2)]
    retired: Vec<u32>,
}

impl<T, const GENERATION_BITS: u32> GenerationalSlab<T, GENERATION_BITS> {
    /// The generations that another process goes on with.
    pub fn carry(&self) -> CarriedGenerations {
        // Which slots are taken follows from the entries.
        let Self { origin: _, first_generation, chunks, open: _, len: _ } = self;
        let (mut runs, mut retired) = (Vec::<(u32, u32)>::new(), Vec::new());
        for (number, chunk) in chunks.iter().enumerate() {
            let Chunk { entries: _, generations, begin, used: _, retired: gone, live: _, free: _ } = chunk;
            for index in 0..CHUNK {
                let generation = generations.get(index).copied().unwrap_or(*begin);
                match runs.last_mut() {
                    Some((count, last)) if *last == generation => *count += 1,
                    _ => runs.push((1, generation)),
                }
                if is_set(gone, index) {
                    retired.push((number * CHUNK + index) as u32);
                }
            }
        }
        CarriedGenerations { first: *first_generation, runs, retired }
    }
}

impl CarriedGenerations {
    /// A slab of the worker without entries, to be filled with [`GenerationalSlab::put`].
    ///
    /// # Errors
    /// More slots than there are, or a generation that is none.
    pub fn restore<T, const BITS: u32>(
        &self,
        node: u16,
        worker: u8,
    ) -> Result<GenerationalSlab<T, BITS>, InvalidState> {
        let Self { first, runs, retired } = self;
        let generations = GenerationalSlab::<T, BITS>::GENERATIONS;
        let mut slab = GenerationalSlab::new(node, worker, *first);
        let mut slot = 0_usize;
        for (count, generation) in runs {
            let end = slot.saturating_add(*count as usize);
            if end > MAX_CHUNKS * CHUNK || *generation >= generations {
                return Err(InvalidState::new("more slots or generations than there are"));
            }
            for slot in slot..end {
                let (number, index) = (slot / CHUNK, slot % CHUNK);
                if number == slab.chunks.len() {
                    slab.add_chunk();
                }
                let chunk = &mut slab.chunks[number];
                debug_assert_eq!(chunk.generations.len(), index, "slots come in their order");
                chunk.generations.push(*generation);
            }
            slot = end;
        }
        for slot in retired {
            let (number, index) = split(*slot);
            let chunk =
                slab.chunks.get_mut(number).ok_or_else(|| InvalidState::new("a slot that is none"))?;
            if !is_set(&chunk.retired, index) {
                set(&mut chunk.retired, index);
                chunk.free -= 1;
            }
        }
        Ok(slab)
    }
}

impl<T, const BITS: u32> GenerationalSlab<T, BITS> {
    /// Puts an entry where it was.
    ///
    /// # Errors
    /// An id of another worker, of a slot that is taken or retired, or of another generation.
    pub fn put(&mut self, id: SessionId, entry: T) -> Result<(), InvalidState> {
        let (number, index) = split(id.slot());
        let is_ours = self.is_ours(id);
        let chunk = self.chunks.get_mut(number);
        let is_free = |chunk: &&mut Chunk<T>| {
            chunk.is_at(index, id.generation())
                && !is_set(&chunk.used, index)
                && !is_set(&chunk.retired, index)
        };
        let Some(chunk) = chunk.filter(|chunk| is_ours && is_free(chunk)) else {
            return Err(InvalidState::new(format!(
                "the connection {id} is there twice, or not in its place"
            )));
        };
        // A chunk that stays empty takes no memory for entries.
        chunk.entries.reserve_exact(CHUNK - chunk.entries.len());
        chunk.entries.resize_with(chunk.generations.len(), || None);
        chunk.entries[index] = Some(entry);
        set(&mut chunk.used, index);
        chunk.live += 1;
        chunk.free -= 1;
        self.len += 1;
        Ok(())
    }

    /// Every entry is in its place: from here on it is as any other.
    pub fn filled(&mut self) {
        let first = self.first_generation;
        for number in 0..self.chunks.len() {
            let chunk = &mut self.chunks[number];
            if chunk.live == 0 {
                chunk.empty(|generation| generation.wrapping_sub(first) % Self::GENERATIONS);
            }
            self.note_open(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::random_bytes;

    /// After anything that can happen to a slab the carried one has the same entries, refuses the same ids and gives out the
    /// same ones.
    fn obey<const BITS: u32>(seed: u64) {
        let mut slab: GenerationalSlab<u32, BITS> = GenerationalSlab::new(5, 6, seed as u32);
        let (mut live, mut stale) = (Vec::new(), Vec::new());
        for (step, byte) in random_bytes(seed, 3_000).into_iter().enumerate() {
            match byte % 8 {
                // Whole chunks come and go.
                0 if byte > 200 => live.drain(..).for_each(|id| {
                    slab.remove(id);
                    stale.push(id);
                }),
                0..5 => live.extend(slab.insert_with(|_| step as u32)),
                _ if live.is_empty() => {}
                _ => {
                    let id = live.swap_remove(usize::from(byte) * 7 % live.len());
                    slab.remove(id);
                    stale.push(id);
                }
            }
        }
        let bytes = minicbor::to_vec(slab.carry()).unwrap();
        let generations: CarriedGenerations = minicbor::decode(&bytes).unwrap();
        let mut carried = generations.restore::<u32, BITS>(5, 6).unwrap();
        for id in &live {
            carried.put(*id, *slab.get(*id).unwrap()).unwrap();
            assert!(carried.put(*id, 0).is_err(), "twice");
        }
        stale.iter().for_each(|id| assert!(carried.put(*id, 0).is_err() || live.contains(id)));
        carried.filled();
        assert_eq!(carried.len(), slab.len());
        live.iter().for_each(|id| assert_eq!(carried.get(*id), slab.get(*id)));
        let next = |slab: &mut GenerationalSlab<u32, BITS>| {
            (0..600).filter_map(|_| slab.insert_with(|_| 0)).collect::<Vec<_>>()
        };
        let (expected, given) = (next(&mut slab), next(&mut carried));
        let slots = |ids: &[SessionId]| ids.iter().map(|id| id.slot()).collect::<Vec<_>>();
        assert_eq!(slots(&given), slots(&expected));
        assert!(given.iter().all(|id| !stale.contains(id)), "a stale id has come alive");
    }

    #[test]
    fn no_stale_id_comes_alive_and_the_next_ids_are_fresh() {
        (1..8).for_each(obey::<22>);
        (8..12).for_each(obey::<3>);
    }

    #[test]
    fn what_is_no_slab_is_refused() {
        let restore = |carried: CarriedGenerations| carried.restore::<(), 22>(1, 1).is_err();
        assert!(restore(CarriedGenerations { first: 0, runs: vec![(u32::MAX, 0)], retired: vec![] }));
        assert!(restore(CarriedGenerations { first: 0, runs: vec![(1, 1 << 22)], retired: vec![] }));
        assert!(restore(CarriedGenerations { first: 0, runs: vec![], retired: vec![7] }));
    }
}
