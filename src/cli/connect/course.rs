//! The course of a client: connected or not, what is entered, what comes, and when it comes back.

use std::fs;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ConnectError;
use super::event::Happened;
use super::input::{self, Input, Inputs, Screen};
use super::line::{HELP, Line};
use super::wire::{Seat, Wire, question};
use crate::cli::shown::shown;
use crate::client::{ClientConfig, ClientError};
use crate::protocol::handshake::ResponseError;

/// How long the server's answer to a Close is waited for.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// The first pause before the client comes back; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// After so many tries in a row the client gives up.
const MOST_TRIES: u32 = 12;
/// Close codes after which a client should connect again (docs/protocol.md).
const COME_BACK: [u16; 5] = [1001, 1012, 1013, 4000, 4003];

/// How the client behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Somebody sits there: it stays when the connection has ended.
    pub is_terminal: bool,
    /// Lines are for programs.
    pub is_json: bool,
    /// It comes back for its session.
    pub resumes: bool,
    /// How long it stays behind the end of its input.
    pub wait: Duration,
}

/// The connection.
enum Link {
    Up(Box<Wire>),
    /// The next try, if there is one, and how many there were.
    Down {
        next: Option<Instant>,
        tries: u32,
    },
}

/// See the module.
pub struct Course {
    url: String,
    config: ClientConfig,
    manner: Manner,
    seat: Seat,
    link: Link,
    inputs: Inputs,
    screen: Screen,
    /// When it closes, behind the end of its input.
    closes_at: Option<Instant>,
    /// It was told to end, and waits no longer than this.
    ends_at: Option<Instant>,
    /// How the last connection ended.
    ending: String,
}

