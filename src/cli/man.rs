//! `gannet man`: manual pages, made of what `--help` says.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::error::CliError;
use super::output;

/// Write the manual pages, one a command
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write them to, such as /usr/local/share/man/man1; with - all of them go to standard output, one behind the other
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A page that could not be written.
#[derive(Debug)]
struct NotWritten {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for NotWritten {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Runs `gannet man`; `program` is all of the program.
pub fn run(args: &ManArgs, program: Command) -> Result<(), CliError> {
    // `gannet help COMMAND` shows what the page of the command has.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    gather(&program, &mut pages).map_err(CliError::Output)?;
    if args.folder == Path::new("-") {
        let all: Vec<String> = pages.into_iter().map(|(_, page)| page).collect();
        return output::print(&all.concat());
    }
    let failed =
        |path: &Path, error| CliError::Command(Box::new(NotWritten { path: path.to_owned(), error }));
    fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, error))?;
    for (name, page) in pages {
        let path = args.folder.join(name);
        fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The pages of a command and of those below it, each with the name of its file.
fn gather(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    let (man, mut page) = (Man::new(command.clone()), Vec::new());
    man.render(&mut page)?;
    pages.push((man.get_filename(), String::from_utf8_lossy(&page).into_owned()));
    command.get_subcommands().try_for_each(|below| gather(below, pages))
}
