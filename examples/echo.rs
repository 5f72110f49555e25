//! An echo server in an afternoon's lines: every message goes back to whoever sent it.
//!
//! `cargo run --release --example echo`, then connect any WebSocket client to ws://127.0.0.1:9000/ws.

use gannet::config::Config;
use gannet::{App, Message, Server, Session};

struct Echo;

impl App for Echo {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        match message {
            Message::Text(text) => session.send_text(text),
            Message::Binary(bytes) => session.send_binary(bytes),
        };
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(Config::default())?;
    println!("echoing on ws://{}/ws", server.client_addr());
    server.run(|_reactor| Box::new(Echo))?;
    Ok(())
}
