//! Which file a request may have the server run. A backend port without a key is open to every user of the machine, who must
//! not come by the rights of the server's own user that way.

use rustix::process::geteuid;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// In a folder with this bit, such as /tmp, each entry is its owner's alone (chmod(1)).
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const EXECUTABLE: u32 = 0o111;

/// Where the file at `path` lies, all links followed, if only root and the server's user can put another one there.
///
/// # Errors
/// What is wrong with it.
pub fn trusted(path: &Path) -> Result<PathBuf, String> {
    let is_wrong = |why: &dyn std::fmt::Display| format!("the server does not run {}: {why}", path.display());
    let unreadable = |error: io::Error| is_wrong(&error);
    let path = path.canonicalize().map_err(unreadable)?;
    let file = path.metadata().map_err(unreadable)?;
    if !file.is_file() || file.mode() & EXECUTABLE == 0 {
        return Err(is_wrong(&"it is no program"));
    }
    for entry in path.ancestors() {
        let metadata = entry.metadata().map_err(unreadable)?;
        if !is_ours(&metadata) {
            let whose = format!("users other than root and its own can change {}", entry.display());
            return Err(is_wrong(&whose));
        }
    }
    Ok(path)
}

/// Whether root and the server's user alone can change the entry, or what lies in it.
fn is_ours(entry: &Metadata) -> bool {
    let (owner, mode) = (entry.uid(), entry.permissions().mode());
    let is_open = mode & WRITABLE_BY_OTHERS != 0 && (!entry.is_dir() || mode & STICKY == 0);
    (owner == 0 || owner == geteuid().as_raw()) && !is_open
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;

    #[test]
    fn what_others_can_change_is_not_run() {
        let folder = std::env::temp_dir().join(format!("gannet-trusted-{}", std::process::id()));
        let folder = fs::create_dir_all(&folder).and_then(|()| folder.canonicalize()).unwrap();
        let (file, link) = (folder.join("gannet"), folder.join("current"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let with = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let why = |path: &Path| trusted(path).unwrap_err();
        with(&file, 0o644);
        assert!(why(&file).contains("no program"));
        with(&file, 0o755);
        assert_eq!((trusted(&file), trusted(&link)), (Ok(file.clone()), Ok(file.clone())));
        with(&file, 0o757);
        assert!(why(&file).contains("can change"));
        with(&file, 0o755);
        with(&folder, 0o777);
        assert!(why(&link).contains(&format!("can change {}", folder.display())));
        with(&folder, 0o1777);
        assert_eq!(trusted(&file), Ok(file.clone()));
        assert!(why(&folder).contains("no program"));
        assert!(why(&folder.join("none")).contains("No such file"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
