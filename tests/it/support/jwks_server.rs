//! Whoever publishes a JWK set: a real HTTPS server on a thread of its own, whose document the test changes while it runs.

use super::DEADLINE;
use super::tls::CertFiles;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// See the module; it ends when it is dropped.
pub struct JwksServer {
    pub certificate: CertFiles,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Status and body.
    answer: Mutex<(u16, String)>,
    asked: AtomicUsize,
    ends: AtomicBool,
}

impl JwksServer {
    /// One that answers 200 with `document`.
    pub fn start(document: String) -> Self {
        let certificate = CertFiles::new(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Mutex::new((200, document));
        let shared = Arc::new(Shared { answer, asked: 0.into(), ends: false.into() });
        let (own, config) = (Arc::clone(&shared), server_config(&certificate));
        let thread = thread::spawn(move || own.serve(&listener, &config));
        Self { certificate, address, shared, thread: Some(thread) }
    }

    /// Where the document is.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/keys.json?v=1", self.address.port())
    }

    /// What it answers from now on.
    pub fn answer(&self, status: u16, body: impl Into<String>) {
        *self.shared.answer.lock().unwrap() = (status, body.into());
    }

    /// How often it has been asked for the document.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Ends: from then on nobody listens there.
    pub fn end(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Wakes it.
            drop(TcpStream::connect(self.address));
            thread.join().unwrap();
        }
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener, config: &Arc<ServerConfig>) {
        for stream in listener.incoming() {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            // A client that does not believe the certificate hangs up.
            let _ = self.answer_one(stream.unwrap(), config);
        }
    }

    fn answer_one(&self, socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<()> {
        socket.set_read_timeout(Some(DEADLINE))?;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket);
        let (mut head, mut piece) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => head.extend_from_slice(&piece[..count]),
            }
        }
        assert!(head.starts_with(b"GET /keys.json?v=1 HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
        let (status, body) = self.answer.lock().unwrap().clone();
        let length = body.len();
        self.asked.fetch_add(1, Ordering::SeqCst);
        write!(stream, "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n\r\n{body}")?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

fn server_config(files: &CertFiles) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}
