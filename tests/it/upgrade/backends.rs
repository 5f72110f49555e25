//! Connections of backends across an upgrade: requests that are half sent or wait in line, links, events.

use super::running::{Running, await_metric};
use crate::raw::{PING, Raw, TEXT, masked, request, request_with, upgrade};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Sends each of `requests` cut at every `step`-th byte, an upgrade between, and hands each connection to `check`.
fn cut_and_go_on(bytes: &[u8], step: usize, check: impl Fn(&mut Raw, usize)) {
    let config = "timeouts.head_ms = 60000\ntimeouts.message_ms = 60000";
    let mut server = Running::start(&["--reactors", "2"], config);
    let begin = |cut: usize| {
        let mut raw = Raw::connect(server.backend);
        raw.send(&bytes[..cut]);
        (raw, cut)
    };
    let begun: Vec<_> = (0..bytes.len()).step_by(step).map(begin).collect();
    server.upgrade();
    for (mut raw, cut) in begun {
        raw.send(&bytes[cut..]);
        check(&mut raw, cut);
        assert!(!raw.is_readable(), "more than the answers, cut at {cut}");
    }
}

#[test]
fn a_request_that_is_half_sent_before_is_answered_after() {
    let push = request_with("POST /v1/push?user=nobody", "the message");
    cut_and_go_on(push.as_bytes(), 1, |raw, cut| {
        let answer = raw.answer();
        assert_eq!((answer.status, &answer.json()["offline"]), (200, &json!(1)), "cut at {cut}");
    });
}

#[test]
fn a_body_in_chunks_that_is_half_sent_before_is_answered_after() {
    let [first, second] = [r#"{"id":1,"op":"push","to":{"us"#, r#"er":"nobody"},"text":"hi"}"#];
    let chunks = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x};by=a game\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nX-Trailer: is passed over\r\n\r\n",
        first.len(),
        second.len()
    );
    cut_and_go_on(chunks.as_bytes(), 1, |raw, cut| {
        let answer = raw.answer();
        assert_eq!(answer.status, 200, "cut at {cut}: {answer:?}");
        let reply: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&reply["id"], &reply["ok"]["offline"]), (&json!(1), &json!(1)), "cut at {cut}");
    });
}

#[test]
fn requests_in_a_row_cut_anywhere_are_each_answered_once_and_in_order() {
    let all = [
        request("GET /healthz"),
        request_with("POST /v1/push?user=nobody", "one"),
        request("GET /v1/sessions/00a0000000000001"),
        request("DELETE /v1/groups/g"),
        request("GET /readyz"),
    ];
    cut_and_go_on(all.concat().as_bytes(), 3, |raw, cut| {
        let answers: Vec<u16> = (0..all.len()).map(|_| raw.answer().status).collect();
        assert_eq!(answers, [200, 200, 404, 200, 200], "cut at {cut}");
    });
}

