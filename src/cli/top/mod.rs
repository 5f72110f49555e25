//! `gannet top`: a server as it is now, on a terminal.
//!
//! ```text
//! feed (stream, or stats; lists) → news → model → view → screen
//!                                           ↑ keys
//! ```

mod feed;
mod model;
mod news;
mod screen;
mod view;

use std::fmt;
use std::io::{self, IsTerminal};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::backend::BackendArgs;
use super::error::CliError;
use feed::Feed;
use model::Model;
use screen::Screen;

/// How long a key or a signal may wait for what is new to be taken.
const GLANCE: Duration = Duration::from_millis(100);
/// How long the end by a signal may take where all is well.
const LEAVE: Duration = Duration::from_secs(1);
/// What is drawn anew at least so often: times go on.
const REDRAW: Duration = Duration::from_secs(1);

/// Watch a running server: sessions, rates, reactors, apps, groups, who is behind, and what is not delivered
#[derive(Debug, Args)]
#[command(after_long_help = view::KEYS)]
pub struct TopArgs {
    /// Look at one app [default: at all; Enter picks one]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Why there is nothing to see.
#[derive(Debug)]
enum TopError {
    NoTerminal,
    Terminal(io::Error),
}

impl fmt::Display for TopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str(
                "gannet top needs a terminal: gannet status and gannet stats print to files and pipes",
            ),
            Self::Terminal(error) => write!(f, "the terminal does not obey: {error}"),
        }
    }
}

impl std::error::Error for TopError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Terminal(error) = self { Some(error) } else { None }
    }
}

impl From<TopError> for CliError {
    fn from(error: TopError) -> Self {
        Self::Command(Box::new(error))
    }
}

/// Runs `gannet top`.
pub fn run(args: &TopArgs) -> Result<(), CliError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal.into());
    }
    // A key that no header can carry is told while the terminal is plain, and so is what is asked on it.
    args.backend.key()?;
    let feed = Feed::start(&args.backend).map_err(TopError::Terminal)?;
    let mut model = Model::new(args.app.clone());
    Ok(watch(&mut model, feed, args.backend.address()).map_err(TopError::Terminal)?)
}

fn watch(model: &mut Model, mut feed: Feed, address: &str) -> io::Result<()> {
    let ends = end_by_signals()?;
    let mut screen = Screen::enter()?;
    let mut drawn: Option<Instant> = None;
    while !ends.load(Ordering::Relaxed) {
        let now = Instant::now();
        let mut is_new = drawn.is_none_or(|drawn| now.duration_since(drawn) >= REDRAW);
        for news in feed.news.try_iter() {
            model.take(news, now);
            is_new = true;
        }
        feed.want(model.wanted());
        if is_new {
            screen.terminal().draw(|frame| view::draw(frame, model, address, now))?;
            drawn = Some(now);
        }
        if event::poll(GLANCE)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release && is_last(model, key) => return Ok(()),
                // What it changed is to be seen, and so is another size.
                _ => drawn = None,
            }
        }
    }
    Ok(())
}

/// Says when a signal has come that ends the program. Where the terminal is gone nobody may get to look: to read its keys never
/// returns then.
fn end_by_signals() -> io::Result<Arc<AtomicBool>> {
    let ends = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let told = Arc::clone(&ends);
    let wait = move || {
        let Some(signal) = signals.forever().next() else { return };
        told.store(true, Ordering::Relaxed);
        thread::sleep(LEAVE);
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
        process::exit(128 + signal);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(ends)
}

/// Does what a key asks for; whether that is the end.
fn is_last(model: &mut Model, key: KeyEvent) -> bool {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd'));
    }
    if std::mem::take(&mut model.shows_help) {
        return key.code == KeyCode::Char('q');
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('?' | 'h') => model.shows_help = true,
        KeyCode::Char('s') => model.sort_apps(),
        KeyCode::Char('o') => model.sort_behind(),
        KeyCode::Char('a') => model.picked = None,
        KeyCode::Up | KeyCode::Char('k') => model.move_cursor(-1),
        KeyCode::Down | KeyCode::Char('j') => model.move_cursor(1),
        KeyCode::Enter => model.pick(),
        _ => {}
    }
    false
}
