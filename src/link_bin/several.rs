//! Several commands in one message: a header, then each command whole, behind its length.

use super::command::{Refused, Request};
use super::error::TooLong;
use super::wire::{Reader, put_long, put_whole};

/// The first byte of a message that holds several commands.
const SEVERAL: u8 = 0x7f;

/// Appends one message that holds all of `requests`.
///
/// # Errors
/// [`TooLong`] as for each of them; `out` is as it was then.
///
/// ```
/// use gannet::link_bin::{Command, Request, commands_of, encode_several};
/// let destroy = |id, group| Request::new(id, Command::Destroy { group });
/// let mut message = Vec::new();
/// encode_several(&[destroy(7, "g"), destroy(8, "h")], &mut message)?;
/// let commands = commands_of(&message).unwrap().unwrap();
/// assert_eq!(Request::decode(commands[1]), Ok(destroy(8, "h")));
/// # Ok::<(), gannet::link_bin::TooLong>(())
/// ```
pub fn encode_several(requests: &[Request<'_>], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_whole(out, |out| {
        out.extend_from_slice(&[SEVERAL, 0, 0, 0, 0, 0, 0, 0]);
        let mut command = Vec::new();
        for request in requests {
            command.clear();
            request.encode(&mut command)?;
            put_long(command.len(), "a command", out)?;
            out.extend_from_slice(&command);
        }
        Ok(())
    })
}

/// The commands of a message that holds several; `None` for one that is a command itself.
///
/// # Errors
/// [`Refused`], with the id 0, where a flag or a byte that is reserved is set, or a command is longer than the message.
pub fn commands_of(message: &[u8]) -> Result<Option<Vec<&[u8]>>, Refused> {
    if message.first() != Some(&SEVERAL) {
        return Ok(None);
    }
    let read = || {
        let mut reader = Reader::new(message);
        reader.u8("an opcode")?;
        let flags = reader.u8("flags")?;
        reader.check_flags(flags, 0, "none")?;
        reader.reserved(6)?;
        let mut commands = Vec::new();
        while !reader.is_at_end() {
            let length = reader.u32("the length of a command")? as usize;
            commands.push(reader.take(length, "a command")?);
        }
        Ok(Some(commands))
    };
    read().map_err(|error| Refused { id: 0, error })
}
