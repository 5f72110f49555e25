//! Sessions that come, change and go while everybody is pushed to. What arrives is held against what each session may and
//! must have got: every change has an interval in which it may have taken effect, and so has every push. Afterwards the
//! server is as empty as it was at the start.

use crate::support::{Backend, DEADLINE, End, Link, Log, Pool, Ports, Random, ServerProcess, heavy};
use gannet::session::SessionId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use tungstenite::Message;

const SEED: u64 = 0x0067_616e_6e65_7402;
const CHURNERS: usize = 2;
const PLAYERS_EACH: usize = 1_000;
const CHANGES_EACH: usize = 2_500;
const PUBLISHERS: usize = 4;
/// Changes for each push of one publisher.
const PACE: usize = 12;

const USERS_EACH: usize = 300;
const GROUPS_EACH: usize = 12;
const TAGS: usize = 5;

/// A moment: every change and every push begins at one and ends at another.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A name that sessions can be pushed to by. Users and groups belong to one churner, so that it knows who is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    User(usize),
    Group(usize),
    Tag(usize),
}

impl Name {
    fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Tag(_) => "tag",
        }
    }

    fn text(self) -> String {
        match self {
            Self::User(number) => format!("u{number}"),
            Self::Group(number) => format!("g{number}"),
            Self::Tag(number) => format!("t{number}"),
        }
    }
}

/// A time in which a session has had a name. The first of each pair is when the change was asked for, the second when it
/// was answered.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: Name,
    from: (u64, u64),
    to: (u64, u64),
}

const NEVER: (u64, u64) = (u64::MAX, u64::MAX);

/// What a churner knows of one of its players.
#[derive(Debug)]
struct Life {
    id: SessionId,
    index: usize,
    opened: (u64, u64),
    /// From here on nothing has to arrive, and after the second moment nothing may be matched.
    ended: (u64, u64),
    spans: Vec<Span>,
    /// How it has to end, where that is known.
    end: Option<End>,
}

impl Life {
    fn has(&self, name: Name) -> bool {
        self.spans.iter().any(|span| span.name == name && span.to == NEVER)
    }

    fn is_dying(&self) -> bool {
        self.ended != NEVER
    }

    /// Who is dying gets the name perhaps, if its end was not seen before.
    fn gain(&mut self, name: Name, when: (u64, u64)) {
        if !self.has(name) {
            let surely_from = if self.is_dying() { u64::MAX } else { when.1 };
            self.spans.push(Span { name, from: (when.0, surely_from), to: NEVER });
        }
    }

    /// Who is dying loses it perhaps.
    fn lose(&mut self, name: Name, when: (u64, u64)) {
        if self.is_dying() {
            return;
        }
        for span in self.spans.iter_mut().filter(|span| span.name == name && span.to == NEVER) {
            span.to = when;
        }
    }

    fn user(&self) -> Option<Name> {
        let open = self.spans.iter().filter(|span| span.to == NEVER);
        open.map(|span| span.name).find(|name| matches!(name, Name::User(_)))
    }
}

/// What a push was for, and when.
#[derive(Debug)]
struct Pushed {
    names: Vec<Name>,
    sessions: Vec<SessionId>,
    all: bool,
    except: Option<SessionId>,
    during: (u64, u64),
    matched: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    No,
    Perhaps,
    Surely,
}

impl Pushed {
    /// Whether a push in this interval arrives at who has the name in that one.
    fn meets(&self, from: (u64, u64), to: (u64, u64)) -> Arrival {
        if self.during.1 < from.0 || to.1 < self.during.0 {
            Arrival::No
        } else if from.1 < self.during.0 && self.during.1 < to.0 {
            Arrival::Surely
        } else {
            Arrival::Perhaps
        }
    }

    fn arrival(&self, life: &Life) -> Arrival {
        if self.except == Some(life.id) {
            return Arrival::No;
        }
        let alive = self.meets(life.opened, life.ended);
        if self.all || self.sessions.contains(&life.id) {
            return alive;
        }
        let spans = life.spans.iter().filter(|span| self.names.contains(&span.name));
        spans.map(|span| self.meets(span.from, span.to)).max().unwrap_or(Arrival::No).min(alive)
    }
}

