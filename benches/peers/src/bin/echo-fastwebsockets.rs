//! An echo server on fastwebsockets, as its example has it: a write for each message.

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use gannet_peers::upgrade;
use tokio::net::TcpStream;

fn main() -> std::io::Result<()> {
    let [address] = gannet_peers::addresses("echo-fastwebsockets ADDR");
    gannet_peers::block_on(async move {
        let listener = gannet_peers::listen(address)?;
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that breaks off is no concern of the others.
                if let Ok(stream) = upgrade::accept(stream).await {
                    let _ = tokio::task::unconstrained(echo(stream)).await;
                }
            });
        }
    })?
}

async fn echo(stream: TcpStream) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
