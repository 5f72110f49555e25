//! What other nodes tell of their users: each reactor of each is one that tells. When a link begins to ask about an app, the nodes that
//! are there tell their users first, which is no news. They are awaited for a while, as the reactors of this node are: what comes meanwhile
//! is told when it is known. A node that comes later, or tells again since something was lost, says what is news.

use super::{Online, Turned, User};
use crate::cluster::PublisherKey;
use crate::cluster::online::UsersSaid;
use crate::hub::ReactorSet;
use crate::session::{AppId, Name};
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The apps that links ask about.
    apps: HashMap<AppId, Asked>,
    tellers: HashMap<PublisherKey, Teller>,
    /// The number of the next of them; none has that of another one.
    next: u32,
    /// Users that are kept, each once for each that has told of it.
    kept: usize,
    /// As many as may be.
    most: usize,
}

/// An app that links ask about.
#[derive(Debug)]
struct Asked {
    /// The nodes that have not told all of their users, by their incarnations, and which of their reactors have.
    awaited: HashMap<u64, ReactorSet>,
    /// They are awaited until then.
    until_ms: u64,
}

/// A reactor of another node.
#[derive(Debug)]
struct Teller {
    number: u32,
    /// The apps of which it has told users. While it tells all of them: those that it has told of before and not now.
    apps: HashMap<AppId, Option<HashSet<Name>>>,
}

/// What links ask of other nodes.
#[derive(Debug)]
pub struct Question<'a> {
    /// The apps that it is about.
    pub apps: &'a [AppId],
    /// The nodes that are there and will tell, by their incarnations.
    pub nodes: &'a [u64],
    /// They are awaited until then.
    pub until_ms: u64,
    /// So many users are kept.
    pub most: usize,
}

impl Elsewhere {
    /// Until when other nodes are awaited to tell of the app, if they are.
    pub fn awaits(&self, app: AppId) -> Option<u64> {
        self.apps.get(&app).filter(|asked| !asked.awaited.is_empty()).map(|asked| asked.until_ms)
    }

    /// When the first of those that are awaited is no longer.
    pub fn next_ms(&self) -> Option<u64> {
        self.apps.keys().filter_map(|app| self.awaits(*app)).min()
    }

    /// Those that have been awaited for too long are not any more; whether there were any.
    pub fn give_up(&mut self, now_ms: u64) -> bool {
        let late =
            self.apps.values_mut().filter(|asked| !asked.awaited.is_empty() && asked.until_ms <= now_ms);
        late.map(|asked| asked.awaited.clear()).count() > 0
    }

    /// Whether what a reactor tells of the app was so before anybody asked.
    fn was_before(&self, (incarnation, reactor): PublisherKey, app: AppId) -> bool {
        let awaited = self.apps.get(&app).and_then(|asked| asked.awaited.get(&incarnation));
        awaited.is_some_and(|told| !told.contains(usize::from(reactor)))
    }

    /// The reactor has told all of its users in the app. The tellers that its node does not have any more.
    fn has_told(
        &mut self,
        (incarnation, reactor): PublisherKey,
        app: AppId,
        reactors: u8,
    ) -> Vec<PublisherKey> {
        if let Some(Asked { awaited, .. }) = self.apps.get_mut(&app)
            && let Some(told) = awaited.get_mut(&incarnation)
        {
            told.insert(usize::from(reactor));
            if told.intersection(ReactorSet::first(reactors.into())) == ReactorSet::first(reactors.into()) {
                awaited.remove(&incarnation);
            }
        }
        let of_node = self.tellers.keys().filter(|(of, reactor)| *of == incarnation && *reactor >= reactors);
        of_node.copied().collect()
    }
}

impl Online {
    /// Links ask this of other nodes from now on, and nothing else.
    pub fn ask_elsewhere(&mut self, question: &Question<'_>) {
        let Question { apps, nodes, until_ms, most } = *question;
        let Elsewhere { apps: asked, tellers, kept, .. } = &mut self.elsewhere;
        if asked.keys().any(|app| !apps.contains(app)) {
            asked.retain(|app, _| apps.contains(app));
            tellers.values_mut().for_each(|teller| teller.apps.retain(|app, _| apps.contains(app)));
            self.users.retain(|(app, _), user| {
                let is_forgotten = !apps.contains(app) && !user.elsewhere.is_empty();
                if is_forgotten {
                    *kept -= user.elsewhere.len();
                    user.elsewhere.clear();
                }
                !is_forgotten || !user.is_gone() || user.is_unsure
            });
        }
        for app in apps {
            let awaited = || nodes.iter().map(|incarnation| (*incarnation, ReactorSet::default())).collect();
            asked.entry(*app).or_insert_with(|| Asked { awaited: awaited(), until_ms });
        }
        self.elsewhere.most = most;
    }

    /// Whether other nodes are awaited, of whatever app.
    pub fn awaits_others(&self) -> bool {
        self.elsewhere.next_ms().is_some()
    }

