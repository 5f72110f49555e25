//! How far a run is, on a terminal; elsewhere nothing.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::clock::{Nanos, SECOND};
use super::recorder::Window;

/// A line that is drawn over and over.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    connections: usize,
    duration: Duration,
}

impl Progress {
    /// A line for a run of so many connections and so long.
    pub fn new(connections: usize, duration: Duration) -> Self {
        let on_terminal = io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(connections as u64), target);
        let style = ProgressStyle::with_template("{msg:11} {wide_bar} {pos}/{len}");
        bar.set_style(style.expect("the template is a constant without mistakes"));
        Self { bar, connections, duration }
    }

    /// So many connections are open.
    pub fn connecting(&self, opened: usize) {
        self.bar.set_message(if opened < self.connections { "connecting" } else { "warming up" });
        self.bar.set_position(opened as u64);
    }

    /// The load runs.
    pub fn running(&self, now: Nanos, window: Window) {
        self.bar.set_message(if now < window.from { "warming up" } else { "measuring" });
        self.bar.set_length(self.duration.as_secs());
        self.bar.set_position(now.saturating_sub(window.from) / SECOND);
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
