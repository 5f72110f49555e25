//! Where the news come from: a thread on the stream, or on `/v1/stats` where a server has no stream, and a thread that asks for
//! lists. Both try again until the program ends.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::news::{Behind, Hello, Tick};
use crate::cli::backend::{BackendArgs, Target};
use crate::cli::error::CliError;

/// The stream has something each second.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two looks at `/v1/stats`, and before another try.
const SECOND: Duration = Duration::from_secs(1);
/// Between two looks at lists.
const LIST_PAUSE: Duration = Duration::from_secs(5);
/// Entries of a page that every server gives.
const PAGE: &str = "100";
/// Pages of one list; what is behind them is not looked at.
const MOST_PAGES: usize = 10;
/// Apps whose groups are asked for.
const MOST_APPS: usize = 8;
/// The app where nothing else is known.
const DEFAULT_APP: &str = "default";

/// Something new.
#[derive(Debug)]
pub enum News {
    /// Who the server is. `has_stream`: it tells by itself.
    Hello {
        /// Itself.
        hello: Hello,
        /// Whether it came on the stream.
        has_stream: bool,
    },
    /// Some time has passed.
    Tick(Tick),
    /// Who is behind.
    Behind(Vec<Behind>),
    /// The groups of the apps, each with how many sessions, the largest first; whether there are more than were looked at.
    Groups(Vec<Group>, bool),
    /// The apps that there are, with their sessions.
    Apps(Vec<(String, u64)>),
    /// The server does not answer; why.
    Away(String),
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its app.
    pub app: String,
    /// Its name.
    pub name: String,
    /// The sessions in it.
    pub sessions: u64,
}

/// What lists are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The apps; none: that of requests which name none.
    pub apps: Vec<String>,
    /// Whether who is behind has to be asked for too.
    pub has_no_stream: bool,
}

/// The threads' other end. They end when it is gone.
pub struct Feed {
    /// What they tell.
    pub news: Receiver<News>,
    wanted: Sender<Wanted>,
    last: Wanted,
    _stop: Sender<()>,
}

/// Why a way of asking ended.
enum Gone {
    /// There is no stream.
    NoStream,
    /// Nobody listens any more.
    Unheard,
    /// The server does not answer.
    Lost(String),
}

impl From<CliError> for Gone {
    fn from(error: CliError) -> Self {
        Self::Lost(error.to_string())
    }
}

impl Feed {
    /// Begins to ask.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(backend: &BackendArgs) -> std::io::Result<Self> {
        let (sender, news) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let (wanted, wants) = mpsc::channel();
        let watcher = Watcher { backend: backend.clone(), news: sender.clone(), stopped };
        let lister = Lister { backend: backend.clone(), news: sender };
        thread::Builder::new().name("feed".to_owned()).spawn(move || watcher.run())?;
        thread::Builder::new().name("lists".to_owned()).spawn(move || lister.run(&wants))?;
        Ok(Self { news, wanted, last: Wanted::default(), _stop: stop })
    }

    /// Says what lists are to be about from now on.
    pub fn want(&mut self, wanted: Wanted) {
        if wanted != self.last {
            // A thread that is gone has panicked; the rest of the screen lives on.
            let _ = self.wanted.send(wanted.clone());
            self.last = wanted;
        }
    }
}

struct Watcher {
    backend: BackendArgs,
    news: Sender<News>,
    stopped: Receiver<()>,
}

impl Watcher {
    fn run(&self) {
        loop {
            let gone = match self.stream() {
                Gone::NoStream => self.poll(),
                gone => gone,
            };
            if let Gone::Lost(why) = gone
                && self.tell(News::Away(why)).is_ok()
                && self.pause(SECOND)
            {
                continue;
            }
            return;
        }
    }

