//! Several commands in one message of a link.

use crate::support::TestServer;
use serde_json::{Value, json};
use tungstenite::Message;

#[test]
fn each_command_of_a_message_is_as_if_it_had_come_alone() {
    const ROUNDS: usize = 20;
    let server = TestServer::start(|_| ());
    let mut players: Vec<_> = (0..6).map(|number| server.player(&format!("user=u{number}"))).collect();
    for mut link in [server.link(), server.binary_link()] {
        for round in 0..ROUNDS {
            let group = format!("g{round}");
            // Whoever joins is there for the push behind it: what changes something is done first.
            let mut commands: Vec<Value> = (0..players.len())
                .map(|number| json!({"op": "join", "group": group, "user": format!("u{number}")}))
                .collect();
            commands.push(json!({"op": "push", "to": {"group": group}, "text": format!("{round}")}));
            commands.push(json!({"op": "move", "group": "nowhere", "to": ""}));
            commands.push(json!({"op": "destroy", "group": group}));
            commands.push(json!({"op": "push", "to": {"group": group}, "text": "nobody"}));
            let first = link.send_several(&commands);
            let mut replies: Vec<(u64, Result<Value, Value>)> =
                commands.iter().map(|_| link.receive()).collect();
            replies.sort_by_key(|(id, _)| *id);
            assert!(replies.iter().map(|(id, _)| *id).eq(first..first + commands.len() as u64));
            let all = players.len();
            let outcomes: Vec<Value> =
                replies.into_iter().map(|(_, reply)| reply.unwrap_or_else(|error| error)).collect();
            assert!(outcomes[..all].iter().all(|joined| joined["sessions"] == 1), "{outcomes:?}");
            assert_eq!(outcomes[all]["matched"], all);
            assert_eq!(outcomes[all + 1]["code"], "bad_request");
            assert_eq!(
                (&outcomes[all + 2]["sessions"], &outcomes[all + 3]["matched"]),
                (&json!(all), &json!(0))
            );
        }
        for player in &mut players {
            (0..ROUNDS).for_each(|round| assert_eq!(player.recv_text(), round.to_string()));
        }
    }
}

#[test]
fn a_message_of_too_many_or_none_is_refused_as_a_whole() {
    let server = TestServer::start(|config| config.limits.max_pipelined = 3);
    let mut player = server.player("user=ada");
    let push = || json!({"op": "push", "to": {"user": "ada"}, "text": "hi"});
    for mut link in [server.link(), server.binary_link()] {
        link.send_several(&[push(), push(), push(), push()]);
        let (id, refused) = link.receive();
        assert_eq!((id, &refused.unwrap_err()["code"]), (0, &json!("bad_request")));
        link.send_several(&[]);
        assert!(link.receive().1.is_err());
        link.send_several(&[push(), push(), push()]);
        assert!((0..3).all(|_| link.receive().1.is_ok()));
        (0..3).for_each(|_| assert_eq!(player.recv_text(), "hi"));
    }
    let mut link = server.link();
    for bad in ["[", "[{}", r#"[{"op":"push"},]"#] {
        link.send_raw(Message::text(bad));
        assert_eq!(link.receive().1.unwrap_err()["code"], "bad_request", "{bad}");
    }
    link.send_raw(Message::text(r#"[17,{"id":5,"op":"destroy","group":"g"}]"#));
    assert!(link.receive().1.is_err());
    assert_eq!(link.receive(), (5, Ok(json!({"sessions": 0}))));
    let mut link = server.binary_link();
    for bad in [vec![0x7f], vec![0x7f, 1, 0, 0, 0, 0, 0, 0], vec![0x7f, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]] {
        link.send_raw(Message::binary(bad));
        assert_eq!(link.receive().1.unwrap_err()["code"], "bad_request");
    }
}
