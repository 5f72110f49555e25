//! What is waited for from when it happens, however long ago the turn began that hears of it.

use super::support::{finish, player, small};
use crate::config::AppConfig;
use crate::core::Port;
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

#[test]
fn a_stranger_is_spared_from_when_it_came_however_long_ago_the_turn_began() {
    for port in [Port::Client, Port::Backend] {
        assert!(small(|_| ()).spares_who_comes(port, Duration::from_millis(30)), "{port:?}");
    }
}
