//! A fan-out server on tokio-tungstenite: what is published by HTTP on the second address goes to all on the first.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use gannet_peers::{publish, upgrade};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

fn main() -> std::io::Result<()> {
    let [clients, publishers] = gannet_peers::addresses("fanout-tungstenite CLIENT_ADDR PUBLISH_ADDR");
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

async fn deliver(stream: TcpStream, mut messages: broadcast::Receiver<Bytes>) -> Result<(), Error> {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    loop {
        tokio::select! {
            published = messages.recv() => match published {
                Ok(bytes) => socket.send(Message::Binary(bytes)).await?,
                Err(_) => return Ok(()),
            },
            said = socket.next() => match said {
                Some(said) => drop(said?),
                None => return Ok(()),
            },
        }
    }
}