/// How many changes have been made: publishers go with it.
#[derive(Default)]
struct Progress {
    changes: Mutex<usize>,
    more: Condvar,
}

impl Progress {
    fn advance(&self) {
        *self.changes.lock().unwrap() += 1;
        self.more.notify_all();
    }

    fn await_changes(&self, count: usize) {
        let changes = self.changes.lock().unwrap();
        let (changes, _) =
            self.more.wait_timeout_while(changes, DEADLINE, |changes| *changes < count).unwrap();
        assert!(*changes >= count, "the churn stands still at {changes} of {count}");
    }
}

/// How a session ends when all of its user's are kicked, without a word on how.
fn kicked_as_user() -> End {
    End::Closed(4001, String::new())
}

/// What the threads share.
struct World {
    ports: Ports,
    clock: Clock,
    progress: Progress,
    /// Every id there has been, dead ones too.
    ids: Mutex<Vec<SessionId>>,
    pool: Pool<(usize, usize)>,
    refused_stale: AtomicUsize,
}

/// Makes players come, change and go, one change after the other, and writes down what it knows of them.
struct Churner<'a> {
    number: usize,
    world: &'a World,
    backend: Backend,
    link: Link,
    random: Random,
    lives: Vec<Life>,
    /// Of these, the live ones.
    live: Vec<usize>,
    /// And those of which the server may not have seen yet that they are gone.
    dying: Vec<usize>,
}

impl<'a> Churner<'a> {
    fn new(number: usize, world: &'a World) -> Self {
        let (backend, link) = (world.ports.backend(), world.ports.link());
        let random = Random::new(SEED + number as u64);
        Self { number, world, backend, link, random, lives: Vec::new(), live: Vec::new(), dying: Vec::new() }
    }

    fn run(mut self) -> Vec<Life> {
        for _ in 0..CHANGES_EACH {
            match self.random.below(100) {
                0..18 => self.connect(),
                18..34 => self.go(),
                34..48 => self.join_or_leave(),
                48..56 => self.join_or_leave_user(),
                56..64 => self.tag_or_untag(),
                64..74 => self.bind(),
                74..82 => self.move_group(),
                82..84 => self.destroy_group(),
                84..94 => self.kick(),
                94..96 => self.kick_user(),
                _ => self.act_on_a_dead_one(),
            }
            self.world.progress.advance();
        }
        self.lives
    }

    fn random_user(&mut self) -> Name {
        Name::User(self.number * USERS_EACH + self.random.below(USERS_EACH))
    }

    fn random_group(&mut self) -> Name {
        Name::Group(self.number * GROUPS_EACH + self.random.below(GROUPS_EACH))
    }

    fn random_tag(&mut self) -> Name {
        Name::Tag(self.random.below(TAGS))
    }

    fn random_live(&mut self) -> usize {
        *self.random.pick(&self.live)
    }

    /// Runs a change and says between which moments it was done.
    fn timed<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> ((u64, u64), R) {
        let asked = self.world.clock.tick();
        let result = change(self);
        ((asked, self.world.clock.tick()), result)
    }

    fn change(&mut self, method: &str, target: String) -> ((u64, u64), u64) {
        self.timed(|churner| churner.backend.change(method, &target))
    }

    /// A change by link instead of HTTP.
    fn command(&mut self, command: Value) -> ((u64, u64), u64) {
        self.timed(|churner| churner.link.command(command)["sessions"].as_u64().unwrap())
    }

    /// The live ones with the name, and all with it: some of the dying may be treated alike.
    fn members(&self, name: Name) -> (usize, Vec<usize>) {
        let has = |life: &usize| self.lives[*life].has(name);
        let mut members: Vec<usize> = self.live.iter().copied().filter(has).collect();
        let live = members.len();
        members.extend(self.dying.iter().copied().filter(has));
        (live, members)
    }

    fn connect(&mut self) {
        let mut names = vec![self.random_user()];
        names.extend((0..self.random.below(3)).map(|_| self.random_group()));
        names.extend((0..self.random.below(2)).map(|_| self.random_tag()));
        let query: Vec<String> =
            names.iter().map(|name| format!("{}={}", name.kind(), name.text())).collect();
        let (when, player) = self.timed(|churner| churner.world.ports.player(&query.join("&")));
        let id = player.id;
        self.world.ids.lock().unwrap().push(id);
        let index = self.world.pool.add(player);
        let mut life = Life { id, index, opened: when, ended: NEVER, spans: Vec::new(), end: None };
        names.into_iter().for_each(|name| life.gain(name, when));
        self.live.push(self.lives.len());
        self.lives.push(life);
    }

