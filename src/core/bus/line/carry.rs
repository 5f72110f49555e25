//! A way out on its way to the process that goes on with it.

use super::{Line, Owed};
use crate::cluster::{CarriedLink, CarriedOutgoing, Outgoing};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use mio::Registry;
use std::os::fd::{BorrowedFd, OwnedFd};

/// See [`Line`].
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedLine {
    #[n(0)]
    link: CarriedLink,
    #[n(1)]
    outgoing: CarriedOutgoing,
    /// What the replies answer that Redis owes: whether a message that was published, and how many such follow on each other.
    #[n(2)]
    owed: Vec<(bool, u64)>,
    #[n(3)]
    held_until_ms: Option<u64>,
    #[n(4)]
    was_up: bool,
}

impl CarriedLine {
    /// Whether a socket comes with it.
    pub fn has_socket(&self) -> bool {
        self.link.has_socket()
    }
}

impl Line {
    /// The socket that goes along, if one does.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.link.descriptor()
    }

    /// What another process goes on with.
    pub fn carry(&self) -> CarriedLine {
        // How long it is held at the most is a matter of the program.
        let Self { link, outgoing, owed, held_until_ms, was_up, .. } = self;
        // The lease asks anew, and must not take an old answer for that.
        let owed = owed.iter().map(|(owed, times)| (*owed == Owed::Publish, *times as u64));
        CarriedLine {
            link: link.carry(),
            outgoing: outgoing.carry(),
            owed: owed.collect(),
            held_until_ms: *held_until_ms,
            was_up: *was_up,
        }
    }

    /// Goes on with what another process had, on its socket where one came. Without one, what is not answered is written again when
    /// there is a connection.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on_from(
        &mut self,
        carried: CarriedLine,
        socket: Option<OwnedFd>,
        registry: &Registry,
        now_ms: u64,
    ) -> Result<(), InvalidState> {
        let CarriedLine { link, outgoing, owed, held_until_ms, was_up } = carried;
        self.link.go_on_from(link, socket, registry, now_ms)?;
        self.outgoing = Outgoing::going_on(self.outgoing.limits(), outgoing)?;
        (self.held_until_ms, self.was_up) = (held_until_ms, was_up);
        self.down_since_ms = (!self.link.is_up()).then_some(now_ms);
        match self.link.is_up() {
            true => {
                for (is_publish, times) in owed {
                    let owed = if is_publish { Owed::Publish } else { Owed::Nothing };
                    self.owe(owed, usize::try_from(times).unwrap_or(0));
                }
            }
            false => self.outgoing.went_down(),
        }
        let replies: usize = self.owed.iter().map(|(_, times)| *times).sum();
        if replies != self.link.unanswered() {
            return Err(InvalidState::new("Redis owes other replies than are waited for"));
        }
        // It may know that of another version alone.
        self.load();
        Ok(())
    }
}
