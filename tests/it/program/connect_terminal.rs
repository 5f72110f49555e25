//! `gannet connect` on a terminal.

use super::terminal::Terminal;
use crate::support::*;

const SIZE: (u16, u16) = (110, 40);
const RESUME: &str = "[apps.default.resume]\nlinger_ms = '1m'\n";

fn connected(server: &ServerProcess) -> Terminal {
    let terminal = Terminal::run(&["connect", &format!("ws://{}/ws?user=ada", server.client)], SIZE);
    terminal.shows("welcome  session");
    terminal
}

#[test]
fn what_comes_does_not_disturb_the_line_that_is_typed() {
    let server = ServerProcess::start(&["--reactors", "1"], RESUME);
    let terminal = connected(&server);
    let mut link = server.link();
    link.listen(&["message"], None);
    terminal.types("half a");
    terminal.shows("> half a");
    server.backend().push_text("user=ada", "in between");
    terminal.is_as("the message above the line", |screen| {
        let at = |text: &str| screen.lines().position(|line| line.contains(text));
        at("text     in between").is_some_and(|message| Some(message) < at("> half a"))
    });
    terminal.enters(" line");
    assert_eq!(link.event()["text"], "half a line");

    terminal.enters("/ping x");
    terminal.shows(" ms  x");
    terminal.enters("/cut");
    terminal.shows("user ada, resumed");
    // The last line again, from the history.
    terminal.presses("Up");
    terminal.shows("> /cut\n");
    terminal.presses("C-u");
    terminal.enters("/quit");
    let (code, screen) = terminal.ended();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("closed   1000, as asked"), "{screen}");
}

#[test]
fn whoever_sits_there_is_told_of_the_end_and_may_connect_again() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    let terminal = connected(&server);
    server.backend().push_text("user=ada", "a\u{1b}[2Jb");
    terminal.shows("text     a\\u{1b}[2Jb");
    server.backend().ok("DELETE", "/v1/users/ada?reason=bye");
    let screen = terminal.shows("/again connects again");
    assert!(screen.contains("closed   4001 bye"), "{screen}");
    terminal.enters("hello");
    terminal.shows("it is not connected");
    terminal.enters("/again");
    terminal.is_as("another welcome", |screen| screen.matches("welcome  session").count() == 2);
    terminal.presses("C-d");
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn the_terminal_is_as_before_however_it_ends() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    for end in ["C-c", "C-d"] {
        let terminal = connected(&server);
        terminal.presses(end);
        assert_eq!(terminal.ended().0, 0, "{end}");
        assert!(terminal.is_plain());
    }
    let terminal = connected(&server);
    terminal.types("half a line");
    terminal.shows("> half a line");
    terminal.terminates("connect");
    assert_eq!(terminal.ended().0, 0);
}
