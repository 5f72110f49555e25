//! Who is in a group, over all reactors, and who joins and leaves: told once each, in order.

use crate::support::{Link, Player, Random, TestServer};
use gannet::dispatch::{Action, OperationOutcome, PresentAfter};
use gannet::session::Name;
use gannet::{App, ClosedSession, Message, Session};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// All pages, put together: the entries, and the totals, which are the same on each.
fn pages(mut page: impl FnMut(Option<&str>) -> Value) -> (Vec<Value>, [u64; 3]) {
    let (mut entries, mut next, mut totals) = (Vec::new(), None::<String>, None);
    loop {
        let mut answer = page(next.as_deref());
        let counts = ["sessions", "users", "anonymous"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!(*totals.get_or_insert(counts), counts);
        entries.extend(answer["present"].take().as_array().unwrap().iter().cloned());
        match answer["next"].as_str() {
            Some(after) => next = Some(after.to_owned()),
            None => return (entries, totals.unwrap()),
        }
    }
}

#[test]
fn the_users_of_a_group_are_each_there_once_with_all_their_sessions() {
    let server = TestServer::start(|_| ());
    let mut random = Random::new(3);
    let (mut players, mut users): (Vec<Player>, BTreeMap<String, BTreeSet<String>>) = Default::default();
    let mut loose = BTreeSet::new();
    for _ in 0..90 {
        // A user of many sessions has some on several reactors.
        let user = random.chance(80).then(|| format!("größer {}", random.below(20)));
        let query =
            user.as_ref().map_or(String::new(), |user| format!("&user={}", crate::support::encoded(user)));
        let player = server.player(&format!("group=g&group=other{query}"));
        match user {
            Some(user) => _ = users.entry(user).or_default().insert(player.id.to_string()),
            None => _ = loose.insert(player.id.to_string()),
        }
        players.push(player);
    }
    server.player("group=elsewhere&user=eve");
    let (mut backend, mut json, mut binary) = (server.backend(), server.link(), server.binary_link());
    let mut ask_http = |limit: usize, after: Option<&str>| {
        let after = after.map_or(String::new(), |after| format!("&after={}", crate::support::encoded(after)));
        backend.ok("GET", &format!("/v1/groups/g/presence?limit={limit}{after}"))
    };
    for limit in [1, 7, 100] {
        let ask = |link: &mut Link, after: Option<&str>| {
            link.command(json!({"op": "presence", "group": "g", "limit": limit, "after": after}))
        };
        let (entries, totals) = pages(|after| ask_http(limit, after));
        assert_eq!(pages(|after| ask(&mut json, after)), (entries.clone(), totals));
        assert_eq!(pages(|after| ask(&mut binary, after)), (entries.clone(), totals));
        assert_eq!(totals, [90, users.len() as u64, loose.len() as u64]);
        let of_users = entries.iter().filter(|entry| entry["user"].is_string());
        assert!(of_users.map(|entry| entry["user"].as_str().unwrap()).eq(users.keys()));
        for entry in &entries {
            let sessions = entry["sessions"].as_array().unwrap();
            let ids = sessions.iter().map(|one| one["session"].as_str().unwrap().to_owned());
            match entry["user"].as_str() {
                Some(user) => {
                    let all = &users[user];
                    assert_eq!(entry["count"], all.len());
                    assert_eq!(sessions.len(), all.len().min(limit));
                    assert!(ids.collect::<BTreeSet<_>>().is_subset(all));
                }
                None => ids.for_each(|id| assert!(loose.contains(&id))),
            }
            assert!(sessions.iter().all(|one| one["since_unix_ms"].as_u64() > Some(1_700_000_000_000)));
        }
        let nobodys = entries.iter().filter(|entry| entry["user"].is_null()).count();
        assert_eq!(nobodys, loose.len());
    }
    let counts = json!({"sessions": 90, "users": users.len(), "anonymous": loose.len(), "present": null, "next": null});
    assert_eq!(backend.ok("GET", "/v1/groups/g/presence?members=0"), counts);
    let ask = json!({"op": "presence", "group": "g", "members": false});
    assert_eq!((json.command(ask.clone()), binary.command(ask)), (counts.clone(), counts.clone()));
    // A group that is too big for it has only the counts.
    server.reload(|config| config.limits.presence_members = 89);
    assert_eq!(backend.ok("GET", "/v1/groups/g/presence"), counts);
    let nobody = json!({"sessions": 0, "users": 0, "anonymous": 0, "present": [], "next": null});
    assert_eq!(backend.ok("GET", "/v1/groups/nobody/presence"), nobody);
    for target in ["after=x", "after=u:", "limit=0", "members=2", "nonsense=1"] {
        assert_eq!(
            backend.request("GET", &format!("/v1/groups/g/presence?{target}")).status,
            400,
            "{target}"
        );
    }
    let ask = Action::Presence {
        group: Name::new("g").unwrap(),
        limit: 1,
        after: Some(PresentAfter::User(Name::new("größer 19").unwrap())),
        members: true,
    };
    let outcome = server.pusher().act("default", ask, Duration::from_secs(60)).unwrap();
    let OperationOutcome::Presence(presence) = outcome else { panic!("{outcome:?}") };
    assert_eq!((presence.users as usize, presence.present), (users.len(), None));
}

/// The members of a group as joins and leaves make them; a change that is none, or comes twice, is found out.
#[derive(Default)]
struct Mirror(BTreeMap<String, BTreeSet<String>>);

impl Mirror {
    fn hear(&mut self, event: &Value) {
        let (group, session) = (event["group"].as_str().unwrap(), event["session"].as_str().unwrap());
        assert_eq!(event["app"], "default");
        let members = self.0.entry(group.to_owned()).or_default();
        match event["event"].as_str().unwrap() {
            "join" => assert!(members.insert(session.to_owned()), "joined twice: {event}"),
            "leave" => assert!(members.remove(session), "left twice: {event}"),
            _ => panic!("{event}"),
        }
    }

    fn of(&self, group: &str) -> BTreeSet<String> {
        self.0.get(group).cloned().unwrap_or_default()
    }
}

/// Joins and leaves what its player says.
struct Groups;

impl App for Groups {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        match text.split_once(' ') {
            Some(("join", group)) => _ = session.join(group),
            Some(("leave", group)) => _ = session.leave(group),
            _ => {}
        }
    }

    fn close(&mut self, _: &ClosedSession) {}
}

