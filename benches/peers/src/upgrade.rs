//! The opening handshake, RFC 6455 §4.2, taking the request at its word.

use std::io;

use gannet::protocol::handshake::write_accept;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const END: &[u8] = b"\r\n\r\n";

/// The length of a whole head at the start of `bytes`.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, END).map(|at| at + END.len())
}

/// The value of a header of a whole head, by its name in lower or in title case.
pub fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let lines = std::str::from_utf8(head).ok()?.split("\r\n").skip(1);
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The path of a whole head.
pub fn path(head: &[u8]) -> Option<&str> {
    std::str::from_utf8(head).ok()?.split(' ').nth(1)
}

/// The answer to a whole head.
pub fn answer(head: &[u8]) -> Option<Vec<u8>> {
    let key = header(head, "sec-websocket-key")?;
    let mut out = Vec::new();
    write_accept(key, None, None, &mut out);
    Some(out)
}

/// Upgrades a connection. A client that sends frames before it has the answer is none of ours.
pub async fn accept(mut stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(1024);
    while head_length(&head).is_none() {
        if stream.read_buf(&mut head).await? == 0 || head.len() > 16 * 1024 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let answer = answer(&head).ok_or(io::ErrorKind::InvalidData)?;
    stream.write_all(&answer).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_answered_with_its_key() {
        let head = b"GET /7 HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(head_length(head), Some(head.len()));
        assert_eq!(head_length(&head[..head.len() - 1]), None);
        assert_eq!(path(head), Some("/7"));
        let answer = String::from_utf8(answer(head).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}
