//! Messages with their descriptors, out of a stream of bytes and into one.
//!
//! A header of 8 bytes is before each message: its length and the number of its descriptors, little-endian, 4 bytes each. The
//! kernel attaches descriptors to a byte of the stream: all of a message's come with the first byte of its header. So a reader
//! must ask for descriptors with every read, and must not read beyond a message; then what has arrived is what was sent, or
//! some were lost.

use super::InvalidState;
use super::fault::Cause;
use super::message::{MAX_DESCRIPTORS, MAX_MESSAGE, Message};

/// The bytes before a message.
pub(super) const HEADER: usize = 8;

/// Where bytes and descriptors come from. Fuzzing stands in for the kernel with numbers as descriptors.
pub(crate) trait Incoming {
    /// What a file is held by.
    type Descriptor;

    /// Waits for bytes, and appends the descriptors that came with them. The number of bytes is not 0.
    ///
    /// # Errors
    /// [`Cause::Lost`] at the end of the stream.
    fn read(&mut self, into: &mut [u8], descriptors: &mut Vec<Self::Descriptor>) -> Result<usize, Cause>;
}

/// A message and what came with it.
pub(crate) struct Frame<D> {
    pub(super) message: Message,
    pub(super) descriptors: Vec<D>,
}

/// The next message that this version knows.
pub(super) fn receive<I: Incoming>(incoming: &mut I) -> Result<Frame<I::Descriptor>, Cause> {
    loop {
        let (mut header, mut descriptors) = ([0; HEADER], Vec::new());
        read_exact(incoming, &mut header, &mut descriptors)?;
        let [length, announced] =
            [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|i| header[at + i])));
        bound("bytes of a message", length as usize, MAX_MESSAGE)?;
        bound("descriptors of a message", announced as usize, MAX_DESCRIPTORS)?;
        let mut body = vec![0; length as usize];
        read_exact(incoming, &mut body, &mut descriptors)?;
        if descriptors.len() != announced as usize {
            let (announced, arrived) = (u64::from(announced), descriptors.len() as u64);
            return Err(Cause::Descriptors { announced, arrived });
        }
        let Some(message) = Message::decode(&body)? else { continue };
        if !message.allows(descriptors.len()) {
            return Err(InvalidState::new("a message has not the descriptors that it should have").into());
        }
        return Ok(Frame { message, descriptors });
    }
}

/// The bytes of a message that goes with so many descriptors.
pub(super) fn encode(message: &Message, descriptors: usize) -> Result<Vec<u8>, Cause> {
    let body = message.encode();
    bound("bytes of a message", body.len(), MAX_MESSAGE)?;
    bound("descriptors of a message", descriptors, MAX_DESCRIPTORS)?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(descriptors as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(super) fn read_exact<I: Incoming>(
    incoming: &mut I,
    mut into: &mut [u8],
    descriptors: &mut Vec<I::Descriptor>,
) -> Result<(), Cause> {
    while !into.is_empty() {
        let count = incoming.read(into, descriptors)?;
        into = &mut into[count..];
    }
    Ok(())
}

/// None came where none was announced.
pub(super) fn no_descriptors<D>(stray: &[D]) -> Result<(), Cause> {
    match stray.len() as u64 {
        0 => Ok(()),
        arrived => Err(Cause::Descriptors { announced: 0, arrived }),
    }
}

fn bound(what: &'static str, size: usize, most: usize) -> Result<(), Cause> {
    if size > most {
        return Err(Cause::TooLarge { what, size: size as u64, most: most as u64 });
    }
    Ok(())
}
