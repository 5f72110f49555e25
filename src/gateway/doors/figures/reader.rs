//! One reader of figures: what it may see, and what it has been sent.

use super::Moment;
use crate::auth::{Access, BackendKeys};
use crate::core::{Largest, PartFate, Shared, StatsPart, StatsStream, why_not_ready};
use crate::dispatch::{Apps, Right};
use crate::gateway::api::render::{
    Bounds, Hello, HelloKey, HelloOfServer, HourOf, LargestQueues, Tick, stream_event,
};
use crate::metrics::{AppSample, Sample};
use crate::session::AppId;
use std::sync::{Arc, Weak};

/// Lines of the audit trail that a stream begins with, and as many as it is sent at once.
const LINES: usize = 50;
/// Apps that one tick tells of; the others have their turn at the next.
const APPS_A_TICK: usize = 32;

/// See the module.
#[derive(Debug)]
pub struct Reader {
    stream: Weak<StatsStream>,
    access: Arc<Access>,
    /// The apps that it may see; `None` is the whole server.
    view: Option<Box<[AppId]>>,
    /// What it has for sure been sent, or the next part has to have.
    sent: Sent,
    /// The same with the part that is on its way.
    on_its_way: Option<Sent>,
    /// Its key is gone: the next part is the last.
    ends: bool,
    /// Counts what has changed of what a greeting says.
    greeting: u64,
}

/// How far a reader has been told.
#[derive(Debug, Clone, Default)]
struct Sent {
    /// The figures of the last tick; `None` before the first part.
    sample: Option<Arc<Sample>>,
    /// Of each app, by its id, the figures that it was told last.
    apps: Vec<Option<AppSample>>,
    /// The app with which the next tick begins.
    cursor: usize,
    /// The largest queues that it was shown.
    largest: Option<usize>,
    /// The greeting that it was given.
    greeting: Option<u64>,
    /// Whether it has the history.
    has_history: bool,
}

impl Reader {
    /// Of a stream that has just been opened.
    pub fn new(stream: &Arc<StatsStream>, shared: &Shared) -> Self {
        let mut reader = Self {
            stream: Arc::downgrade(stream),
            access: Arc::clone(&stream.access),
            view: None,
            sent: Sent::default(),
            on_its_way: None,
            ends: false,
            greeting: 0,
        };
        // It may have been opened by rules before those that are in force.
        reader.follow_keys(&shared.in_force.look().backend_keys);
        reader
    }

    /// Whether it reads this stream.
    pub fn is_of(&self, stream: &Arc<StatsStream>) -> bool {
        std::ptr::eq(self.stream.as_ptr(), Arc::as_ptr(stream))
    }

    /// Whether it has been sent nothing so far.
    pub fn is_new(&self) -> bool {
        self.sent.sample.is_none() && self.on_its_way.is_none()
    }

    /// The apps that it may see; `None` is the whole server.
    pub fn view(&self) -> Option<&[AppId]> {
        self.view.as_deref()
    }

    /// The largest queues that it was shown.
    pub fn largest_seen(&self) -> Option<usize> {
        self.sent.largest
    }

    /// The keys of the port may be others.
    pub fn follow_keys(&mut self, keys: &BackendKeys) {
        let access = keys.successor_of_carried(&self.access.carry());
        let access = access.filter(|access| access.permit(Right::Read).is_ok());
        let Some(access) = access else { return self.ends = true };
        self.access = Arc::clone(access);
        self.view = match access.permit_order() {
            Ok(()) => None,
            Err(_) => {
                let apps = access.apps();
                let mut ids: Vec<AppId> = apps.found().filter_map(|name| apps.find(name).ok()).collect();
                ids.sort_unstable_by_key(|app| app.0);
                Some(ids.into())
            }
        };
        self.greeting += 1;
    }

    /// What it is to be sent now, if it has taken what it was sent before.
    pub fn next_part(
        &mut self,
        moment: &Moment<'_>,
        largest: Option<(&Largest, usize)>,
    ) -> Option<(Arc<StatsStream>, StatsPart)> {
        let stream = self.stream.upgrade().filter(|stream| !stream.is_over())?;
        match stream.fate() {
            PartFate::OnItsWay => return None,
            PartFate::Taken => {
                if let Some(sent) = self.on_its_way.take() {
                    self.sent = sent;
                }
            }
            PartFate::Skipped => self.on_its_way = None,
        }
        if !moment.is_tick && self.sent.sample.is_some() {
            return None;
        }
        if self.ends {
            stream.end();
            let last_line = stream.last_line();
            return Some((stream, StatsPart { events: Vec::new(), last_line, is_last: true }));
        }
        let (mut out, mut sent) = (String::new(), self.sent.clone());
        self.greet(moment, &mut sent, &mut out);
        let last_line = self.tell_changes(moment, &stream, &mut out);
        self.tell_figures(moment, &mut sent, &mut out);
        if let Some((largest, number)) = largest.filter(|(_, number)| sent.largest != Some(*number))
            && let Some(sessions) = largest.answer(self.view())
        {
            let behind = self.sums(moment.sample).map_or_else(|| moment.sample.behind(), |sums| sums.0[2]);
            let queues = LargestQueues { unix_ms: moment.unix_ms, behind, sessions: &sessions };
            stream_event("behind", &queues, &mut out);
            sent.largest = Some(number);
        }
        self.on_its_way = Some(sent);
        Some((stream, StatsPart { events: out.into_bytes(), last_line, is_last: false }))
    }

