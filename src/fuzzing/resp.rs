//! What one connection to Redis brings: however its bytes are split, the same frames and errors; nothing beyond its bound;
//! what is read is read again from the plainest bytes that mean it; commands are read back as they were meant.

use crate::choices::{Choices, pieces};
use crate::cluster::{Frame, ParseError, Parser, ParserLimits, Value, write_command, write_publish};

/// Bounds small enough to run into.
const LIMITS: ParserLimits = ParserLimits { max_frame_bytes: 300, max_depth: 3 };

/// The sizes of the pieces; then what Redis sends.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let wire = choices.rest();
    let whole = receive(&[wire], &LIMITS);
    assert_eq!(whole, receive(&pieces(wire, &sizes), &LIMITS));
    assert_eq!(whole, receive(&pieces(wire, &[1]), &LIMITS));
    check_written(wire, &sizes);
}

/// What came of the bytes of a connection: each frame in words, and why they cannot be read on.
type Received = (Vec<String>, Option<ParseError>);

fn receive(pieces: &[&[u8]], limits: &ParserLimits) -> Received {
    let (mut parser, mut said) = (Parser::new(*limits), Vec::new());
    for piece in pieces {
        if piece.is_empty() {
            continue;
        }
        parser.room(piece.len())[..piece.len()].copy_from_slice(piece);
        parser.filled(piece.len());
        loop {
            match parser.next() {
                Ok(None) => break,
                Ok(Some(frame)) => said.push(words(&parser, &frame)),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    assert_eq!(parser.next(), Err(error), "it stays so");
                    return (said, Some(error));
                }
            }
        }
        assert!(parser.held_bytes() < limits.max_frame_bytes, "what is held is a part of one frame");
    }
    (said, None)
}

fn words(parser: &Parser, frame: &Frame) -> String {
    match frame {
        Frame::Message { channel, payload } => {
            format!("message {:?} {:?}", parser.bytes(channel), parser.bytes(payload))
        }
        Frame::Subscribed(channel) => format!("subscribed {:?}", parser.bytes(channel)),
        Frame::Unsubscribed(channel) => format!("unsubscribed {:?}", parser.bytes(channel)),
        Frame::Value(value) => {
            check_again(value);
            format!("{value:?}")
        }
    }
}

/// A value is read from its plainest bytes as the same; a push as a list, since its bytes could be those of a message.
fn check_again(value: &Value) {
    let mut wire = Vec::new();
    write_value(value, &mut wire);
    let pushed = match value {
        Value::Push(values) => Some(Value::List(values.clone())),
        _ => None,
    };
    let value = pushed.as_ref().unwrap_or(value);
    // A character that stands for a byte which is no UTF-8 is longer than it.
    let limits = ParserLimits { max_frame_bytes: 100 * LIMITS.max_frame_bytes, ..LIMITS };
    assert_eq!(receive_one(&wire, limits), Some(format!("{value:?}")));
}

fn receive_one(wire: &[u8], limits: ParserLimits) -> Option<String> {
    let mut parser = Parser::new(limits);
    parser.room(wire.len())[..wire.len()].copy_from_slice(wire);
    parser.filled(wire.len());
    match parser.next() {
        Ok(Some(Frame::Value(value))) if parser.held_bytes() == 0 => Some(format!("{value:?}")),
        _ => None,
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    let mut line = |kind: char, text: &str| out.extend_from_slice(format!("{kind}{text}\r\n").as_bytes());
    match value {
        Value::Null => line('_', ""),
        Value::Bool(is_true) => line('#', if *is_true { "t" } else { "f" }),
        Value::Int(number) => line(':', &number.to_string()),
        Value::Double(number) => line(',', &number.to_string()),
        Value::Text(text) => line('+', text),
        Value::Error(text) => {
            line('!', &text.len().to_string());
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Value::Bulk(bytes) => {
            line('$', &bytes.len().to_string());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::List(values) | Value::Push(values) => {
            line('*', &values.len().to_string());
            values.iter().for_each(|value| write_value(value, out));
        }
        Value::Map(pairs) => {
            line('%', &pairs.len().to_string());
            for (key, value) in pairs {
                write_value(key, out);
                write_value(value, out);
            }
        }
    }
}

/// Commands whose arguments are pieces of the input.
fn check_written(wire: &[u8], sizes: &[usize]) {
    let args = pieces(wire, sizes);
    let limits = ParserLimits { max_frame_bytes: usize::MAX, ..LIMITS };
    let bulks = |args: &[&[u8]]| {
        let bulks = args.iter().map(|arg| Value::Bulk((*arg).into())).collect();
        Some(format!("{:?}", Value::List(bulks)))
    };
    let (mut command, mut publish) = (Vec::new(), Vec::new());
    write_command(&mut command, &args);
    assert_eq!(receive_one(&command, limits), bulks(&args));
    write_publish(&mut publish, b"", wire, &args);
    assert_eq!(receive_one(&publish, limits), bulks(&[b"PUBLISH", wire, wire]));
}
