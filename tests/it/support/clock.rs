//! A wall clock that a test sets for the real program: libfaketime, from the Debian package `faketime`. Its monotonic clock is
//! the machine's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
pub struct WallClock {
    /// What the library reads at every look.
    setting: PathBuf,
}

impl WallClock {
    /// A clock that goes as the machine's does.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("gannet-it-clock-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let clock = Self { setting: std::env::temp_dir().join(name) };
        clock.set(0);
        clock
    }

    /// Sets it to so many seconds after the machine's.
    pub fn set(&self, ahead_secs: i64) {
        // It is read at any moment: never half written.
        let new = self.setting.with_extension("new");
        fs::write(&new, format!("{ahead_secs:+}\n")).unwrap();
        fs::rename(new, &self.setting).unwrap();
    }

    /// `command`, under this clock.
    pub fn preloaded<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let libraries = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let library = libraries
            .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
            .find(|library| library.exists())
            .expect("libfaketime is missing: apt-get install faketime");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.setting)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.setting);
    }
}
