//! What the connection of an event stream has beside those of WebSockets: how its events are told apart and compressed. Knows
//! nothing of the queue that they come from.

use crate::protocol::DeflateEngine;
use crate::stream::{EventId, Gzip, SharedEvent, text_or_binary};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::fmt;
use std::sync::Arc;

/// See the module.
pub struct Stream {
    /// What has been put into it, where it is compressed.
    gzip: Option<Gzip>,
    /// Compresses for all streams of the reactor.
    engine: Option<Arc<DeflateEngine>>,
    /// What the session is resumed with; without it events have no `id:`.
    ticket: Option<Box<str>>,
    /// Whether nothing more is queued: the end of the compression follows what waits.
    ends: bool,
}

/// A [`Stream`] on its way to another process.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedStream {
    #[n(0)]
    gzip: Option<Gzip>,
    #[n(1)]
    ticket: Option<Box<str>>,
    #[n(2)]
    ends: Option<bool>,
}

impl Stream {
    /// A stream whose session is resumed with `ticket`, where it may resume.
    pub fn new(ticket: Option<Box<str>>) -> Self {
        Self { gzip: None, engine: None, ticket, ends: false }
    }

    /// The same, compressed with gzip. Events are compressed where there is an `engine`, and stored else.
    pub fn compressed(self, engine: Option<Arc<DeflateEngine>>) -> Self {
        Self { gzip: Some(Gzip::default()), engine, ..self }
    }

    /// Appends what the stream begins with, which is `first`: events of the server's own.
    pub fn begin(&mut self, first: &[u8], out: &mut Vec<u8>) {
        if self.gzip.is_some() {
            out.extend_from_slice(&Gzip::HEADER);
        }
        self.put_own(first, out);
    }

    /// Nothing more is queued.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether an end has to follow what waits.
    pub fn has_end(&self) -> bool {
        self.ends && self.gzip.is_some()
    }

    /// Appends the end, where one has to follow what waits. Does so once.
    pub fn take_end(&mut self, out: &mut Vec<u8>) {
        if self.ends
            && let Some(gzip) = self.gzip.take()
        {
            gzip.end(out);
        }
    }

    /// Appends bytes of the server's own: events without a number, comments.
    pub fn put_own(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.gzip {
            Some(gzip) => gzip.store(bytes, out),
            None => out.extend_from_slice(bytes),
        }
    }

    /// Appends a message of which `event` is the event, and with which `count` messages have been sent. Returns without how many
    /// of the last bytes its client may have read it already.
    pub fn put_shared(&mut self, event: &SharedEvent, count: u64, out: &mut Vec<u8>) -> usize {
        let Self { gzip, engine, ticket, ends: _ } = self;
        let Some(gzip) = gzip else {
            put_id(ticket.as_deref(), count, out);
            out.extend_from_slice(event.bytes());
            return 0;
        };
        gzip.store_with(out, |out| put_id(ticket.as_deref(), count, out));
        event.append_to(gzip, engine.as_deref(), out)
    }

    /// The same of a message that no other stream gets.
    pub fn put_message(&mut self, is_text: bool, payload: &[u8], count: u64, out: &mut Vec<u8>) {
        let Self { gzip, engine: _, ticket, ends: _ } = self;
        let put = |out: &mut Vec<u8>| {
            put_id(ticket.as_deref(), count, out);
            text_or_binary(is_text, payload, out);
        };
        match gzip {
            Some(gzip) => gzip.store_with(out, put),
            None => put(out),
        }
    }

    /// As it is carried.
    pub fn carry(&self) -> CarriedStream {
        let Self {
            gzip,
            // That of the reactor in which it goes on.
            engine: _,
            ticket,
            ends,
        } = self;
        CarriedStream { gzip: *gzip, ticket: ticket.clone(), ends: ends.then_some(true) }
    }
}

impl CarriedStream {
    /// The stream that goes on from it.
    ///
    /// # Errors
    /// It has a ticket that cannot stand in an `id:` line.
    pub fn restore(self, engine: impl FnOnce() -> Arc<DeflateEngine>) -> Result<Stream, InvalidState> {
        let Self { gzip, ticket, ends } = self;
        if ticket.iter().any(|ticket| !ticket.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(InvalidState::new("the ticket of a stream is none"));
        }
        let engine = gzip.map(|_| engine());
        Ok(Stream { gzip, engine, ticket, ends: ends == Some(true) })
    }
}

fn put_id(ticket: Option<&str>, count: u64, out: &mut Vec<u8>) {
    if let Some(ticket) = ticket {
        EventId { ticket, count }.write(out);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A ticket is a secret.
        let Self { gzip, engine: _, ticket: _, ends } = self;
        f.debug_struct("Stream").field("gzip", gzip).field("ends", ends).finish_non_exhaustive()
    }
}
