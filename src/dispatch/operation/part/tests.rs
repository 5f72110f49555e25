use super::*;
use crate::dispatch::{
    Ban, Banned, Counted, NameKind, NamePage, OperationOutcome, Origin, Presence, Present, PresentAfter,
    PresentSession, Selector, SessionRow, Who, user_hash,
};
use crate::session::{AppId, SessionId};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn operation(action: &Action) -> Operation {
    Operation::new(AppId(0), action.clone(), Origin::Nobody)
}

fn id(node: u16, slot: u32) -> SessionId {
    SessionId::new(node, 0, 9 - slot, slot)
}

fn unknown(session: SessionId) -> CommandError {
    CommandError::unknown_session(session)
}

#[test]
fn the_node_that_has_the_session_answers_for_all() {
    let session = id(2, 1);
    let action = Action::Bind { session, user: None };
    // In any order: here, a node without it, the node with it.
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let here = operation(&action);
        for step in order {
            let node = operation(&action);
            match step {
                0 => here.fail(unknown(session)),
                1 => {
                    node.fail(unknown(session));
                    here.merge(node.part(), &[0, 1, 2]);
                }
                _ => {
                    node.count_sessions(1);
                    here.merge(node.part(), &[0, 1, 2]);
                }
            }
        }
        assert_eq!(here.outcome(), Ok(OperationOutcome::Sessions(1)), "{order:?}");
    }
    let nowhere = operation(&action);
    nowhere.fail(unknown(session));
    let node = operation(&action);
    node.fail(unknown(session));
    nowhere.merge(node.part(), &[0, 1, 2]);
    assert_eq!(nowhere.outcome(), Err(unknown(session)));
    // It may be on a node that does not answer.
    nowhere.miss_node(&name("node-b"));
    let error = nowhere.outcome().unwrap_err();
    assert_eq!(error.code, ErrorCode::Overloaded);
    assert!(error.message.contains("node-b"), "{error}");
}

#[test]
fn another_error_of_a_node_is_the_answer() {
    let action = Action::Leave { who: Who::User(name("ada")), group: name("g") };
    let (here, node) = (operation(&action), operation(&action));
    here.count_sessions(1);
    let error = CommandError::new(ErrorCode::BadRequest, "too many groups");
    node.fail(error.clone());
    here.merge(node.part(), &[0, 1, 2]);
    assert_eq!(here.outcome(), Err(error));
}

#[test]
fn of_a_list_those_are_unknown_whom_no_node_has() {
    let who = Who::Users(["ada", "bob", "eve"].map(name).to_vec());
    let action = Action::Leave { who, group: name("g") };
    // Of two nodes one has ada and bob, the other bob; a reactor here is late.
    let (here, first, second) = (operation(&action), operation(&action), operation(&action));
    first.is_unknown(2);
    first.count_sessions(2);
    [0, 2].into_iter().for_each(|index| second.is_unknown(index));
    second.count_sessions(1);
    here.is_unknown(1);
    here.merge(first.part(), &[0, 1, 2]);
    [0, 2].into_iter().for_each(|index| here.is_unknown(index));
    here.merge(second.part(), &[0, 1, 2]);
    assert_eq!(here.outcome(), Ok(OperationOutcome::Changed { sessions: 3, unknown: 1 }));
    // A node that has nobody and one that says nothing of the list change nothing.
    let nobody = operation(&action);
    (0..3).for_each(|index| nobody.is_unknown(index));
    here.merge(nobody.part(), &[0, 1, 2]);
    assert_eq!(here.outcome(), Ok(OperationOutcome::Changed { sessions: 3, unknown: 1 }));
}

