//! What a link does while all is well.

use super::super::super::redis_server::RedisServer;
use super::super::super::resp::Value;
use super::super::{LinkLimits, NotTaken};
use super::world::{LIMITS, Seen, World};

#[test]
fn what_is_published_in_parts_comes_whole_and_in_order() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let ((subscriber, greeting), (publisher, _)) = (world.up(&redis.url()), world.up(&redis.url()));
    assert_eq!((greeting.is_same, greeting.is_cluster, greeting.run_id.len()), (false, false, 40));
    world.links[subscriber].subscribe([&b"a"[..], b"b"]).unwrap();
    assert_eq!(world.links[subscriber].unconfirmed(), 2);
    assert_eq!(world.next(subscriber), Seen::Subscribed("a".to_owned()));
    assert_eq!(world.next(subscriber), Seen::Subscribed("b".to_owned()));
    world.links[publisher].publish(b"a", &[b"hello, ", b"\r\n", b"world"]).unwrap();
    world.links[publisher].publish(b"b", &[]).unwrap();
    world.links[publisher].publish(b"nowhere", &[b"x"]).unwrap();
    assert_eq!(world.links[publisher].unanswered(), 3);
    for count in [1, 1, 0] {
        assert_eq!(world.next(publisher), Seen::Reply(Value::Int(count)));
    }
    assert_eq!(world.links[publisher].unanswered(), 0);
    assert_eq!(world.next(subscriber), Seen::Message("a".to_owned(), b"hello, \r\nworld".to_vec()));
    assert_eq!(world.next(subscriber), Seen::Message("b".to_owned(), b"".to_vec()));
    world.links[subscriber].unsubscribe([&b"a"[..]]).unwrap();
    assert_eq!(world.next(subscriber), Seen::Unsubscribed("a".to_owned()));
    assert_eq!(world.ask(publisher, &["PUBLISH", "a", "x"]), Value::Int(0));
}

#[test]
fn replies_and_confirmations_on_one_link_come_in_the_order_of_the_commands() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    world.links[link].command(&[b"ECHO", b"1"]).unwrap();
    world.links[link].subscribe([&b"c"[..]]).unwrap();
    world.links[link].subscribe([]).unwrap();
    world.links[link].publish(b"c", &[b"m"]).unwrap();
    world.links[link].unsubscribe([&b"c"[..]]).unwrap();
    world.links[link].command(&[b"ECHO", b"2"]).unwrap();
    let bulk = |text: &str| Seen::Reply(Value::Bulk(text.as_bytes().into()));
    assert_eq!(world.next(link), bulk("1"));
    assert_eq!(world.next(link), Seen::Subscribed("c".to_owned()));
    // Redis may say either of these two first.
    let mut two = [world.next(link), world.next(link)];
    two.sort_by_key(|seen| matches!(seen, Seen::Message(..)));
    assert_eq!(two, [Seen::Reply(Value::Int(1)), Seen::Message("c".to_owned(), b"m".to_vec())]);
    assert_eq!(world.next(link), Seen::Unsubscribed("c".to_owned()));
    assert_eq!(world.next(link), bulk("2"));
}

#[test]
fn thousands_of_channels_are_confirmed_one_by_one() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    let names: Vec<_> = (0..2_500).map(|number| format!("channel:{number}")).collect();
    world.links[link].subscribe(names.iter().map(String::as_bytes)).unwrap();
    for name in &names {
        assert_eq!(world.next(link), Seen::Subscribed(name.clone()));
    }
    assert_eq!(world.links[link].unconfirmed(), 0);
}

#[test]
fn more_than_is_read_at_once_comes_whole() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    world.links[link].subscribe([&b"c"[..]]).unwrap();
    world.next(link);
    let payload: Vec<u8> = (0..LIMITS.max_message_bytes).map(|index| (index % 251) as u8).collect();
    for _ in 0..3 {
        world.links[link].publish(b"c", &[&payload]).unwrap();
    }
    let mut messages = 0;
    world.until(link, |seen| match seen {
        Seen::Message(_, received) => {
            assert!(received == payload);
            messages += 1;
            (messages == 3).then_some(())
        }
        _ => None,
    });
}

#[test]
fn what_is_not_taken_stays_in_the_socket_beyond_a_bound() {
    let redis = RedisServer::start(&[]);
    let limits = LinkLimits { max_message_bytes: 10_000, ..LIMITS };
    let mut world = World::new(limits);
    let ((subscriber, _), (publisher, _)) = (world.up(&redis.url()), world.up(&redis.url()));
    world.links[subscriber].subscribe([&b"c"[..]]).unwrap();
    world.next(subscriber);
    for _ in 0..300 {
        world.links[publisher].publish(b"c", &[&[7; 10_000]]).unwrap();
    }
    for _ in 0..300 {
        assert_eq!(world.next(publisher), Seen::Reply(Value::Int(1)));
    }
    // Ten frames fit in what is read at once; the bound is looked at before each read.
    while !world.links[subscriber].has_unread() {
        world.turn();
    }
    for _ in 0..100 {
        world.turn();
    }
    let held = world.links[subscriber].parser.held_bytes();
    assert!(held > 0 && held < 1_000_000, "{held}");
    for _ in 0..300 {
        assert!(matches!(world.next(subscriber), Seen::Message(..)));
    }
}

#[test]
fn a_name_is_looked_up_and_a_unix_socket_and_a_database_are_found() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (by_name, _) = world.up(&format!("redis://localhost:{}/1", redis.port()));
    let (by_path, _) = world.up(&format!("unix://{}?db=1", redis.socket().display()));
    assert_eq!(world.ask(by_name, &["SET", "k", "v"]), Value::Text("OK".into()));
    assert_eq!(world.ask(by_path, &["GET", "k"]), Value::Bulk(b"v"[..].into()));
    let (other, _) = world.up(&redis.url());
    assert_eq!(world.ask(other, &["GET", "k"]), Value::Null);
    assert!(matches!(world.ask(other, &["HGET", "k"]), Value::Error(_)));
}

#[test]
fn what_would_be_too_much_is_not_taken() {
    let redis = RedisServer::start(&[]);
    let mut limits = LIMITS;
    (limits.max_message_bytes, limits.max_unwritten_bytes) = (1_000, 10_000);
    let mut world = World::new(limits);
    let link = world.link(&redis.url());
    assert_eq!(world.links[link].publish(b"c", &[b"x"]), Err(NotTaken::Down));
    assert_eq!(world.links[link].subscribe([&b"c"[..]]), Err(NotTaken::Down));
    world.until_up(link);
    let (half, more) = ([0; 500], [0; 501]);
    assert_eq!(world.links[link].publish(b"c", &[&half[..], &more[..]]), Err(NotTaken::TooLarge));
    let mut taken = 0;
    while world.links[link].publish(b"c", &[&half[..], &half[..]]) == Ok(()) {
        taken += 1;
        assert!(taken < 100);
    }
    assert_eq!(world.links[link].publish(b"c", &[&half[..], &half[..]]), Err(NotTaken::Full));
    assert!(world.links[link].unwritten_bytes() <= 10_100);
    assert_eq!(world.links[link].unanswered(), taken);
    let mut replies = 0;
    world.until(link, |seen| {
        replies += usize::from(seen == Seen::Reply(Value::Int(0)));
        (replies == taken).then_some(())
    });
    assert_eq!(world.links[link].publish(b"c", &[&half[..], &half[..]]), Ok(()), "there is room again");
}
