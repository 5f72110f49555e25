//! An answer without an end: events of `text/event-stream`, as they come.

use std::io::{self, Read};

use super::http_client::{ClientError, HttpClient, Reply, Stream};
use crate::http::{BodyFraming, BodyReader};

/// The longest head, and the longest answer that is no stream.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// The longest event: an hour of a server's history has less.
const MOST_EVENT_BYTES: usize = 16 << 20;
const READ_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// What a request for a stream is answered with.
pub enum Opened {
    /// A stream.
    Events(Box<EventStream>),
    /// Something else.
    Other(Reply),
}

/// A stream of events.
pub struct EventStream {
    stream: Box<dyn Stream>,
    /// Where the body comes in chunks.
    chunks: Option<BodyReader>,
    body: Vec<u8>,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

impl HttpClient<'_> {
    /// Asks for a stream of events.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn events(&self, target: &str) -> Result<Opened, ClientError> {
        let mut stream = self.send("GET", target)?;
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if bytes.len() > MOST_HEAD_BYTES {
                return Err(self.not_http());
            }
            if more(&mut stream, &mut bytes).map_err(|error| self.lost(error))? == 0 {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let mut body = bytes.split_off(end);
        let (status, is_chunked) = head(&bytes).ok_or_else(|| self.not_http())?;
        if status != 200 {
            // It says why, and ends.
            while body.len() < MOST_HEAD_BYTES && more(&mut stream, &mut body).is_ok_and(|count| count > 0) {}
            return Ok(Opened::Other(Reply { status, body }));
        }
        let chunks = is_chunked.then(|| BodyReader::new(BodyFraming::Chunked, usize::MAX)).transpose();
        let chunks = chunks.map_err(|_| self.not_http())?;
        let raw = if chunks.is_some() { std::mem::take(&mut body) } else { Vec::new() };
        let mut events = EventStream { stream, chunks, body };
        events.take(&raw).map_err(|error| self.lost(error))?;
        Ok(Opened::Events(Box::new(events)))
    }
}

impl EventStream {
    /// Waits for the next event. `None`: the stream has ended.
    ///
    /// # Errors
    /// What the system says; that nothing came in time is one.
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = next_event(&mut self.body) {
                return Ok(Some(event));
            }
            if self.body.len() > MOST_EVENT_BYTES {
                return Err(io::Error::other("an event is too long"));
            }
            let mut bytes = Vec::new();
            if more(&mut self.stream, &mut bytes)? == 0 {
                return Ok(None);
            }
            self.take(&bytes)?;
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(chunks) = &mut self.chunks else {
            self.body.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            let (used, _) = chunks.read(bytes, &mut self.body).map_err(io::Error::other)?;
            if used == 0 {
                break;
            }
            bytes = &bytes[used..];
        }
        Ok(())
    }
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; READ_BYTES];
    loop {
        match stream.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                let count = read?;
                bytes.extend_from_slice(&piece[..count]);
                return Ok(count);
            }
        }
    }
}

/// The status, and whether the body comes in chunks.
fn head(bytes: &[u8]) -> Option<(u16, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(bytes).ok()?;
    let is_chunked = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("transfer-encoding") && header.value.eq_ignore_ascii_case(b"chunked")
    });
    Some((response.code?, is_chunked))
}

/// Takes the first event that is whole off `body`; comments are none.
fn next_event(body: &mut Vec<u8>) -> Option<Event> {
    loop {
        let end = body.windows(2).position(|window| window == b"\n\n")?;
        let block: Vec<u8> = body.drain(..end + 2).collect();
        let block = String::from_utf8_lossy(&block);
        let (mut name, mut data) = (String::new(), None::<String>);
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_owned(),
                "data" => match &mut data {
                    Some(data) => data.extend(["\n", value]),
                    None => data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
        if let Some(data) = data {
            return Some(Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::client::Trust;

    fn ask(answer: &'static [u8]) -> Result<Vec<Event>, (u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                more(&mut stream, &mut asked).unwrap();
            }
            // Byte by byte: an event may come in any pieces.
            answer.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
        });
        let opened = HttpClient::new(&address, None, &Trust::System).events("/v1/stats/stream").unwrap();
        let found = match opened {
            Opened::Other(reply) => Err((reply.status, String::from_utf8(reply.body).unwrap())),
            Opened::Events(mut events) => Ok(std::iter::from_fn(|| events.next().unwrap()).collect()),
        };
        server.join().unwrap();
        found
    }

    #[test]
    fn events_come_in_any_framing() {
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        let plain =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\nevent: hello\ndata: {}\n\n\
                      data:a\ndata: b\n\nevent: cut";
        assert_eq!(ask(plain).unwrap(), [event("hello", "{}"), event("", "a\nb")]);
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nevent: t\n\r\nb\r\ndata: 1\n\n: \r\n";
        assert_eq!(ask(chunked).unwrap(), [event("t", "1")]);
        let refused = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(ask(refused).unwrap_err(), (404, "{}".to_owned()));
    }
}
