//! A way in on its way to the process that goes on with it.

use super::Ear;
use crate::cluster::{CarriedHearing, CarriedLink, CarriedNames};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use mio::Registry;
use std::os::fd::{BorrowedFd, OwnedFd};

/// See [`Ear`].
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedEar {
    #[n(0)]
    link: CarriedLink,
    #[n(1)]
    names: CarriedNames,
    #[n(2)]
    hearing: CarriedHearing,
    /// Whether it was heard that everything is subscribed to.
    #[n(3)]
    was_whole: bool,
    /// What all reactors know of its Redis: whether this node hears everything there, and whether all nodes do since.
    #[n(4)]
    is_whole: bool,
    #[n(5)]
    all_are_back: bool,
}

impl CarriedEar {
    /// Whether a socket comes with it.
    pub fn has_socket(&self) -> bool {
        self.link.has_socket()
    }
}

impl Ear {
    /// The socket that goes along, if one does.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.link.descriptor()
    }

    /// What another process goes on with.
    pub fn carry(&self, is_whole: bool, all_are_back: bool) -> CarriedEar {
        // Which groups remember, the rules of the new process say.
        let Self { link, names, hearing, waiters, reading, renewals: _, renewed_at: _, was_whole } = self;
        let nobody_waits = waiters.iter().all(|(_, waiter, _)| waiter.is_none()) && reading.is_empty();
        debug_assert!(nobody_waits, "the world stands still when nobody waits");
        CarriedEar {
            link: link.carry(),
            names: names.carry(),
            hearing: hearing.carry(),
            was_whole: *was_whole,
            is_whole,
            all_are_back,
        }
    }

    /// Goes on with what another process had, on its socket where one came. Without one it is as after a connection that broke.
    /// Whether this node hears everything there, and whether all nodes do since.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on_from(
        &mut self,
        carried: CarriedEar,
        socket: Option<OwnedFd>,
        registry: &Registry,
        now_ms: u64,
    ) -> Result<(bool, bool), InvalidState> {
        let CarriedEar { link, names, hearing, was_whole, is_whole, all_are_back } = carried;
        self.link.go_on_from(link, socket, registry, now_ms)?;
        let is_up = self.link.is_up();
        self.names.go_on_from(names, is_up, now_ms);
        self.hearing.go_on_from(hearing)?;
        if !is_up {
            self.hearing.went_down();
        }
        self.was_whole = is_up && was_whole;
        (0..self.link.unanswered()).for_each(|_| self.reading.owe_nothing());
        Ok((is_up && is_whole, is_up && all_are_back))
    }
}