#[test]
fn a_command_that_is_half_sent_before_is_done_after() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let command = masked(TEXT, br#"{"id":7,"op":"push","to":{"user":"nobody"},"text":"hi"}"#);
    let begin = |cut: usize| {
        let mut raw = Raw::connect(server.backend);
        raw.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
        assert_eq!(raw.answer().status, 101);
        raw.send(&command[..cut]);
        (raw, cut)
    };
    let begun: Vec<_> = (0..=command.len()).map(begin).collect();
    server.upgrade();
    for (mut raw, cut) in begun {
        raw.send(&command[cut..]);
        let frame = raw.frame().unwrap();
        assert!(frame.text().starts_with(r#"{"id":7,"ok":"#), "cut at {cut}: {}", frame.text());
    }
}

#[test]
fn what_backends_send_while_it_goes_on_is_done_once_and_answered() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.handover_ms = 60000");
    let mut player = server.player("user=ada");
    let (mut http, mut json_link, mut binary_link) = (server.backend(), server.link(), server.binary_link());
    let mut number = 0;
    for step in ["new:ready", "new:listeners", "new:receiving", "new:received", "new:restored", "new:taken"] {
        let mut sent = Vec::new();
        server.upgrade_around(step, |ports| {
            for _ in 0..20 {
                number += 1;
                http.send_push("user=ada", &tungstenite::Message::text(format!("http {number}")));
                let command =
                    |text: &str| json!({ "op": "push", "to": { "user": "ada" }, "text": format!("{text} {number}") });
                json_link.send(command("json"));
                binary_link.send(command("binary"));
                sent.extend(["http", "json", "binary"].map(|source| format!("{source} {number}")));
            }
            // One who comes in the middle waits.
            let mut late = ports.backend();
            late.send_push("user=ada", &tungstenite::Message::text(format!("late {number}")));
            sent.push(format!("late {number}"));
            drop(late);
        });
        for _ in 0..20 {
            assert_eq!(http.receive_receipt().queued, 1, "{step}");
            for link in [&mut json_link, &mut binary_link] {
                assert_eq!(link.receive().1.unwrap()["queued"], 1, "{step}");
            }
        }
        let read: Vec<String> = (0..sent.len()).map(|_| player.recv_text()).collect();
        for source in ["http", "json", "binary", "late"] {
            let of_source = |texts: &[String]| -> Vec<String> {
                texts.iter().filter(|text| text.starts_with(source)).cloned().collect()
            };
            assert_eq!(of_source(&read), of_source(&sent), "{step}");
        }
    }
}

#[test]
fn a_link_that_listens_misses_no_event() {
    let mut server = Running::start(&["--reactors", "3"], "");
    let (mut json_link, mut binary_link) = (server.link(), server.binary_link());
    for link in [&mut json_link, &mut binary_link] {
        link.listen(&["open", "message", "close"], None);
    }
    let mut players: BTreeMap<String, Player> = BTreeMap::new();
    let mut numbers = BTreeMap::<String, u64>::new();
    let stops = AtomicBool::new(false);
    let ports = *server;
    let sent = thread::scope(|scope| {
        let speaking = scope.spawn(|| {
            // Some come, all say something, and some go.
            let mut left = BTreeMap::new();
            while !stops.load(Ordering::Relaxed) {
                if players.len() < 20 {
                    let player = ports.player(&format!("user=u{}", left.len()));
                    numbers.insert(player.id.to_string(), 0);
                    players.insert(player.id.to_string(), player);
                }
                for (id, player) in &mut players {
                    let number = numbers.get_mut(id).unwrap();
                    player.send_text(&number.to_string());
                    *number += 1;
                }
                if players.len() == 20 {
                    let (id, player) = players.pop_first().unwrap();
                    player.close(1000, "");
                    left.insert(id.clone(), numbers.remove(&id).unwrap());
                }
            }
            for (id, player) in std::mem::take(&mut players) {
                player.close(1000, "");
                left.insert(id.clone(), numbers.remove(&id).unwrap());
            }
            left
        });
        let mut links = [&mut json_link, &mut binary_link];
        let mut heard = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..4 {
            server.upgrade();
            for (link, heard) in links.iter_mut().zip(&mut heard) {
                (0..200).for_each(|_| hear(heard, &link.event()));
            }
        }
        stops.store(true, Ordering::Relaxed);
        let sent = speaking.join().unwrap();
        for (link, heard) in links.iter_mut().zip(&mut heard) {
            while heard.len() < sent.len() || heard.values().any(|(_, closed)| !closed) {
                hear(heard, &link.event());
            }
            let counts: BTreeMap<String, u64> =
                heard.iter().map(|(id, (next, _))| (id.clone(), *next)).collect();
            assert_eq!(counts, sent);
        }
        sent
    });
    assert!(!sent.is_empty());
    assert_eq!(server.backend().scrape().sum("gannet_link_events_lost_total", &[]), 0);
}

/// Notes an event: `open` first, the messages in their order, `close` last.
fn hear(heard: &mut BTreeMap<String, (u64, bool)>, event: &Value) {
    let id = event["session"].as_str().unwrap().to_owned();
    match event["event"].as_str().unwrap() {
        "open" => assert_eq!(heard.insert(id, (0, false)), None, "{event}"),
        "message" => {
            let (next, closed) = heard.get_mut(&id).unwrap_or_else(|| panic!("not open: {event}"));
            assert_eq!((event["text"].as_str().unwrap(), *closed), (&*next.to_string(), false), "{event}");
            *next += 1;
        }
        "close" => {
            let (_, closed) = heard.get_mut(&id).unwrap_or_else(|| panic!("not open: {event}"));
            assert!(!std::mem::replace(closed, true), "closed twice: {event}");
            assert_eq!(event["code"], 1000);
        }
        _ => panic!("{event}"),
    }
}

#[test]
fn a_link_that_reads_late_gets_every_event_in_order() {
    const SAID: usize = 300;
    let config = "limits.max_frame_bytes = 4096\nlimits.max_message_bytes = 4096\nlimits.link_outbox_bytes = 65536\ntimeouts.link_stalled_ms = 600000";
    let mut server = Running::start(&["--reactors", "3"], config);
    let mut link = Raw::connect_narrow(server.backend);
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    link.send(masked(TEXT, br#"{"id":1,"op":"listen","events":["message"]}"#));
    assert_eq!(link.frame().unwrap().text(), r#"{"id":1,"ok":{}}"#);
    let players: Vec<Raw> =
        (0..10).map(|number| Raw::player(server.client, &format!("/ws?user=u{number}"))).collect();
    let speaking: Vec<_> = (players.iter())
        .map(|player| {
            let mut sender = player.sender();
            thread::spawn(move || {
                for number in 0..SAID {
                    let said = format!("{number} {}", "x".repeat(2_000));
                    sender.write_all(&masked(TEXT, said.as_bytes())).unwrap();
                }
            })
        })
        .collect();
    let mut next = BTreeMap::<String, usize>::new();
    let mut hear = |link: &mut Raw, count: usize| {
        for _ in 0..count {
            let frame = link.frame().unwrap();
            if frame.first != TEXT {
                assert_eq!(frame.first, PING);
                continue;
            }
            let event: Value = serde_json::from_slice(&frame.payload).unwrap();
            let next = next.entry(event["user"].as_str().unwrap().to_owned()).or_default();
            let said = event["text"].as_str().unwrap();
            assert_eq!((said.split(' ').next().unwrap(), said.len() > 2_000), (&*next.to_string(), true));
            *next += 1;
        }
    };
    for _ in 0..4 {
        // The players wait for the link.
        await_metric(&server, "gannet_paused", |paused| paused > 0);
        server.upgrade();
        hear(&mut link, 300);
    }
    hear(&mut link, players.len() * SAID - 4 * 300);
    for speaking in speaking {
        speaking.join().unwrap();
    }
    assert_eq!(server.backend().scrape().sum("gannet_link_events_lost_total", &[]), 0);
}

#[test]
fn links_that_share_keep_their_sessions() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut links = [server.link(), server.binary_link(), server.link()];
    links.iter_mut().for_each(|link| link.listen(&["message"], Some("game")));
    let mut players: Vec<Player> = (0..30).map(|number| server.player(&format!("user=u{number}"))).collect();
    let mut said = 0;
    // Which link hears of whom.
    let mut hear = |server: &Running, what: &str| -> Vec<BTreeSet<String>> {
        players.iter_mut().for_each(|player| player.send_text(what));
        said += players.len() as u64;
        await_metric(server, "gannet_link_events_total", |events| events >= said);
        let heard = links.iter_mut().map(|link| {
            // The events stand before the reply.
            link.command(json!({ "op": "push", "to": { "user": "nobody" }, "text": "" }));
            let events = link.events_so_far();
            events.iter().map(|event| event["session"].as_str().unwrap().to_owned()).collect()
        });
        heard.collect()
    };
    let before = hear(&server, "before");
    assert!(before.iter().all(|heard| !heard.is_empty()), "{before:?}");
    assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), 30);
    server.upgrade();
    assert_eq!(hear(&server, "after"), before);
    server.upgrade();
    assert_eq!(hear(&server, "again"), before);
}

#[test]
fn a_link_whose_key_is_gone_is_closed_and_the_others_stay() {
    let (operator, game) = ("the-key-of-the-operator", "the-key-of-the-game");
    let config = |with_game: bool| {
        let game = format!("keys = [{{ name = 'game', key = '{game}', may = ['push'] }}]");
        let keys = if with_game { game.as_str() } else { "" };
        format!("[backend]\nkey = '{operator}'\n{keys}")
    };
    let mut server = Running::start(&["--reactors", "2"], &config(true));
    let link = |key: &str| {
        let mut raw = Raw::connect(server.backend);
        let more = format!("Sec-WebSocket-Protocol: gannet.link.json\r\nAuthorization: Bearer {key}\r\n");
        raw.send(upgrade("/v1/link", &more));
        assert_eq!(raw.answer().status, 101);
        raw
    };
    let mut links = [link(operator), link(game)];
    std::fs::write(server.config(), config(false)).unwrap();
    let mut asks = Raw::connect(server.backend);
    asks.send(format!(
        "POST /v1/admin/upgrade HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {operator}\r\nContent-Length: 0\r\n\r\n"
    ));
    let answer = asks.answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    server.succeeded(&answer.json());
    assert_eq!(links[1].frame().unwrap().close().0, 1008);
    links[0].send(masked(TEXT, br#"{"id":1,"op":"push","to":{"user":"nobody"},"text":"hi"}"#));
    assert!(links[0].frame().unwrap().text().starts_with(r#"{"id":1,"ok":"#));
}
