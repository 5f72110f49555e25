//! The commands that look at a server, against a real one.

mod connect;
mod connect_terminal;
mod health;
mod looks;
mod terminal;
mod top;

use std::process::{Command, Output, Stdio};

/// `gannet ARGS`, which is expected to end.
pub fn gannet(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(args).env_remove("GANNET_KEY").stdin(Stdio::null());
    command.output().unwrap()
}

/// Its exit code, standard output and standard error.
pub fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
