use super::*;

const APP: AppId = AppId(0);
const AFTER_MS: u64 = 100;

struct Owner {
    online: Online,
    reactors: usize,
    now_ms: u64,
}

impl Owner {
    /// The owner for so many reactors, all of which have told that they have nobody.
    fn knowing(reactors: usize) -> Self {
        let mut owner = Self { online: Online::default(), reactors, now_ms: 0 };
        for reactor in 0..reactors {
            assert_eq!(owner.hear(reactor, UserNews::All(Vec::new())), []);
        }
        owner
    }

    fn hear(&mut self, reactor: usize, news: UserNews) -> Vec<(String, bool)> {
        let mut turned = Vec::new();
        self.online.hear(reactor, news, (self.reactors, self.now_ms), |_| AFTER_MS, &mut turned);
        told(turned)
    }

    fn at(&mut self, now_ms: u64) -> Vec<(String, bool)> {
        let mut turned = Vec::new();
        self.now_ms = now_ms;
        self.online.expire((self.reactors, now_ms), |_| AFTER_MS, &mut turned);
        told(turned)
    }
}

fn told(turned: Vec<Turned>) -> Vec<(String, bool)> {
    turned.into_iter().map(|turned| (turned.user.to_string(), turned.is_online)).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn came(user: &str) -> UserNews {
    UserNews::Came(APP, name(user))
}

fn went(user: &str) -> UserNews {
    UserNews::Went(APP, name(user))
}

fn online(user: &str) -> Vec<(String, bool)> {
    vec![(user.to_owned(), true)]
}

fn offline(user: &str) -> Vec<(String, bool)> {
    vec![(user.to_owned(), false)]
}

#[test]
fn the_first_session_anywhere_and_the_last_are_told_once() {
    let mut owner = Owner::knowing(2);
    assert_eq!(owner.hear(0, came("ada")), online("ada"));
    assert_eq!(owner.hear(1, came("ada")), []);
    assert_eq!(owner.hear(0, went("ada")), []);
    assert_eq!(owner.at(1_000), []);
    assert_eq!(owner.hear(1, went("ada")), []);
    assert_eq!((owner.at(1_099), owner.online.next_ms()), (vec![], Some(1_100)));
    assert_eq!((owner.at(1_100), owner.at(9_000)), (offline("ada"), vec![]));
    assert_eq!(owner.hear(1, came("ada")), online("ada"));
}

#[test]
fn who_comes_back_in_time_was_never_away() {
    let mut owner = Owner::knowing(2);
    owner.hear(0, came("ada"));
    owner.hear(0, went("ada"));
    owner.at(99);
    assert_eq!(owner.hear(1, came("ada")), []);
    assert_eq!((owner.at(9_000), owner.online.next_ms()), (vec![], None));
    // The other order: what a reactor tells may be overtaken by what another one does.
    owner.hear(0, came("ada"));
    owner.hear(1, went("ada"));
    assert_eq!(owner.at(99_000), []);
}

#[test]
fn what_is_not_known_yet_is_told_when_it_is() {
    let mut owner = Owner { online: Online::default(), reactors: 2, now_ms: 0 };
    owner.hear(1, UserNews::All(vec![(APP, name("bob"))]));
    assert_eq!(["ada", "bob", "eve"].map(|user| owner.hear(1, came(user))), [vec![], vec![], vec![]]);
    owner.hear(1, went("eve"));
    let mut all = owner.hear(0, UserNews::All(vec![(APP, name("ada")), (APP, name("cat"))]));
    all.sort();
    assert_eq!(all, online("eve"), "ada and bob were there");
    assert_eq!(owner.at(AFTER_MS), offline("eve"));
    owner.hear(0, went("cat"));
    assert_eq!(owner.at(2 * AFTER_MS), offline("cat"));
}

#[test]
fn nothing_is_left_when_nobody_tells_any_more() {
    let mut owner = Owner::knowing(2);
    ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, came(user)), online(user)));
    owner.hear(0, went("bob"));
    [0, 1].into_iter().for_each(|reactor| assert_eq!(owner.hear(reactor, UserNews::NoMore), []));
    assert!(owner.online.users.is_empty() && owner.at(9_000).is_empty());
    // A reactor may begin again before another one has ended.
    assert_eq!(owner.hear(1, UserNews::All(vec![(APP, name("ada"))])), []);
    assert_eq!(owner.hear(0, UserNews::All(Vec::new())), []);
    assert_eq!(owner.hear(0, came("ada")), []);
}

#[test]
fn who_is_leaving_goes_on_leaving_in_another_process() {
    let mut owner = Owner::knowing(1);
    ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, came(user)), online(user)));
    ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, went(user)), []));
    let mut next = Owner { online: Online::default(), reactors: 1, now_ms: 50 };
    for (app, user, until_ms) in owner.online.leaving() {
        next.online.restore(app, user.clone(), until_ms);
    }
    // Each reactor tells its users before it turns.
    assert_eq!(next.hear(0, UserNews::All(vec![(APP, name("bob"))])), []);
    assert_eq!(next.at(AFTER_MS), offline("ada"));
}