    /// Waits; `false`: the program has ended.
    fn pause(&self, time: Duration) -> bool {
        matches!(self.stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    fn tell(&self, news: News) -> Result<(), Gone> {
        self.news.send(news).map_err(|_| Gone::Unheard)
    }

    fn stream(&self) -> Gone {
        let listen = || -> Result<(), Gone> {
            let mut events = self.backend.events("/v1/stats/stream", SILENCE)?.ok_or(Gone::NoStream)?;
            loop {
                let event = events.next().map_err(|error| Gone::Lost(error.to_string()))?;
                let event = event.ok_or_else(|| Gone::Lost("the stream has ended".to_owned()))?;
                let data = serde_json::from_str::<Value>(&event.data).unwrap_or_default();
                match event.name.as_str() {
                    "hello" => {
                        self.tell(News::Hello { hello: Hello::of_stream(&data), has_stream: true })?;
                    }
                    "tick" => self.tell(News::Tick(Tick::of_stream(&data)))?,
                    "behind" => self.tell(News::Behind(Behind::list(&data)))?,
                    // The hour before and what operators did are for pages.
                    _ => {}
                }
            }
        };
        listen().err().unwrap_or(Gone::Unheard)
    }

    fn poll(&self) -> Gone {
        let look = || -> Result<(), Gone> {
            let mut last: Option<(Value, Hello, Instant)> = None;
            loop {
                let answer = self.backend.call("GET", "/v1/stats", None)?;
                let (stats, now) =
                    (serde_json::from_str::<Value>(&answer).unwrap_or_default(), Instant::now());
                let hello = Hello::of_stats(&stats, unix_ms());
                match &last {
                    // After an upgrade or a restart the counts are another process's.
                    Some((before, known, at)) if known.pid == hello.pid => {
                        let ms = now.duration_since(*at).as_secs_f64() * 1e3;
                        self.tell(News::Tick(Tick::between(before, &stats, ms.max(1.0))))?;
                    }
                    _ => {
                        self.tell(News::Hello { hello: hello.clone(), has_stream: false })?;
                        self.tell(News::Tick(Tick::between(&stats, &stats, 1e3)))?;
                    }
                }
                last = Some((stats, hello, now));
                if !self.pause(SECOND) {
                    return Err(Gone::Unheard);
                }
            }
        };
        look().err().unwrap_or(Gone::Unheard)
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

struct Lister {
    backend: BackendArgs,
    news: Sender<News>,
}

impl Lister {
    fn run(&self, wants: &Receiver<Wanted>) {
        let mut wanted = Wanted::default();
        loop {
            match wants.recv_timeout(LIST_PAUSE) {
                // Only what is wanted now counts.
                Ok(other) => wanted = wants.try_iter().last().unwrap_or(other),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // What cannot be listed, the other thread says why.
            if self.list(&wanted).is_err_and(|gone| matches!(gone, Gone::Unheard)) {
                return;
            }
        }
    }

    fn list(&self, wanted: &Wanted) -> Result<(), Gone> {
        let mut apps = wanted.apps.clone();
        if wanted.has_no_stream {
            let (found, _) = self.pages("/v1/apps", None, "apps")?;
            let found: Vec<(String, u64)> = found
                .iter()
                .filter_map(|app| Some((app["app"].as_str()?.to_owned(), app["sessions"].as_u64()?)))
                .collect();
            if apps.is_empty() {
                apps = found.iter().map(|(name, _)| name.clone()).collect();
            }
            self.tell(News::Apps(found))?;
        }
        if apps.is_empty() {
            apps.push(DEFAULT_APP.to_owned());
        }
        let (mut groups, mut behind, mut has_more) = (Vec::new(), Vec::new(), apps.len() > MOST_APPS);
        for app in apps.iter().take(MOST_APPS) {
            let (found, more) = self.pages("/v1/groups", Some(app), "groups")?;
            has_more |= more;
            groups.extend(found.iter().filter_map(|group| {
                let (name, sessions) = (group["group"].as_str()?.to_owned(), group["sessions"].as_u64()?);
                Some(Group { app: app.clone(), name, sessions })
            }));
            if wanted.has_no_stream {
                let (found, _) = self.pages("/v1/sessions", Some(app), "sessions")?;
                behind.extend(Behind::list(&serde_json::json!({ "sessions": found })));
            }
        }
        groups.sort_by(|a, b| b.sessions.cmp(&a.sessions).then_with(|| a.name.cmp(&b.name)));
        self.tell(News::Groups(groups, has_more))?;
        if wanted.has_no_stream { self.tell(News::Behind(behind)) } else { Ok(()) }
    }

    /// The entries of a list, and whether there are more.
    fn pages(&self, path: &str, app: Option<&str>, name: &str) -> Result<(Vec<Value>, bool), Gone> {
        let (mut entries, mut after) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let mut target = Target::new(path);
            target.pairs("app", app);
            target.pairs("limit", [PAGE]);
            target.pairs("after", &after);
            let answer = self.backend.call("GET", target.as_str(), None)?;
            let mut answer = serde_json::from_str::<Value>(&answer).unwrap_or_default();
            if let Value::Array(page) = answer[name].take() {
                entries.extend(page);
            }
            after = answer["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return Ok((entries, false));
            }
        }
        Ok((entries, true))
    }

    fn tell(&self, news: News) -> Result<(), Gone> {
        self.news.send(news).map_err(|_| Gone::Unheard)
    }
}
