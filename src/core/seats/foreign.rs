//! The events of other nodes in the ring of a link of this one: which of them have come, and which a socket of the link has taken. Each
//! node numbers those that it sends, and keeps them until it is told that they have been taken. Pure.

use crate::cluster::links::TookSaid;
use std::collections::VecDeque;

/// Of so many nodes that are no more the numbers are kept, should they be heard of again.
const GONE_KEPT: usize = 64;

/// See the module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Foreign {
    streams: Vec<Stream>,
    /// In the order of the ring.
    batches: VecDeque<Batch>,
}

/// The events of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The number of the node.
    pub node: u16,
    /// Which process it is.
    pub incarnation: u64,
    /// What stands for the link there.
    pub stand_in: u64,
    /// So many have come.
    pub got: u64,
    /// So many of them a socket has taken.
    pub taken: u64,
    /// Later ones have come, and those in between have not.
    pub misses: bool,
    /// The node is to be told.
    pub is_due: bool,
    /// The node is no more, as far as is known.
    pub is_gone: bool,
}

/// Events of one node that stand one behind the other in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The number of the first in the ring.
    pub at: u64,
    /// How many.
    pub count: u64,
    /// The node.
    pub incarnation: u64,
    /// The number of the first, as the node counts.
    pub first: u64,
}

/// What becomes of events that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comes {
    /// So many of them have come before; `None` where others before them are missing.
    pub skip: Option<u64>,
    /// The node counts anew: what it has not said may be missing.
    pub is_anew: bool,
}

impl Foreign {
    /// A node has sent `count` events, behind `first`.
    pub fn comes(&mut self, (node, incarnation): (u16, u64), stand_in: u64, first: u64, count: u64) -> Comes {
        let known = self.streams.iter().position(|stream| stream.incarnation == incarnation);
        let place = known.unwrap_or_else(|| {
            self.streams.push(Stream::new(node, incarnation, stand_in));
            self.streams.len() - 1
        });
        let stream = &mut self.streams[place];
        let mut is_anew = false;
        if stream.stand_in != stand_in {
            // Where the node was taken to be gone, that is known.
            is_anew = !stream.is_gone;
            *stream = Stream::new(node, incarnation, stand_in);
            self.batches.retain(|batch| batch.incarnation != incarnation);
        }
        (stream.is_due, stream.is_gone) = (true, false);
        stream.misses = first > stream.got;
        let skip = (!stream.misses).then(|| (stream.got - first).min(count));
        Comes { skip, is_anew }
    }

    /// Events of the node have got into the ring, at these numbers.
    pub fn put(&mut self, incarnation: u64, at: u64, count: u64) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.incarnation == incarnation) else {
            return;
        };
        let first = stream.got;
        stream.got += count;
        if count > 0 {
            self.batches.push_back(Batch { at, count, incarnation, first });
        }
    }

    /// A socket has taken the events of the ring before this number. Whether a node is to be told.
    pub fn wrote(&mut self, written: u64) -> bool {
        let mut is_due = false;
        while let Some(batch) = self.batches.front_mut().filter(|batch| batch.at < written) {
            let count = (written - batch.at).min(batch.count);
            let (incarnation, taken) = (batch.incarnation, batch.first + count);
            (batch.at, batch.count, batch.first) = (batch.at + count, batch.count - count, taken);
            let is_whole = batch.count == 0;
            if let Some(stream) = self.streams.iter_mut().find(|stream| stream.incarnation == incarnation) {
                (stream.taken, stream.is_due, is_due) = (taken, true, true);
            }
            match is_whole {
                true => _ = self.batches.pop_front(),
                false => break,
            }
        }
        is_due
    }

    /// The ring has given everything up: no node need keep any of it.
    pub fn give_up(&mut self) {
        self.batches.clear();
        for stream in &mut self.streams {
            (stream.taken, stream.is_due) = (stream.got, true);
        }
    }

    /// These events have been taken out of the ring: those behind them have other numbers.
    pub fn shift(&mut self, taken_out: impl Iterator<Item = u64> + Clone) {
        for batch in &mut self.batches {
            batch.at -= taken_out.clone().filter(|number| *number < batch.at).count() as u64;
        }
    }

    /// Whether the event with this number in the ring is kept by its node too.
    pub fn is_kept_elsewhere(&self, number: u64) -> bool {
        let is_there = |incarnation| {
            self.streams.iter().any(|stream| stream.incarnation == incarnation && !stream.is_gone)
        };
        let batch = self.batches.iter().find(|batch| (batch.at..batch.at + batch.count).contains(&number));
        batch.is_some_and(|batch| is_there(batch.incarnation))
    }

    /// A node is no more. Whether it has sent anything.
    pub fn node_went(&mut self, incarnation: u64) -> bool {
        let stream =
            self.streams.iter_mut().find(|stream| stream.incarnation == incarnation && !stream.is_gone);
        let Some(stream) = stream else { return false };
        stream.is_gone = true;
        let gone = self.streams.iter().filter(|stream| stream.is_gone).count();
        if gone > GONE_KEPT
            && let Some(oldest) = self.streams.iter().position(|stream| stream.is_gone)
        {
            self.streams.remove(oldest);
        }
        true
    }

    /// The nodes that are to be told what has come and been taken: each once.
    pub fn take_due(&mut self) -> Vec<Stream> {
        let due = self.streams.iter_mut().filter(|stream| stream.is_due);
        due.map(|stream| {
            stream.is_due = false;
            let told = stream.clone();
            stream.misses = false;
            told
        })
        .collect()
    }

    /// The nodes that have sent something.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// What is in the ring.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }

    /// What was carried; `None` where the batches are none of such streams, or not in order.
    pub fn restore(streams: Vec<Stream>, batches: Vec<Batch>) -> Option<Self> {
        let is_behind =
            |pair: &[Batch]| pair[0].at.checked_add(pair[0].count).is_some_and(|end| end <= pair[1].at);
        let is_of = |batch: &Batch| {
            let mut of = streams.iter().filter(|stream| stream.incarnation == batch.incarnation);
            let end = batch.first.checked_add(batch.count);
            let has_number = batch.at.checked_add(batch.count).is_some() && batch.count > 0;
            has_number && of.next().is_some_and(|stream| end.is_some_and(|end| end <= stream.got))
        };
        let is_whole = batches.windows(2).all(is_behind) && batches.iter().all(is_of);
        let is_whole = is_whole && streams.iter().all(|stream| stream.taken <= stream.got);
        is_whole.then(|| Self { streams, batches: batches.into() })
    }
}