#[test]
fn pages_of_a_listing_go_on_from_node_to_node() {
    let row = |node, slot| SessionRow { id: id(node, slot), user: None };
    let all = [row(1, 0), row(1, 4), row(2, 1), row(3, 0), row(3, 9)];
    for limit in 1..7 {
        let (mut seen, mut after): (Vec<SessionRow>, Option<SessionId>) = (Vec::new(), None);
        loop {
            let action = Action::List { by: Selector::All, limit, after, detailed: false };
            let here = operation(&action);
            for number in [3, 1, 2] {
                let node = operation(&action);
                let rows = all.iter().filter(|row| row.id.node() == number);
                let rest =
                    rows.clone().filter(|row| after.is_none_or(|after| row.id.place() > after.place()));
                // A reactor gives the first of its own in no order of reactors.
                rest.rev().for_each(|row| node.add_findings(0, vec![row.clone()], Vec::new()));
                node.add_findings(rows.count() as u32, Vec::new(), Vec::new());
                let part = node.part();
                assert!(part.page.rows.len() <= limit + 1);
                here.merge(part, &[0, 1, 2]);
            }
            let Ok(OperationOutcome::Page(page)) = here.outcome() else { panic!() };
            assert_eq!(page.count, 5);
            seen.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
}

#[test]
fn a_user_on_two_nodes_is_one() {
    let secret = [7; 16];
    let action = Action::Count { by: Selector::All };
    let here = operation(&action);
    for node in 1..3 {
        let part = operation(&action);
        let mut gathered = Gathered::new(PresencePage::of_none());
        for (slot, user) in
            [Some("ada"), Some(["bob", "eve"][usize::from(node) - 1]), None].into_iter().enumerate()
        {
            let user = user.map(name);
            let session = PresentSession { id: id(node, slot as u32), since_unix_ms: 0 };
            gathered.add(user.as_ref().map(|user| (user, user_hash(secret, user))), session);
        }
        part.add_presence(gathered);
        here.merge(part.part(), &[0, 1, 2]);
    }
    let counted = Counted { sessions: 6, users: 3, anonymous: 2 };
    assert_eq!(here.outcome(), Ok(OperationOutcome::Counted(counted)));
}

#[test]
fn a_page_of_a_presence_has_the_first_users_of_all_nodes() {
    let action = |after| Action::Presence { group: name("g"), limit: 2, after, members: true };
    let session = |node, slot| PresentSession { id: id(node, slot), since_unix_ms: slot.into() };
    let asked = |after: Option<&str>, most: usize| {
        let action = action(after.map(|user| PresentAfter::User(name(user))));
        let here = operation(&action);
        for (node, users) in [(1, ["bob", "eve"]), (2, ["ada", "bob"])] {
            let Action::Presence { limit, after, .. } = action.clone() else { panic!() };
            let mut gathered = Gathered::new(PresencePage::new(limit, after, most, true));
            for (slot, user) in users.into_iter().enumerate() {
                gathered.add(
                    Some((&name(user), user.len() as u64 + u64::from(user.as_bytes()[0]))),
                    session(node, slot as u32),
                );
            }
            let part = operation(&action);
            part.add_presence(gathered);
            here.merge(part.part(), &[0, 1, 2]);
        }
        let Ok(OperationOutcome::Presence(presence)) = here.outcome() else { panic!() };
        presence
    };
    let present = |user, sessions: &[(u16, u32)]| Present {
        user: Some(name(user)),
        count: sessions.len() as u32,
        sessions: sessions.iter().map(|(node, slot)| session(*node, *slot)).collect(),
    };
    let counts = Presence { sessions: 4, users: 3, ..Presence::default() };
    let first = vec![present("ada", &[(2, 0)]), present("bob", &[(1, 0), (2, 1)])];
    let next = Some(PresentAfter::User(name("bob")));
    assert_eq!(asked(None, 9), Presence { present: Some(first), next, ..counts.clone() });
    let last = vec![present("eve", &[(1, 1)])];
    assert_eq!(asked(Some("bob"), 9), Presence { present: Some(last), ..counts.clone() });
    // Each node has few enough, all together have not.
    assert_eq!(asked(None, 3), counts);
}

#[test]
fn names_are_added_up_and_pages_of_them_are_right() {
    let action = Action::Names { kind: NameKind::Users, prefix: None, limit: 2, after: None, among: None };
    let here = operation(&action);
    here.add_names([(name("c"), 1)]);
    for users in [["a", "c", "d"], ["b", "c", "d"]] {
        let node = operation(&action);
        node.add_names(users.map(|user| (name(user), 1)));
        node.add_names([(name("e"), 5)]);
        let part = node.part();
        assert_eq!(part.names.len(), 3);
        here.merge(part, &[0, 1, 2]);
    }
    let names = vec![(name("a"), 1), (name("b"), 1)];
    let page = NamePage { kind: NameKind::Users, names, next: Some(name("b")) };
    assert_eq!(here.outcome(), Ok(OperationOutcome::Names(page)));
}

#[test]
fn figures_are_sums_and_what_every_node_knows_is_told_once() {
    let stats = |sessions| AppStats { sessions, opened: 2 * sessions, ..AppStats::default() };
    let here = operation(&Action::Stats);
    here.found_stats(stats(1));
    let node = operation(&Action::Stats);
    node.found_stats(stats(10));
    here.merge(node.part(), &[0, 1, 2]);
    assert_eq!(here.outcome(), Ok(OperationOutcome::Stats(stats(11))));

    let whom = Banned::User(name("ada"));
    let unban = Action::Unban { whom: whom.clone() };
    let bans = Action::Bans { limit: 9, after: None };
    let page =
        BanPage { count: 1, bans: vec![Ban { whom, until_unix_ms: None, reason: "".into() }], next: None };
    let (here, listed) = (operation(&unban), operation(&bans));
    for _ in 0..3 {
        let node = operation(&unban);
        node.count_sessions(1);
        here.merge(node.part(), &[0, 1, 2]);
        let node = operation(&bans);
        node.found_bans(page.clone());
        listed.merge(node.part(), &[0, 1, 2]);
    }
    assert_eq!(here.outcome(), Ok(OperationOutcome::Unbanned(1)));
    assert_eq!(listed.outcome(), Ok(OperationOutcome::Bans(page)));
}

#[test]
fn what_is_partial_says_which_nodes_are_missing_once_each() {
    let here = operation(&Action::Destroy { group: name("g") });
    here.count_sessions(3);
    ["node-b", "node-c", "node-b"].into_iter().for_each(|node| here.miss_node(&name(node)));
    let partial = OperationOutcome::Partial {
        of: Box::new(OperationOutcome::Sessions(3)),
        missing: vec![name("node-b"), name("node-c")],
    };
    assert_eq!(here.outcome(), Ok(partial));
}
