//! The examples of the specification, cuts at every byte, and what a peer could do to a parser.

use super::*;
use crate::choices::{Xorshift, pieces};

const LIMITS: ParserLimits = ParserLimits { max_frame_bytes: 4_096, max_depth: 4 };

/// What was found, its bytes beside it.
#[derive(Debug, PartialEq)]
enum Found {
    Message(Vec<u8>, Vec<u8>),
    Subscribed(Vec<u8>),
    Unsubscribed(Vec<u8>),
    Value(Value),
}

fn push(parser: &mut Parser, bytes: &[u8]) {
    parser.room(bytes.len().max(1))[..bytes.len()].copy_from_slice(bytes);
    parser.filled(bytes.len());
}

fn drain(parser: &mut Parser, found: &mut Vec<Found>) -> Result<(), ParseError> {
    while let Some(frame) = parser.next()? {
        let bytes = |span| parser.bytes(span).to_vec();
        found.push(match frame {
            Frame::Message { channel, payload } => Found::Message(bytes(&channel), bytes(&payload)),
            Frame::Subscribed(channel) => Found::Subscribed(bytes(&channel)),
            Frame::Unsubscribed(channel) => Found::Unsubscribed(bytes(&channel)),
            Frame::Value(value) => Found::Value(value),
        });
    }
    Ok(())
}

fn parse_pieces(pieces: &[&[u8]], limits: ParserLimits) -> (Vec<Found>, Result<(), ParseError>) {
    let (mut parser, mut found) = (Parser::new(limits), Vec::new());
    for piece in pieces {
        push(&mut parser, piece);
        if let Err(error) = drain(&mut parser, &mut found) {
            return (found, Err(error));
        }
    }
    (found, Ok(()))
}

fn parse(bytes: &[u8]) -> (Vec<Found>, Result<(), ParseError>) {
    parse_pieces(&[bytes], LIMITS)
}

fn value(bytes: &str) -> Value {
    match parse(bytes.as_bytes()) {
        (mut found, Ok(())) if found.len() == 1 => match found.remove(0) {
            Found::Value(value) => value,
            other => panic!("{bytes:?}: {other:?}"),
        },
        other => panic!("{bytes:?}: {other:?}"),
    }
}