#[test]
fn every_change_of_a_group_is_told_once_and_in_order() {
    const PLAYERS: usize = 40;
    let server = TestServer::with_app(|_| (), |_| Box::new(Groups));
    let mut links = [server.link(), server.binary_link()];
    links.iter_mut().for_each(|link| link.listen(&["open", "message", "close", "join", "leave"], None));
    let mut closes_only = server.link();
    closes_only.listen(&["close", "leave"], None);
    let mut players: Vec<Player> =
        (0..PLAYERS).map(|number| server.player(&format!("user=u{}&group=a&group=b", number % 7))).collect();
    let (mut backend, mut random) = (server.backend(), Random::new(11));
    let group = |random: &mut Random| ["a", "b", "c", "d"][random.below(4)];
    for _ in 0..300 {
        let player = random.below(PLAYERS);
        let (one, other) = (group(&mut random), group(&mut random));
        let (id, user) = (players[player].id, format!("u{}", random.below(8)));
        match random.below(7) {
            0 => _ = backend.change("POST", &format!("/v1/groups/{one}/members?session={id}")),
            1 => _ = backend.change("DELETE", &format!("/v1/groups/{one}/members?session={id}")),
            2 => _ = backend.change("POST", &format!("/v1/groups/{one}/members?user={user}")),
            3 => _ = backend.change("DELETE", &format!("/v1/groups/{one}/members?user={user}")),
            4 => _ = backend.change("POST", &format!("/v1/groups/{one}/move?to={other}")),
            5 if random.chance(20) => _ = backend.change("DELETE", &format!("/v1/groups/{one}")),
            5 => players[player].send_text(&format!("leave {one}")),
            _ => players[player].send_text(&format!("join {other}")),
        }
    }
    // What the players have said has been done: each is answered behind it.
    let said = server.backend().stats()["messages_in"].as_u64();
    players.iter_mut().for_each(|player| player.send_text("nothing"));
    let said = said.map(|said| said + PLAYERS as u64);
    server.await_stats("all has been said", |stats| stats["messages_in"].as_u64() >= said);
    let members = |backend: &mut crate::support::Backend, group: &str| -> BTreeSet<String> {
        let page = backend.ok("GET", &format!("/v1/groups/{group}?limit=1000"));
        let members = page["members"].as_array().unwrap().iter();
        members.map(|one| one["session"].as_str().unwrap().to_owned()).collect()
    };
    let live: Vec<BTreeSet<String>> =
        ["a", "b", "c", "d"].iter().map(|group| members(&mut backend, group)).collect();
    // One that opens last says where the others are to be compared.
    let marks: Vec<String> = (0..4).map(|_| server.player("group=mark").id.to_string()).collect();
    for link in &mut links {
        let (mut mirror, mut opened, mut marked) = (Mirror::default(), BTreeSet::new(), 0);
        while marked < marks.len() {
            let event = link.event();
            let session = event["session"].as_str().unwrap().to_owned();
            match event["event"].as_str().unwrap() {
                "open" => assert!(opened.insert(session)),
                "message" => assert!(opened.contains(&session)),
                // The marks are gone already; before a close a session has left every group.
                "close" => assert!(mirror.0.values().all(|members| !members.contains(&session))),
                kind => {
                    assert!(opened.contains(&session), "{event}");
                    mirror.hear(&event);
                    marked += usize::from(kind == "leave" && event["group"] == "mark");
                }
            }
        }
        for (group, live) in ["a", "b", "c", "d"].iter().zip(&live) {
            assert_eq!(mirror.of(group), *live, "{group}");
        }
    }
    // Each leaves its groups, and then closes.
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    let mut left: HashMap<String, BTreeSet<String>> = HashMap::new();
    players.into_iter().for_each(|player| drop(player.close(1000, "")));
    let mut closed = 0;
    while closed < PLAYERS {
        let event = closes_only.event();
        let session = event["session"].as_str().unwrap().to_owned();
        if !ids.contains(&session) {
            continue;
        }
        match event["event"].as_str().unwrap() {
            "leave" => {
                _ = left.entry(session).or_default().insert(event["group"].as_str().unwrap().to_owned())
            }
            "close" => {
                closed += 1;
                for (group, live) in ["a", "b", "c", "d"].iter().zip(&live) {
                    let has_left = left.get(&session).is_some_and(|groups| groups.contains(*group));
                    assert!(!live.contains(&session) || has_left, "{session} did not leave {group}");
                }
            }
            kind => panic!("{kind}"),
        }
    }
}

