//! What is so of a connection, or not: a bit each, since every idle session has them.

/// One thing that is so of a connection, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// The socket refused bytes, and has not become writable since.
    Blocked,
    /// It is in the list of outboxes to flush at the end of the turn.
    Dirty,
    /// It is in the list of sockets that may hold more input than one turn reads.
    Unread,
    /// The peer has ended its side.
    ReadClosed,
    /// An event has said that the peer has ended its side, or is lost: there is an end to be read.
    HungUp,
    /// Our write side has been shut down.
    WriteClosed,
    /// A ping has been queued since bytes last came.
    Pinged,
    /// That ping waits for the socket still: silence counts from when it is written.
    PingWaits,
    /// That ping asks whether the client is still there, since its user has asked for another session: it has less time to answer.
    Probed,
    /// A backend connection for which something is being done: it is not idle.
    Busy,
    /// It came in on the backend port.
    Backend,
    /// It has not shown who it is: no upgrade on the client port, no request that may ask on the backend port.
    Stranger,
    /// A part of a message, a head or a body has come, and is accounted for.
    Incoming,
    /// A player that has agreed on gannet's own messages: texts that begin with the mark are told apart, both ways.
    SpeaksOwn,
    /// A player's session that may resume.
    MayResume,
    /// A player's session over plain HTTP: the connection is an event stream.
    Stream,
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Whether it is so.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & bit(flag) != 0
    }

    /// It is so; whether it was not.
    pub fn set(&mut self, flag: Flag) -> bool {
        let new = !self.has(flag);
        self.0 |= bit(flag);
        new
    }

    /// It is not so.
    pub fn clear(&mut self, flag: Flag) {
        self.0 &= !bit(flag);
    }
}

fn bit(flag: Flag) -> u16 {
    1 << flag as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_touch_each_other() {
        let all = [
            Flag::Blocked,
            Flag::Dirty,
            Flag::Unread,
            Flag::ReadClosed,
            Flag::HungUp,
            Flag::WriteClosed,
            Flag::Pinged,
            Flag::PingWaits,
            Flag::Probed,
            Flag::Busy,
            Flag::Backend,
            Flag::Stranger,
            Flag::Incoming,
            Flag::SpeaksOwn,
            Flag::MayResume,
            Flag::Stream,
        ];
        for flag in all {
            let mut flags = Flags::default();
            assert!(flags.set(flag) && !flags.set(flag));
            assert!(all.iter().all(|&other| flags.has(other) == (other == flag)));
            flags.clear(flag);
            assert_eq!(flags, Flags::default());
        }
    }
}