    /// Takes one of the live ones out; it ends in a way that the server is not asked about.
    fn go(&mut self) {
        let place = self.random.below(self.live.len());
        let life = self.live.swap_remove(place);
        let index = self.lives[life].index;
        let asked = self.world.clock.tick();
        let pool = &self.world.pool;
        let end = match self.random.below(3) {
            0 => {
                pool.close(index, 1000);
                Some(End::Closed(1000, String::new()))
            }
            1 => {
                pool.vanish(index);
                None
            }
            _ => {
                pool.reset(index);
                None
            }
        };
        // When the server has seen it nobody knows; what was queued before a Close still arrives, before a reset perhaps.
        let dying = &mut self.lives[life];
        let surely_until = if end.is_some() { asked } else { 0 };
        (dying.ended, dying.end) = ((surely_until, u64::MAX), end);
        self.dying.push(life);
    }

    fn join_or_leave(&mut self) {
        let (life, group) = (self.random_live(), self.random_group());
        let (id, joins) = (self.lives[life].id, self.random.chance(60));
        let changes = self.lives[life].has(group) != joins;
        let (when, count) = match self.random.chance(50) {
            true => {
                let method = if joins { "POST" } else { "DELETE" };
                self.change(method, format!("/v1/groups/{}/members?session={id}", group.text()))
            }
            false => {
                let op = if joins { "join" } else { "leave" };
                self.command(json!({"op": op, "group": group.text(), "session": id.to_string()}))
            }
        };
        assert_eq!(count, u64::from(changes));
        match joins {
            true => self.lives[life].gain(group, when),
            false => self.lives[life].lose(group, when),
        }
    }

    fn join_or_leave_user(&mut self) {
        let (user, group, joins) = (self.random_user(), self.random_group(), self.random.chance(60));
        let (live, sessions) = self.members(user);
        let method = if joins { "POST" } else { "DELETE" };
        let target = format!("/v1/groups/{}/members?user={}", group.text(), user.text());
        let (when, count) = self.change(method, target);
        let changed = sessions[..live].iter().filter(|life| self.lives[**life].has(group) != joins).count();
        assert!(count >= changed as u64, "{count} of {changed}");
        for life in sessions {
            match joins {
                true => self.lives[life].gain(group, when),
                false => self.lives[life].lose(group, when),
            }
        }
    }

    fn tag_or_untag(&mut self) {
        let (life, tag, gets) = (self.random_live(), self.random_tag(), self.random.chance(50));
        let id = self.lives[life].id;
        let method = if gets { "POST" } else { "DELETE" };
        let changes = self.lives[life].has(tag) != gets;
        let (when, count) = self.change(method, format!("/v1/sessions/{id}/tags?tag={}", tag.text()));
        assert_eq!(count, u64::from(changes));
        match gets {
            true => self.lives[life].gain(tag, when),
            false => self.lives[life].lose(tag, when),
        }
    }

    fn bind(&mut self) {
        let life = self.random_live();
        let (id, before) = (self.lives[life].id, self.lives[life].user());
        let after = self.random.chance(70).then(|| self.random_user());
        let text = after.map_or(String::new(), Name::text);
        let (when, _) = self.change("PUT", format!("/v1/sessions/{id}/user?user={text}"));
        if before != after {
            before.into_iter().for_each(|user| self.lives[life].lose(user, when));
            after.into_iter().for_each(|user| self.lives[life].gain(user, when));
        }
    }

    fn move_group(&mut self) {
        let (from, to) = (self.random_group(), self.random_group());
        let (live, members) = self.members(from);
        let (when, count) = self.command(json!({"op": "move", "group": from.text(), "to": to.text()}));
        if from == to {
            return;
        }
        assert!(count >= live as u64);
        for life in members {
            self.lives[life].gain(to, when);
            self.lives[life].lose(from, when);
        }
    }

