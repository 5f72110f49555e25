//! What the programs share: the opening handshake without a check, a port on which HTTP requests publish, and the frames of
//! the floor programs. Each program stands in `src/bin`; all take the addresses to listen on as their arguments, and print
//! `ready` once they do.
#![forbid(unsafe_code)]

pub mod floor;
pub mod publish;
pub mod upgrade;

use std::net::SocketAddr;

/// The addresses that the program was given; it ends with a hint when they are not `N`.
pub fn addresses<const N: usize>(usage: &str) -> [SocketAddr; N] {
    let parsed: Result<Vec<SocketAddr>, _> =
        std::env::args().skip(1).map(|address| address.parse()).collect();
    match parsed.map(<[SocketAddr; N]>::try_from) {
        Ok(Ok(addresses)) => addresses,
        _ => {
            eprintln!("usage: {usage}");
            std::process::exit(2);
        }
    }
}

/// Runs a server of tokio on one thread.
pub fn block_on<F: Future>(server: F) -> std::io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(server))
}

/// A socket that listens, with room for a storm of connections.
pub fn listen(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}
