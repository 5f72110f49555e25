//! What the server is up against on the open internet, in two tables: one for a server with secrets and bounds, one for a
//! server without. Each attack runs while five hundred healthy players get twenty messages a second, and lose nothing; and
//! what was refused is counted.

mod crowds;
mod floods;
mod garbage;
mod intruders;
mod oversize;
mod stage;

use crate::support::heavy;
use crate::tokens::{CHESS, DEFAULT};
use stage::Stage;

/// One attack. It asserts itself how each attacker is answered.
struct Attack {
    what: &'static str,
    run: fn(&mut Stage),
    /// The counters of `GET /v1/stats` that must have grown meanwhile, and by how much at the least.
    counted: &'static [(&'static str, u64)],
}

const fn attack(what: &'static str, run: fn(&mut Stage), counted: &'static [(&'static str, u64)]) -> Attack {
    Attack { what, run, counted }
}

const AGAINST_GUARDED: &[Attack] = &[
    attack("forged tokens", intruders::forged, &[("/auth_failures/signature", 40)]),
    attack("expired tokens", intruders::expired, &[("/auth_failures/expired", 20)]),
    attack("tokens without an algorithm", intruders::unsigned, &[("/auth_failures/algorithm", 20)]),
    attack("a replayed signed query", intruders::replayed, &[("/auth_failures/replayed", 20)]),
    attack("another app's token", intruders::token_of_another_app, &[("/auth_failures/signature", 20)]),
    attack("another app's names and ids", intruders::names_of_another_app, &[("/closed/4001", 1)]),
    attack("slow heads", floods::slow_heads, &[("/refused/head_timeout", 100)]),
    attack("a flood of fragments", floods::fragments, &[("/protocol_errors/policy", 5)]),
    attack("a flood of pings", floods::pings, &[("/throttled/messages", 5), ("/closed/1008", 5)]),
    attack("a deflate bomb", floods::deflate_bomb, &[("/protocol_errors/too_big", 5)]),
    attack("coming back for a fresh rate", floods::reconnecting, &[("/refused/rate", 60)]),
    attack("coming back for another place", floods::one_user_everywhere, &[("/refused/user", 40)]),
    attack(
        "oversized upgrades",
        oversize::upgrades,
        &[("/refused/head_too_large", 20), ("/refused/target_too_long", 10)],
    ),
    attack("oversized frames and messages", oversize::messages, &[("/protocol_errors/too_big", 20)]),
    attack("oversized backend requests", oversize::requests, &[("/http_requests/4xx", 11)]),
    attack("garbage before the upgrade", garbage::before_the_upgrade, &[("/refused/malformed", 1)]),
    attack("garbage after the upgrade", garbage::after_the_upgrade, &[("/protocol_errors/protocol", 40)]),
    attack("garbage on the backend port", garbage::on_the_backend_port, &[]),
    attack("garbage on links", garbage::on_links, &[]),
    attack("5,000 connections from one address", crowds::turned_away, &[("/refused/connections", 1_000)]),
];

const AGAINST_OPEN: &[Attack] = &[
    attack("5,000 players from one address", crowds::let_in, &[]),
    attack("200 stalled readers of a busy group", crowds::stalled, &[("/closed/4003", 200)]),
];

fn run(stage: &mut Stage, table: &[Attack]) {
    stage.assert_unharmed("before any attack");
    for attack in table {
        let before = stage.stats();
        (attack.run)(stage);
        stage.assert_unharmed(attack.what);
        let after = stage.stats();
        for (counter, least) in attack.counted {
            let of = |totals: &serde_json::Value| {
                totals.pointer(counter).and_then(|count| count.as_u64()).unwrap()
            };
            let counted = of(&after) - of(&before);
            assert!(counted >= *least, "{}: {counter} has grown by {counted}", attack.what);
        }
    }
}

#[test]
fn a_guarded_server_refuses_and_its_players_lose_nothing() {
    let _heavy = heavy();
    let config = format!(
        r#"
        [apps.default]
        secrets = ["{DEFAULT}"]
        [apps.chess]
        secrets = ["{CHESS}"]
        per_user = {{ max = 2, policy = "refuse" }}
        [limits]
        connections_per_address = 200
        max_push_bytes = 65536
        max_body_bytes = 1048576
        max_selectors = 64
        max_batch_lines = 100
        [rates]
        upgrades_per_address = {{ per_second = 1, burst = 20 }}
        messages = {{ per_second = 50, burst = 500 }}
        bytes = {{ per_second = 1000000, burst = 4000000 }}
        [deflate]
        enabled = true
        [timeouts]
        upgrade_ms = 1000
        close_ms = 1000
        "#
    );
    run(&mut Stage::new(&config, stage::guarded), AGAINST_GUARDED);
}

#[test]
fn an_open_server_bears_a_crowd_and_its_players_lose_nothing() {
    let _heavy = heavy();
    let config = "
        [limits]
        outbox_bytes = 131072
        max_push_bytes = 65536
        [timeouts]
        close_ms = 1000
        upgrade_ms = 60000
    ";
    run(&mut Stage::new(config, stage::open), AGAINST_OPEN);
}
