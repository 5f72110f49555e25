//! `gannet serve --echo` in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs, process};

use crate::peer::{LIMITS, MIN_COMPRESSED_BYTES};

/// A running server; killed when it is dropped.
pub struct Program {
    child: Child,
    config: PathBuf,
    /// Of the client port.
    pub address: SocketAddr,
}

impl Program {
    pub fn start() -> Self {
        let config = env::temp_dir().join(format!("gannet-conformance-{}.toml", process::id()));
        fs::write(&config, settings()).expect("the temporary folder can be written to");
        let mut child = Command::new(env!("CARGO_BIN_EXE_gannet"))
            .args(["serve", "--echo", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo has built it");
        let banner = BufReader::new(child.stdout.take().expect("it is piped"));
        let address = banner.lines().map_while(Result::ok).find_map(|line| address(&line));
        Self { child, config, address: address.expect("the banner names the client port") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
    }
}

fn settings() -> String {
    let (message, outbox) = (LIMITS.max_message_bytes, 2 * LIMITS.max_message_bytes);
    // A message that went to a link could grow so much in JSON.
    let link_outbox = 7 * message;
    format!(
        "reactors = 1\n\
         [limits]\n\
         max_frame_bytes = {}\n\
         max_message_bytes = {message}\n\
         max_fragments = {}\n\
         outbox_bytes = {outbox}\n\
         link_outbox_bytes = {link_outbox}\n\
         [deflate]\n\
         enabled = true\n\
         min_bytes = {MIN_COMPRESSED_BYTES}\n",
        LIMITS.max_frame_bytes, LIMITS.max_fragments
    )
}

/// The address of the client port, in the line of the banner that has it.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("ws://")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && !".:[]".contains(c)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
