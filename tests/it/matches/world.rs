//! The server, the processes, the players, and what commands have made of them: who is in which match, and whose that is.

use super::crowd::Crowd;
use super::ledger::{Ledger, OWNERS, Session, Shared};
use super::owner::{Owner, SHARE, name};
use crate::support::Random;
use crate::upgrade::running::Running;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Matches that the processes own.
pub const MATCHES: usize = 60;
/// Groups of spectators, which no route is about.
const STANDS: usize = 8;
const PLAYERS: usize = 100;
const SPECTATORS: usize = 40;
/// What the names of the groups of matches begin with.
const MATCH: &str = "match-";

/// A link of which a backend is stopped or gone ends, and others have its sessions. The rest is so large that it plays no part.
const CONFIG: &str = "
timeouts.ping_ms = 3600000
timeouts.idle_ms = 7200000
timeouts.link_ping_ms = 500
timeouts.link_idle_ms = 3000
timeouts.link_linger_ms = 1500
limits.link_kept_messages = 4000000
limits.link_kept_bytes = 1000000000
";

/// See the module. The processes end first.
pub struct World {
    owners: [Option<Owner>; OWNERS],
    pub crowd: Crowd,
    pub server: Running,
    pub ledger: Arc<Shared>,
    pub random: Random,
    /// Whose a match is.
    routes: Vec<Option<usize>>,
    /// A session of each process that a route of its own binds to it: what it says is behind all that the process was told before.
    pilots: Vec<usize>,
    /// How often each process has been cut off since it was started.
    cuts: [usize; OWNERS],
    /// What the server had counted as unconfirmed when all was quiet last.
    unconfirmed: u64,
    pub figures: Figures,
    /// The test that this is, for processes to be.
    test: &'static str,
}

/// What has come of it.
#[derive(Debug, Default)]
pub struct Figures {
    pub rounds: usize,
    pub faults: BTreeMap<&'static str, usize>,
    pub commands: usize,
    /// Inputs that were written to the sockets of processes which were killed before they had read them.
    pub missing: u64,
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    /// The match is this process's.
    Route(usize, usize),
    /// The player is in this match, and in no other.
    Enter(usize, usize),
    /// The player is in no match.
    Leave(usize),
    /// The player sees matches from this stand.
    Watch(usize, usize),
    /// It does not any more.
    Turn(usize, usize),
}

impl World {
    /// Three processes that own the matches, players in these, and spectators.
    pub fn new(test: &'static str, seed: u64) -> Self {
        let server = Running::start(&["--reactors", "3"], CONFIG);
        let ledger = Arc::new(Shared::default());
        let mut world = Self {
            owners: Default::default(),
            crowd: Crowd::new(&ledger, seed),
            server,
            ledger,
            random: Random::new(seed),
            routes: vec![None; MATCHES],
            pilots: Vec::new(),
            cuts: [0; OWNERS],
            unconfirmed: 0,
            figures: Figures::default(),
            test,
        };
        (0..3).for_each(|number| world.start_process(number));
        world.pilots = (0..OWNERS).map(|_| world.crowd.come(*world.server, BTreeSet::new(), None)).collect();
        (0..3).for_each(|number| world.seat_pilot(number));
        let routes: Vec<Deed> = (0..MATCHES).map(|one| Deed::Route(one, one % 3)).collect();
        world.act(&routes);
        (0..PLAYERS).for_each(|number| world.come(Some(number % MATCHES)));
        (0..SPECTATORS).for_each(|_| world.come(None));
        world
    }

    /// Starts a process which has no session yet.
    pub fn start_process(&mut self, number: usize) {
        let owner = Owner::start(self.test, self.server.backend, number, &self.ledger);
        self.owners[number] = Some(owner);
        self.cuts[number] = 0;
    }

    /// The pilot of a process is its own.
    pub fn seat_pilot(&mut self, number: usize) {
        let pilot = self.pilots[number];
        let id = self.ledger.change(|ledger| {
            ledger.sessions[pilot].doubt();
            ledger.sessions[pilot].id.clone()
        });
        let target = format!("/v1/route?session={id}&link={}", name(number));
        self.server.backend().change("POST", &target);
        self.ledger.change(|ledger| ledger.sessions[pilot].owner = Some(number));
    }

    /// A player of a match comes, or a spectator.
    pub fn come(&mut self, in_match: Option<usize>) {
        let group = match in_match {
            Some(number) => format!("{MATCH}{number}"),
            None => stand(self.random.below(STANDS)),
        };
        let owner = in_match.and_then(|number| self.routes[number]);
        self.crowd.come(*self.server, BTreeSet::from([group]), owner);
    }

    /// One that is there, and no pilot.
    pub fn anybody(&mut self) -> usize {
        let players = self.crowd.players();
        *self.random.pick(&players[OWNERS..])
    }

    /// The processes that run.
    pub fn living(&self) -> Vec<usize> {
        (0..OWNERS).filter(|number| self.owners[*number].is_some()).collect()
    }

