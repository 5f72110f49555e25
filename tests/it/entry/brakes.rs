//! Somebody who tries keys: counted, told, and slowed down, and nobody beside it is locked out.

use super::support::{ALL, READ, ask, bearer, request, with_keys};
use crate::raw::Raw;
use crate::support::ServerProcess;
use rustix::process::Signal;

#[test]
fn wrong_keys_are_counted_and_slowed_down_and_a_right_one_is_not_locked_out() {
    const TRIES: usize = 2_000;
    let server = with_keys();
    let wrong = bearer("wrong-0123456789abcdef");
    let (mut unauthorized, mut limited) = (0, 0);
    for _ in 0..3 {
        let mut raw = Raw::connect(server.backend);
        // Pipelined: the connection ends with the first that is too much.
        let _ = raw.try_send(request("GET /v1/sessions", &wrong, "").repeat(TRIES));
        loop {
            let answer = raw.answer();
            match answer.status {
                401 => unauthorized += 1,
                429 => {
                    assert_eq!(answer.error(), "rate_limited");
                    assert!(answer.header("retry-after").is_some(), "{answer:?}");
                    assert_eq!(answer.header("connection"), Some("close"));
                    limited += 1;
                    break;
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(raw.rest(), b"");
    }
    assert!(limited == 3 && unauthorized < 200, "{unauthorized} were answered in full");
    let right = ask(server.backend, "GET /v1/sessions", &bearer(READ), "");
    assert_eq!(right.status, 200, "from the same address");
    let stats = ask(server.backend, "GET /v1/stats", &bearer(ALL), "").json();
    assert_eq!(stats["backend_refused"]["key"], unauthorized);
    assert_eq!(stats["backend_refused"]["key_rate"], limited);
    server.signal(Signal::TERM);
    let (_, said) = server.wait();
    let warnings = said.lines().filter(|line| line.contains("WARN") && line.contains("wrong one"));
    assert_eq!(warnings.count(), 1, "{said}");
}

#[test]
fn a_key_that_can_be_guessed_is_a_configuration_error() {
    for config in ["[backend]\nkey = 'k'", "[backend]\nlisten = '0.0.0.0:0'\nkey = '0123456789abcde'"] {
        let said = ServerProcess::refuses_to_start(config);
        assert!(said.contains("at least 16 bytes"), "{said}");
    }
}
