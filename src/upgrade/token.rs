//! Which of two processes owns the players.

use super::InvalidState;
use super::fault::Cause;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An eventfd that two processes share. The old one offers it once; the process that takes it owns the players. The kernel
/// gives it to one of them only, whenever either of them dies or is late.
///
/// ```ignore
/// let mut token = Token::new()?;
/// token.offer()?;
/// assert!(token.take()?);
/// assert!(!token.take()?);
/// ```
#[derive(Debug)]
pub struct Token {
    eventfd: OwnedFd,
    is_offered: bool,
}

impl Token {
    /// A token that has not been offered.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE;
        Ok(Self { eventfd: eventfd(0, flags)?, is_offered: false })
    }

    /// The old process's token in the new one, which never offers it.
    pub(super) fn received(descriptor: OwnedFd) -> Result<Self, Cause> {
        // A descriptor without O_NONBLOCK would stop this process in `take`.
        let flags = rustix::fs::fcntl_getfl(&descriptor)
            .map_err(|error| Cause::system("look at the token", error))?;
        if !flags.contains(rustix::fs::OFlags::NONBLOCK) {
            return Err(InvalidState::new("the token is no eventfd").into());
        }
        Ok(Self { eventfd: descriptor, is_offered: true })
    }

    /// From now on it can be taken, once. Later calls do nothing.
    pub fn offer(&mut self) -> io::Result<()> {
        while !self.is_offered {
            match rustix::io::write(&self.eventfd, &1u64.to_ne_bytes()) {
                Err(Errno::INTR) => {}
                written => self.is_offered = written.map(|_| true)?,
            }
        }
        Ok(())
    }

    /// Whether it was there, and belongs to this process from now on.
    pub fn take(&self) -> io::Result<bool> {
        loop {
            match rustix::io::read(&self.eventfd, &mut [0; 8]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                read => return Ok(read? == 8),
            }
        }
    }
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
