//! What waits to be delivered while the rules change.

use crate::faults_deflate::Deflated;
use crate::support::*;
use serde_json::json;
use tungstenite::Message;

#[test]
fn what_waits_for_a_tick_that_is_gone_comes_at_that_tick_and_the_next_at_once() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().group_tick_ms.insert("match/".to_owned(), 700);
    });
    let mut player = server.player("user=ada&group=match/1");
    let mut backend = server.backend();
    backend.push_text("group=match/1", "waits");
    server.reload(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.group_tick_ms.clear();
        app.group_tick_ms.insert("other/".to_owned(), 10);
    });
    assert_eq!(player.recv_text(), "waits");
    let ticks = backend.scrape().sum("gannet_ticks_total", &[]);
    backend.push_text("group=match/1", "at once");
    assert_eq!(player.recv_text(), "at once");
    assert_eq!(backend.scrape().sum("gannet_ticks_total", &[]), ticks);
    server.reload(|config| {
        _ = config.apps.get_mut("default").unwrap().group_tick_ms.insert("match/".to_owned(), 20)
    });
    for number in 0..5 {
        backend.push_text("group=match/1", &number.to_string());
    }
    (0..5).for_each(|number| assert_eq!(player.recv_text(), number.to_string()));
    assert!(backend.scrape().sum("gannet_ticks_total", &[]) > ticks);
}

#[test]
fn compression_may_come_and_go_under_sessions_that_have_agreed_on_it() {
    let server = TestServer::start(|_| {});
    let offers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let agrees = || {
        let answer = crate::tokens::ask(server.client, "/ws", offers);
        answer.header("sec-websocket-extensions").is_some()
    };
    assert!(!agrees());
    server.reload(|config| config.deflate.enabled = true);
    assert!(agrees());
    let mut compressed = Deflated::connect(*server);
    let text = "a text that is long enough for compression, ".repeat(20);
    let mut backend = server.backend();
    for enabled in [true, false, true] {
        server.reload(|config| config.deflate.enabled = enabled);
        backend.push_text("group=g", &text);
        assert_eq!(compressed.recv(), (Message::text(text.as_str()), true));
    }
    server.reload(|config| config.deflate.enabled = false);
    assert!(!agrees());
    backend.push_text("group=g", &text);
    assert_eq!(compressed.recv(), (Message::text(text.as_str()), true));
}

#[test]
fn a_link_hears_everything_across_reloads() {
    let server = TestServer::start(|_| {});
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    for round in 0..20 {
        let mut player = server.player(&format!("user=u{round}"));
        server.reload(|config| config.limits.max_page = 100 + round);
        player.send_text("hello");
        let events = [link.event(), link.event()];
        assert_eq!(events.map(|event| event["event"].clone()), [json!("open"), json!("message")]);
        drop(player);
        assert_eq!(link.event()["event"], "close");
    }
}
