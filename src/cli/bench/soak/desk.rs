//! What the load sends: pushes, changes of the roaming, and the messages of players.

use super::cast::{Aim, Role};
use super::draft::{Draft, EXCEPT_PERCENT};
use super::listeners::How;
use super::load::{KICKED_SESSION, KICKED_USER, Load};
use super::players::State;
use crate::cli::bench::checked::answer::{Asked, Described, Matched};
use crate::cli::bench::checked::doors::free_door;
use crate::cli::bench::checked::mark::{MARK_BYTES, Mark, PLAYER};
use crate::cli::bench::fleet::Fleet;
use crate::link_bin::{Command, Payload, Push, Who};
use crate::session::SessionId;

/// Bytes that may wait on a player's connection before it says nothing more.
const MOST_QUEUED: usize = 64 * 1024;

/// Buffers and counters of what is sent.
#[derive(Debug, Default)]
pub struct Desk {
    /// The number of the next push, by publisher.
    numbers: Vec<u64>,
    recipients: Vec<usize>,
    payload: String,
}

impl Desk {
    /// For so many publishers.
    pub fn new(publishers: usize) -> Self {
        Self { numbers: vec![0; publishers], ..Self::default() }
    }

    /// Sends one push; `false` where no connection has room.
    pub fn push(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) -> bool {
        let Some(door) = free_door(&load.doors, &mut load.random) else { return false };
        // The last one is there for pushes that are answered late.
        let may_wait = door + 1 == load.doors.len();
        let draft = Draft::random(load.cast, &mut load.random, may_wait);
        self.send(load, fleet, door, &draft);
        true
    }

    /// A plain push to every session, on the first connection.
    pub fn push_to_all(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) {
        self.send(load, fleet, 0, &Draft::to_all());
    }

    fn send(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>, door: usize, draft: &Draft) {
        let (cast, players) = (load.cast, &load.players);
        let key = draft.key.map(|key| format!("key {door}-{key}"));
        let session_of = |slot: usize| players[slot].open_session();
        let target: crate::link_bin::Targets<'_> =
            draft.aims.iter().filter_map(|aim| cast.selector(*aim, session_of)).collect();
        if target.is_empty() {
            return;
        }
        let recipients = &mut self.recipients;
        let are_all = cast.recipients(&draft.aims, |slot| session_of(slot).is_some(), recipients);
        let leaves_one_out = draft.may_except && recipients.len() > 1 && load.random.chance(EXCEPT_PERCENT);
        let except = leaves_one_out.then(|| recipients.remove(load.random.below(recipients.len())));
        let surely = recipients.iter().filter(|slot| cast.role(**slot) == Role::Steady).count() as u32;
        let absent = draft.aims.iter().filter(|aim| **aim == Aim::Nobody).count() as u32;
        let number = self.numbers[door];
        let mark = Mark { run: load.run, publisher: door as u8, stream: draft.stream(), number };
        mark.write(draft.length, &mut self.payload);
        let payload = match draft.is_binary {
            true => Payload::Binary(self.payload.as_bytes()),
            false => Payload::Text(&self.payload),
        };
        let push = Push {
            ttl_ms: draft.ttl_ms,
            key: key.as_deref(),
            class: draft.class,
            except: except.and_then(session_of),
            receipt: draft.receipt,
            ..Push::new(target, payload)
        };
        let asked = Asked::Push {
            name: mark.to_string(),
            matched: match are_all {
                true => Matched::Exactly(surely),
                false => Matched::AtLeast(surely),
            },
            offline: are_all.then_some(absent),
            receipt: draft.receipt,
        };
        load.doors[door].ask(fleet, Command::Push(push), asked);
        for &slot in recipients.iter() {
            load.players[slot].inbox.expect((mark.publisher, mark.stream), number, draft.promise);
        }
        self.numbers[door] += 1;
        load.counts.pushes += 1;
    }

