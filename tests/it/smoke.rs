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