    fn destroy_group(&mut self) {
        let group = self.random_group();
        let (when, _) = self.change("DELETE", format!("/v1/groups/{}", group.text()));
        for life in self.members(group).1 {
            self.lives[life].lose(group, when);
        }
    }

    fn kick(&mut self) {
        let place = self.random.below(self.live.len());
        let life = self.live.swap_remove(place);
        let id = self.lives[life].id;
        let (when, count) = self.change("DELETE", format!("/v1/sessions/{id}?code=4777&reason=go"));
        assert_eq!(count, 1);
        self.kicked(life, when, End::Closed(4777, "go".to_owned()));
        // From the answer on the id names nobody, even while the socket still closes.
        let receipt = self.backend.push_text(&format!("session={id}"), "0 999999 ");
        assert_eq!((receipt.matched, receipt.offline), (0, 1));
    }

    fn kick_user(&mut self) {
        let user = self.random_user();
        let (live, mut sessions) = self.members(user);
        let (when, count) = self.command(json!({"op": "kick", "user": user.text()}));
        assert!(count >= live as u64);
        sessions.truncate(live);
        self.live.retain(|life| !sessions.contains(life));
        for life in sessions {
            self.kicked(life, when, kicked_as_user());
        }
    }

    fn kicked(&mut self, life: usize, when: (u64, u64), end: End) {
        self.lives[life].ended = when;
        self.lives[life].end = Some(end);
    }

