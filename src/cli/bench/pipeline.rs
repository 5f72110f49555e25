//! An HTTP/1.1 connection that stays open and has several requests under way. What they ask is not known here.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use super::error::BenchError;
use crate::cli::http_client::parse_head;
use crate::http::{BodyReader, HeadLimits, HeadScanner};

const MAX_ANSWER_BYTES: usize = 1 << 20;

/// See the module.
pub struct Pipeline {
    stream: TcpStream,
    out: Vec<u8>,
    /// Bytes of `out` that are written; 0 when `out` is empty.
    written: usize,
    /// Read and not yet understood.
    input: Vec<u8>,
    scanner: HeadScanner,
    /// The answer whose body is being read.
    answer: Option<(u16, BodyReader, Vec<u8>)>,
}

impl Pipeline {
    /// A connection that is open, or opens.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            scanner: HeadScanner::default(),
            answer: None,
        }
    }

    /// The socket, for its registration.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
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
        Ok(())
    }

    /// Reads all there is; answers whether the server has closed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
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
        self.parse().ok_or(BenchError::PublisherAnswer)
    }

    fn parse(&mut self) -> Option<Option<(u16, Vec<u8>)>> {
        loop {
            if let Some((status, reader, body)) = &mut self.answer {
                let (taken, done) = reader.read(&self.input, body).ok()?;
                self.input.drain(..taken);
                if !done {
                    return Some(None);
                }
                let answer = (*status, std::mem::take(body));
                self.answer = None;
                // An interim answer, such as 100 Continue, is none yet (RFC 9110 §15.2).
                if answer.0 >= 200 {
                    return Some(Some(answer));
                }
            }
            let Some(length) = self.scanner.scan(&self.input, &HeadLimits::default()).ok()? else {
                return Some(None);
            };
            let (status, framing) = parse_head(&self.input[..length])?;
            self.input.drain(..length);
            self.answer = Some((status, BodyReader::new(framing?, MAX_ANSWER_BYTES).ok()?, Vec::new()));
        }
    }
}
