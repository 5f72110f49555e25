//! The protocol core without the server: an echo server and a client over blocking sockets of `std::net`.
//!
//! The core reads and writes no socket. Whoever uses it reads bytes, hands them over, acts on the events, and writes
//! what was appended to the output; with threads as here, with epoll, or with an async runtime.
//!
//! `cargo run --example sans_io`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use gannet::http::{MessageLimits, RequestProgress, RequestReader, Response};
use gannet::protocol::handshake::{ClientHandshake, Request, check_upgrade, write_accept};
use gannet::protocol::{CloseCode, Event, Input, Limits, WebSocket};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(listener.accept()?.0));
    talk(TcpStream::connect(address)?, &address.to_string())?;
    server.join().map_err(|_| "the server panicked")?
}

/// The server's end of one connection.
fn serve(mut stream: TcpStream) -> Outcome {
    let mut buffer = vec![0; 64 * 1024];
    let mut out = Vec::new();

    // The head may come in pieces.
    let limits = MessageLimits::default();
    let mut reader = RequestReader::default();
    loop {
        let filled = read(&mut stream, &mut buffer)?;
        reader.push(&buffer[..filled]);
        let RequestProgress::Head(request) = reader.read(&limits)? else { continue };
        match check_upgrade(request.method, request.version_minor, request.headers()) {
            Ok(upgrade) => write_accept(upgrade.key, None, None, &mut out),
            Err(error) => {
                Response::text(error.status(), error.to_string()).write(false, false, None, &mut out);
                stream.write_all(&out)?;
                return Ok(());
            }
        }
        break;
    }
    stream.write_all(&out)?;
    out.clear();

    // From here on there are frames; some may have come along with the head.
    let mut socket = WebSocket::server(Arc::new(Limits::default()));
    let mut filled = reader.unread().len();
    buffer[..filled].copy_from_slice(reader.unread());
    while !socket.is_closed() {
        let mut input = Input::new(&mut buffer[..filled]);
        while let Some(event) = socket.receive(&mut input, &mut out)? {
            println!("server: {event:?}");
            match event {
                Event::Text(text) => socket.send_text(&text, &mut out)?,
                Event::Binary(bytes) => socket.send_binary(&bytes, &mut out)?,
                // Answered by the core.
                Event::Ping(_) | Event::Pong(_) | Event::Close(_) => {}
            }
        }
        stream.write_all(&out)?;
        out.clear();
        if !socket.is_closed() {
            filled = read(&mut stream, &mut buffer)?;
        }
    }
    println!("server: {:?}", socket.end_of_input());
    Ok(())
}

/// The client's end.
fn talk(mut stream: TcpStream, host: &str) -> Outcome {
    let mut buffer = vec![0; 64 * 1024];
    let mut out = Vec::new();

    let request = Request { host, path: "/", subprotocols: &[], extensions: None, headers: &[] };
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| "no randomness")?;
    let mut handshake = ClientHandshake::start(&request, nonce, &mut out)?;
    stream.write_all(&out)?;
    out.clear();
    loop {
        let filled = read(&mut stream, &mut buffer)?;
        // This server sends nothing before it is asked; otherwise frames could be left in the input.
        if handshake.receive(&mut Input::new(&mut buffer[..filled]))?.is_some() {
            break;
        }
    }

    let mask_keys = || {
        let mut key = [0; 4];
        getrandom::fill(&mut key).expect("it gave the nonce a moment ago");
        key
    };
    let mut socket = WebSocket::client(Arc::new(Limits::default()), Box::new(mask_keys));
    socket.send_text("hello", &mut out)?;
    socket.send_text_fragment("in two ", false, &mut out)?;
    socket.ping(b"are you there?", &mut out)?;
    socket.send_text_fragment("fragments", true, &mut out)?;
    socket.close(Some(CloseCode::NORMAL), "that was all", &mut out)?;
    while !socket.is_closed() {
        stream.write_all(&out)?;
        out.clear();
        let filled = read(&mut stream, &mut buffer)?;
        let mut input = Input::new(&mut buffer[..filled]);
        while let Some(event) = socket.receive(&mut input, &mut out)? {
            println!("client: {event:?}");
        }
    }
    println!("client: {:?}", socket.end_of_input());
    Ok(())
}

/// Reads at least a byte.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Box<dyn Error + Send + Sync>> {
    match stream.read(buffer)? {
        0 => Err("the stream ended".into()),
        length => Ok(length),
    }
}
