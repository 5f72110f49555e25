//! Events byte by byte. Each ends with its empty line; an `id:` line, where there is one, goes before it on the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Appends a message of the game's: a text that a client may read line by line as `message`, one with a carriage return in it,
/// which would end a line, as `json`; bytes as `binary`, in base64.
pub fn text_or_binary(is_text: bool, payload: &[u8], out: &mut Vec<u8>) {
    match str::from_utf8(payload) {
        Ok(text) if is_text && memchr::memchr(b'\r', payload).is_some() => json("json", &text, out),
        Ok(text) if is_text => lines(text, out),
        _ => {
            out.extend_from_slice(b"event: binary\ndata: ");
            let (from, room) = (out.len(), base64::encoded_len(payload.len(), true).unwrap_or(0));
            out.resize(from + room, 0);
            let written = STANDARD.encode_slice(payload, &mut out[from..]).unwrap_or(0);
            out.truncate(from + written);
            out.extend_from_slice(b"\n\n");
        }
    }
}

/// Appends the first event, which is about the session: `json` is one object on one line.
pub fn welcome(json: &str, out: &mut Vec<u8>) {
    named("welcome", json.as_bytes(), out);
}

/// Appends a message of gannet's own: `json` is one object on one line.
pub fn own(json: &str, out: &mut Vec<u8>) {
    named("own", json.as_bytes(), out);
}

/// Appends the last event: the session is over.
pub fn close(code: u16, reason: &str, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Close<'a> {
        code: u16,
        reason: &'a str,
    }
    json("close", &Close { code, reason }, out);
}

/// Appends what a client reads over: it shows proxies that the stream lives.
pub fn comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

/// Appends a comment of `bytes` bytes, for proxies and browsers that wait for so much before they hand anything on; of fewer
/// than a comment needs, none.
pub fn padding(bytes: usize, out: &mut Vec<u8>) {
    const FRAME: usize = b":\n\n".len();
    if bytes >= FRAME {
        out.push(b':');
        out.resize(out.len() + bytes - FRAME, b' ');
        out.extend_from_slice(b"\n\n");
    }
}

fn lines(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 16);
    for line in text.split('\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn json(name: &str, value: &impl Serialize, out: &mut Vec<u8>) {
    begin(name, out);
    // serde_json escapes every line break; writing to memory does not fail, nor does a text or a struct of numbers and texts.
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "a text is always JSON");
    out.extend_from_slice(b"\n\n");
}