/// The first and the second reactor of one node, and the only one of another.
const B: [PublisherKey; 2] = [(20, 0), (20, 1)];
const C: PublisherKey = (30, 0);
const AWAITED_MS: u64 = 50;

impl Owner {
    /// Links have begun to ask, and these nodes were there.
    fn asking(nodes: &[u64], most: usize) -> Self {
        let mut owner = Self::knowing(1);
        owner.ask(&[APP], nodes, most);
        owner
    }

    fn ask(&mut self, apps: &[AppId], nodes: &[u64], most: usize) {
        let until_ms = self.now_ms + AWAITED_MS;
        self.online.ask_elsewhere(&Question { apps, nodes, until_ms, most });
    }

    /// One of the reactors of a node with so many says this of its users.
    fn tells(
        &mut self,
        teller: PublisherKey,
        reactors: u8,
        ends: (bool, bool),
        users: &[(&str, bool)],
    ) -> Vec<(String, bool)> {
        let users = users.iter().map(|(user, is_there)| (name(user), *is_there)).collect();
        let said = UsersSaid { begins: ends.0, ends: ends.1, reactors, users };
        self.hear(0, UserNews::Elsewhere(teller, APP, said))
    }

    fn tells_all(&mut self, teller: PublisherKey, users: &[&str]) -> Vec<(String, bool)> {
        let users: Vec<(&str, bool)> = users.iter().map(|user| (*user, true)).collect();
        let mut told = self.tells(teller, 1, (true, true), &users);
        told.sort();
        told
    }

    fn changes(&mut self, teller: PublisherKey, user: &str, is_there: bool) -> Vec<(String, bool)> {
        self.tells(teller, 1, (false, false), &[(user, is_there)])
    }
}

#[test]
fn the_first_session_on_any_node_and_the_last_are_told_once() {
    let mut owner = Owner::asking(&[20, 30], 9);
    assert_eq!(owner.tells_all((20, 0), &["bob"]), [], "he was there");
    assert_eq!(owner.tells_all(C, &["bob"]), []);
    assert_eq!(owner.changes(C, "ada", true), online("ada"));
    assert_eq!((owner.hear(0, came("ada")), owner.changes((20, 0), "ada", true)), (vec![], vec![]));
    assert_eq!((owner.changes(C, "ada", false), owner.hear(0, went("ada"))), (vec![], vec![]));
    assert_eq!((owner.at(1_000), owner.changes((20, 0), "ada", false)), (vec![], vec![]));
    assert_eq!((owner.at(1_099), owner.at(1_100)), (vec![], offline("ada")));
    // One that comes to another node in time was never away.
    owner.changes((20, 0), "bob", false);
    owner.changes(C, "bob", false);
    owner.changes((20, 0), "bob", true);
    assert_eq!(owner.at(9_000), []);
    // What is told twice is no news.
    assert_eq!((owner.changes((20, 0), "bob", true), owner.changes(C, "bob", false)), (vec![], vec![]));
    owner.changes((20, 0), "bob", false);
    assert_eq!(owner.at(9_100), offline("bob"));
}

#[test]
fn who_comes_before_all_nodes_have_told_is_told_when_they_have_or_have_been_awaited() {
    let mut owner = Owner::asking(&[20, 30], 9);
    assert_eq!(["ada", "bob", "cat"].map(|user| owner.hear(0, came(user))), [vec![], vec![], vec![]]);
    assert_eq!(owner.tells(B[0], 2, (true, false), &[("ada", true)]), []);
    assert_eq!(owner.tells(B[0], 2, (false, true), &[("eve", true)]), []);
    assert_eq!(owner.tells_all(C, &[]), []);
    assert!(owner.online.awaits_others(), "one of two reactors has told");
    // She came to a node that has told already, and to one that has not.
    assert_eq!(owner.changes(C, "dan", true), []);
    let mut settled = owner.tells(B[1], 2, (true, true), &[("bob", true)]);
    settled.sort();
    assert_eq!(settled, [online("cat"), online("dan")].concat());
    assert!(!owner.online.awaits_others());
    // One that never answers.
    let mut owner = Owner::asking(&[20], 9);
    assert_eq!((owner.hear(0, came("ada")), owner.online.next_ms()), (vec![], Some(AWAITED_MS)));
    assert_eq!((owner.at(AWAITED_MS - 1), owner.at(AWAITED_MS)), (vec![], online("ada")));
    assert_eq!(owner.tells_all((20, 0), &["ada", "bob"]), online("bob"), "it answers late: that is news");
    // One that ends.
    let mut owner = Owner::asking(&[20], 9);
    owner.hear(0, came("ada"));
    let mut turned = Vec::new();
    owner.online.node_went(20, (1, 0), |_| AFTER_MS, &mut turned);
    assert_eq!(told(turned), online("ada"));
}

