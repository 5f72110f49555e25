//! What a line of input asks for.

use std::path::PathBuf;
use std::str::FromStr;

use serde_json::Value;

/// What `/help` prints.
pub const HELP: &str = "\
a line is sent as a text message; one that begins with // as a text that begins with /
/hex 00 ff      send these bytes as a binary message
/file PATH      send a file as a binary message
/ping [TEXT]    ping, and show how long the round trip takes
/time           ask gannet for its clock
/own JSON       send one of gannet's own messages
/cut            cut the connection, and come back for the session
/again          connect again
/status         say what is connected, and what has come
/close [CODE [REASON]]
/help
/quit           close and end; so do Ctrl-D and Ctrl-C";

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Send a text.
    Text(String),
    /// Send bytes.
    Binary(Vec<u8>),
    /// Send what is in a file.
    File(PathBuf),
    /// Send a ping.
    Ping(String),
    /// Ask for the server's clock.
    Time,
    /// Send a message to gannet itself.
    Own(Value),
    /// End the connection without a word.
    Cut,
    /// Connect, if nothing is connected.
    Again,
    /// Tell what is known.
    Status,
    /// Begin the closing handshake.
    Close(Option<u16>, String),
    /// Print [`HELP`].
    Help,
    /// Close, and end.
    Quit,
    /// Nothing.
    Nothing,
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok(if line.is_empty() { Self::Nothing } else { Self::Text(line.to_owned()) });
        };
        if command.starts_with('/') {
            return Ok(Self::Text(command.to_owned()));
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match (name, rest) {
            ("hex", digits) => hex(digits).map(Self::Binary),
            ("file", "") => Err("say which: /file PATH".to_owned()),
            ("file", path) => Ok(Self::File(PathBuf::from(path))),
            ("ping", text) if text.len() > 125 => Err("a ping has at most 125 bytes".to_owned()),
            ("ping", text) => Ok(Self::Ping(text.to_owned())),
            ("own", json) => match serde_json::from_str::<Value>(json) {
                Ok(value) if value.is_object() => Ok(Self::Own(value)),
                Ok(_) => Err("gannet's own messages are JSON objects".to_owned()),
                Err(error) => Err(format!("that is no JSON: {error}")),
            },
            ("close", rest) => close(rest),
            ("time", "") => Ok(Self::Time),
            ("cut", "") => Ok(Self::Cut),
            ("again", "") => Ok(Self::Again),
            ("status", "") => Ok(Self::Status),
            ("help", "") => Ok(Self::Help),
            ("quit", "") => Ok(Self::Quit),
            ("time" | "cut" | "again" | "status" | "help" | "quit", _) => {
                Err(format!("/{name} stands alone"))
            }
            _ => Err(format!("there is no /{name}; /help says what there is, and // begins a text with /")),
        }
    }
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(|| "bytes are pairs of hex digits, as in /hex 00 ff".to_owned())
}

fn close(rest: &str) -> Result<Line, String> {
    if rest.is_empty() {
        return Ok(Line::Close(None, String::new()));
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    match code.parse() {
        Ok(code) => Ok(Line::Close(Some(code), reason.to_owned())),
        Err(_) => Err("a close code is a number, as in /close 1000 bye".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_texts_and_commands() {
        let text = |text: &str| Ok(Line::Text(text.to_owned()));
        for (line, found) in [
            ("hello", text("hello")),
            ("//cut", text("/cut")),
            (" /cut", text(" /cut")),
            ("", Ok(Line::Nothing)),
            ("/hex 00 fF7f", Ok(Line::Binary(vec![0, 255, 127]))),
            ("/hex", Ok(Line::Binary(vec![]))),
            ("/file a b", Ok(Line::File("a b".into()))),
            ("/ping", Ok(Line::Ping(String::new()))),
            ("/ping a b", Ok(Line::Ping("a b".to_owned()))),
            ("/own {\"type\":\"time\",\"t\":1}", Ok(Line::Own(serde_json::json!({"type":"time","t":1})))),
            ("/close", Ok(Line::Close(None, String::new()))),
            ("/close 4000", Ok(Line::Close(Some(4000), String::new()))),
            ("/close 1000 good bye", Ok(Line::Close(Some(1000), "good bye".to_owned()))),
            ("/cut", Ok(Line::Cut)),
            ("/quit", Ok(Line::Quit)),
        ] {
            assert_eq!(line.parse(), found, "{line}");
        }
        let long = format!("/ping {}", "x".repeat(126));
        for line in [
            "/sing",
            "/hex 0",
            "/hex 0g",
            "/hex é",
            "/own 7",
            "/own {",
            "/close bye",
            "/file",
            "/cut me",
            &long,
        ] {
            assert!(line.parse::<Line>().is_err(), "{line}");
        }
    }

    #[test]
    fn help_names_every_command() {
        let named = HELP.lines().filter_map(|line| line.strip_prefix('/')?.split(' ').next());
        for name in named {
            let error = format!("/{name}").parse::<Line>().err().unwrap_or_default();
            assert!(!error.starts_with("there is no"), "{name}");
        }
    }
}
