//! A fan-out server on fastwebsockets: what is published by HTTP on the second address goes to all on the first.

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role, WebSocket, WebSocketError};
use gannet_peers::{publish, upgrade};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

fn main() -> std::io::Result<()> {
    let [clients, publishers] = gannet_peers::addresses("fanout-fastwebsockets CLIENT_ADDR PUBLISH_ADDR");
    gannet_peers::block_on(async move {
        let (sender, _) = broadcast::channel(1024);
        let listener = gannet_peers::listen(clients)?;
        tokio::spawn(publish::serve(gannet_peers::listen(publishers)?, sender.clone()));
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            let messages = sender.subscribe();
            tokio::spawn(async move {
                // A client that breaks off is no concern of the others.
                if let Ok(stream) = upgrade::accept(stream).await {
                    let _ = deliver(stream, messages).await;
                }
            });
        }
    })?
}

async fn deliver(stream: TcpStream, mut messages: broadcast::Receiver<Bytes>) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        tokio::select! {
            published = messages.recv() => match published {
                Ok(bytes) => socket.write_frame(Frame::binary(Payload::Borrowed(&bytes))).await?,
                Err(_) => return Ok(()),
            },
            // What it has read of a frame it keeps when the other branch wins.
            said = socket.read_frame() => if said?.opcode == OpCode::Close { return Ok(()) },
        }
    }
}
