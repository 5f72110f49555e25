//! What reactors ask of the plan of where channels are heard, and what they say of how far they follow it.

use super::placing::{InForce, Mark, Server, hash_of};
use super::shared::Cluster;
use crate::cluster::Spread;
use crate::config::RedisUrl;
use crate::metrics::MAX_SERVERS;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Cluster {
    /// The plan in force.
    pub fn in_force(&self) -> Arc<InForce> {
        self.placing.in_force.load_full()
    }

    /// The number of the plan in force.
    pub fn plan_number(&self) -> u64 {
        self.placing.number.load(Ordering::Acquire)
    }

    /// Whether this process has a slot for each of these servers.
    pub fn has_room_for(&self, urls: &[RedisUrl]) -> bool {
        let servers = self.in_force();
        let is_known = |url: &&RedisUrl| servers.servers.iter().any(|server| server.url.is_same_place(url));
        servers.servers.len() + urls.iter().filter(|url| !is_known(url)).count()
            <= MAX_SERVERS.max(servers.servers.len())
    }

    /// The configuration names these servers from now on. Whether that is another set.
    pub fn aim_at(&self, urls: &[RedisUrl]) -> bool {
        let mut planner = self.placing.planner();
        let mut servers = self.in_force().servers.to_vec();
        let slots: Vec<usize> = urls
            .iter()
            .map(|url| {
                let known = servers.iter().position(|server| server.url.is_same_place(url));
                known.unwrap_or_else(|| {
                    servers.push(Arc::new(Server::new(url.clone())));
                    planner.add_slot(hash_of(url))
                })
            })
            .collect();
        let is_news = planner.aim_at(&slots);
        if is_news {
            self.placing.put(&planner, servers.into());
        }
        is_news
    }

    /// Looks whether other sets are to be heard, or servers closed. Whether there is another plan now.
    pub fn turn_plan(&self, now_ms: u64) -> bool {
        let spoken = self.spoken();
        let followed = self.placing.marks().iter().map(|mark| mark.followed).min().unwrap_or(0);
        let mut planner = self.placing.planner();
        let InForce { plan, servers } = &*self.in_force();
        // What is asked what was missed has to know what was wanted.
        let has_gaps = plan.aim.slots().iter().any(|slot| servers[*slot].has_gaps.load(Ordering::Acquire));
        let is_other = planner.turn(&spoken, followed, !has_gaps, now_ms);
        if is_other {
            self.placing.put(&planner, servers.clone());
        }
        is_other
    }

    /// The sets that any node publishes by, this one among them.
    fn spoken(&self) -> Vec<Vec<u64>> {
        let mut spoken = self.speaks();
        let members = self.members();
        let theirs = members.all().into_iter().flat_map(|member| member.said.speaks.iter().cloned());
        spoken.extend(theirs);
        drop(members);
        spoken.sort_unstable();
        spoken.dedup();
        spoken
    }

    /// The set by which the first reactor of this node publishes.
    pub fn first_speaks(&self) -> Arc<Spread> {
        let first = self.placing.marks().first().map(|mark| Arc::clone(&mark.speaks));
        first.unwrap_or_else(|| Arc::clone(&self.in_force().plan.aim))
    }

    /// The sets by which reactors of this node publish: the hashes of the servers' addresses of each.
    pub fn speaks(&self) -> Vec<Vec<u64>> {
        let mut speaks: Vec<Vec<u64>> =
            self.placing.marks().iter().map(|mark| mark.speaks.hashes().to_vec()).collect();
        speaks.sort_unstable();
        speaks.dedup();
        speaks
    }

    /// Whether all reactors publish by the set with this id.
    pub fn all_speak(&self, id: u64) -> bool {
        self.placing.marks().iter().all(|mark| mark.speaks.id() == id)
    }

    /// Whether this node hears everything that it wants to by the set with this id.
    pub fn hears(&self, id: u64) -> bool {
        let InForce { plan, servers } = &*self.in_force();
        let Some((spread, since)) = plan.find(id) else { return false };
        let is_told = self.placing.marks().iter().all(|mark| mark.heard >= since);
        is_told && spread.slots().iter().all(|slot| servers[*slot].is_whole.load(Ordering::Acquire))
    }

    /// The sets that it hears everything by.
    pub fn all_heard(&self) -> Vec<u64> {
        let plan = Arc::clone(&self.in_force().plan);
        plan.heard().map(|spread| spread.id()).filter(|id| self.hears(*id)).collect()
    }

    /// The sets that it hears everything by, and goes on hearing by as long as it says so here: that of its configuration, and those that it
    /// publishes by.
    pub fn claims(&self) -> Vec<u64> {
        let in_force = self.in_force();
        let mut claims = vec![in_force.plan.aim.id()];
        claims.extend(self.placing.marks().iter().map(|mark| mark.speaks.id()));
        claims.sort_unstable();
        claims.dedup();
        claims.retain(|id| self.hears(*id));
        claims
    }

    /// Whether this node hears everything that it wants to. A set that no node publishes by yet lacks it nothing.
    pub fn is_whole(&self) -> bool {
        let InForce { plan, servers } = &*self.in_force();
        let spoken = self.spoken();
        let is_spoken = |spread: &Spread| spoken.iter().any(|spoken| **spoken == *spread.hashes());
        let needed = plan.heard().filter(|spread| spread.id() != plan.aim.id() || is_spoken(spread));
        needed.flat_map(|spread| spread.slots()).all(|slot| servers[*slot].is_whole.load(Ordering::Acquire))
    }

    /// The reactor `index` of so many begins, and publishes by `speaks`.
    pub fn reactor_begins(&self, index: usize, reactors: usize, speaks: &Arc<Spread>) {
        let mut marks = self.placing.marks();
        let mark = || Mark { followed: 0, heard: 0, speaks: Arc::clone(speaks) };
        marks.resize_with(reactors, mark);
        marks[index].speaks = Arc::clone(speaks);
    }

    /// The reactor follows the plan with this number.
    pub fn reactor_follows(&self, index: usize, number: u64) {
        self.placing.marks()[index].followed = number;
    }

    /// All that the reactor has told the ears, as it follows the plan with this number, is heard.
    pub fn reactor_is_heard(&self, index: usize, number: u64) {
        self.placing.marks()[index].heard = number;
    }

    /// The reactor publishes by this set.
    pub fn reactor_speaks(&self, index: usize, speaks: &Arc<Spread>) {
        self.placing.marks()[index].speaks = Arc::clone(speaks);
    }
}
