//! A proxy that speaks HTTP/1.0 and nothing else: a request a connection, and an answer that ends with it. It can be told to cut
//! what it carries.

use super::{prepared, read_on};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// See the module; it ends when it is dropped.
pub struct OldProxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    carried: Mutex<Vec<TcpStream>>,
    ends: AtomicBool,
}

impl OldProxy {
    /// One that passes everything on to `upstream`.
    pub fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                for client in listener.incoming() {
                    if own.ends.load(Ordering::SeqCst) {
                        break;
                    }
                    let own = &own;
                    scope.spawn(move || own.carry(client.unwrap(), upstream));
                }
            });
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Cuts everything that it carries now.
    pub fn cut(&self) {
        for stream in self.shared.carried.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn carry(&self, client: TcpStream, upstream: SocketAddr) {
        let (mut client, mut upstream) = (prepared(client), prepared(TcpStream::connect(upstream).unwrap()));
        let Some((head, rest)) = head_of(&mut client) else { return };
        self.carried.lock().unwrap().extend([client.try_clone().unwrap(), upstream.try_clone().unwrap()]);
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let request = lines.next().unwrap_or_default().replace("HTTP/1.1", "HTTP/1.0");
        let fields = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head: String =
            [request.as_str()].into_iter().chain(fields).map(|line| format!("{line}\r\n")).collect();
        if upstream
            .write_all(format!("{head}\r\n").as_bytes())
            .and_then(|()| upstream.write_all(&rest))
            .is_err()
        {
            return;
        }
        let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        thread::scope(|scope| {
            scope.spawn(move || {
                copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            copy(&mut upstream, &mut client);
            let _ = client.shutdown(Shutdown::Both);
        });
    }
}

fn head_of(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = read_on(client, &mut chunk).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&chunk[..count]);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Some((String::from_utf8(head).unwrap(), rest));
        }
    }
}

/// Up to the end, or the cut.
fn copy(from: &mut TcpStream, to: &mut TcpStream) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(count) = read_on(from, &mut chunk) {
        if count == 0 || to.write_all(&chunk[..count]).is_err() {
            return;
        }
    }
}

impl Drop for OldProxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.cut();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
