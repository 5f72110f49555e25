//! The shortest way through everything.

use crate::support::*;
use serde_json::json;

#[test]
fn a_push_reaches_a_player_a_pool_and_a_link() {
    let server = TestServer::start(|_| ());
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    let mut ada = server.player("user=ada");
    assert_eq!(link.event()["event"], "open");
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    pool.add(server.player("user=bob"));
    let receipt = server.backend().push_text("user=ada&user=bob&user=eve", "hi");
    assert_eq!((receipt.matched, receipt.offline), (2, 1));
    assert_eq!(ada.recv_text(), "hi");
    pool.wait("hi", |logs| logs[0].messages == ["hi"]);
    assert_eq!(link.command(json!({"op": "push", "to": {"user": "ada"}, "data": "AAEC"}))["matched"], 1);
    assert_eq!(ada.recv().into_data().as_ref(), [0, 1, 2]);
    assert!(ada.close(1000, "bye").is_empty());
    server.await_stats("one session", |totals| totals["sessions"] == 1);
}

/// An app that panics on its first session.
struct Panicking;

impl gannet::App for Panicking {
    fn open(&mut self, _: &mut gannet::Session<'_>) {
        panic!("an app's mistake");
    }
}

#[test]
fn a_server_whose_app_panics_ends_and_says_which_reactor_it_was() {
    let address: gannet::config::Listen = "127.0.0.1:0".parse().unwrap();
    let backend = gannet::config::Backend { listen: address.clone(), ..Default::default() };
    let config = gannet::config::Config { listen: address, backend, reactors: Some(3), ..Default::default() };
    let server = gannet::Server::bind(config).unwrap();
    let players = server.client_addr();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run(|_| Box::new(Panicking)));
        // Its end is the end of the server: there is no welcome to wait for.
        let _ = tungstenite::connect(format!("ws://{players}/ws"));
        let ended = running.join().expect("the panic stays in the reactor");
        assert!(matches!(ended, Err(gannet::RunError::Panicked { reactor: 0 })), "{ended:?}");
    });
}