impl Course {
    /// Connects, and begins to read lines.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn open(url: &str, config: &ClientConfig, manner: Manner) -> Result<Self, ConnectError> {
        let seat = Seat::default();
        let wire = Wire::open(url, config, &seat).map_err(ConnectError::Open)?;
        let (inputs, screen) = input::start(manner.is_terminal)?;
        let mut course = Self {
            url: url.to_owned(),
            config: config.clone(),
            manner,
            seat,
            link: Link::Down { next: None, tries: 0 },
            inputs,
            screen,
            closes_at: None,
            ends_at: None,
            ending: String::new(),
        };
        course.is_up(wire)?;
        Ok(course)
    }

    /// Goes on until the end.
    ///
    /// # Errors
    /// [`ConnectError`]; that the connection has ended is one where nobody sits there to connect again.
    pub fn run(&mut self) -> Result<(), ConnectError> {
        loop {
            match &self.link {
                Link::Down { .. } if self.ends_at.is_some() => return Ok(()),
                Link::Down { next: None, .. } if !self.manner.is_terminal => {
                    return Err(ConnectError::Ended(std::mem::take(&mut self.ending)));
                }
                _ => {}
            }
            match self.turn() {
                // Nobody reads any more, as `head` when it has seen enough.
                Err(ConnectError::System(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(());
                }
                turned => turned?,
            }
            if self.ends_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(());
            }
        }
    }

    /// Waits for the next thing, and does it.
    fn turn(&mut self) -> Result<(), ConnectError> {
        let (has_input, has_more) = self.wait()?;
        if has_more {
            self.look()?;
        }
        if has_input {
            for input in self.inputs.take() {
                self.entered(input)?;
            }
            if self.inputs.is_signalled() {
                self.quit()?;
            }
        }
        let now = Instant::now();
        if let Link::Down { next: Some(at), tries } = self.link
            && at <= now
        {
            self.come_back(tries)?;
        }
        if self.closes_at.is_some_and(|at| at <= now) {
            self.quit()?;
        }
        Ok(())
    }

    /// Whether something was entered, and whether something has come.
    fn wait(&self) -> Result<(bool, bool), ConnectError> {
        let next = if let Link::Down { next, .. } = self.link { next } else { None };
        let moments = [next, self.closes_at, self.ends_at];
        let left = moments.into_iter().flatten().min().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = vec![PollFd::new(&self.inputs, PollFlags::IN)];
        if let Link::Up(wire) = &self.link {
            fds.push(PollFd::new(&**wire, PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(ConnectError::System(error.into())),
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok((is_ready(0), is_ready(1)))
    }

    fn tell(&mut self, happened: &Happened) -> Result<(), ConnectError> {
        Ok(self.screen.print(&happened.line(SystemTime::now(), self.manner.is_json))?)
    }

    fn is_up(&mut self, wire: Wire) -> Result<(), ConnectError> {
        let opened = Happened::Open {
            url: shown(&self.url),
            subprotocol: wire.subprotocol().map(str::to_owned),
            is_compressed: wire.is_compressed(),
        };
        self.link = Link::Up(Box::new(wire));
        self.tell(&opened)?;
        // What came with the answer to the upgrade is in no socket any more.
        self.look()
    }

    fn look(&mut self) -> Result<(), ConnectError> {
        let Link::Up(wire) = &mut self.link else { return Ok(()) };
        let was_closing = wire.is_closing();
        let found = wire.look(&mut self.seat);
        let mut comes_back = !was_closing;
        for event in &found.events {
            self.tell(event)?;
            match event {
                Happened::Closed { code, reason, .. } => {
                    comes_back &= code.is_some_and(|code| COME_BACK.contains(&code));
                    let code =
                        code.map_or("closed without a code".to_owned(), |code| format!("closed with {code}"));
                    self.ending = [code.as_str(), reason].join(" ").trim_end().to_owned();
                }
                Happened::Lost(why) => self.ending.clone_from(why),
                _ => {}
            }
        }
        if found.is_over { self.is_down(comes_back) } else { Ok(()) }
    }

    /// The connection has ended.
    fn is_down(&mut self, comes_back: bool) -> Result<(), ConnectError> {
        let comes_back =
            comes_back && self.manner.resumes && self.seat.ticket.is_some() && self.ends_at.is_none();
        if comes_back {
            return self.pause(0);
        }
        self.link = Link::Down { next: None, tries: 0 };
        match self.manner.is_terminal && self.ends_at.is_none() {
            true => self.tell(&Happened::Note("/again connects again, /quit ends".to_owned())),
            false => Ok(()),
        }
    }

    fn pause(&mut self, tries: u32) -> Result<(), ConnectError> {
        let pause = pause(tries);
        self.link = Link::Down { next: Some(Instant::now() + pause), tries };
        self.tell(&Happened::Pause(pause))
    }

    /// Tries to connect.
    fn come_back(&mut self, tries: u32) -> Result<(), ConnectError> {
        match Wire::open(&self.url, &self.config, &self.seat) {
            Ok(wire) => self.is_up(wire),
            Err(error) => {
                self.ending = error.to_string();
                self.tell(&Happened::Lost(error.to_string()))?;
                match tries < MOST_TRIES && !is_final(&error) {
                    true => self.pause(tries + 1),
                    false => self.is_down(false),
                }
            }
        }
    }

    fn entered(&mut self, input: Input) -> Result<(), ConnectError> {
        match input {
            Input::Line(line) => match line.parse() {
                Ok(line) => self.act(line),
                Err(why) => self.tell(&Happened::Wrong(why)),
            },
            Input::End if self.manner.is_terminal => self.quit(),
            Input::End => {
                self.closes_at = Some(Instant::now() + self.manner.wait);
                Ok(())
            }
            Input::Failed(error) => Err(ConnectError::System(error)),
        }
    }

    fn act(&mut self, line: Line) -> Result<(), ConnectError> {
        match line {
            Line::Nothing => Ok(()),
            Line::Help => self.tell(&Happened::Note(HELP.to_owned())),
            Line::Status => self.tell(&Happened::Note(self.status())),
            Line::Quit => self.quit(),
            Line::Again => match self.link {
                Link::Up(_) => self.tell(&Happened::Wrong("it is connected".to_owned())),
                // It is not tried again by itself.
                Link::Down { .. } => self.come_back(MOST_TRIES),
            },
            Line::Cut => {
                if let Link::Up(_) = &self.link {
                    // Dropped without a Close, as a network that goes away.
                    self.link = Link::Down { next: Some(Instant::now()), tries: 0 };
                    return self.tell(&Happened::Lost("cut".to_owned()));
                }
                self.tell(&Happened::Wrong(NOT_CONNECTED.to_owned()))
            }
            Line::File(path) => match fs::read(&path) {
                Ok(bytes) => self.send(|wire| wire.binary(&bytes)),
                Err(error) => self.tell(&Happened::Wrong(format!("{}: {error}", path.display()))),
            },
            Line::Text(text) => self.send(|wire| wire.text(&text)),
            Line::Binary(bytes) => self.send(|wire| wire.binary(&bytes)),
            Line::Ping(text) => self.send(|wire| wire.ping(text.as_bytes())),
            Line::Close(code, reason) => self.send(|wire| wire.close(code, &reason)),
            Line::Own(own) => self.send_own(&own),
            Line::Time => self.send_own(&question()),
        }
    }

    fn send_own(&mut self, own: &serde_json::Value) -> Result<(), ConnectError> {
        let mut is_spoken = true;
        self.send(|wire| {
            is_spoken = wire.own(own)?;
            Ok(())
        })?;
        match is_spoken {
            true => Ok(()),
            false => {
                self.tell(&Happened::Wrong("gannet's own messages need the subprotocol gannet.v1".to_owned()))
            }
        }
    }

    fn send(&mut self, send: impl FnOnce(&mut Wire) -> Result<(), ClientError>) -> Result<(), ConnectError> {
        let Link::Up(wire) = &mut self.link else {
            return self.tell(&Happened::Wrong(NOT_CONNECTED.to_owned()));
        };
        match send(wire) {
            Ok(()) => Ok(()),
            Err(ClientError::Send(error)) => self.tell(&Happened::Wrong(error.to_string())),
            // What it has said before is still to be read.
            Err(ClientError::Io(error)) if error.kind() != io::ErrorKind::WouldBlock => self.look(),
            Err(error) => {
                self.ending = error.to_string();
                self.tell(&Happened::Lost(error.to_string()))?;
                self.is_down(true)
            }
        }
    }

    /// Closes, and ends.
    fn quit(&mut self) -> Result<(), ConnectError> {
        self.closes_at = None;
        self.ends_at.get_or_insert(Instant::now() + CLOSE_PATIENCE);
        match &mut self.link {
            Link::Up(wire) if !wire.is_closing() => self.send(|wire| wire.close(Some(1000), "")),
            Link::Up(_) => Ok(()),
            Link::Down { next, .. } => {
                *next = None;
                Ok(())
            }
        }
    }

    fn status(&self) -> String {
        let Seat { ticket, received, session } = &self.seat;
        let session = session.as_deref().unwrap_or("none");
        let resume = if ticket.is_some() { "may resume" } else { "does not resume" };
        let link = if matches!(self.link, Link::Up(_)) { "connected to" } else { "not connected to" };
        format!("{link} {}; session {session}, {received} messages have come, {resume}", shown(&self.url))
    }
}

const NOT_CONNECTED: &str = "it is not connected: /again connects";

/// Whether trying again is of no use: the server does not want this client.
fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Response(ResponseError::Refused { status }) => {
            (400..500).contains(status) && ![408, 429].contains(status)
        }
        ClientError::Io(_) | ClientError::Disconnected | ClientError::Response(_) => false,
        _ => true,
    }
}

/// Random, so that clients that were lost together do not come back together, and growing.
fn pause(tries: u32) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    let mut random = [0];
    // Without randomness it is the whole pause.
    let part = getrandom::fill(&mut random).map_or(256, |()| u32::from(random[0]) + 1);
    most * part / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        for (tries, most) in [(0, 250), (1, 500), (4, 4_000), (5, 8_000), (40, 8_000)] {
            let pause = pause(tries);
            assert!(pause > Duration::ZERO && pause <= Duration::from_millis(most), "{tries}: {pause:?}");
        }
    }

    #[test]
    fn who_is_not_wanted_does_not_come_back() {
        let refused = |status| is_final(&ClientError::Response(ResponseError::Refused { status }));
        assert_eq!([400, 401, 403, 404, 429, 503].map(refused), [true, true, true, true, false, false]);
        assert!(!is_final(&ClientError::Disconnected) && is_final(&ClientError::Url));
    }
}
