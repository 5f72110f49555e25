use super::heartbeat::NotAHeartbeat;
use super::*;

fn heartbeat(node: u16, incarnation: u64) -> Heartbeat {
    Heartbeat {
        node,
        incarnation,
        name: format!("node-{incarnation}"),
        advertise: None,
        version: "0".to_owned(),
        is_draining: false,
        sessions: 3,
        has_buckets: false,
        is_reachable: true,
        is_ready: true,
        published: 0,
        stamp_ms: 0,
        aim: 1,
        hears: vec![1],
        speaks: vec![vec![1, 2]],
        tells_users: true,
        asks_users: vec!["chess".to_owned()],
        asked: 5,
        shares: vec![SharedLinks { app: "chess".to_owned(), share: "s".to_owned(), links: 2, events: 3 }],
        links: 0,
    }
}

fn name(incarnation: u64) -> Name {
    Name::new(&format!("node-{incarnation}")).unwrap()
}

#[test]
fn a_heartbeat_is_read_as_it_was_written_and_not_when_cut() {
    let said = Heartbeat { advertise: Some("wss://a".to_owned()), ..heartbeat(7, 8) };
    let mut bytes = Vec::new();
    said.encode_into(&mut bytes);
    assert_eq!(Heartbeat::read(&bytes), Ok(said));
    for end in 0..bytes.len() {
        assert_eq!(Heartbeat::read(&bytes[..end]), Err(NotAHeartbeat), "{end}");
    }
}

#[test]
fn a_node_comes_once_and_is_gone_when_it_is_silent_or_says_so() {
    let mut members = Members::new(100);
    assert_eq!(members.hear(heartbeat(1, 10), 0, 0), [MemberEvent::Came { node: 1, name: name(10) }]);
    assert_eq!(members.hear(heartbeat(1, 10), 0, 90), []);
    members.hear(heartbeat(2, 20), 0, 90);
    assert_eq!(members.expire(190), []);
    members.hear(heartbeat(2, 20), 0, 191);
    let gone = |node, incarnation| MemberEvent::Gone { node, name: name(incarnation), incarnation };
    assert_eq!(members.expire(191), [gone(1, 10)]);
    assert_eq!(members.goodbye(20), Some(gone(2, 20)));
    assert_eq!((members.goodbye(20), members.all().len()), (None, 0));
}

#[test]
fn nobody_is_silent_while_nobody_can_be_heard() {
    let mut members = Members::new(100);
    members.hear(heartbeat(1, 10), 0, 0);
    members.excuse(500);
    assert_eq!(members.expire(600), []);
    assert_eq!(members.expire(601).len(), 1);
}

#[test]
fn of_two_processes_with_one_number_the_one_heard_of_last_is_reached() {
    let mut members = Members::new(100);
    members.hear(heartbeat(1, 10), 0, 0);
    let events = members.hear(heartbeat(1, 11), 0, 1);
    assert!(events.contains(&MemberEvent::Conflict { node: 1, name: name(11), other: name(10) }));
    let reached = |members: &Members| members.reached().map(|member| member.incarnation).collect::<Vec<_>>();
    assert_eq!(reached(&members), [11]);
    let unreachable = Heartbeat { is_reachable: false, ..heartbeat(1, 11) };
    assert_eq!(members.hear(unreachable, 0, 2), [MemberEvent::Changed]);
    assert_eq!(reached(&members), [10]);
    assert_eq!((members.number_of(11), members.number_of(12)), (Some(1), None));
}

#[test]
fn all_are_ready_when_each_has_said_so_since_redis_began_anew() {
    let mut members = Members::new(100);
    members.hear(heartbeat(1, 10), 0, 0);
    members.hear(heartbeat(2, 20), 0, 0);
    assert!(members.are_all_ready(0) && !members.are_all_ready(1));
    members.nobody_is_ready(0);
    members.hear(heartbeat(1, 10), 0, 1);
    assert!(!members.are_all_ready(0));
    members.hear(Heartbeat { is_ready: false, ..heartbeat(2, 20) }, 0, 1);
    assert!(!members.are_all_ready(0));
    members.hear(heartbeat(2, 20), 0, 2);
    assert!(members.are_all_ready(0));
}