#[test]
fn what_was_missed_is_made_up_for_when_a_node_tells_all_again() {
    let mut owner = Owner::asking(&[30], 9);
    owner.tells_all(C, &["ada", "bob"]);
    assert_eq!(owner.tells_all(C, &["bob", "cat"]), online("cat"));
    assert_eq!(owner.at(AFTER_MS), offline("ada"));
    // A change in the midst of it holds.
    assert_eq!(owner.tells(C, 1, (true, false), &[("bob", true)]), []);
    assert_eq!(owner.changes(C, "cat", true), []);
    assert_eq!(owner.changes(C, "bob", false), []);
    assert_eq!(owner.tells(C, 1, (false, true), &[]), []);
    assert_eq!(owner.at(2 * AFTER_MS), offline("bob"));
    assert_eq!(owner.changes(C, "cat", false), []);
    assert_eq!(owner.at(3 * AFTER_MS), offline("cat"));
    // A node that nobody has heard before tells what is news; but for that, its changes are for nobody.
    assert_eq!(owner.changes((20, 0), "eve", true), []);
    assert_eq!(owner.tells_all((20, 0), &["eve"]), online("eve"));
}

#[test]
fn users_go_with_their_node_and_with_a_reactor_that_it_has_no_more() {
    let mut owner = Owner::asking(&[], 9);
    owner.tells(B[0], 2, (true, true), &[("ada", true), ("bob", true)]);
    owner.tells(B[1], 2, (true, true), &[("cat", true)]);
    owner.tells_all(C, &["bob"]);
    // After an upgrade it has one.
    owner.tells(B[0], 1, (true, true), &[("ada", true), ("bob", true)]);
    assert_eq!(owner.at(AFTER_MS), offline("cat"));
    let mut turned = Vec::new();
    owner.online.node_went(20, (1, owner.now_ms), |_| AFTER_MS, &mut turned);
    assert_eq!((told(turned), owner.at(2 * AFTER_MS)), (vec![], offline("ada")));
    assert_eq!(owner.changes(C, "bob", false), []);
    assert_eq!((owner.at(3 * AFTER_MS), owner.online.users.len()), (offline("bob"), 0));
}

#[test]
fn users_of_other_nodes_are_kept_up_to_a_bound() {
    let mut owner = Owner::asking(&[], 2);
    let said = |user: &str| {
        UserNews::Elsewhere(
            C,
            APP,
            UsersSaid { begins: true, ends: true, reactors: 1, users: vec![(name(user), true)] },
        )
    };
    owner.tells_all((20, 0), &["ada", "bob"]);
    let mut turned = Vec::new();
    let beyond = owner.online.hear(0, said("cat"), (1, 0), |_| AFTER_MS, &mut turned);
    assert_eq!((beyond, turned), (1, vec![]));
    owner.changes((20, 0), "ada", false);
    assert_eq!(owner.at(AFTER_MS), offline("ada"));
    assert_eq!(owner.tells_all(C, &["cat"]), online("cat"));
}

#[test]
fn what_is_not_asked_any_more_is_forgotten_without_a_word() {
    let mut owner = Owner::asking(&[30], 9);
    owner.tells_all(C, &["ada", "bob"]);
    owner.hear(0, came("bob"));
    owner.ask(&[], &[], 9);
    assert_eq!(owner.online.users.len(), 1, "bob is here");
    assert_eq!(owner.changes(C, "ada", true), []);
    owner.ask(&[APP], &[30], 9);
    assert_eq!(owner.tells_all(C, &["cat"]), [], "she was there when it was asked again");
    assert_eq!(owner.changes(C, "cat", false), []);
    assert_eq!(owner.at(AFTER_MS), offline("cat"));
}

#[test]
fn a_user_of_another_node_that_goes_while_a_process_takes_over_is_offline_then() {
    let mut owner = Owner::asking(&[30], 9);
    owner.tells_all(C, &["ada", "bob"]);
    let mut next = Owner { online: Online::default(), reactors: 1, now_ms: 50 };
    for (app, user, until_ms) in owner.online.leaving() {
        next.online.restore(app, user.clone(), until_ms);
    }
    next.ask(&[APP], &[30], 9);
    next.hear(0, UserNews::All(Vec::new()));
    assert_eq!(next.at(50 + AWAITED_MS - 1), [], "the other node has not told yet");
    assert_eq!(next.tells_all(C, &["bob"]), []);
    assert_eq!(next.at(50 + AWAITED_MS), offline("ada"));
}
