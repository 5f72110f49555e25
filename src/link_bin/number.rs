//! The number of an event, where its link has asked for numbers: a u64 behind the user, before everything else.

use super::error::Malformed;
use super::event::{NUMBERED, OPEN};
use super::wire::Reader;

/// The number of the event in a message: how many events its link has read with it. `None` where the link asked for no numbers, or
/// the message is no event.
///
/// ```
/// use gannet::link_bin::{Event, number_of};
/// use gannet::session::SessionId;
/// let session = SessionId::from_u64(0x00a0_0000_0000_0001);
/// let mut message = Vec::new();
/// Event::Unassigned { session, user: Some("ada") }.encode(&mut message)?;
/// assert_eq!(number_of(&message), None);
/// // The flag, and behind the user the number.
/// message[1] |= 0x40;
/// message.extend_from_slice(&7u64.to_le_bytes());
/// assert_eq!(number_of(&message), Some(7));
/// # Ok::<(), gannet::link_bin::TooLong>(())
/// ```
pub fn number_of(message: &[u8]) -> Option<u64> {
    let at = place_of_number(message).ok()?;
    let is_numbered = message[0] >= OPEN && message[1] & NUMBERED != 0;
    let number = message.get(at..).filter(|_| is_numbered)?;
    Some(u64::from_le_bytes(*number.first_chunk()?))
}

/// The same event with a number, of one that has none.
pub(crate) fn numbered(message: &[u8], number: u64) -> Vec<u8> {
    let Ok(at) = place_of_number(message) else { return message.to_vec() };
    let mut numbered = Vec::with_capacity(message.len() + size_of::<u64>());
    numbered.extend_from_slice(&message[..at]);
    numbered.extend_from_slice(&number.to_le_bytes());
    numbered.extend_from_slice(&message[at..]);
    numbered[1] |= NUMBERED;
    numbered
}

fn place_of_number(message: &[u8]) -> Result<usize, Malformed> {
    let mut reader = Reader::new(message);
    reader.take(4, "a header")?;
    reader.session("session")?;
    reader.optional("user")?;
    Ok(message.len() - reader.rest().len())
}
