//! The places that the sessions of one user have on all nodes, where an app bounds them, and which of them are too many. Every node
//! comes to the same: the order of sessions is total, and says nothing of who asks. Pure.
//!
//! | message | body |
//! | --- | --- |
//! | took | the user, behind a byte for its length |
//! | places | for each session of the user: its id (u64), and when it took its place, in microseconds since the Unix epoch (u64) |
//! | surplus | the user, behind a byte for its length, then the ids of the sessions (u64) |

use crate::config::{PerUser, PerUserPolicy};
use crate::link_bin::TooLong;
use crate::link_bin::wire::{Reader, put_session, put_text, put_whole};
use crate::session::{Name, SessionId};

/// A session in its place. The order is that in which they came: by the clocks of their nodes, then by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// When it took its place, in microseconds since the Unix epoch.
    pub since_unix_us: u64,
    /// The number of the session.
    pub session: u64,
}

/// Sessions of a user that are too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// The user.
    pub user: Name,
    /// They.
    pub sessions: Vec<SessionId>,
}

/// Which of the `seats` of a user on all nodes are too many: the oldest where a newer session replaces them, else the newest. One that
/// is there twice is one.
pub fn surplus(bound: PerUser, seats: &mut Vec<Seat>) -> Vec<SessionId> {
    seats.sort_unstable();
    seats.dedup();
    let too_many = match bound.max {
        0 => 0,
        max => seats.len().saturating_sub(max),
    };
    let beyond = match bound.policy {
        PerUserPolicy::ReplaceOldest => &seats[..too_many],
        PerUserPolicy::Refuse => &seats[seats.len() - too_many..],
    };
    beyond.iter().map(|seat| SessionId::from_u64(seat.session)).collect()
}

/// Appends that the user has taken a place.
///
/// # Errors
/// [`TooLong`]; `out` is as it was then.
pub fn write_took(user: &Name, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_text(user, "user", out)
}

/// Reads who has taken a place; `None` where it is not of the layout.
pub fn read_took(body: &[u8]) -> Option<Name> {
    let mut reader = Reader::new(body);
    read_name(&mut reader).filter(|_| reader.is_at_end())
}

/// Appends the places of a user on one node.
pub fn write_seats(seats: &[Seat], out: &mut Vec<u8>) {
    for seat in seats {
        out.extend_from_slice(&seat.session.to_le_bytes());
        out.extend_from_slice(&seat.since_unix_us.to_le_bytes());
    }
}

/// Reads them; `None` where they are not of the layout.
pub fn read_seats(body: &[u8]) -> Option<Vec<Seat>> {
    let (mut reader, mut seats) = (Reader::new(body), Vec::new());
    while !reader.is_at_end() {
        let session = reader.u64("a session").ok()?;
        seats.push(Seat { since_unix_us: reader.u64("a time").ok()?, session });
    }
    Some(seats)
}

/// Appends the sessions that are too many.
///
/// # Errors
/// [`TooLong`]; `out` is as it was then.
pub fn write_surplus(surplus: &Surplus, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_whole(out, |out| {
        put_text(&surplus.user, "user", out)?;
        surplus.sessions.iter().for_each(|session| put_session(*session, out));
        Ok(())
    })
}

/// Reads them; `None` where they are not of the layout.
pub fn read_surplus(body: &[u8]) -> Option<Surplus> {
    let mut reader = Reader::new(body);
    let (user, mut sessions) = (read_name(&mut reader)?, Vec::new());
    while !reader.is_at_end() {
        sessions.push(reader.session("a session").ok()?);
    }
    Some(Surplus { user, sessions })
}

/// Reads a name behind a byte for its length.
pub(super) fn read_name(reader: &mut Reader<'_>) -> Option<Name> {
    Name::new(reader.text("a name").ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(since_unix_us: u64, session: u64) -> Seat {
        Seat { since_unix_us, session }
    }

    fn too_many(max: usize, policy: PerUserPolicy, mut seats: Vec<Seat>) -> Vec<u64> {
        let beyond = surplus(PerUser { max, policy }, &mut seats);
        beyond.into_iter().map(SessionId::as_u64).collect()
    }

    #[test]
    fn the_oldest_are_replaced_and_the_newest_refused_in_whatever_order_they_are_told() {
        use PerUserPolicy::{Refuse, ReplaceOldest};
        let seats = [seat(5, 1), seat(7, 2), seat(5, 3), seat(6, 4)];
        for turn in 0..seats.len() {
            // One that two nodes tell of is one.
            let mut told = seats.to_vec();
            told.rotate_left(turn);
            told.push(told[0]);
            assert_eq!(too_many(1, ReplaceOldest, told.clone()), [1, 3, 4]);
            assert_eq!(too_many(2, ReplaceOldest, told.clone()), [1, 3]);
            assert_eq!(too_many(2, Refuse, told.clone()), [4, 2]);
            for policy in [Refuse, ReplaceOldest] {
                assert!(too_many(4, policy, told.clone()).is_empty());
                assert!(too_many(0, policy, told.clone()).is_empty(), "there is no bound");
            }
        }
    }

    #[test]
    fn the_bodies_are_as_the_vectors_say() {
        let (user, mut took) = (Name::new("ada").unwrap(), Vec::new());
        write_took(&user, &mut took).unwrap();
        assert_eq!(took, b"\x03ada");
        assert_eq!(read_took(&took), Some(user.clone()));
        assert_eq!(read_took(b"\x03ada?"), None);
        let mut seats = Vec::new();
        write_seats(&[seat(2, 0x0102)], &mut seats);
        assert_eq!(seats, [2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read_seats(&seats), Some(vec![seat(2, 0x0102)]));
        assert_eq!(read_seats(b""), Some(Vec::new()));
        let (mut out, said) = (Vec::new(), Surplus { user, sessions: vec![SessionId::from_u64(9)] });
        write_surplus(&said, &mut out).unwrap();
        assert_eq!(out, b"\x03ada\x09\0\0\0\0\0\0\0");
        assert_eq!(read_surplus(&out), Some(said));
        for end in 1..seats.len() {
            assert_eq!(read_seats(&seats[..end]), None, "{end}");
        }
        for end in (0..out.len()).filter(|end| *end != 4) {
            assert_eq!(read_surplus(&out[..end]), None, "{end}");
        }
    }
}
