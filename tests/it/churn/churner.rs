//! One who makes players come, change and go, and keeps the ledger of it.

use super::ledger::{Life, NEVER, Name};
use super::{CHANGES_EACH, GROUPS_EACH, SEED, TAGS, USERS_EACH, World};
use crate::support::{Backend, End, Link, Random};
use gannet::session::SessionId;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// How a session ends when all of its user's are kicked, without a word on how.
pub fn kicked_as_user() -> End {
    End::Closed(4001, String::new())
}

/// Makes players come, change and go, one change after the other, and writes down what it knows of them.
pub struct Churner<'a> {
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
    pub fn new(number: usize, world: &'a World) -> Self {
        let (backend, link) = (world.ports.backend(), world.ports.link());
        let random = Random::new(SEED + number as u64);
        Self { number, world, backend, link, random, lives: Vec::new(), live: Vec::new(), dying: Vec::new() }
    }

    pub fn run(mut self) -> Vec<Life> {
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

    pub fn connect(&mut self) {
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
