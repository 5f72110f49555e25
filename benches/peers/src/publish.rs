//! A port on which the body of every HTTP request is published to all. Requests may be pipelined.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use crate::upgrade::{head_length, header};

/// The answer to every request.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Head and body of the request at the start of `bytes`, once it is whole.
pub fn request(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = head_length(bytes)?;
    let length = header(&bytes[..head], "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Some((&bytes[..head], bytes[head..].get(..length)?))
}

/// Serves the port for ever.
pub async fn serve(listener: TcpListener, to: broadcast::Sender<Bytes>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let to = to.clone();
        tokio::spawn(async move {
            // The publisher has gone.
            let _ = converse(stream, to).await;
        });
    }
}

async fn converse(mut stream: TcpStream, to: broadcast::Sender<Bytes>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while stream.read_buf(&mut input).await? > 0 {
        let mut answers = Vec::new();
        while let Some((head, body)) = request(&input) {
            // Nobody listens yet: as good as published.
            let _ = to.send(Bytes::copy_from_slice(body));
            answers.extend_from_slice(ANSWER);
            let taken = head.len() + body.len();
            input.drain(..taken);
        }
        stream.write_all(&answers).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_cut_by_their_length() {
        let bytes = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
        let (head, body) = request(bytes).unwrap();
        assert_eq!((head.len(), body), (bytes.len() - 7, &b"abc"[..]));
        assert!(request(&bytes[..bytes.len() - 5]).is_none());
        assert!(request(&bytes[..20]).is_none());
    }
}
