//! Who gets a session back, and who does not.

use super::*;
use gannet::config::Secret;

#[test]
fn what_is_no_ticket_opens_another_session_and_says_why() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    let real = ada.ticket.clone();
    let other = if real.ends_with('A') { 'B' } else { 'A' };
    for ticket in
        ["", "x", &real[1..], &format!("{}{other}", &real[..real.len() - 1]), &"A".repeat(real.len())]
    {
        ada.ticket = ticket.to_owned();
        ada.comes_back_in_vain("unknown");
    }
    ada.ticket = real;
    ada.come_back();
}

#[test]
fn a_ticket_of_another_server_or_of_an_app_that_does_not_resume_is_unknown() {
    let (one, other) = (server(|_| {}), TestServer::start(|_| {}));
    let ada = Comer::new(*one, "user=ada");
    let player = other.player(&ada.query());
    assert_eq!((&player.welcome["resumed"], &player.welcome["why"]), (&false.into(), &"unknown".into()));
    assert_eq!(player.welcome["resume"], Value::Null, "sessions there end with their connections");
    assert_eq!(other.player("user=bob").welcome["resumed"], Value::Null, "nobody has asked");
}

#[test]
fn a_ticket_is_good_until_the_client_has_shown_that_it_has_the_next() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    let (first, sent) = (ada.ticket.clone(), push_all(*server, "user=ada", 0..2));
    ada.vanish();
    ada.come_back();
    assert_eq!(ada.texts(1), sent[..1]);
    // The welcome was lost, as far as the client can tell.
    ada.ticket = first.clone();
    ada.come_back();
    assert_eq!(ada.texts(1), sent[1..]);
    ada.player().send_text("here I am");
    let mut link = server.link();
    link.listen(&["message"], None);
    ada.player().send_text("heard");
    assert_eq!(link.event()["text"], "heard");
    let (newest, player) = (ada.ticket.clone(), ada.player.take());
    ada.ticket = first;
    ada.comes_back_in_vain("unknown");
    ada.ticket = newest;
    ada.come_back();
    drop(player);
}

#[test]
fn however_many_welcomes_are_lost_the_ticket_before_them_is_good() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    let (first, sent) = (ada.ticket.clone(), push_all(*server, "user=ada", 0..3));
    for _ in 0..5 {
        ada.vanish();
        ada.ticket = first.clone();
        ada.come_back();
    }
    assert_eq!(ada.texts(3), sent);
    let last = ada.ticket.clone();
    ada.vanish();
    ada.come_back();
    ada.vanish();
    // It has shown that it has the last one by coming back with it.
    ada.ticket = first;
    ada.comes_back_in_vain("unknown");
    ada.ticket = last;
    ada.come_back();
}

#[test]
fn a_count_that_cannot_be_is_a_gap_and_ends_a_session_that_waits() {
    let server = server(|config| config.apps.get_mut("default").unwrap().resume.messages = 3);
    let mut ada = Comer::new(*server, "user=ada");
    let sent = push_all(*server, "user=ada", 0..5);
    assert_eq!(ada.texts(2), sent[..2]);
    ada.vanish();
    ada.await_away();
    let real = ada.received;
    ada.received = 1;
    ada.comes_back_in_vain("gap");
    server.await_stats("nobody is away", |stats| stats["away"] == 0);
    ada.received = real;
    ada.comes_back_in_vain("expired");
}

#[test]
fn more_than_was_sent_is_a_gap() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    push_all(*server, "user=ada", 0..2);
    ada.texts(2);
    ada.vanish();
    ada.received = 3;
    ada.comes_back_in_vain("gap");
}

#[test]
fn a_session_is_only_for_who_opened_it() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada&group=red");
    push_all(*server, "user=ada", 0..1);
    ada.vanish();
    ada.await_away();
    let foreign = server.player(&format!("{}&user=eve", ada.query()));
    assert_eq!((&foreign.welcome["resumed"], &foreign.welcome["why"]), (&false.into(), &"user".into()));
    assert_eq!(foreign.user.as_deref(), Some("eve"), "a session of its own");
    let back = server.player(&format!("{}&user=ada", ada.query()));
    assert_eq!((&back.welcome["resumed"], back.user.as_deref()), (&true.into(), Some("ada")));
}

#[test]
fn where_players_prove_who_they_are_they_prove_it_again() {
    let secret = "a secret of thirty-two bytes or more";
    let server = server(|config| config.apps.get_mut("default").unwrap().secrets = vec![Secret::new(secret)]);
    let token = |user: &str| {
        let claims = serde_json::json!({"sub": user, "exp": crate::tokens::now() + 600});
        crate::tokens::token(r#"{"alg":"HS256"}"#, &claims, secret)
    };
    let player = server.player(&format!("token={}", token("ada")));
    let mut ada = Comer {
        ports: *server,
        player: None,
        ticket: String::new(),
        received: 0,
        session: player.id.to_string(),
    };
    ada.has(player);
    push_all(*server, "user=ada", 0..2);
    ada.vanish();
    ada.await_away();
    let refused =
        server.try_player(&format!("/ws?{}", ada.query())).map(|player| player.welcome).unwrap_err();
    assert_eq!(refused.status(), 401, "a ticket is no proof");
    let eve = server.player(&format!("{}&token={}", ada.query(), token("eve")));
    assert_eq!((&eve.welcome["resumed"], &eve.welcome["why"]), (&false.into(), &"user".into()));
    let back = server.player(&format!("{}&token={}", ada.query(), token("ada")));
    assert_eq!(back.welcome["resumed"], true);
    ada.has(back);
    assert_eq!(ada.texts(2), ["0", "1"]);
}

#[test]
fn the_parameters_come_together() {
    let server = server(|_| {});
    for query in ["resume=x", "received=1", "resume=x&received=-1", "resume=x&received=1&received=1"] {
        let refused = server.try_player(&format!("/ws?{query}")).map(|player| player.welcome).unwrap_err();
        assert_eq!(refused.status(), 400, "{query}");
    }
}