#[test]
fn a_share_divides_joins_and_leaves_and_a_large_group_is_told_whole() {
    const PLAYERS: usize = 300;
    let server = TestServer::start(|_| ());
    let mut links: Vec<Link> = (0..3).map(|_| server.link()).collect();
    links.iter_mut().for_each(|link| link.listen(&["join", "leave"], Some("s")));
    let mut alone = server.link();
    alone.listen(&["leave"], None);
    let players: Vec<Player> = (0..PLAYERS).map(|_| server.player("group=g")).collect();
    assert_eq!(server.backend().change("DELETE", "/v1/groups/g"), PLAYERS as u64);
    let left: BTreeSet<String> =
        (0..PLAYERS).map(|_| alone.event()["session"].as_str().unwrap().to_owned()).collect();
    assert_eq!(left.len(), PLAYERS);
    drop(players);
    // The links tell what they have been told when they are asked something.
    let mut mirror = Mirror::default();
    let mut shares = Vec::new();
    for link in &mut links {
        link.command(json!({"op": "destroy", "group": "nobody"}));
        let events = link.events_so_far();
        shares.push(events.len());
        events.iter().for_each(|event| mirror.hear(event));
    }
    assert_eq!(shares.iter().sum::<usize>(), 2 * PLAYERS);
    assert!(shares.iter().all(|share| *share > PLAYERS / 3), "{shares:?}");
    assert!(mirror.of("g").is_empty());
}
