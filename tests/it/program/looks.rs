//! What the reading commands print: JSON in a pipe, tables on a terminal.

use super::terminal::Terminal;
use super::{gannet, said};
use crate::support::*;
use serde_json::Value;

const WIDE: (u16, u16) = (250, 20);

#[test]
fn a_terminal_gets_tables_and_a_pipe_gets_json() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    let backend = server.backend.to_string();
    let _players = [server.player("user=ada&group=red"), server.player("user=bob&group=red&tag=ios")];
    for (args, head, row) in [
        (["list"].as_slice(), "SESSION", "ada"),
        (&["users"], "USER  SESSIONS", "bob   1"),
        (&["groups"], "GROUP  SESSIONS", "red    2"),
        (&["apps"], "APP      SESSIONS", "default  2"),
        (&["count"], "sessions: 2", "users: 2"),
        (&["bans"], "no bans", "count: 0"),
        (&["drain", "--status"], "draining: false", "sessions: 2"),
    ] {
        let args = [args, &["--backend", &backend]].concat();
        let terminal = Terminal::run(&args, WIDE);
        let screen = terminal.shows("ended with 0");
        assert!(screen.contains(head) && screen.contains(row), "{args:?}:\n{screen}");
        let (code, piped, _) = said(&gannet(&args));
        assert_eq!(code, 0);
        assert!(serde_json::from_str::<Value>(&piped).unwrap().is_object(), "{piped}");
        let json = Terminal::run(&[&args[..], &["--json"]].concat(), WIDE);
        let screen = json.shows("ended with 0");
        assert!(screen.starts_with('{') && !screen.contains(head), "{args:?}:\n{screen}");
    }
}

#[test]
fn what_a_player_is_called_does_not_command_a_terminal() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    // A right-to-left override is no control character of ASCII, but turns a line around.
    let _player = server.player("user=%E2%80%AEada");
    let terminal = Terminal::run(&["users", "--backend", &server.backend.to_string()], WIDE);
    let screen = terminal.shows("ended with 0");
    assert!(screen.contains("\\u{202e}ada"), "{screen}");
}

#[test]
fn one_line_or_several() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    let backend = server.backend.to_string();
    let lines = |args: &[&str]| {
        let (code, out, error) = said(&gannet(args));
        assert_eq!(code, 0, "{error}");
        assert!(serde_json::from_str::<Value>(&out).unwrap().is_object());
        out.lines().count()
    };
    assert!(lines(&["stats", "--backend", &backend]) > 20);
    assert_eq!(lines(&["stats", "--backend", &backend, "--json"]), 1);
    assert!(lines(&["config", "show", "--json"]) > 20);
}
