//! An echo server on tokio-tungstenite, as its examples have it: a write for each message.

use futures_util::{SinkExt, StreamExt};
use gannet_peers::upgrade;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::Role;

fn main() -> std::io::Result<()> {
    let [address] = gannet_peers::addresses("echo-tungstenite ADDR");
    gannet_peers::block_on(async move {
        let listener = gannet_peers::listen(address)?;
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that breaks off is no concern of the others.
                if let Ok(stream) = upgrade::accept(stream).await {
                    let _ = echo(stream).await;
                }
            });
        }
    })?
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
