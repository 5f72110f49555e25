//! What befalls processes and the server while players talk.

use super::world::{Deed, MATCHES, World};
use crate::support::until;

/// When a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// While it reads what players say, and its matches go to others at once.
    InFlow,
    /// The same, and others have its sessions before its matches are given to anybody.
    AndLeft,
    /// It has not read what its socket has taken.
    Behind,
    /// While players and matches go to and fro.
    AmidCommands,
    /// It has not read for so long that its socket takes no more.
    Stuffed,
    /// It has not read what its socket has taken, and the server is upgraded before its link ends.
    BeforeUpgrade,
}

/// Messages of which some are more than the socket of a process takes that does not read, and less than has players wait.
const LONG: usize = 24 * 1024;

impl World {
    fn counts(&mut self, fault: &'static str) {
        *self.figures.faults.entry(fault).or_default() += 1;
    }

    /// A process that runs, and is not the only one.
    fn victim(&mut self) -> usize {
        let living = self.living();
        assert!(living.len() > 1, "others are to take over");
        *self.random.pick(&living)
    }

    pub fn upgrade(&mut self) {
        self.counts("upgrade");
        self.server.upgrade();
    }

    /// The server is upgraded while commands are under way.
    pub fn upgrade_amid_commands(&mut self) {
        let deeds = self.some_deeds(30);
        self.act_around(&deeds, World::upgrade);
    }

    /// All links lose their connections, and the server is upgraded before they are back.
    pub fn upgrade_while_away(&mut self) {
        self.counts("cut");
        self.living().into_iter().for_each(|number| self.cut(number));
        self.upgrade();
        self.living().into_iter().for_each(|number| self.await_back(number));
    }

    /// A link loses its connection while commands are under way.
    pub fn cut_amid_commands(&mut self) {
        self.counts("cut");
        let victim = self.victim();
        let deeds = self.some_deeds(20);
        self.act_around(&deeds, |world| world.cut(victim));
        self.await_back(victim);
    }

    /// Players talk, in messages at least so long, and the server has heard some of it.
    fn said_meanwhile(&mut self, at_least: usize) {
        let heard = |world: &World| world.server.backend().stats()["messages_in"].as_u64().unwrap();
        let everybody = self.crowd.players();
        let before = heard(self);
        for _ in 0..3 {
            self.crowd.say(&everybody, at_least);
        }
        until("some of it has been heard", || heard(self) >= before + 3 * everybody.len() as u64);
    }

    /// SIGKILL. Another process of the same name comes when all is quiet again.
    pub fn kill(&mut self, how: Kill) {
        self.counts("SIGKILL");
        let victim = self.victim();
        self.await_back(victim);
        self.ledger.change(|ledger| ledger.doubt(victim));
        let dies = |world: &mut World| {
            let owner = world.take_owner(victim);
            match how {
                Kill::Behind | Kill::BeforeUpgrade | Kill::Stuffed => {
                    owner.stop();
                    world.said_meanwhile(if how == Kill::Stuffed { LONG } else { 0 });
                }
                Kill::InFlow | Kill::AndLeft | Kill::AmidCommands => {}
            }
            owner.kill();
            world.ledger.change(|ledger| ledger.ended(victim));
        };
        match how {
            Kill::AmidCommands => {
                let deeds = self.some_deeds(40);
                self.act_around(&deeds, dies);
            }
            _ => dies(self),
        }
        match how {
            Kill::BeforeUpgrade => self.upgrade(),
            Kill::AndLeft => {
                self.server.await_stats("its link has ended", |stats| stats["links_away"] == 0);
            }
            _ => {}
        }
        let matches = self.take_matches(victim);
        self.give(&matches, victim);
        self.settle(how != Kill::AmidCommands);
        self.start_process(victim);
        self.seat_pilot(victim);
        self.take_some_matches(victim);
    }

    /// SIGSTOP until others have its sessions, and SIGCONT: it reads what its socket had taken, and is an owner like any other.
    /// Its socket may be such that it takes no more, or players and matches go to and fro meanwhile.
    pub fn freeze(&mut self, is_upgraded: bool, is_stuffed: bool) {
        self.counts("SIGSTOP");
        let victim = self.victim();
        self.await_back(victim);
        self.ledger.change(|ledger| ledger.doubt(victim));
        self.owner(victim).stop();
        if is_stuffed {
            self.said_meanwhile(LONG);
        } else {
            let deeds = self.some_deeds(10);
            self.act(&deeds);
        }
        if is_upgraded {
            self.upgrade();
        }
        self.ledger.wait("others have its sessions", |ledger| ledger.is_taken_over(victim));
        let matches = self.take_matches(victim);
        self.give(&matches, victim);
        self.goes_on_with_a_new_link(victim);
    }

    fn goes_on_with_a_new_link(&mut self, victim: usize) {
        let links = self.ledger.lock().links(victim);
        self.owner(victim).go_on();
        self.ledger.wait("it listens again", |ledger| ledger.links(victim) > links);
        self.ledger.change(|ledger| ledger.trust(victim));
        self.seat_pilot(victim);
        self.take_some_matches(victim);
    }

    /// SIGSTOP and SIGCONT, before anybody else has its sessions; unless this machine was too slow for that.
    pub fn pause(&mut self, is_upgraded: bool) {
        self.counts("SIGSTOP for a moment");
        let victim = self.victim();
        self.await_back(victim);
        self.ledger.change(|ledger| ledger.doubt(victim));
        let links = self.ledger.lock().links(victim);
        self.owner(victim).stop();
        self.said_meanwhile(LONG);
        if is_upgraded {
            self.upgrade();
        }
        self.owner(victim).go_on();
        let pilot = self.pilot(victim);
        self.crowd.say(&[pilot], 0);
        self.ledger.wait("its pilot was heard", |ledger| {
            ledger.sessions[pilot].is_through() || ledger.links(victim) > links
        });
        let lives = self.ledger.lock().owners(pilot).eq([victim]);
        if lives {
            self.ledger.change(|ledger| ledger.trust(victim));
            return;
        }
        let matches = self.take_matches(victim);
        self.give(&matches, victim);
        self.ledger.wait("it listens again", |ledger| ledger.links(victim) > links);
        self.ledger.change(|ledger| ledger.trust(victim));
        self.seat_pilot(victim);
    }

    /// A process comes, and is given matches that others own.
    pub fn a_fourth_joins(&mut self) {
        self.counts("a process comes");
        self.start_process(3);
        self.seat_pilot(3);
        self.take_some_matches(3);
        self.rebalance();
    }

    fn take_some_matches(&mut self, owner: usize) {
        let among = self.living().len();
        let deeds: Vec<Deed> =
            (0..MATCHES / among).map(|_| Deed::Route(self.random.below(MATCHES), owner)).collect();
        self.act(&deeds);
    }
}
