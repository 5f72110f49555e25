//! What players have said, who must have heard it, and who has: each number once, in the hands of the process that has the session.

use crate::support::DEADLINE;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Processes that own matches, at the most.
pub const OWNERS: usize = 4;
/// Numbers of one player that nobody has heard yet, at the most.
const AHEAD: usize = 20;

/// The ledger of all threads.
#[derive(Default)]
pub struct Shared {
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

impl Shared {
    /// The ledger, to look at or to be changed where nobody waits for that.
    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it.
    pub fn change<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `enough` says so, as long as there is no fault.
    pub fn wait(&self, what: &str, mut enough: impl FnMut(&Ledger) -> bool) {
        let started = Instant::now();
        let mut ledger = self.lock();
        loop {
            ledger.assert_sound();
            if enough(&ledger) {
                return;
            }
            let left = DEADLINE.checked_sub(started.elapsed());
            let left = left.unwrap_or_else(|| panic!("{what} did not come about: {}", ledger.left()));
            (ledger, _) = self.changed.wait_timeout(ledger, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    /// In the order in which they came.
    pub sessions: Vec<Session>,
    by_id: HashMap<String, usize>,
    processes: [Process; OWNERS],
    faults: Vec<String>,
    /// Events that processes have read, of all kinds.
    pub events: u64,
}

/// One session.
#[derive(Default)]
pub struct Session {
    pub id: String,
    /// Its player is there.
    pub is_open: bool,
    /// What commands have made of its groups.
    pub groups: BTreeSet<String>,
    /// The process that must hear what it says from now on; `None` where that is not certain.
    pub owner: Option<usize>,
    /// Of each number that it has said the process that must hear it; `None` where that is not certain.
    said: Vec<Option<usize>>,
    /// Numbers that nobody has heard.
    unheard: BTreeSet<usize>,
    /// The first and the last number of each time that a process had the session.
    spans: Vec<(usize, usize)>,
    has_opened: bool,
    has_closed: bool,
    /// What has befallen it lately, for who reads that a test has failed.
    past: VecDeque<String>,
}

/// What a process was told.
#[derive(Default)]
struct Process {
    /// Its link may end: it is stopped.
    may_end: bool,
    /// How often its link has come back, and how many links it has had.
    backs: usize,
    links: usize,
    /// Events of its link that it has read, and how many of these it had read when it last came back.
    read: u64,
    confirmed: u64,
    /// What it has read of links that have ended, and had not said to have read.
    unconfirmed: u64,
    /// The sessions that it has.
    has: BTreeMap<usize, Told>,
}

/// What a process was told of a session since it has it.
#[derive(Default)]
struct Told {
    groups: BTreeSet<String>,
    last: Option<usize>,
}

impl Session {
    /// Remembers what has befallen it.
    pub fn remember(&mut self, what: String) {
        if self.past.len() == 40 {
            self.past.pop_front();
        }
        self.past.push_back(format!("{what} at {}", self.said.len()));
    }

    /// Says the next number.
    pub fn say(&mut self) -> usize {
        let number = self.said.len();
        self.said.push(self.owner);
        self.unheard.insert(number);
        number
    }

    /// Whether not too much is on its way from it.
    pub fn may_say(&self) -> bool {
        self.unheard.len() < AHEAD
    }

    /// From now on another process may hear what nobody has heard.
    pub fn doubt(&mut self) {
        self.owner = None;
        for number in &self.unheard {
            self.said[*number] = None;
        }
    }

    /// All that it has said has been heard up to its end, or it has said so much that the last of it has.
    pub fn is_through(&self) -> bool {
        match self.is_open {
            true => self.said.len().checked_sub(1).is_none_or(|last| !self.unheard.contains(&last)),
            false => self.has_closed,
        }
    }
}

impl Ledger {
    /// A session that has been welcomed. Processes may have been told of it before.
    pub fn add(&mut self, id: &str, groups: BTreeSet<String>, owner: Option<usize>) -> usize {
        let number = self.number_of(id);
        let session = &mut self.sessions[number];
        (session.is_open, session.groups, session.owner) = (true, groups, owner);
        number
    }

    fn number_of(&mut self, id: &str) -> usize {
        *self.by_id.entry(id.to_owned()).or_insert_with(|| {
            self.sessions.push(Session { id: id.to_owned(), ..Session::default() });
            self.sessions.len() - 1
        })
    }

    /// Process `number` is a new one.
    pub fn started(&mut self, number: usize) {
        let unconfirmed = self.processes[number].unconfirmed;
        self.processes[number] = Process { unconfirmed, ..Process::default() };
    }

    /// Whether its link may end.
    pub fn is_in_doubt(&self, number: usize) -> bool {
        self.processes[number].may_end
    }

    /// How many links process `number` has listened with.
    pub fn links(&self, number: usize) -> usize {
        self.processes[number].links
    }

    /// How often process `number` has come back to a link of its own.
    pub fn backs(&self, number: usize) -> usize {
        self.processes[number].backs
    }

    /// From now on the link of process `number` may end, and others may hear what it has not heard yet.
    pub fn doubt(&mut self, number: usize) {
        self.processes[number].may_end = true;
        for session in &mut self.sessions {
            session.owner.take_if(|owner| *owner == number);
            for unheard in &session.unheard {
                session.said[*unheard].take_if(|by| *by == number);
            }
        }
    }

    /// The link of process `number` goes on, or is another one.
    pub fn trust(&mut self, number: usize) {
        self.processes[number].may_end = false;
    }

    /// The link of process `number` has ended.
    pub fn ended(&mut self, number: usize) {
        let process = &mut self.processes[number];
        process.has.clear();
        process.unconfirmed += std::mem::take(&mut process.read) - std::mem::take(&mut process.confirmed);
    }

    /// What processes have read of links that have ended since this was asked last, and had not said to have read.
    pub fn take_unconfirmed(&mut self) -> u64 {
        self.processes.iter_mut().map(|process| std::mem::take(&mut process.unconfirmed)).sum()
    }

    /// Processes that have been told that the session is theirs, and not that it is not.
    pub fn owners(&self, session: usize) -> impl Iterator<Item = usize> {
        let has = self.processes.iter().enumerate().filter(move |(_, one)| one.has.contains_key(&session));
        has.map(|(number, _)| number)
    }

    /// Whether each session is one process's, as they were told, and that one's whose it must be.
    pub fn is_told(&self) -> bool {
        let mut open = self.sessions.iter().enumerate().filter(|(_, session)| session.is_open);
        open.all(|(number, session)| {
            let mut owners = self.owners(number);
            let owner = owners.next();
            owner.is_some() && owners.next().is_none() && (session.owner.is_none() || session.owner == owner)
        })
    }

    /// Each session of process `number` has been assigned to another one.
    pub fn is_taken_over(&self, number: usize) -> bool {
        let has = self.processes[number].has.keys();
        let mut open = has.filter(|session| self.sessions[**session].is_open);
        open.all(|session| self.owners(*session).count() > 1)
    }

    /// What process `number` has written.
    pub fn note(&mut self, number: usize, heard: &Value) {
        if heard["note"].is_string() {
            return self.note_link(number, heard);
        }
        self.events += 1;
        self.processes[number].read += 1;
        let Some(id) = heard["session"].as_str() else {
            // Behind a note that says so.
            return self.suspect(heard["event"] == "gap", || format!("m{number}: {heard}"));
        };
        let session = self.number_of(id);
        let event = heard["event"].as_str().unwrap();
        if event != "message" {
            self.sessions[session].remember(format!("m{number} is told {event} {}", heard["group"]));
        }
        match event {
            "assigned" => {
                let groups = heard["groups"].as_array().unwrap().iter();
                let groups = groups.map(|group| group.as_str().unwrap().to_owned()).collect();
                let before = self.processes[number].has.insert(session, Told { groups, last: None });
                self.suspect(before.is_none(), || format!("m{number} has it already: {heard}"));
            }
            "unassigned" => {
                let had = self.processes[number].has.remove(&session).is_some();
                self.suspect(had, || format!("m{number} does not have it: {heard}"));
            }
            _ => self.note_own(number, session, heard),
        }
    }

    fn note_link(&mut self, number: usize, note: &Value) {
        let process = &mut self.processes[number];
        if note["note"] == "listens" {
            process.links += 1;
        } else if note["first"]["resumed"] == true {
            process.backs += 1;
            process.confirmed = process.read;
        } else {
            let is_sound = process.may_end && note["first"]["why"] == "unknown";
            self.ended(number);
            self.suspect(is_sound, || format!("m{number}: {note}"));
        }
    }

    /// An event of a session that the process must have.
    fn note_own(&mut self, number: usize, session: usize, heard: &Value) {
        let Some(told) = self.processes[number].has.get_mut(&session) else {
            return self.suspect(false, || format!("m{number} does not have it: {heard}"));
        };
        let record = &mut self.sessions[session];
        let group = || heard["group"].as_str().unwrap().to_owned();
        let is_sound = match heard["event"].as_str().unwrap() {
            "message" => return self.note_number(number, session, heard),
            "open" => !std::mem::replace(&mut record.has_opened, true),
            "close" => !std::mem::replace(&mut record.has_closed, true),
            "join" => {
                told.groups.insert(group());
                !record.has_closed
            }
            // The state that it was assigned with may not have had the group any more.
            "leave" => {
                told.groups.remove(&group());
                !record.has_closed
            }
            _ => false,
        };
        self.suspect(is_sound, || format!("m{number}: {heard}"));
    }

    fn note_number(&mut self, number: usize, session: usize, heard: &Value) {
        let told = self.processes[number].has.get_mut(&session).expect("it has been looked at");
        let record = &mut self.sessions[session];
        let said: usize = heard["text"].as_str().unwrap().parse().unwrap();
        let by = record.said[said];
        let mut faults = Vec::new();
        if !record.unheard.remove(&said) {
            faults.push("it was heard before, or was given up".to_owned());
        }
        if told.last.is_some_and(|last| last >= said) {
            faults.push(format!("behind {:?}", told.last));
        }
        if by.is_some_and(|by| by != number) {
            faults.push(format!("m{by:?} has the session"));
        }
        match (told.last.replace(said), record.spans.last_mut()) {
            (Some(last), _) => {
                let span = record.spans.iter_mut().rev().find(|span| span.1 == last);
                span.expect("it was noted").1 = said;
            }
            (None, _) => record.spans.push((said, said)),
        }
        let past = &record.past;
        let fault = (!faults.is_empty()).then(|| format!("m{number}: {heard}: {faults:?}: {past:#?}"));
        self.faults.extend(fault);
    }

    fn suspect(&mut self, is_sound: bool, fault: impl FnOnce() -> String) {
        if !is_sound {
            self.faults.push(fault());
        }
    }

    /// No fault has been seen.
    pub fn assert_sound(&self) {
        let some = &self.faults[..self.faults.len().min(20)];
        assert!(self.faults.is_empty(), "{} faults: {some:#?}", self.faults.len());
    }

    /// Nothing is on its way: each session has one process, which is the one that commands have made it, and was told its groups
    /// as they are; and what was said went to one process after another. How many numbers nobody has heard.
    pub fn settle(&mut self) -> u64 {
        let mut missing = 0;
        for number in 0..self.sessions.len() {
            let owners: Vec<usize> = self.owners(number).collect();
            let session = &mut self.sessions[number];
            missing += std::mem::take(&mut session.unheard).len() as u64;
            session.spans.sort_unstable();
            assert!(
                session.spans.is_sorted_by(|one, next| one.1 < next.0),
                "{}: {:?}",
                session.id,
                session.spans
            );
            // All that follows is of later numbers: what has been compared is needed no more, but for the last of it.
            session.spans.drain(..session.spans.len().saturating_sub(OWNERS));
            let id = &session.id;
            if !session.is_open {
                assert!(owners.is_empty(), "{id} has ended, and is told to be of {owners:?}");
                continue;
            }
            assert!(owners.len() == 1, "{id} is told to be of {owners:?}");
            let owner = owners[0];
            assert!(
                session.owner.is_none_or(|expected| expected == owner),
                "{id}: m{owner}, {:?}",
                session.owner
            );
            session.owner = Some(owner);
            assert_eq!(
                self.processes[owner].has[&number].groups, session.groups,
                "of {id}, told to m{owner}"
            );
        }
        self.assert_sound();
        missing
    }

    /// What is not as it is when all is quiet, for who reads that a test has failed.
    fn left(&self) -> String {
        let told = |number: usize| self.owners(number).collect::<Vec<_>>();
        let is_quiet = |number: usize, one: &Session| {
            one.unheard.is_empty() && one.is_through() && told(number).len() == usize::from(one.is_open)
        };
        let of = self.sessions.iter().enumerate().filter(|(number, one)| !is_quiet(*number, one));
        of.take(20)
            .map(|(number, one)| {
                format!("{} {:?} told {:?} {:?}; ", one.id, one.owner, told(number), one.unheard)
            })
            .collect()
    }
}
