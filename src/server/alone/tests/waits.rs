//! What a session waits for in the turn that hears of it.

use super::support::{finish, player, small};
use crate::config::AppConfig;
use std::time::Duration;

#[test]
fn a_session_waits_from_when_its_connection_was_lost_however_long_ago_the_turn_began() {
    let mut alone = small(|config| {
        let mut app = AppConfig::default();
        app.resume.linger_ms = 2_000;
        config.apps.insert("default".into(), app);
    });
    let mut clients = vec![player(&mut alone, "a")];
    finish(&mut alone, &mut clients);
    let waits_ms = alone.lose(clients[0].id, Duration::from_millis(30));
    assert!(waits_ms.is_some_and(|waits_ms| waits_ms > 2_000), "{waits_ms:?}");
}