fn bulk(bytes: &[u8]) -> Value {
    Value::Bulk(bytes.into())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn the_examples_of_the_specification_are_read() {
    use Value::*;
    for (bytes, expected) in [
        ("+OK\r\n", text("OK")),
        ("+\r\n", text("")),
        ("-ERR unknown command 'asdf'\r\n", Error("ERR unknown command 'asdf'".into())),
        (":0\r\n", Int(0)),
        (":+7\r\n", Int(7)),
        (":-9223372036854775808\r\n", Int(i64::MIN)),
        ("$5\r\nhello\r\n", bulk(b"hello")),
        ("$0\r\n\r\n", bulk(b"")),
        ("$2\r\n\r\n\r\n", bulk(b"\r\n")),
        ("$-1\r\n", Null),
        ("*-1\r\n", Null),
        ("_\r\n", Null),
        ("*0\r\n", List(vec![])),
        ("*3\r\n:1\r\n$-1\r\n$3\r\nbar\r\n", List(vec![Int(1), Null, bulk(b"bar")])),
        ("*2\r\n*1\r\n:1\r\n*1\r\n+a\r\n", List(vec![List(vec![Int(1)]), List(vec![text("a")])])),
        ("#t\r\n", Bool(true)),
        ("#f\r\n", Bool(false)),
        (",1.23\r\n", Double(1.23)),
        (",10\r\n", Double(10.0)),
        (",-1e-3\r\n", Double(-0.001)),
        (",inf\r\n", Double(f64::INFINITY)),
        (",-inf\r\n", Double(f64::NEG_INFINITY)),
        (
            "(3492890328409238509324850943850943825024385\r\n",
            text("3492890328409238509324850943850943825024385"),
        ),
        ("!21\r\nSYNTAX invalid syntax\r\n", Error("SYNTAX invalid syntax".into())),
        ("=15\r\ntxt:Some string\r\n", bulk(b"Some string")),
        ("=4\r\ntxt:\r\n", bulk(b"")),
        (
            "%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n",
            Map(vec![(text("first"), Int(1)), (text("second"), Int(2))]),
        ),
        ("%0\r\n", Map(vec![])),
        ("~2\r\n+orange\r\n#t\r\n", List(vec![text("orange"), Bool(true)])),
        (">2\r\n+invalidate\r\n_\r\n", Push(vec![text("invalidate"), Null])),
        ("|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.1923\r\n*1\r\n:9\r\n", List(vec![Int(9)])),
        ("*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n", List(vec![Int(1), Int(2), Int(3)])),
        ("|0\r\n|0\r\n:3\r\n", Int(3)),
    ] {
        assert_eq!(value(bytes), expected, "{bytes:?}");
    }
    assert!(matches!(value(",nan\r\n"), Double(number) if number.is_nan()));
}

#[test]
fn a_field_of_a_map_is_found_by_its_name() {
    let map = value("%2\r\n$2\r\nid\r\n:7\r\n+role\r\n$6\r\nmaster\r\n");
    assert_eq!(map.field("id"), Some(&Value::Int(7)));
    assert_eq!(map.field("role").and_then(Value::bytes), Some(&b"master"[..]));
    assert_eq!((map.field("ID"), Value::Int(7).field("id"), Value::Int(7).bytes()), (None, None, None));
}

#[test]
fn messages_and_confirmations_are_found_where_they_are() {
    let wire = b">3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$4\r\n\r\n\r\n\r\n>3\r\n$8\r\nsmessage\r\n$0\r\n\r\n$1\r\nx\r\n\
        >3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n";
    let (found, end) = parse(wire);
    let expected = [
        Found::Message(b"a:b".into(), b"\r\n\r\n".into()),
        Found::Message(b"".into(), b"x".into()),
        Found::Subscribed(b"c".into()),
        Found::Unsubscribed(b"c".into()),
    ];
    assert_eq!((found.as_slice(), end), (&expected[..], Ok(())));
}

#[test]
fn what_is_nearly_a_message_is_a_push() {
    for wire in [
        ">3\r\n$7\r\nmessage\r\n_\r\n$1\r\nx\r\n",
        ">3\r\n+message\r\n$1\r\nc\r\n$1\r\nx\r\n",
        ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nx\r\n",
        ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:-1\r\n",
    ] {
        assert!(matches!(value(wire), Value::Push(_)), "{wire:?}");
    }
}

#[test]
fn no_cut_changes_what_is_read() {
    let mut wire = b"+OK\r\n%1\r\n$2\r\nid\r\n:7\r\n>3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$12\r\n".to_vec();
    wire.extend_from_slice(
        b"hello, there\r\n=5\r\ntxt:a\r\n|1\r\n+k\r\n*1\r\n:1\r\n~1\r\n#t\r\n$2\r\n\r\n\r\n",
    );
    wire.extend_from_slice(b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*1\r\n!3\r\nERR\r\n");
    let whole = parse(&wire);
    assert_eq!((whole.0.len(), whole.1), (8, Ok(())));
    for first in 0..wire.len() {
        for second in first..wire.len() {
            let cut = [&wire[..first], &wire[first..second], &wire[second..]];
            assert_eq!(parse_pieces(&cut, LIMITS), whole, "{first}, {second}");
        }
    }
}

#[test]
fn what_is_no_resp_is_refused_and_stays_so() {
    for wire in [
        "\r\n",
        "x\r\n",
        "hello\r\n",
        "+a\nb\r\n",
        "+a\rb\r\n",
        "\n",
        ":\r\n",
        ":x\r\n",
        ":1.5\r\n",
        ":9223372036854775808\r\n",
        "_x\r\n",
        "#\r\n",
        "#x\r\n",
        ",\r\n",
        ",x\r\n",
        "(\r\n",
        "(1x\r\n",
        "(-\r\n",
        "$\r\n",
        "$x\r\n",
        "$+1\r\n",
        "$-2\r\n",
        "$ 1\r\n",
        "$?\r\n",
        "$1\r\nab\r\n",
        "$1\r\na\rb",
        "$99999999999\r\n",
        "=3\r\ntxt\r\n",
        "=4\r\ntxtx\r\n",
        "~-1\r\n",
        "%-1\r\n",
        "!-1\r\n",
        "*1\r\n>1\r\n:1\r\n",
        "|1\r\n+a\r\n>0\r\n",
        "*1\r\n:x\r\n",
    ] {
        let mut parser = Parser::new(LIMITS);
        push(&mut parser, wire.as_bytes());
        assert_eq!(parser.next(), Err(ParseError::Malformed), "{wire:?}");
        push(&mut parser, b"+OK\r\n");
        assert_eq!(parser.next(), Err(ParseError::Malformed), "{wire:?}");
    }
}

#[test]
fn a_frame_is_as_large_as_it_may_be_and_no_larger() {
    let limits = ParserLimits { max_frame_bytes: 100, max_depth: 4 };
    let line = |length: usize| format!("+{}\r\n", "x".repeat(length - 3));
    let list = |length: usize| format!("*1\r\n${}\r\n{}\r\n", length - 11, "x".repeat(length - 11));
    let message = |length: usize| {
        let payload = "x".repeat(length - 31);
        format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n{payload}\r\n", payload.len())
    };
    for make in [&line as &dyn Fn(usize) -> String, &list, &message] {
        let (fits, too_large) = (make(100), make(101));
        assert_eq!((fits.len(), too_large.len()), (100, 101));
        for sizes in [&[][..], &[1], &[99], &[100], &[50]] {
            let (found, end) = parse_pieces(&pieces(fits.as_bytes(), sizes), limits);
            assert_eq!((found.len(), end), (1, Ok(())));
            let (found, end) = parse_pieces(&pieces(too_large.as_bytes(), sizes), limits);
            assert_eq!((found.len(), end), (0, Err(ParseError::TooLarge)));
        }
    }
}

#[test]
fn a_length_that_cannot_come_true_is_refused_before_anything_comes() {
    for wire in
        ["$4096\r\n", "*9999999999\r\n", "%9999999999\r\n", "|2000\r\n", "*1\r\n$9999999999\r\n", "!5000\r\n"]
    {
        assert_eq!(parse(wire.as_bytes()), (vec![], Err(ParseError::TooLarge)), "{wire:?}");
    }
    let unbounded = ParserLimits { max_frame_bytes: usize::MAX, max_depth: 4 };
    let (found, end) = parse_pieces(&[b"*9999999999\r\n:1\r\n"], unbounded);
    assert_eq!((found.len(), end), (0, Ok(())), "nothing is reserved for what has not come");
}

#[test]
fn lists_are_as_deep_as_they_may_be_and_no_deeper() {
    for (open, close) in [("*1\r\n", ":1\r\n"), ("%1\r\n:1\r\n", ":1\r\n"), ("|1\r\n:1\r\n", ":1\r\n:1\r\n")]
    {
        let deep = |depth: usize| parse((open.repeat(depth) + &close.repeat(depth)).as_bytes());
        assert_eq!(deep(LIMITS.max_depth).1, Ok(()), "{open:?}");
        assert_eq!(deep(LIMITS.max_depth + 1), (vec![], Err(ParseError::TooDeep)), "{open:?}");
    }
    // Lists beside each other are not deeper.
    assert_eq!(parse(("*9\r\n".to_owned() + &"*1\r\n:1\r\n".repeat(9)).as_bytes()).0.len(), 1);
}

#[test]
fn a_large_frame_that_comes_slowly_is_looked_at_once() {
    // One that was looked at from its front with each byte would take half a million million steps, and hours.
    const LENGTH: usize = 1 << 20;
    let limits = ParserLimits { max_frame_bytes: 2 * LENGTH, max_depth: 4 };
    let bulk = format!("*2\r\n:1\r\n${LENGTH}\r\n{}\r\n", "x".repeat(LENGTH));
    let line = format!("+{}\r\n", "x".repeat(LENGTH));
    let list = format!("*{}\r\n{}", LENGTH / 8, ":1\r\n".repeat(LENGTH / 8));
    for wire in [bulk, line, list] {
        let (found, end) = parse_pieces(&pieces(wire.as_bytes(), &[1]), limits);
        assert_eq!((found.len(), end), (1, Ok(())));
    }
}

#[test]
fn commands_are_lists_of_bulks() {
    let mut out = Vec::new();
    write_command(&mut out, &[b"SET", b"k\r\n", b""]);
    assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    out.clear();
    write_publish(&mut out, b"", b"g:u", &[b"hello, ", b"", b"world"]);
    assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$3\r\ng:u\r\n$12\r\nhello, world\r\n");
    out.clear();
    write_publish(&mut out, b"{7}", b"g:u", &[b"x"]);
    write_of_channels(&mut out, b"SSUBSCRIBE", b"{7}", &[b"a", b"bc"]);
    assert_eq!(
        out,
        b"*3\r\n$8\r\nSPUBLISH\r\n$6\r\n{7}g:u\r\n$1\r\nx\r\n*3\r\n$10\r\nSSUBSCRIBE\r\n$4\r\n{7}a\r\n$5\r\n{7}bc\r\n"
    );
}

#[test]
fn random_bytes_that_look_like_resp_are_read_the_same_in_all_pieces() {
    const WORDS: [&str; 20] = [
        "+",
        "-",
        ":",
        "$",
        "*",
        "%",
        "~",
        ">",
        "|",
        "_",
        "#t",
        "\r\n",
        "\r\n",
        "1",
        "2",
        "3",
        "12",
        "message",
        ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\np\r\n",
        "$1\r\nx\r\n",
    ];
    let mut random = Xorshift(4);
    let mut frames = 0;
    for _ in 0..20_000 {
        let wire: String = (0..1 + random.below(12)).map(|_| WORDS[random.below(20) as usize]).collect();
        let whole = parse(wire.as_bytes());
        frames += whole.0.len();
        assert_eq!(parse_pieces(&pieces(wire.as_bytes(), &[1]), LIMITS), whole, "{wire:?}");
    }
    assert!(frames > 2_000, "{frames}");
}
