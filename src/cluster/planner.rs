//! By which sets of Redis servers a node hears, while the set that it is configured for changes. It hears by that one, the *aim*, and by each
//! set that a node still publishes by; one that no node publishes by any more is heard for a while longer, in case a node that says so
//! late does. Pure: time is an argument.

use super::spread::Spread;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// What is in force until another plan takes its place.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Counts the plans up, from 1.
    pub number: u64,
    /// The set of the configuration.
    pub aim: Arc<Spread>,
    /// The sets that are heard, each with the number of the first plan that had it.
    heard: Vec<(Arc<Spread>, u64)>,
    /// Whether this node is connected to the server with this slot.
    open: Vec<bool>,
}

impl Plan {
    /// The sets that are heard.
    pub fn heard(&self) -> impl Iterator<Item = &Arc<Spread>> {
        self.heard.iter().map(|(spread, _)| spread)
    }

    /// The set with this id and since which plan it is heard, if it is.
    pub fn find(&self, id: u64) -> Option<(&Arc<Spread>, u64)> {
        let found = self.heard.iter().find(|(spread, _)| spread.id() == id);
        found.map(|(spread, since)| (spread, *since))
    }

    /// Where the messages of a channel may come from: one server for each set, each once.
    pub fn slots_of(&self, channel: &[u8]) -> SmallVec<[usize; 2]> {
        let mut slots = SmallVec::new();
        for spread in self.heard() {
            let slot = spread.slot_of(channel);
            if !slots.contains(&slot) {
                slots.push(slot);
            }
        }
        slots
    }

