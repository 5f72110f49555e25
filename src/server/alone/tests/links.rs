//! Links that listen, and the players that wait for them.

use super::support::{Client, finish, frame, link_request, player, small, text_frame};
use crate::core::Port;

fn listener(alone: &mut crate::reactor::Alone, share: &str) -> Client {
    let listen = format!("{{\"op\":\"listen\",\"events\":[\"open\",\"message\",\"close\"]{share}}}");
    let wire = [link_request("gannet.link.json"), text_frame(&listen)].concat();
    Client::new(alone, Port::Backend, wire)
}

/// The texts of the messages of `user` that a link has heard of, in their order.
fn texts(link: &Client, user: &str) -> Vec<String> {
    let of = format!("\\\"user\\\":\\\"{user}\\\",\\\"text\\\":\\\"");
    let heard = link.in_order();
    heard
        .iter()
        .filter_map(|message| Some(message.split_once(&of)?.1.trim_end_matches("\\\"}").to_owned()))
        .collect()
}

#[test]
fn players_that_wait_for_a_link_go_on_in_the_new_process_and_no_event_is_lost_or_doubled() {
    let mut alone = small(|config| config.limits.link_outbox_messages = 8);
    let mut clients = vec![listener(&mut alone, "")];
    finish(&mut alone, &mut clients);
    clients.extend(["a", "b", "c"].map(|user| player(&mut alone, user)));
    finish(&mut alone, &mut clients);
    let expected: Vec<String> = (0..300).map(|number| format!("m{number}")).collect();
    for client in &mut clients[1..] {
        client.wire = expected.iter().flat_map(|text| frame(1, text.as_bytes())).collect();
        client.sent = 0;
    }
    let (mut waited, mut carried) = (0, 0);
    for round in 0.. {
        for client in &mut clients[1..] {
            client.send(700);
        }
        alone.turn(3);
        waited += alone.gauges()[2];
        alone.carry().unwrap();
        carried += 1;
        // The link takes little at a time, and nothing at first.
        if round > 20 {
            clients[0].receive(900);
        }
        if clients.iter().all(|client| client.sent == client.wire.len()) && round > 400 {
            break;
        }
    }
    finish(&mut alone, &mut clients);
    assert!(waited > 20 && carried > 20, "{waited} times a player waited");
    for user in ["a", "b", "c"] {
        assert_eq!(texts(&clients[0], user), expected, "{user}");
    }
    assert_eq!(alone.gauges(), [1, 1, 0]);
}

#[test]
fn the_gate_of_a_link_that_is_behind_is_shut_in_the_new_process_until_the_link_has_taken_its_events() {
    let mut alone = small(|config| config.limits.link_outbox_messages = 8);
    let mut clients = vec![listener(&mut alone, "")];
    finish(&mut alone, &mut clients);
    clients.push(player(&mut alone, "a"));
    finish(&mut alone, &mut clients);
    let expected: Vec<String> = (0..300).map(|number| format!("m{number}")).collect();
    clients[1].wire = expected.iter().flat_map(|text| frame(1, text.as_bytes())).collect();
    clients[1].sent = 0;
    while alone.gauges()[2] == 0 {
        clients[1].send(100);
        alone.run();
    }
    alone.carry().unwrap();
    alone.run();
    assert_eq!(alone.gauges()[2], 1, "the link has taken nothing meanwhile");
    finish(&mut alone, &mut clients);
    assert_eq!(texts(&clients[0], "a"), expected);
    assert_eq!(alone.gauges()[2], 0);
}

#[test]
fn a_session_stays_with_its_link_of_a_share() {
    let mut alone = small(|_| {});
    let share = ",\"share\":\"game\"";
    let mut clients =
        vec![listener(&mut alone, share), listener(&mut alone, share), listener(&mut alone, share)];
    finish(&mut alone, &mut clients);
    let users: Vec<String> = (0..20).map(|number| format!("u{number}")).collect();
    clients.extend(users.iter().map(|user| player(&mut alone, user)));
    finish(&mut alone, &mut clients);
    for number in 0..3 {
        for client in &mut clients[3..] {
            client.wire.extend(frame(1, format!("m{number}").as_bytes()));
        }
        finish(&mut alone, &mut clients);
        alone.carry().unwrap();
    }
    for user in &users {
        let heard: Vec<Vec<String>> = clients[..3].iter().map(|link| texts(link, user)).collect();
        assert_eq!(heard.concat(), ["m0", "m1", "m2"]);
        assert_eq!(heard.iter().filter(|texts| !texts.is_empty()).count(), 1, "{user}");
    }
}

#[test]
fn a_link_that_ends_after_it_was_carried_is_heard_of_no_more() {
    let mut alone = small(|_| {});
    let mut clients = vec![listener(&mut alone, ""), player(&mut alone, "a")];
    finish(&mut alone, &mut clients);
    alone.carry().unwrap();
    let link = clients.remove(0);
    drop(link);
    finish(&mut alone, &mut clients);
    assert_eq!(alone.gauges(), [0, 0, 0]);
    let carried = alone.carry().unwrap();
    assert!(carried.is_empty(), "{carried:?}");
}