fn named(name: &str, data: &[u8], out: &mut Vec<u8>) {
    debug_assert!(memchr::memchr2(b'\n', b'\r', data).is_none(), "it is one line");
    begin(name, out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

fn begin(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stream::EventId;

    /// What an EventSource dispatches.
    #[derive(Debug, Default, Clone, PartialEq, Eq)]
    pub(in crate::stream) struct Dispatched {
        pub name: String,
        pub data: String,
        pub last_id: String,
    }

    /// "Interpreting an event stream", WHATWG HTML §9.2.6, as the standard words it: character by character, with the buffers
    /// that it names.
    pub(in crate::stream) fn interpret(bytes: &[u8]) -> Vec<Dispatched> {
        let stream = String::from_utf8_lossy(bytes);
        let stream = stream.strip_prefix('\u{feff}').unwrap_or(&stream);
        let (mut lines, mut line, mut chars) = (Vec::new(), String::new(), stream.chars().peekable());
        while let Some(char) = chars.next() {
            match char {
                '\r' | '\n' => {
                    if char == '\r' && chars.peek() == Some(&'\n') {
                        chars.next();
                    }
                    lines.push(std::mem::take(&mut line));
                }
                char => line.push(char),
            }
        }
        // A line without its end is no line yet.
        let (mut data, mut event_type, mut last_id, mut dispatched) =
            (String::new(), String::new(), String::new(), Vec::new());
        for line in lines {
            if line.is_empty() {
                let (mut data, name) = (std::mem::take(&mut data), std::mem::take(&mut event_type));
                if data.is_empty() {
                    continue;
                }
                if data.ends_with('\n') {
                    data.pop();
                }
                let name = if name.is_empty() { "message".to_owned() } else { name };
                dispatched.push(Dispatched { name, data, last_id: last_id.clone() });
                continue;
            }
            let (field, value) = match line.find(':') {
                Some(0) => continue,
                Some(colon) => {
                    let value = &line[colon + 1..];
                    (&line[..colon], value.strip_prefix(' ').unwrap_or(value))
                }
                None => (&*line, ""),
            };
            match field {
                "event" => event_type = value.to_owned(),
                "data" => {
                    data.push_str(value);
                    data.push('\n');
                }
                "id" if !value.contains('\0') => last_id = value.to_owned(),
                _ => {}
            }
        }
        dispatched
    }

    fn event(is_text: bool, payload: &[u8]) -> Dispatched {
        let mut bytes = Vec::new();
        EventId { ticket: "t0", count: 7 }.write(&mut bytes);
        text_or_binary(is_text, payload, &mut bytes);
        let mut events = interpret(&bytes);
        assert_eq!(events.len(), 1, "{:?}", String::from_utf8_lossy(&bytes));
        let event = events.remove(0);
        assert_eq!(event.last_id, "t0:7");
        event
    }

    #[test]
    fn every_text_comes_out_of_an_event_source_as_it_was() {
        let texts = [
            "",
            " ",
            "\n",
            "\n\n",
            "a",
            " a",
            "  a ",
            "a\nb",
            "\na\n",
            "data: x",
            ": x",
            "id: 9\nevent: close",
            "\u{feff}",
            "\0",
            "{\"a\":1}\n",
            "ö\n\u{2028}\u{85}",
        ];
        for text in texts {
            let event = event(true, text.as_bytes());
            assert_eq!((event.name.as_str(), event.data.as_str()), ("message", text), "{text:?}");
        }
        for text in ["\r", "a\rb", "\r\n", "\r\n\r\nevent: x", "\"\r\u{0}\u{1f}"] {
            let event = event(true, text.as_bytes());
            assert_eq!(event.name, "json");
            assert_eq!(serde_json::from_str::<String>(&event.data).unwrap(), text);
        }
    }

    #[test]
    fn all_short_texts_of_the_characters_that_mean_something() {
        let alphabet = ['a', ' ', ':', '\n', '\r'];
        for length in 0..=4_u32 {
            for number in 0..5_usize.pow(length) {
                let text: String =
                    (0..length).map(|place| alphabet[number / 5_usize.pow(place) % 5]).collect();
                let event = event(true, text.as_bytes());
                let read = match event.name.as_str() {
                    "message" => event.data,
                    _ => serde_json::from_str(&event.data).unwrap(),
                };
                assert_eq!(read, text, "{text:?}");
            }
        }
    }

    #[test]
    fn bytes_are_base64_with_padding() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|byte| (byte * 37) as u8).collect();
            let event = event(false, &bytes);
            assert_eq!((event.name.as_str(), STANDARD.decode(event.data).unwrap()), ("binary", bytes));
        }
    }

    #[test]
    fn what_is_the_servers_own_has_its_names() {
        let mut bytes = Vec::new();
        padding(2_048, &mut bytes);
        assert_eq!(bytes.len(), 2_048);
        welcome(r#"{"session":"1"}"#, &mut bytes);
        comment(&mut bytes);
        own(r#"{"type":"time"}"#, &mut bytes);
        close(4001, "a \"b\"\r\nc", &mut bytes);
        let events = interpret(&bytes);
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["welcome", "own", "close"]);
        assert_eq!(events[0].data, r#"{"session":"1"}"#);
        let close: serde_json::Value = serde_json::from_str(&events[2].data).unwrap();
        assert_eq!(close, serde_json::json!({"code": 4001, "reason": "a \"b\"\r\nc"}));
    }

    #[test]
    fn padding_is_as_long_as_it_is_asked_to_be_and_no_event() {
        for bytes in 0..40 {
            let mut padded = Vec::new();
            padding(bytes, &mut padded);
            assert_eq!(padded.len(), if bytes < 3 { 0 } else { bytes });
            assert_eq!(interpret(&padded), []);
        }
    }
}
