//! One end of the stream between the old and the new process.

use super::fault::{Cause, Fault, Peer};
use super::frame::{self, Frame, Incoming};
use super::message::{Counts, Hello, Listeners, Message, PROTOCOL, Ready, Refused};
use super::process::{DYING, has_ended_by};
use super::socket;
use super::token::Token;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// One end of a stream of messages with descriptors. Calls wait until they are done, or until the deadline.
///
/// ```ignore
/// let (mut line, far_end) = Line::pair()?;
/// line.set_deadline(Instant::now() + Duration::from_secs(10));
/// line.send_hello(&hello)?;
/// let ready = line.receive_ready()?;
/// ```
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
    peer: Peer,
    step: &'static str,
    deadline: Option<Instant>,
    /// A descriptor of the other process, readable when it has ended: its end of the stream may have been inherited by a
    /// process that lives on. `None` where the kernel has none (before Linux 5.3): then the end of the stream is all there
    /// is to see.
    process: Option<OwnedFd>,
    was_heard: bool,
}

impl Line {
    /// The old process's end, and the other one for the process that it starts.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(near, Peer::New), far))
    }

    /// The new process's end, which is its standard input. From then on that is `/dev/null`. To be called once, early, and
    /// before anything reads standard input.
    ///
    /// # Errors
    /// Standard input is not such a stream, or the system has no descriptor left.
    pub fn inherited() -> Result<Self, Fault> {
        let fault = |cause| Fault { peer: Peer::Old, step: "", cause };
        let stdin = rustix::stdio::stdin();
        let is_stream = rustix::net::sockopt::socket_domain(stdin) == Ok(AddressFamily::UNIX)
            && rustix::net::sockopt::socket_type(stdin) == Ok(SocketType::STREAM);
        if !is_stream {
            let error = io::Error::other("standard input is no such stream; `gannet upgrade` passes one");
            return Err(fault(Cause::system("take over", error)));
        }
        let take = || {
            let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
            let null = std::fs::File::open("/dev/null")?;
            rustix::stdio::dup2_stdin(&null)?;
            io::Result::Ok(Self::new(socket, Peer::Old))
        };
        take().map_err(|error| fault(Cause::system("take the stream from standard input", error)))
    }

    pub(super) fn new(socket: OwnedFd, peer: Peer) -> Self {
        Self { socket, peer, step: "", deadline: None, process: None, was_heard: false }
    }

    /// Calls fail from then on that would have to wait. Without a deadline they wait for ever.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// What this process does next, in a word or two: it is the beginning of what a fault says.
    pub fn set_step(&mut self, step: &'static str) {
        self.step = step;
    }

    /// Sees the end of the other process even if its end of the stream stays open.
    pub(super) fn set_process(&mut self, process: OwnedFd) {
        self.process = Some(process);
    }

    /// Whether the other process has said anything yet.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// A fault of this stream, at the step that it is in.
    pub(super) fn fault(&self, cause: Cause) -> Fault {
        Fault { peer: self.peer, step: self.step, cause }
    }

    /// Old: what the state is, before anything else; and a descriptor of this process, by which the new one sees its end.
    pub fn send_hello(&mut self, hello: &Hello) -> Result<(), Fault> {
        let process = pidfd_open(getpid(), PidfdFlags::empty()).ok();
        let descriptors: Vec<_> = process.iter().map(AsFd::as_fd).collect();
        self.send(&Message::Hello(hello.clone()), &descriptors)
    }

    /// New: what the old process says first.
    ///
    /// # Errors
    /// Also if it speaks another protocol.
    pub fn receive_hello(&mut self) -> Result<Hello, Fault> {
        let Frame { message, descriptors } = self.receive()?;
        match message {
            Message::Hello(hello) => {
                self.process = descriptors.into_iter().next();
                check_protocol(&hello).map_err(|cause| self.fault(cause))?;
                Ok(hello)
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// New: it can take over.
    pub fn send_ready(&mut self, ready: &Ready) -> Result<(), Fault> {
        self.send(&Message::Ready(ready.clone()), &[])
    }

    /// Old: what the new process says about itself.
    ///
    /// # Errors
    /// [`Cause::Refused`] if it cannot take over.
    pub fn receive_ready(&mut self) -> Result<Ready, Fault> {
        match self.receive()?.message {
            Message::Ready(ready) => Ok(ready),
            other => Err(self.unexpected(&other)),
        }
    }

    /// New: it cannot go on. A reason beyond 4 KiB is cut.
    pub fn refuse(&mut self, why: &str) -> Result<(), Fault> {
        self.send(&Message::Refused(Refused::new(why)), &[])
    }

    /// Old: it takes everything back, or this was a trial.
    pub fn send_bye(&mut self) -> Result<(), Fault> {
        self.send(&Message::Bye, &[])
    }

    /// Old: its listeners by label, at most [`MAX_DESCRIPTORS`](super::MAX_DESCRIPTORS).
    pub fn send_listeners(&mut self, listeners: &[(&str, BorrowedFd<'_>)]) -> Result<(), Fault> {
        let labels = listeners.iter().map(|(label, _)| (*label).to_owned()).collect();
        let descriptors: Vec<_> = listeners.iter().map(|(_, descriptor)| *descriptor).collect();
        self.send(&Message::Listeners(Listeners { labels }), &descriptors)
    }

    /// New: the old process's listeners by label. `None` if this was a trial.
    pub fn receive_listeners(&mut self) -> Result<Option<Vec<(String, OwnedFd)>>, Fault> {
        let Frame { message, descriptors } = match self.receive() {
            Err(Fault { cause: Cause::CalledOff, .. }) => return Ok(None),
            received => received?,
        };
        match message {
            Message::Listeners(Listeners { labels }) => {
                Ok(Some(labels.into_iter().zip(descriptors).collect()))
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Old: the token that the two processes share from then on.
    pub fn send_token(&mut self, token: &Token) -> Result<(), Fault> {
        self.send(&Message::Token, &[token.as_fd()])
    }

    /// New: the token that the two processes share.
    pub fn receive_token(&mut self) -> Result<Token, Fault> {
        let Frame { message, descriptors } = self.receive()?;
        match (message, descriptors.into_iter().next()) {
            (Message::Token, Some(descriptor)) => {
                Token::received(descriptor).map_err(|cause| self.fault(cause))
            }
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    /// New: everything is in its place; it waits for the token.
    pub fn send_taken(&mut self, counts: Counts) -> Result<(), Fault> {
        self.send(&Message::Taken(counts), &[])
    }

    /// Old: what the new process has taken.
    ///
    /// # Errors
    /// [`Cause::Refused`] if it could not take it.
    pub fn receive_taken(&mut self) -> Result<Counts, Fault> {
        match self.receive()?.message {
            Message::Taken(counts) => Ok(counts),
            other => Err(self.unexpected(&other)),
        }
    }

    /// New: waits until the old process offers the token, and takes it.
    ///
    /// # Errors
    /// [`Fault::is_lost`] if the old process has died, with the token offered or not: it does not serve any more.
    pub fn take(&mut self, token: &Token) -> Result<(), Fault> {
        loop {
            let is_socket =
                self.wait(PollFlags::IN, Some(token.as_fd())).map_err(|cause| self.fault(cause))?;
            match token.take() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.fault(Cause::system("read the token", error))),
            }
            if is_socket {
                let frame = self.receive()?;
                return Err(self.unexpected(&frame.message));
            }
        }
    }

    /// New: it has the token, and serves.
    pub fn send_serving(&mut self) -> Result<(), Fault> {
        self.send(&Message::Serving, &[])
    }

    /// Old: the new process serves.
    pub fn receive_serving(&mut self) -> Result<(), Fault> {
        match self.receive()?.message {
            Message::Serving => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    pub(super) fn send(&mut self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Fault> {
        let bytes = frame::encode(message, descriptors.len()).map_err(|cause| self.fault(cause))?;
        self.write(&[IoSlice::new(&bytes)], descriptors)
    }

    /// Writes all of `slices`, the descriptors with their first byte. If the other process has gone, the fault is what it
    /// said last.
    pub(super) fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Fault> {
        let mut slices = slices.to_vec();
        let mut rest = slices.as_mut_slice();
        let mut descriptors = descriptors;
        while !rest.is_empty() {
            match socket::send(self.socket.as_fd(), rest, descriptors) {
                Ok(count) => {
                    IoSlice::advance_slices(&mut rest, count);
                    descriptors = &[];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => match self.wait(PollFlags::OUT, None) {
                    Ok(_) => {}
                    Err(Cause::Lost) => return Err(self.last_word()),
                    Err(cause) => return Err(self.fault(cause)),
                },
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(self.last_word()),
                Err(error) => return Err(self.fault(Cause::system("send", error))),
            }
        }
        Ok(())
    }

    /// The next message, of which the other process expects that this one acts on it. A refusal and a farewell are faults.
    pub(super) fn receive(&mut self) -> Result<Frame<OwnedFd>, Fault> {
        let frame = frame::receive(self).map_err(|cause| self.fault(cause))?;
        match frame.message {
            Message::Refused(Refused { why }) => Err(self.fault(Cause::Refused(why))),
            Message::Bye => Err(self.fault(Cause::CalledOff)),
            message => Ok(Frame { message, ..frame }),
        }
    }

    pub(super) fn unexpected(&self, message: &Message) -> Fault {
        self.fault(Cause::Unexpected(message.name()))
    }

    /// Why a process that takes nothing any more has gone: it may have said so before.
    fn last_word(&mut self) -> Fault {
        loop {
            match self.receive() {
                Ok(_) => {}
                Err(fault) => return fault,
            }
        }
    }

    /// What the end of the stream means. The new process may serve when the old one has died, so it makes sure of that: an
    /// old process that has closed the stream and lives serves the players itself.
    fn end(&self) -> Cause {
        let process = self.process.as_ref().filter(|_| self.peer == Peer::Old);
        let lives = process.is_some_and(|process| !has_ended_by(process, Instant::now() + DYING));
        if lives { Cause::CalledOff } else { Cause::Lost }
    }

    /// Waits until the socket is ready for `flags`, or has ended, or `also` is readable. Whether the socket is ready.
    pub(super) fn wait(&self, flags: PollFlags, also: Option<BorrowedFd<'_>>) -> Result<bool, Cause> {
        loop {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Beyond a Timespec is for ever.
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled = vec![PollFd::new(&self.socket, flags)];
            polled.extend(also.map(|also| PollFd::from_borrowed_fd(also, PollFlags::IN)));
            polled.extend(self.process.as_ref().map(|process| PollFd::new(process, PollFlags::IN)));
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Err(Cause::TimedOut),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Cause::system("wait", error)),
                Ok(_) => {}
            }
            let is_ready = |index: usize| polled.get(index).is_some_and(|fd| !fd.revents().is_empty());
            // The socket before the end of the process: its last words may be in there.
            return match (is_ready(0), also.is_some() && is_ready(1)) {
                (false, false) => Err(Cause::Lost),
                (is_socket, _) => Ok(is_socket),
            };
        }
    }
}

impl Incoming for Line {
    type Descriptor = OwnedFd;

    fn read(&mut self, into: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, Cause> {
        loop {
            match socket::receive(self.socket.as_fd(), into, descriptors) {
                Ok(0) | Err(Errno::CONNRESET) => return Err(self.end()),
                Ok(count) => {
                    self.was_heard = true;
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(self.wait(PollFlags::IN, None)?),
                Err(error) => return Err(Cause::system("receive", error)),
            }
        }
    }
}

/// The sender speaks the protocol of this process.
pub(super) fn check_protocol(hello: &Hello) -> Result<(), Cause> {
    if hello.protocol == PROTOCOL {
        return Ok(());
    }
    Err(Cause::Version(format!("speaks version {} of the protocol, not {PROTOCOL}", hello.protocol)))
}
