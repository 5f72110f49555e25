//! What a connection's own client is answered while its input is handled: gathered, and written before anything that the
//! handler pushes. Bounded: at [`Reply::FULL`] it is written, and what the socket does not take waits in the outbox.

/// See the module. There is one for each reactor, handed down to whoever handles input.
#[derive(Debug, Default)]
pub struct Reply {
    /// Control frames: they go before messages (RFC 6455 §5.5).
    pub control: Vec<u8>,
    /// Messages, whole frames.
    pub messages: Vec<u8>,
}

impl Reply {
    /// So many bytes of messages are written before more are gathered.
    pub const FULL: usize = 64 * 1024;

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.messages.is_empty()
    }

    /// Whether it is to be written before more is gathered.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= Self::FULL || self.control.len() >= Self::FULL
    }

    /// Begins anew. Room for one very long answer is given back.
    pub fn clear(&mut self) {
        for part in [&mut self.control, &mut self.messages] {
            part.clear();
            part.shrink_to(2 * Self::FULL);
        }
    }

    /// Everything in one piece, in the order in which it is written.
    pub fn take_all(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.control);
        all.append(&mut self.messages);
        all
    }

    /// Everything in one piece, messages first: what goes out last, such as a Close.
    pub fn take_last(&mut self) -> Vec<u8> {
        let mut last = std::mem::take(&mut self.messages);
        last.append(&mut self.control);
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_long_answer_is_given_back_and_that_of_short_ones_kept() {
        let mut reply = Reply::default();
        reply.messages.resize(1 << 20, 0);
        assert!(reply.is_full());
        reply.clear();
        assert!(reply.is_empty() && reply.messages.capacity() <= 2 * Reply::FULL);
        reply.messages.resize(1000, 0);
        reply.clear();
        assert!(reply.messages.capacity() >= 1000);
    }
}