    /// A command about a session that was kicked is refused, whoever has its slot by now.
    fn act_on_a_dead_one(&mut self) {
        let kicked = |life: &&Life| matches!(life.end, Some(End::Closed(4001 | 4777, _)));
        let dead: Vec<SessionId> = self.lives.iter().filter(kicked).map(|life| life.id).collect();
        if dead.is_empty() {
            return;
        }
        let (id, group) = (*self.random.pick(&dead), self.random_group().text());
        let tag = self.random_tag().text();
        let (method, target) = match self.random.below(5) {
            0 => ("POST", format!("/v1/groups/{group}/members?session={id}")),
            1 => ("DELETE", format!("/v1/sessions/{id}")),
            2 => ("POST", format!("/v1/sessions/{id}/tags?tag={tag}")),
            3 => ("PUT", format!("/v1/sessions/{id}/user?user=u0")),
            _ => ("GET", format!("/v1/sessions/{id}")),
        };
        let reply = self.backend.request(method, &target);
        assert_eq!(reply.status, 404, "{method} {target}");
        assert_eq!(reply.json()["error"]["code"], "unknown_session");
        self.world.refused_stale.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pushes to everything there is or was, in step with the churn.
fn publish(number: usize, world: &World) -> Vec<Pushed> {
    let mut random = Random::new(SEED + 100 + number as u64);
    let (mut backend, mut link) = (world.ports.backend(), world.ports.link());
    let mut pushed = Vec::new();
    for sequence in 0..CHURNERS * CHANGES_EACH / PACE {
        world.progress.await_changes(sequence * PACE);
        let (mut names, mut sessions, mut all) = (Vec::new(), Vec::new(), false);
        for _ in 0..1 + random.below(3) {
            match random.below(20) {
                0 => all = true,
                1..6 => sessions.push(*random.pick(&world.ids.lock().unwrap())),
                6..11 => names.push(Name::User(random.below(CHURNERS * USERS_EACH))),
                11..18 => names.push(Name::Group(random.below(CHURNERS * GROUPS_EACH))),
                _ => names.push(Name::Tag(random.below(TAGS))),
            }
        }
        let except = random.chance(20).then(|| *random.pick(&world.ids.lock().unwrap()));
        let text = format!("{number} {sequence} {}", "x".repeat(random.below(300)));
        let written = random.chance(30);
        let during = world.clock.tick();
        let receipt = match number % 2 {
            0 => {
                let mut pairs: Vec<String> =
                    names.iter().map(|name| format!("{}={}", name.kind(), name.text())).collect();
                pairs.extend(sessions.iter().map(|id| format!("session={id}")));
                pairs.extend(all.then(|| "all=1".to_owned()));
                pairs.extend(except.map(|id| format!("except={id}")));
                pairs.extend(written.then(|| "receipt=written".to_owned()));
                backend.push_text(&pairs.join("&"), &text)
            }
            _ => {
                let texts = |kind| {
                    names
                        .iter()
                        .filter(|name| name.kind() == kind)
                        .map(|name| name.text())
                        .collect::<Vec<_>>()
                };
                let ids: Vec<String> = sessions.iter().map(SessionId::to_string).collect();
                let mut to = json!({"user": texts("user"), "group": texts("group"), "tag": texts("tag"), "session": ids});
                if all {
                    to["all"] = true.into();
                }
                let except = except.map(|id| id.to_string());
                let receipt = if written { "written" } else { "queued" };
                let command =
                    json!({"op": "push", "to": to, "text": text, "except": except, "receipt": receipt});
                serde_json::from_value(link.command(command)).unwrap()
            }
        };
        let during = (during, world.clock.tick());
        assert!(receipt.adds_up(), "{receipt:?}");
        assert_eq!((receipt.dropped, receipt.expired, receipt.replaced), (0, 0, 0));
        pushed.push(Pushed { names, sessions, all, except, during, matched: receipt.matched });
    }
    pushed
}

/// What one session got, against what it may and must have got.
fn check(life: &Life, log: &Log<(usize, usize)>, pushed: &[Vec<Pushed>], arrived: &mut [Vec<u32>]) {
    let mut got: HashMap<usize, Vec<usize>> = HashMap::new();
    for (publisher, sequence) in &log.messages {
        got.entry(*publisher).or_default().push(*sequence);
    }
    for (publisher, pushes) in pushed.iter().enumerate() {
        let got = got.remove(&publisher).unwrap_or_default();
        assert!(got.is_sorted_by(|a, b| a < b), "{}: twice, or out of order: {got:?}", life.id);
        let mut got = got.into_iter().peekable();
        for (sequence, push) in pushes.iter().enumerate() {
            let came = got.next_if_eq(&sequence).is_some();
            arrived[publisher][sequence] += u32::from(came);
            match (push.arrival(life), came) {
                (Arrival::No, true) => panic!("{life:?} was never a target of {push:?}"),
                (Arrival::Surely, false) => panic!("{life:?} missed {push:?}"),
                _ => {}
            }
        }
        assert_eq!(got.next(), None, "nobody pushed this");
    }
    assert!(got.is_empty(), "{}: from nobody: {got:?}", life.id);
}

#[test]
fn nothing_arrives_where_it_never_was_meant_for_and_nothing_stays_behind() {
    let _heavy = heavy();
    let config = "[limits]\noutbox_bytes = 67_108_864\noutbox_messages = 100_000";
    let server = ServerProcess::start(&["--reactors", "4"], config);
    let mut backend = server.backend();
    let start = backend.stats();

    let label = |_, message: Message| {
        let text = message.into_text().unwrap();
        let mut words = text.split(' ').map(|word| word.parse().unwrap_or_default());
        (words.next().unwrap(), words.next().unwrap())
    };
    let world = World {
        ports: *server,
        clock: Clock::default(),
        progress: Progress::default(),
        ids: Mutex::default(),
        pool: Pool::new(label),
        refused_stale: AtomicUsize::new(0),
    };
    let mut churners: Vec<Churner> = (0..CHURNERS).map(|number| Churner::new(number, &world)).collect();
    thread::scope(|scope| {
        for churner in &mut churners {
            scope.spawn(|| (0..PLAYERS_EACH).for_each(|_| churner.connect()));
        }
    });
    let (lives, pushed) = thread::scope(|scope| {
        let churning: Vec<_> = churners.into_iter().map(|churner| scope.spawn(|| churner.run())).collect();
        let world = &world;
        let publishing: Vec<_> =
            (0..PUBLISHERS).map(|number| scope.spawn(move || publish(number, world))).collect();
        let lives: Vec<Life> = churning.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let pushed: Vec<Vec<Pushed>> = publishing.into_iter().map(|thread| thread.join().unwrap()).collect();
        (lives, pushed)
    });
    assert!(world.refused_stale.into_inner() > 20);

    // Who is left gets one last push, behind all others; who was to be closed has been.
    let left = lives.iter().filter(|life| life.ended == NEVER).count();
    server.await_stats("those who went have gone", |stats| stats["sessions"] == left);
    const LAST: (usize, usize) = (PUBLISHERS, 0);
    assert_eq!(backend.push_text("all=1", &format!("{} 0", LAST.0)).queued as usize, left);
    world.pool.wait("the last push", |logs| {
        lives.iter().all(|life| match life.ended {
            NEVER => logs[life.index].messages.last() == Some(&LAST),
            _ => logs[life.index].end.is_some(),
        })
    });
    let mut logs = world.pool.finish();
    logs.iter_mut().for_each(|log| log.messages.retain(|message| *message != LAST));

    let mut arrived: Vec<Vec<u32>> = pushed.iter().map(|pushes| vec![0; pushes.len()]).collect();
    for life in &lives {
        check(life, &logs[life.index], &pushed, &mut arrived);
        let end = logs[life.index].end.as_ref();
        match &life.end {
            // The kick of its user and its own Close may have crossed.
            Some(End::Closed(1000, _)) if end == Some(&kicked_as_user()) => {}
            Some(expected) => assert_eq!(end, Some(expected), "{life:?}"),
            None => {}
        }
    }
    // Who dies takes messages along; nothing arrives that no receipt counts.
    for (push, arrived) in pushed.iter().flatten().zip(arrived.iter().flatten()) {
        assert!(*arrived <= push.matched, "{arrived} of {push:?}");
    }
    let total: u32 = arrived.iter().flatten().sum();
    assert!(total > 50_000, "only {total} deliveries");
    let slots: BTreeMap<(u8, u32), usize> = lives.iter().fold(BTreeMap::new(), |mut slots, life| {
        *slots.entry((life.id.worker(), life.id.slot())).or_default() += 1;
        slots
    });
    assert!(slots.values().filter(|uses| **uses > 1).count() > 50, "hardly a slot was used twice");

    assert_back_at(&server, &start);
}

/// Everything that a session, a link or a request has is gone.
fn assert_back_at(server: &ServerProcess, start: &Value) {
    let empty = [
        "sessions",
        "users",
        "groups",
        "tags",
        "distinct_users",
        "distinct_groups",
        "distinct_tags",
        "links",
        "outbox_messages",
        "outbox_bytes",
        "mailbox_messages",
        "mailbox_bytes",
        "mailbox_overflow",
    ];
    for gauge in empty {
        assert_eq!(start[gauge], 0, "{gauge} at the start");
    }
    server.await_stats("an empty server", |stats| {
        // One of the two connections is the one that asks.
        empty.iter().all(|gauge| stats[gauge] == 0)
            && stats["backend_connections"] == 2
            && stats["open_fds"].as_u64() == start["open_fds"].as_u64().map(|files| files + 1)
    });
}

#[test]
fn an_id_never_names_the_next_session_in_its_slot() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut backend = server.backend();
    let start = backend.stats();
    let mut stale: Vec<SessionId> = Vec::new();
    for round in 0..200 {
        let mut player = server.player("user=ada&group=g");
        assert!(!stale.contains(&player.id), "{} was used before", player.id);
        for id in stale.iter().rev().take(3) {
            let receipt = backend.push_text(&format!("session={id}"), "stale");
            assert_eq!((receipt.matched, receipt.offline), (0, 1));
            let reply = backend.request("DELETE", &format!("/v1/sessions/{id}"));
            assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("unknown_session")));
        }
        assert_eq!(backend.push_text(&format!("session={}", player.id), "own").matched, 1);
        assert_eq!(player.recv_text(), "own");
        stale.push(player.id);
        match round % 3 {
            0 => drop(player.close(1000, "")),
            1 => player.reset(),
            _ => {
                backend.change("DELETE", "/v1/users/ada");
                assert!(matches!(player.recv_end(), End::Closed(4001, _)));
                drop(player);
            }
        }
        // The slot is free when the descriptor is.
        server.await_stats("nobody is there", |stats| {
            stats["sessions"] == 0
                && stats["open_fds"].as_u64() == start["open_fds"].as_u64().map(|files| files + 1)
        });
    }
    let mut slots: Vec<(u8, u32)> = stale.iter().map(|id| (id.worker(), id.slot())).collect();
    slots.sort();
    slots.dedup();
    assert!(slots.len() <= 4, "{} sessions one after the other took {} slots", stale.len(), slots.len());
    assert_back_at(&server, &start);
}
