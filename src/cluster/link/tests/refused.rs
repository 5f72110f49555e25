//! Servers that a link must not take.

use super::super::super::fault::FaultKind;
use super::super::super::redis_server::RedisServer;
use super::world::{LIMITS, Seen, World};

/// Why the first try fails.
fn failure(world: &mut World, url: &str) -> (FaultKind, String) {
    let link = world.link(url);
    match world.next(link) {
        Seen::Failed(kind, text) => (kind, text),
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn a_login_is_right_or_the_fault_says_what_is_wrong_with_it() {
    let redis = RedisServer::start(&["--requirepass", "open sesame"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", redis.port());
    let mut world = World::new(LIMITS);
    for login in ["", ":hunter2@", "nobody:open%20sesame@"] {
        let (kind, text) = failure(&mut world, &url(login));
        assert_eq!(kind, FaultKind::Password, "{login}: {text}");
        assert!(!text.contains("hunter2") && !text.contains("sesame"), "{text}");
    }
    world.up(&url(":open%20sesame@"));
    world.up(&url("default:open%20sesame@"));
}

#[test]
fn a_replica_is_refused() {
    let primary = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port())]);
    let (kind, text) = failure(&mut World::new(LIMITS), &replica.url());
    assert!(kind == FaultKind::Replica && text.contains("name the primary"), "{text}");
}

#[test]
fn a_channel_that_the_user_may_not_hear_ends_the_link() {
    let redis = RedisServer::start(&["--user", "few", "on", ">pw", "+@all", "~*", "&mine:*"]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&format!("redis://few:pw@127.0.0.1:{}", redis.port()));
    world.links[link].subscribe([&b"mine:a"[..]]).unwrap();
    assert_eq!(world.next(link), Seen::Subscribed("mine:a".to_owned()));
    world.links[link].subscribe([&b"yours:a"[..]]).unwrap();
    match world.next(link) {
        Seen::Down(FaultKind::Password, text) => assert!(text.contains("SUBSCRIBE: allow it"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_host_or_path_that_is_none_is_a_fault_of_its_own() {
    let mut world = World::new(LIMITS);
    let (kind, text) = failure(&mut world, "redis://gannet.invalid");
    assert_eq!(kind, FaultKind::Resolve, "{text}");
    let (kind, text) = failure(&mut world, "unix:///gannet/is/not/here.sock");
    assert_eq!(kind, FaultKind::Refused, "{text}");
    // What is bound and not listened to refuses.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    let (kind, text) = failure(&mut world, &format!("redis://{address}"));
    assert_eq!(kind, FaultKind::Refused, "{text}");
    let (kind, text) = failure(&mut world, &format!("redis://localhost:{}", address.port()));
    assert_eq!(kind, FaultKind::Refused, "{text}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_says_so() {
    let (kind, text) = failure(&mut World::new(LIMITS), "rediss://127.0.0.1");
    assert!(kind == FaultKind::Tls && text.contains("feature `tls`"), "{text}");
}
