//! How this process was started, for the process that an upgrade starts the same way.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::server::Program;

/// The flag of a process that takes over, right behind `serve`.
pub const TAKE_OVER: &str = "--take-over";

/// How this process was started. Early: the path is made absolute by the working directory, and the file that lies there is
/// compared with the one that runs.
///
/// # Errors
/// The system does not say what runs.
pub fn own() -> io::Result<Program> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    let binary = binary(&name, env::var_os("PATH").as_deref(), &env::current_exe()?)?;
    Ok(Program { binary, arguments: behind_serve(arguments) })
}

/// Where `running` was started from, if it was called `name`. A link stays one: it may lead to another version by the time of
/// the upgrade. What the name does not lead to is where the running file lies.
fn binary(name: &OsStr, search: Option<&OsStr>, running: &Path) -> io::Result<PathBuf> {
    let folders = search.map(|search| env::split_paths(search).collect::<Vec<_>>()).unwrap_or_default();
    let candidates: Vec<PathBuf> = match Path::new(name).components().count() {
        1 if Path::new(name).is_relative() => folders.iter().map(|folder| folder.join(name)).collect(),
        _ => vec![PathBuf::from(name)],
    };
    let is_running = |path: &PathBuf| is_same(path, running).unwrap_or(false);
    std::path::absolute(candidates.into_iter().find(is_running).unwrap_or_else(|| running.to_owned()))
}

fn is_same(left: &Path, right: &Path) -> io::Result<bool> {
    let [left, right] = [left.metadata()?, right.metadata()?];
    Ok((left.dev(), left.ino()) == (right.dev(), right.ino()))
}

/// What stands behind `serve`, less [`TAKE_OVER`].
fn behind_serve(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.skip(1).peekable();
    let _ = arguments.next_if(|argument| argument == TAKE_OVER);
    arguments.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_flag_of_a_taker_is_left_out_and_all_else_stays() {
        let behind = |line: &[&str]| behind_serve(line.iter().map(OsString::from));
        assert_eq!(behind(&["serve"]), [""; 0]);
        assert_eq!(behind(&["serve", "--take-over", "--pin"]), ["--pin"]);
        assert_eq!(behind(&["serve", "--pin", "--config", "x"]), ["--pin", "--config", "x"]);
    }

    #[test]
    fn the_binary_is_where_its_name_leads_and_else_where_the_running_file_lies() {
        let folder = env::temp_dir().join(format!("gannet-program-{}", std::process::id()));
        let (bin, other) = (folder.join("bin"), folder.join("other"));
        [&bin, &other].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let (running, link) = (folder.join("gannet-1.0"), bin.join("gannet"));
        fs::write(&running, "").unwrap();
        fs::write(other.join("gannet"), "").unwrap();
        symlink(&running, &link).unwrap();
        let search = env::join_paths([&other, &bin]).unwrap();
        let found = |name: &Path| binary(name.as_os_str(), Some(&search), &running).unwrap();
        assert_eq!(found(&link), link, "a link stays one");
        assert_eq!(
            found(Path::new("gannet")),
            link,
            "a name without a path is searched for, another file passed over"
        );
        assert_eq!(found(Path::new("-bash")), running, "a name that leads nowhere");
        assert_eq!(found(&other.join("gannet")), running, "a name that leads to another file");
        fs::remove_dir_all(&folder).unwrap();
    }
}