    /// What a reactor of another node tells; how many of its users are not kept.
    pub(super) fn hear_elsewhere(
        &mut self,
        (teller, app, said): (PublisherKey, AppId, UsersSaid),
        (reactors, now_ms): (usize, u64),
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) -> usize {
        let until_ms = now_ms + after_ms(app);
        if !self.elsewhere.apps.contains_key(&app) {
            return 0;
        }
        if said.begins {
            self.begin_to_hear(teller, app);
        }
        // One that has not begun is not up to date: it begins when it has heard what is asked.
        let known = self.elsewhere.tellers.get(&teller).filter(|known| known.apps.contains_key(&app));
        let Some(number) = known.map(|known| known.number) else { return 0 };
        let was_before = self.elsewhere.was_before(teller, app);
        let is_known = was_before || self.knows_all_of(app, reactors);
        let mut beyond = 0;
        for (user, is_there) in said.users {
            if let Some(Some(left)) =
                self.elsewhere.tellers.get_mut(&teller).and_then(|known| known.apps.get_mut(&app))
            {
                left.remove(&user);
            }
            match is_there {
                true => beyond += self.came_elsewhere(number, (app, user), (was_before, is_known), turned),
                false => self.went_elsewhere(number, &(app, user), until_ms),
            }
        }
        if said.ends {
            let told = self.elsewhere.tellers.get_mut(&teller).and_then(|known| known.apps.get_mut(&app));
            for user in told.and_then(Option::take).into_iter().flatten() {
                self.went_elsewhere(number, &(app, user), until_ms);
            }
            for gone in self.elsewhere.has_told(teller, app, said.reactors) {
                self.forget_tellers(|key| *key == gone, now_ms, &after_ms);
            }
            self.settle_if_known(reactors, now_ms, after_ms, turned);
        }
        beyond
    }

    /// A reactor tells all of its users: those of before that are not among them are its no more.
    fn begin_to_hear(&mut self, teller: PublisherKey, app: AppId) {
        let Self { users, elsewhere, .. } = self;
        let Elsewhere { tellers, next, .. } = elsewhere;
        let known = tellers.entry(teller).or_insert_with(|| {
            *next = next.wrapping_add(1);
            Teller { number: *next, apps: HashMap::new() }
        });
        let number = known.number;
        let is_known = known.apps.contains_key(&app);
        // Of one that has told nothing before nobody is here.
        let before = is_known.then(|| users.iter()).into_iter().flatten();
        let left = before.filter(|((of, _), user)| *of == app && user.elsewhere.contains(&number));
        known.apps.insert(app, Some(left.map(|((_, name), _)| name.clone()).collect()));
    }

    /// Another node is no more.
    pub fn node_went(
        &mut self,
        incarnation: u64,
        (reactors, now_ms): (usize, u64),
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) {
        self.elsewhere.apps.values_mut().for_each(|asked| _ = asked.awaited.remove(&incarnation));
        self.forget_tellers(|(of, _)| *of == incarnation, now_ms, &after_ms);
        self.settle_if_known(reactors, now_ms, after_ms, turned);
    }

    fn settle_if_known(
        &mut self,
        reactors: usize,
        now_ms: u64,
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) {
        if self.knows_all(reactors) {
            self.settle(now_ms, after_ms, turned);
        }
    }

    fn forget_tellers(
        &mut self,
        is_gone: impl Fn(&PublisherKey) -> bool,
        now_ms: u64,
        after_ms: &impl Fn(AppId) -> u64,
    ) {
        let Self { users, due, elsewhere, .. } = self;
        let gone = elsewhere.tellers.extract_if(|key, _| is_gone(key));
        let gone: Vec<u32> = gone.map(|(_, teller)| teller.number).collect();
        if gone.is_empty() {
            return;
        }
        for (key, user) in users.iter_mut() {
            let before = user.elsewhere.len();
            user.elsewhere.retain(|number| !gone.contains(number));
            if user.elsewhere.len() < before {
                elsewhere.kept -= before - user.elsewhere.len();
                user.leave_if_gone(now_ms + after_ms(key.0), key, due);
            }
        }
    }

    /// How many of one user are not kept.
    fn came_elsewhere(
        &mut self,
        number: u32,
        key: (AppId, Name),
        (was_before, is_known): (bool, bool),
        turned: &mut Vec<Turned>,
    ) -> usize {
        let Self { users, due, elsewhere, .. } = self;
        let is_full = elsewhere.kept >= elsewhere.most;
        match users.entry(key.clone()) {
            Entry::Occupied(entry) if entry.get().elsewhere.contains(&number) => return 0,
            _ if is_full => return 1,
            Entry::Occupied(mut entry) => {
                let user = entry.get_mut();
                user.elsewhere.push(number);
                user.stays(key, due);
                user.is_unsure &= !was_before;
            }
            Entry::Vacant(entry) => {
                let user = entry.insert(User { is_unsure: !is_known, ..User::default() });
                user.elsewhere.push(number);
                let (app, user) = key;
                turned.extend((is_known && !was_before).then_some(Turned { app, user, is_online: true }));
            }
        }
        elsewhere.kept += 1;
        0
    }

    fn went_elsewhere(&mut self, number: u32, key: &(AppId, Name), until_ms: u64) {
        let Some(user) = self.users.get_mut(key) else { return };
        let before = user.elsewhere.len();
        user.elsewhere.retain(|of| *of != number);
        self.elsewhere.kept -= before - user.elsewhere.len();
        user.leave_if_gone(until_ms, key, &mut self.due);
    }
}