    /// Whether this node is connected to the server.
    pub fn is_open(&self, slot: usize) -> bool {
        self.open.get(slot).copied().unwrap_or(false)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Planner {
    plan: Arc<Plan>,
    /// The hashes of the servers' addresses, by slot.
    hashes: Vec<u64>,
    /// Since when no node publishes by a set that is heard.
    unneeded: HashMap<u64, u64>,
    /// Since when no set that is heard has the server with this slot.
    idle: Vec<Option<u64>>,
    /// How long a set is heard that no node publishes by.
    keep_ms: u64,
    /// How long a server is kept behind that, until nothing is subscribed to there.
    linger_ms: u64,
}

impl Planner {
    /// Of a node with servers of these `hashes`, of which `aim` are those of its configuration.
    pub fn new(hashes: Vec<u64>, aim: &[usize], keep_ms: u64, linger_ms: u64) -> Self {
        let aim = Arc::new(Spread::new(aim.iter().map(|slot| (hashes[*slot], *slot))));
        let open = (0..hashes.len()).map(|slot| aim.slots().contains(&slot)).collect();
        let idle = vec![None; hashes.len()];
        let plan = Plan { number: 1, heard: vec![(Arc::clone(&aim), 1)], aim, open };
        Self { plan: plan.into(), hashes, unneeded: HashMap::new(), idle, keep_ms, linger_ms }
    }

    /// The same on its way from another process, which heard by these sets, by their slots, the oldest first, and was connected to the
    /// servers that are `open`.
    pub fn going_on(mut self, heard: &[Vec<usize>], open: &[usize]) -> Self {
        let spread = |slots: &Vec<usize>| {
            let known = slots.iter().filter_map(|slot| Some((*self.hashes.get(*slot)?, *slot)));
            Arc::new(Spread::new(known))
        };
        let old: Vec<Arc<Spread>> = heard.iter().filter(|slots| !slots.is_empty()).map(spread).collect();
        let mut plan = Plan { heard: Vec::new(), ..Plan::clone(&self.plan) };
        let aim = Arc::clone(&plan.aim);
        open.iter()
            .for_each(|slot| plan.open.iter_mut().skip(*slot).take(1).for_each(|is_open| *is_open = true));
        self.put(plan, old.into_iter().chain([aim]).collect());
        self
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// A server that was in no list yet; its slot.
    pub fn add_slot(&mut self, hash: u64) -> usize {
        self.hashes.push(hash);
        self.idle.push(None);
        let mut plan = Plan::clone(&self.plan);
        plan.open.push(false);
        self.plan = plan.into();
        self.hashes.len() - 1
    }

    /// The configuration names these servers. Whether that is news.
    pub fn aim_at(&mut self, slots: &[usize]) -> bool {
        let aim = Arc::new(Spread::new(slots.iter().map(|slot| (self.hashes[*slot], *slot))));
        if aim.id() == self.plan.aim.id() {
            return false;
        }
        let mut plan = self.next_plan();
        plan.aim = aim;
        let aim = Arc::clone(&plan.aim);
        self.put(plan, vec![aim]);
        true
    }

    /// The set of these servers, where this node has all of them.
    pub fn spread_of(&self, hashes: &[u64]) -> Option<Arc<Spread>> {
        let mut taken = SmallVec::<[usize; 4]>::new();
        for hash in hashes {
            let is_it = |(slot, own): &(usize, &u64)| *own == hash && !taken.contains(slot);
            let (slot, _) = self.hashes.iter().enumerate().find(is_it)?;
            taken.push(slot);
        }
        let servers = hashes.iter().copied().zip(taken);
        (!hashes.is_empty()).then(|| Arc::new(Spread::new(servers)))
    }

    /// Looks which sets are needed: `spoken` are those that nodes publish by, this one among them. All reactors follow the plan with the
    /// number `followed`, or a later one. Sets are left only if it `may_leave`. Whether there is another plan now.
    pub fn turn(&mut self, spoken: &[Vec<u64>], followed: u64, may_leave: bool, now_ms: u64) -> bool {
        let spoken: Vec<Arc<Spread>> = spoken.iter().filter_map(|hashes| self.spread_of(hashes)).collect();
        let mut plan = self.next_plan();
        let aim = plan.aim.id();
        let (unneeded, keep_ms) = (&mut self.unneeded, self.keep_ms);
        plan.heard.retain(|(spread, _)| {
            let id = spread.id();
            if id == aim || spoken.iter().any(|spoken| spoken.id() == id) {
                unneeded.remove(&id);
                return true;
            }
            let since_ms = *unneeded.entry(id).or_insert(now_ms);
            let is_kept = !may_leave || now_ms.saturating_sub(since_ms) < keep_ms;
            if !is_kept {
                unneeded.remove(&id);
            }
            is_kept
        });
        let is_other =
            self.close_idle(&mut plan, followed, now_ms) || plan.heard.len() < self.plan.heard.len();
        let new: Vec<Arc<Spread>> =
            spoken.into_iter().filter(|spread| plan.find(spread.id()).is_none()).collect();
        if !is_other && new.is_empty() {
            return false;
        }
        self.put(plan, new);
        true
    }

    /// Closes servers that no set has for long enough, unless a reactor may still subscribe to something there.
    fn close_idle(&mut self, plan: &mut Plan, followed: u64, now_ms: u64) -> bool {
        let mut has_closed = false;
        for slot in 0..plan.open.len() {
            let is_used = self.plan.heard().any(|spread| spread.slots().contains(&slot));
            if is_used || !plan.open[slot] {
                self.idle[slot] = None;
                continue;
            }
            let since_ms = *self.idle[slot].get_or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) > self.linger_ms && followed >= self.plan.number {
                plan.open[slot] = false;
                has_closed = true;
            }
        }
        has_closed
    }

    fn next_plan(&self) -> Plan {
        Plan { number: self.plan.number + 1, ..Plan::clone(&self.plan) }
    }

    /// `plan` is in force, and hears the `new` sets too.
    fn put(&mut self, mut plan: Plan, new: Vec<Arc<Spread>>) {
        for spread in new {
            if plan.find(spread.id()).is_none() {
                spread.slots().iter().for_each(|slot| plan.open[*slot] = true);
                plan.heard.push((spread, plan.number));
            }
        }
        self.plan = plan.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_MS: u64 = 100;
    const LINGER_MS: u64 = 1_000;

    fn hashes(slots: &[usize]) -> Vec<u64> {
        slots.iter().map(|slot| 10 + *slot as u64).collect()
    }

    fn planner(servers: usize) -> Planner {
        let slots: Vec<usize> = (0..servers).collect();
        Planner::new(hashes(&slots), &slots, KEEP_MS, LINGER_MS)
    }

    fn heard(planner: &Planner) -> Vec<Vec<usize>> {
        planner.plan().heard().map(|spread| spread.slots().to_vec()).collect()
    }

    #[test]
    fn the_set_of_before_is_heard_until_no_node_has_published_by_it_for_a_while() {
        let mut planner = planner(2);
        assert!(!planner.aim_at(&[1, 0]), "the order says nothing");
        let new = planner.add_slot(12);
        assert!(planner.aim_at(&[0, 1, new]));
        assert_eq!(heard(&planner), [vec![0, 1], vec![0, 1, 2]]);
        assert!(planner.plan().is_open(2));
        assert_eq!(planner.plan().find(planner.plan().aim.id()).unwrap().1, planner.plan().number);
        let (old, all) = (hashes(&[0, 1]), hashes(&[0, 1, 2]));
        assert!(!planner.turn(&[old.clone(), all.clone()], 2, true, 0));
        assert!(
            !planner.turn(std::slice::from_ref(&all), 2, true, 1_000)
                && !planner.turn(std::slice::from_ref(&all), 2, true, 1_099)
        );
        assert!(!planner.turn(&[old.clone(), all.clone()], 2, true, 1_100), "a node that was late says so");
        assert!(
            !planner.turn(std::slice::from_ref(&all), 2, true, 1_200)
                && !planner.turn(std::slice::from_ref(&all), 2, false, 1_300)
        );
        assert!(planner.turn(&[all], 2, true, 1_301), "what was missed is known");
        assert_eq!((heard(&planner), planner.plan().number), (vec![vec![0, 1, 2]], 3));
    }

    #[test]
    fn a_server_that_is_in_no_set_is_closed_when_all_reactors_know_and_its_names_have_lingered() {
        let mut planner = planner(3);
        assert!(planner.aim_at(&[0, 1]));
        let now = [hashes(&[0, 1])];
        assert!(!planner.turn(&now, 2, true, 0) && planner.turn(&now, 2, true, 100));
        assert!(planner.plan().is_open(2));
        assert!(!planner.turn(&now, 3, true, 200));
        assert!(!planner.turn(&now, 2, true, 1_201), "a reactor does not know yet");
        assert!(planner.turn(&now, 3, true, 1_201));
        assert!(!planner.plan().is_open(2) && planner.plan().is_open(1));
        assert!(planner.aim_at(&[0, 1, 2]), "it comes back in its slot");
        assert!(planner.plan().is_open(2));
    }

    #[test]
    fn what_another_node_publishes_by_is_heard_where_all_of_its_servers_are_known() {
        let mut planner = planner(3);
        let theirs = hashes(&[0, 1]);
        assert!(!planner.turn(&[hashes(&[0, 1, 2]), hashes(&[0, 7])], 1, true, 0));
        assert!(planner.turn(&[hashes(&[0, 1, 2]), theirs.clone()], 1, true, 0));
        assert_eq!(heard(&planner), [vec![0, 1, 2], vec![0, 1]]);
        assert!(planner.spread_of(&hashes(&[0, 7])).is_none() && planner.spread_of(&[]).is_none());
        assert_eq!(planner.spread_of(&theirs).unwrap().slots(), [0, 1]);
    }

    #[test]
    fn a_channel_is_heard_once_where_two_sets_agree_and_twice_where_they_do_not() {
        let mut planner = planner(3);
        planner.aim_at(&[0, 1]);
        let (mut once, mut twice) = (0, 0);
        for number in 0..300 {
            let channel = format!("channel-{number}").into_bytes();
            let slots = planner.plan().slots_of(&channel);
            match slots[..] {
                [slot] => once += usize::from(slot != 2),
                [from, to] => twice += usize::from(from == 2 && to != 2),
                _ => panic!("{slots:?}"),
            }
        }
        assert_eq!(once + twice, 300);
        assert!((50..150).contains(&twice), "{twice}");
    }

    #[test]
    fn a_planner_goes_on_with_the_sets_that_another_process_heard_by() {
        let planner = planner(2).going_on(&[vec![1], vec![0, 1], vec![7]], &[1, 9]);
        assert_eq!(heard(&planner)[..2], [vec![1], vec![0, 1]]);
        assert_eq!(planner.plan().aim.slots(), [0, 1]);
        let closing =
            Planner::new(hashes(&[0, 1, 2]), &[0], KEEP_MS, LINGER_MS).going_on(&[vec![0]], &[0, 2]);
        assert_eq!([0, 1, 2].map(|slot| closing.plan().is_open(slot)), [true, false, true]);
    }

    #[test]
    fn a_change_that_is_taken_back_is_one_set_again() {
        let mut planner = planner(2);
        let new = planner.add_slot(12);
        planner.aim_at(&[0, 1, new]);
        planner.aim_at(&[0, 1]);
        let now = [hashes(&[0, 1])];
        assert!(!planner.turn(&now, 3, true, 0) && planner.turn(&now, 3, true, 100));
        assert_eq!(heard(&planner), [[0, 1]]);
    }
}