    pub fn owner(&mut self, number: usize) -> &mut Owner {
        self.owners[number].as_mut().expect("it runs")
    }

    /// A process that is to be killed.
    pub fn take_owner(&mut self, number: usize) -> Owner {
        self.owners[number].take().expect("it runs")
    }

    /// The link of a process loses its connection, and comes back.
    pub fn cut(&mut self, number: usize) {
        self.await_back(number);
        self.cuts[number] += 1;
        self.owner(number).cut();
    }

    /// The process has come back whenever it was cut off.
    pub fn await_back(&mut self, number: usize) {
        let cuts = self.cuts[number];
        self.ledger.wait("it is back", |ledger| ledger.backs(number) == cuts);
    }

    pub fn pilot(&self, number: usize) -> usize {
        self.pilots[number]
    }

    /// The matches that a process owns; and it owns none of them from now on.
    pub fn take_matches(&mut self, of: usize) -> Vec<usize> {
        let taken: Vec<usize> = (0..MATCHES).filter(|one| self.routes[*one] == Some(of)).collect();
        taken.iter().for_each(|one| self.routes[*one] = None);
        taken
    }

    /// These matches go to processes that run, but for `but`.
    pub fn give(&mut self, matches: &[usize], but: usize) {
        let mut to = self.living();
        to.retain(|one| *one != but);
        let deeds: Vec<Deed> = matches.iter().map(|one| Deed::Route(*one, *self.random.pick(&to))).collect();
        self.act(&deeds);
    }

    /// Gives commands, and waits until they are done.
    pub fn act(&mut self, deeds: &[Deed]) {
        self.act_around(deeds, |_| ());
    }

    /// The same, and does something before the answers are looked at. `around` may end a link that commands are about.
    pub fn act_around(&mut self, deeds: &[Deed], around: impl FnOnce(&mut Self)) {
        let ledger = Arc::clone(&self.ledger);
        let mut after = BTreeMap::new();
        let commands: Vec<Value> = ledger
            .change(|ledger| deeds.iter().filter_map(|deed| self.begin(*deed, ledger, &mut after)).collect());
        // A link that is not read for as long as a process is stopped ends itself: each time another one.
        let mut control = self.server.link();
        commands.iter().for_each(|command| _ = control.send(command.clone()));
        self.figures.commands += commands.len();
        around(self);
        let results: Vec<_> = commands.iter().map(|_| control.receive()).collect();
        ledger.change(|ledger| {
            for (command, (_, result)) in commands.iter().zip(results) {
                let mut in_doubt = (0..OWNERS).filter(|number| ledger.is_in_doubt(*number)).map(name);
                let may_fail = in_doubt.any(|link| command["link"] == *link);
                assert!(result.is_ok() || may_fail, "{command}: {result:?}");
            }
            for (player, owner) in after {
                let owner = owner.filter(|owner| !ledger.is_in_doubt(*owner));
                ledger.sessions[player].owner = owner;
                ledger.sessions[player].remember(format!("it belongs to {owner:?}"));
            }
        });
    }

    /// The command for a deed, if it changes anything; what follows is noted in `after`, which is so when it is done.
    fn begin(
        &mut self,
        deed: Deed,
        ledger: &mut Ledger,
        after: &mut BTreeMap<usize, Option<usize>>,
    ) -> Option<Value> {
        let mut goes = |player: usize, owner: Option<usize>, session: &mut Session| {
            session.remember(format!("{deed:?}"));
            session.doubt();
            after.insert(player, owner);
        };
        match deed {
            Deed::Route(number, owner) => {
                self.routes[number] = Some(owner);
                let group = format!("{MATCH}{number}");
                let sessions = ledger.sessions.iter_mut().enumerate();
                let members = sessions.filter(|(_, one)| one.is_open && one.groups.contains(&group));
                members.for_each(|(player, session)| goes(player, Some(owner), session));
                Some(json!({"op": "route", "group": group, "link": name(owner)}))
            }
            Deed::Enter(player, number) => {
                let (session, group) = (&mut ledger.sessions[player], format!("{MATCH}{number}"));
                goes(player, self.routes[number], session);
                let before = match_of(session);
                before.iter().for_each(|before| _ = session.groups.remove(before));
                session.groups.insert(group.clone());
                let id = &session.id;
                Some(match before {
                    Some(before) if self.random.chance(50) && before != group => {
                        json!({"op": "move", "group": before, "to": group, "session": [id]})
                    }
                    None if self.random.chance(50) => json!({"op": "join", "group": group, "session": id}),
                    _ => json!({"op": "set_groups", "session": id, "groups": [group], "prefix": MATCH}),
                })
            }
            // It stays with the process that has it. Where it has come to the match just now, it may have left before it moved.
            Deed::Leave(player) => {
                let session = &mut ledger.sessions[player];
                session.remember(format!("{deed:?}"));
                let group = match_of(session)?;
                after.entry(player).and_modify(|owner| *owner = None);
                session.groups.remove(&group);
                Some(json!({"op": "leave", "group": group, "session": session.id}))
            }
            Deed::Watch(player, number) => {
                let session = &mut ledger.sessions[player];
                session.groups.insert(stand(number));
                Some(json!({"op": "join", "group": stand(number), "session": session.id}))
            }
            Deed::Turn(player, number) => {
                let session = &mut ledger.sessions[player];
                session.groups.remove(&stand(number));
                Some(json!({"op": "leave", "group": stand(number), "session": session.id}))
            }
        }
    }

