//! What the commands print.

use std::io::{self, IsTerminal, Write};

use clap::Args;

use super::error::CliError;
use super::table::laid_out;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print the server's JSON, as where standard output is no terminal
    #[arg(long)]
    json: bool,
}

impl Form {
    /// Prints what a server answers: as tables and lines on a terminal, unless JSON is asked for.
    pub fn print(self, answer: &str) -> Result<(), CliError> {
        let is_for_people = !self.json && io::stdout().is_terminal();
        match is_for_people.then(|| laid_out(answer)).flatten() {
            Some(text) => print(&text),
            None => print(answer),
        }
    }
}

/// Prints `text` with a line end. A reader that has seen enough, as `head` has, is no failure.
pub fn print(text: &str) -> Result<(), CliError> {
    print_some(text).map(drop)
}

/// The same for what goes on: `false` where the reader has seen enough.
pub fn print_some(text: &str) -> Result<bool, CliError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Output(error)),
    }
}
