//! Links that go on in another process, on a real Redis.

use super::super::super::redis_server::RedisServer;
use super::super::super::resp::Value;
use super::super::CarriedLink;
use super::world::{LIMITS, Seen, World};
use std::os::fd::OwnedFd;

/// Has `link` of one world go on in another one, and ends the first. The link there.
fn hand_over(mut from: World, link: usize, url: &str) -> (World, usize) {
    let mut world = World::new(LIMITS);
    let next = world.link(url);
    let before = &from.links[link];
    let socket: Option<OwnedFd> = before.descriptor().map(|socket| socket.try_clone_to_owned().unwrap());
    let carried: CarriedLink = minicbor::decode(&minicbor::to_vec(before.carry()).unwrap()).unwrap();
    assert_eq!(carried.has_socket(), socket.is_some());
    let now_ms = world.now_ms();
    let World { poll, links, .. } = &mut world;
    links[next].go_on_from(carried, socket, poll.registry(), now_ms).unwrap();
    from.links.clear();
    (world, next)
}

#[test]
fn a_link_goes_on_with_what_it_owes_what_it_was_told_and_what_was_not_written() {
    for is_unix in [false, true] {
        let redis = RedisServer::start(&[]);
        let url = match is_unix {
            true => format!("redis+unix://{}", redis.socket().display()),
            false => redis.url(),
        };
        let mut world = World::new(LIMITS);
        let (link, greeting) = world.up(&url);
        world.links[link].subscribe([&b"c"[..]]).unwrap();
        world.links[link].flush(0);
        assert_eq!(world.next(link), Seen::Subscribed("c".to_owned()));
        // This has been read, since it came in one piece with the answer to the first, and has not been taken.
        world.links[link].publish(b"c", &[b"read"]).unwrap();
        world.links[link].command(&[b"ECHO", b"first"]).unwrap();
        world.links[link].flush(0);
        while world.links[link].parser.held_bytes() == 0 {
            world.turn();
        }
        // And this has not been written.
        world.links[link].command(&[b"ECHO", b"second"]).unwrap();
        let (mut world, link) = hand_over(world, link, &url);
        let (publisher, _) = world.up(&url);
        world.links[publisher].publish(b"c", &[b"later"]).unwrap();
        world.links[publisher].flush(0);
        let mut replies = Vec::new();
        let mut messages = Vec::new();
        world.until(link, |seen| {
            match seen {
                Seen::Reply(value) => replies.push(value),
                Seen::Message(channel, payload) => messages.push((channel, payload)),
                other => panic!("{other:?}"),
            }
            (replies.len() + messages.len() == 5).then_some(())
        });
        let bulk = |text: &str| Value::Bulk(text.as_bytes().into());
        assert_eq!(replies, [Value::Int(1), bulk("first"), bulk("second")]);
        let of_c = |text: &str| ("c".to_owned(), text.as_bytes().to_vec());
        assert_eq!(messages, [of_c("read"), of_c("later")]);
        assert_eq!(world.links[link].unanswered(), 0);
        // It is known which connection to end, should the next one be made while Redis holds commands of this one.
        world.ask(publisher, &["CLIENT", "KILL", "ID", &greeting.client_id.to_string()]);
        let again = world.until_up(link);
        assert!(again.is_same && again.run_id == greeting.run_id);
    }
}

#[test]
fn a_link_that_is_not_up_begins_anew_and_knows_what_was_before() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, greeting) = world.up(&redis.url());
    let (other, _) = world.up(&redis.url());
    world.ask(other, &["CLIENT", "KILL", "ID", &greeting.client_id.to_string()]);
    world.until(link, |seen| matches!(seen, Seen::Down(..)).then_some(()));
    let (mut world, link) = hand_over(world, link, &redis.url());
    let Seen::Up(greeting) = world.next(link) else { panic!("it is not up") };
    assert!(greeting.is_same);
}

#[test]
fn a_link_and_its_socket_come_together_or_not_at_all() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    let carried = world.links[link].carry();
    let next = world.link(&redis.url());
    let World { poll, links, .. } = &mut world;
    assert!(links[next].go_on_from(carried, None, poll.registry(), 0).is_err());
}