    /// Sessions that no route binds are divided anew.
    pub fn rebalance(&mut self) {
        let pilots: Range<usize> = 0..OWNERS;
        self.ledger.change(|ledger| {
            let sessions = ledger.sessions.iter_mut().enumerate();
            let free = sessions.filter(|(number, one)| !pilots.contains(number) && match_of(one).is_none());
            free.for_each(|(_, session)| session.doubt());
        });
        self.server.backend().change("POST", &format!("/v1/rebalance?share={SHARE}"));
        self.figures.commands += 1;
    }

    /// Some players and spectators go to and fro, and some matches.
    pub fn some_deeds(&mut self, count: usize) -> Vec<Deed> {
        let living = self.living();
        (0..count)
            .map(|_| {
                let (player, number) = (self.anybody(), self.random.below(MATCHES));
                let stand = self.random.below(STANDS);
                match self.random.below(10) {
                    0..2 => Deed::Route(number, *self.random.pick(&living)),
                    2..6 => Deed::Enter(player, number),
                    6 | 7 => Deed::Leave(player),
                    8 => Deed::Watch(player, stand),
                    _ => Deed::Turn(player, stand),
                }
            })
            .collect()
    }

    /// All that was said has been heard, as far as it can be, and no command is under way: what was told is as it must be, and
    /// gannet says the same. `is_exact`: nothing but inputs was on its way to a process that was killed.
    pub fn settle(&mut self, is_exact: bool) {
        self.crowd.talk(false);
        self.server.await_stats("all links are there or have ended", |stats| stats["links_away"] == 0);
        // Nobody has to say anything for that.
        self.ledger.wait("each session is told to be of one process", Ledger::is_told);
        let everybody = self.crowd.players();
        self.crowd.say(&everybody, 0);
        let is_through = |ledger: &Ledger| ledger.sessions.iter().all(Session::is_through);
        self.ledger.wait("the last that each has said", is_through);
        let pilots: Vec<usize> = self.living().into_iter().map(|number| self.pilots[number]).collect();
        self.crowd.say(&pilots, 0);
        self.ledger.wait("what is behind all else", is_through);
        let (missing, read) = self.ledger.change(|ledger| (ledger.settle(), ledger.take_unconfirmed()));
        let now = self.server.backend().scrape().sum("gannet_link_events_unconfirmed_total", &[]);
        let unread = (now - self.unconfirmed).checked_sub(read).expect("all that was read was counted");
        self.unconfirmed = now;
        match is_exact {
            true => assert_eq!(missing, unread, "missing, and counted as unconfirmed and not read"),
            false => assert!(missing <= unread, "{missing} are missing, and {unread} were not read"),
        }
        self.figures.missing += missing;
        self.ask_whose_they_are();
        let stats = self.server.backend().stats();
        let lost = (&stats["link_events_lost"], &stats["events_unheard"]);
        assert_eq!(lost, (&json!(0), &json!({"open": 0, "message": 0, "close": 0})), "{stats:#}");
        self.crowd.talk(true);
    }

    /// A session that is bound to the process which was told that it has it does not go anywhere by that.
    fn ask_whose_they_are(&mut self) {
        let pilots: Vec<usize> = self.living().into_iter().map(|number| self.pilots[number]).collect();
        let ledger = self.ledger.lock();
        let open = ledger.sessions.iter().enumerate().filter(|(_, session)| session.is_open);
        let asked: Vec<Value> = open
            .flat_map(|(number, session)| {
                let link = session.owner.map(name).expect("it is known when all is quiet");
                let bind = json!({"op": "route", "session": session.id, "link": link});
                let mut free = bind.clone();
                free["link"] = Value::Null;
                [Some(bind), (!pilots.contains(&number)).then_some(free)].into_iter().flatten()
            })
            .collect();
        drop(ledger);
        let mut asks = self.server.link();
        asked.iter().for_each(|ask| _ = asks.send(ask.clone()));
        for ask in &asked {
            let (_, result) = asks.receive();
            assert_eq!(result, Ok(json!({"sessions": 0})), "gannet has another one: {ask}");
        }
    }
}

fn stand(number: usize) -> String {
    format!("stand-{number}")
}

/// The group of the match that it is in.
fn match_of(session: &Session) -> Option<String> {
    session.groups.iter().find(|group| group.starts_with(MATCH)).cloned()
}