    /// The apps that it may see, with their ids, in the order of these.
    fn apps<'a>(&'a self, apps: &'a Apps) -> impl Iterator<Item = (usize, &'a str)> {
        let is_found = |name: &crate::session::Name| self.access.apps().find(name).is_ok();
        let named = apps.names().enumerate().filter(move |(_, name)| is_found(name));
        named.map(|(id, name)| (id, name.as_str()))
    }

    /// The sums over the apps that it may see; `None` where it may see the server.
    fn sums(&self, sample: &Sample) -> Option<AppSample> {
        let view = self.view.as_ref()?;
        Some(
            view.iter().map(|app| sample.app(usize::from(app.0))).fold(AppSample::default(), AppSample::plus),
        )
    }

    /// Who answers, where it does not know, and the hour of figures.
    fn greet(&self, moment: &Moment<'_>, sent: &mut Sent, out: &mut String) {
        let rules = moment.shared.in_force.look();
        let apps: Vec<(usize, &str)> = self.apps(&rules.apps).collect();
        if sent.greeting != Some(self.greeting) {
            let names: Vec<&str> = apps.iter().map(|(_, name)| *name).collect();
            hello(moment, &self.access, &rules.settings.config, names, out);
            sent.greeting = Some(self.greeting);
        }
        if !sent.has_history {
            let history = moment.shared.stats.history();
            let hour = HourOf { history: &history, apps: &apps, is_of_server: self.view.is_none() };
            stream_event("history", &hour, out);
            sent.has_history = true;
        }
    }

    /// What has been done since it was told last. The newest line that it knows then.
    fn tell_changes(&self, moment: &Moment<'_>, stream: &StatsStream, out: &mut String) -> u64 {
        let lines = moment.shared.audit.since(stream.last_line());
        let is_first = self.sent.sample.is_none() && !stream.goes_on();
        let is_its = |app: Option<&str>| match (&self.view, app) {
            (None, _) => true,
            (Some(_), Some(app)) => self.access.apps().find(app).is_ok(),
            (Some(_), None) => false,
        };
        let its: Vec<_> = lines.iter().filter(|line| is_its(line.app.as_deref())).collect();
        // The first are the newest there are; later none is left out.
        let (skip, all) =
            if is_first { (its.len().saturating_sub(LINES), true) } else { (0, its.len() <= LINES) };
        let mut told = its.iter().skip(skip).take(LINES);
        told.clone().for_each(|line| stream_event("change", &***line, out));
        match all {
            true => lines.last().map_or(stream.last_line(), |line| line.number),
            false => told.next_back().map_or(stream.last_line(), |line| line.number),
        }
    }

    fn tell_figures(&self, moment: &Moment<'_>, sent: &mut Sent, out: &mut String) {
        let Some(before) = sent.sample.replace(Arc::clone(moment.sample)) else { return };
        let rules = moment.shared.in_force.look();
        let apps: Vec<(usize, &str)> = self.apps(&rules.apps).collect();
        sent.apps.resize(moment.sample.apps.len(), None);
        let start = apps.iter().position(|(id, _)| *id >= sent.cursor).unwrap_or(0);
        let mut rows = Vec::new();
        for (id, name) in apps.iter().cycle().skip(start).take(apps.len()) {
            let now = moment.sample.app(*id);
            let told = sent.apps.get_mut(*id);
            let Some(told) = told.filter(|told| **told != Some(now)) else { continue };
            if rows.len() == APPS_A_TICK {
                sent.cursor = *id;
                break;
            }
            // What there was before the stream began is not counted.
            let base = told.unwrap_or_else(|| before.app(*id));
            rows.push((*name, now.since(base)));
            *told = Some(now);
        }
        let of_apps = self.sums(moment.sample).zip(self.sums(&before)).map(|(now, before)| now.since(before));
        let is_draining = moment.shared.turns_players_away().then_some("draining");
        let tick = Tick {
            now: moment.sample,
            before: &before,
            unix_ms: moment.unix_ms,
            not_ready: is_draining.or_else(|| why_not_ready(moment.shared)),
            of_apps,
            apps: &rows,
        };
        stream_event("tick", &tick, out);
    }
}

fn hello(
    moment: &Moment<'_>,
    access: &Access,
    config: &crate::config::Config,
    apps: Vec<&str>,
    out: &mut String,
) {
    let shared = moment.shared;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_of_server = access.permit_order().is_ok();
    let name = shared.cluster.is_some().then(|| config.cluster.node_name());
    let (started_unix_ms, pid_started_unix_ms) = shared.stats.started_unix_ms();
    let server = is_of_server.then(|| {
        let setup = shared.setup();
        HelloOfServer {
            reactors: shared.reactors(),
            bounds: Bounds { max_sessions: setup.max_sessions, limits: &config.limits },
            certificates: setup.certificates.into_iter().map(Into::into).collect(),
        }
    });
    let hello = Hello {
        host: &host,
        node: shared.node,
        name: name.as_deref(),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        started_unix_ms,
        pid_started_unix_ms,
        now_unix_ms: moment.unix_ms,
        cluster: shared.cluster.is_some(),
        scope: if is_of_server { "server" } else { "apps" },
        key: HelloKey::new(access.key(), access.may(), &apps, is_of_server),
        apps,
        server,
    };
    stream_event("hello", &hello, out);
}