impl Stream {
    /// What its node is told.
    pub fn said(&self) -> TookSaid {
        let Self { stand_in, got, taken, misses, .. } = *self;
        TookSaid { stand_in, got, taken, misses }
    }

    /// A node counts from 0: of a stream that is not known yet the first events may have been lost on the way, and are missed.
    fn new(node: u16, incarnation: u64, stand_in: u64) -> Self {
        let (misses, is_due, is_gone) = (false, true, false);
        Self { node, incarnation, stand_in, got: 0, taken: 0, misses, is_due, is_gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: (u16, u64) = (3, 30);

    fn taken(foreign: &mut Foreign) -> Vec<(u64, u64)> {
        foreign.take_due().iter().map(|stream| (stream.got, stream.taken)).collect()
    }

    #[test]
    fn each_event_goes_in_once_and_is_taken_when_a_socket_has_it() {
        let mut foreign = Foreign::default();
        assert_eq!(foreign.comes(NODE, 9, 0, 4), Comes { skip: Some(0), is_anew: false });
        foreign.put(30, 100, 4);
        assert_eq!(taken(&mut foreign), [(4, 0)]);
        // Two of them come again, with two more; in the ring are events of this node in between.
        assert_eq!(foreign.comes(NODE, 9, 2, 4), Comes { skip: Some(2), is_anew: false });
        foreign.put(30, 110, 2);
        // Some are missing.
        assert_eq!(foreign.comes(NODE, 9, 7, 1), Comes { skip: None, is_anew: false });
        assert!(foreign.take_due()[0].misses);
        assert!(foreign.wrote(102) && !foreign.wrote(102));
        assert_eq!(taken(&mut foreign), [(6, 2)]);
        assert!(
            foreign.is_kept_elsewhere(103)
                && !foreign.is_kept_elsewhere(104)
                && foreign.is_kept_elsewhere(111)
        );
        foreign.shift([105, 106].into_iter());
        assert!(foreign.is_kept_elsewhere(108) && !foreign.is_kept_elsewhere(110));
        assert!(foreign.wrote(110));
        assert_eq!((taken(&mut foreign), foreign.batches().count()), (vec![(6, 6)], 0));
    }

    #[test]
    fn who_counts_anew_may_have_lost_something_unless_it_was_gone() {
        let mut foreign = Foreign::default();
        foreign.comes(NODE, 9, 0, 1);
        foreign.put(30, 0, 1);
        assert_eq!(foreign.comes(NODE, 10, 0, 1), Comes { skip: Some(0), is_anew: true });
        foreign.put(30, 1, 1);
        assert_eq!(foreign.batches().count(), 1, "nobody waits for the first");
        assert!(foreign.node_went(30) && !foreign.node_went(30) && !foreign.is_kept_elsewhere(1));
        assert_eq!(foreign.comes(NODE, 11, 0, 1), Comes { skip: Some(0), is_anew: false });
        foreign.give_up();
        assert_eq!(foreign.batches().count(), 0);
        // One that is heard of again as it was goes on.
        foreign.put(30, 5, 1);
        foreign.node_went(30);
        assert_eq!(foreign.comes(NODE, 11, 0, 2), Comes { skip: Some(1), is_anew: false });
    }

    #[test]
    fn the_first_events_of_a_node_may_be_the_ones_that_are_lost() {
        let mut foreign = Foreign::default();
        assert_eq!(foreign.comes(NODE, 9, 4, 2), Comes { skip: None, is_anew: false });
        let told = foreign.take_due();
        assert_eq!((told[0].got, told[0].misses), (0, true));
        assert_eq!(foreign.comes(NODE, 9, 0, 6), Comes { skip: Some(0), is_anew: false });
        foreign.put(30, 100, 6);
        // So it is with those of one that counts anew, of which the link is told once.
        assert_eq!(foreign.comes(NODE, 10, 1, 1), Comes { skip: None, is_anew: true });
        assert_eq!(foreign.comes(NODE, 10, 0, 2), Comes { skip: Some(0), is_anew: false });
    }

    #[test]
    fn what_is_carried_goes_on_and_what_none_can_be_is_refused() {
        let mut foreign = Foreign::default();
        foreign.comes(NODE, 9, 0, 4);
        foreign.put(30, 100, 4);
        foreign.put(30, 110, 2);
        let (streams, batches) = (foreign.streams().to_vec(), foreign.batches().copied().collect::<Vec<_>>());
        assert_eq!(Foreign::restore(streams.clone(), batches.clone()), Some(foreign));
        let of_nobody = Batch { incarnation: 31, ..batches[0] };
        let reversed = vec![batches[1], batches[0]];
        for wrong in [vec![of_nobody], reversed, vec![Batch { first: u64::MAX, ..batches[0] }]] {
            assert_eq!(Foreign::restore(streams.clone(), wrong), None);
        }
    }
}