    /// One change of a player that roams, or a look at a session; nothing where no connection has room.
    pub fn change(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) {
        let Some(door) = free_door(&load.doors, &mut load.random) else { return };
        let Some((slot, session)) = load.open_player(Role::Roaming) else { return };
        let roll = load.random.below(100);
        match roll {
            0..7 => {
                fleet.leave(slot);
                load.players[slot].state = State::Leaving;
            }
            7..11 => {
                fleet.cut(slot);
                load.end(slot, How::Cut);
            }
            11..16 => describe_one_who_stays(load, fleet, door),
            _ => change_one(load, fleet, door, session, roll),
        }
        load.counts.changes += 1;
    }

    /// One message of a player to whoever listens.
    pub fn say(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) {
        let slot = load.random.below(load.players.len());
        if load.players[slot].open_session().is_none() || fleet.queued(slot) > MOST_QUEUED {
            return;
        }
        let length = match load.random.below(100) {
            0..3 => load.random.within(300, 8_000),
            _ => load.random.within(MARK_BYTES, 300),
        };
        let number = load.players[slot].said;
        Mark { run: load.run, publisher: PLAYER, stream: 0, number }.write(length, &mut self.payload);
        fleet.send(slot, &self.payload, load.random.chance(30));
        load.players[slot].said += 1;
        load.counts.said += 1;
    }
}

fn describe_one_who_stays(load: &mut Load<'_>, fleet: &mut Fleet<'_>, door: usize) {
    let Some((slot, session)) = load.open_player(Role::Steady) else { return };
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    let described = Described {
        session: session.to_string(),
        user: Some(load.cast.user(slot).to_owned()),
        groups: owned(load.cast.groups_of(slot)),
        tags: owned(load.cast.tags_of(slot)),
    };
    load.doors[door].ask(fleet, Command::Session { session }, Asked::Describe(described));
}

fn change_one(load: &mut Load<'_>, fleet: &mut Fleet<'_>, door: usize, session: SessionId, roll: usize) {
    let cast = load.cast;
    let pick = |names: &'static str, load: &mut Load<'_>| -> &str {
        let names = match names {
            "user" => cast.roaming_users(),
            "group" => cast.roaming_groups(),
            _ => cast.roaming_tags(),
        };
        &names[load.random.below(names.len())]
    };
    let who = Who::Session(session);
    let (name, most, command) = match roll {
        16..32 => ("join", Some(1), Command::Join { who, group: pick("group", load) }),
        32..45 => ("leave", Some(1), Command::Leave { who, group: pick("group", load) }),
        45..49 => {
            let who = Who::User(pick("user", load));
            ("join of a user", None, Command::Join { who, group: pick("group", load) })
        }
        49..52 => {
            let who = Who::User(pick("user", load));
            ("leave of a user", None, Command::Leave { who, group: pick("group", load) })
        }
        52..58 => {
            let (from, to) = (pick("group", load), pick("group", load));
            ("move", None, Command::Move { from, to })
        }
        58..60 => ("destroy", None, Command::Destroy { group: pick("group", load) }),
        60..70 => ("tag", Some(1), Command::Tag { session, tag: pick("tag", load) }),
        70..79 => ("untag", Some(1), Command::Untag { session, tag: pick("tag", load) }),
        79..87 => ("bind", Some(1), Command::Bind { session, user: Some(pick("user", load)) }),
        87..90 => ("unbind", Some(1), Command::Bind { session, user: None }),
        90..95 => {
            let code = load.random.chance(70).then_some(KICKED_SESSION);
            ("kick", Some(1), Command::Kick { who, code, reason: "soak" })
        }
        95 => {
            let who = Who::User(pick("user", load));
            ("kick of a user", None, Command::Kick { who, code: Some(KICKED_USER), reason: "" })
        }
        _ => {
            let asked = Asked::DescribeIfThere(session.to_string());
            return load.doors[door].ask(fleet, Command::Session { session }, asked);
        }
    };
    load.doors[door].ask(fleet, command, Asked::Change { name, most });
}
