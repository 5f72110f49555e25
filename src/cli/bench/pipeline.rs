//! An HTTP/1.1 connection that stays open and has several requests under way. What they ask is not known here.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use super::error::BenchError;
use super::stream::Stream;
use crate::http::{HeadLimits, MessageLimits, ResponseProgress, ResponseReader};

/// What a publish asks with. A template may have another method, but not HEAD.
const METHOD: &str = "POST";

/// Bounds of an answer.
const LIMITS: MessageLimits = MessageLimits { head: HeadLimits::DEFAULT, max_body_bytes: 1 << 20 };

/// See the module.
pub struct Pipeline {
    stream: Stream,
    out: Vec<u8>,
    /// Bytes of `out` that are written; 0 when `out` is empty.
    written: usize,
    answers: ResponseReader,
}

impl Pipeline {
    /// A connection that is open, or opens.
    pub fn new(stream: Stream) -> Self {
        Self { stream, out: Vec::new(), written: 0, answers: ResponseReader::default() }
    }

    /// The socket, for its registration.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.socket()
    }

    /// Where the bytes of the next request are appended.
    pub fn request(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        self.stream.flush()
    }

    /// Reads all there is; answers whether the server has closed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => self.answers.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The status and body of the next answer, if it is whole.
    ///
    /// # Errors
    /// [`BenchError::PublisherAnswer`] for what is no answer with a length.
    pub fn next_answer(&mut self) -> Result<Option<(u16, Vec<u8>)>, BenchError> {
        loop {
            match self.answers.read(METHOD, &LIMITS).map_err(|_| BenchError::PublisherAnswer)? {
                ResponseProgress::NeedsMore => return Ok(None),
                ResponseProgress::Head(head) if !head.has_length(METHOD) => {
                    return Err(BenchError::PublisherAnswer);
                }
                ResponseProgress::Head(_) => {}
                ResponseProgress::Whole(head, body) => {
                    let answer = (head.status, std::mem::take(body));
                    self.answers.next_response();
                    return Ok(Some(answer));
                }
            }
        }
    }
}
