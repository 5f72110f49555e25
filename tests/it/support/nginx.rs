//! A real nginx in front of the client port, with nothing configured but where to pass requests on.

use super::until;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module; it ends when it is dropped.
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Nginx {
    /// One that passes everything on to `upstream`.
    pub fn before(upstream: SocketAddr) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gannet-nginx-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("temp")).unwrap();
        // The kernel chooses the port, and nginx gets the socket as from the process before it in an upgrade of its own.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|what| format!("{what}_temp_path temp/{what};"))
            .collect();
        let config = format!(
            "daemon off; worker_processes 1; pid nginx.pid; error_log error.log;\n\
             events {{}}\n\
             http {{ access_log off; {temp}\n\
             server {{ listen {address}; location / {{ proxy_pass http://{upstream}; }} }} }}\n"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let script = "NGINX='3;' exec nginx -p \"$0\" -c nginx.conf -e error.log 3<&0";
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(&folder)
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut this = Self { address, child, folder };
        until("nginx", || {
            let ended = this.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx (nginx-light) ended with {ended:?}: {}", this.errors());
            this.folder.join("nginx.pid").exists() && TcpStream::connect(address).is_ok()
        });
        this
    }

    /// What it has complained about.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker: it is told to, and not killed.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
