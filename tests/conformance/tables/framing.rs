//! Groups 1 to 4: framing, pings and pongs, reserved bits, reserved opcodes; and what a header may not be.

use crate::case::*;

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 6455 §5.2, §5.6");
    messages(&mut table);
    table.section("RFC 6455 §5.5.2, §5.5.3");
    pings(&mut table);
    table.section("RFC 6455 §5.2");
    reserved_bits(&mut table);
    reserved_opcodes(&mut table);
    headers(&mut table);
    table.into_cases()
}

fn messages(table: &mut Table) {
    let lengths = [0, 125, 126, 127, 128, 65535, 65536];
    for (number, length) in lengths.into_iter().enumerate() {
        let number = number + 1;
        let text = vec![b'*'; length];
        let about = format!("text of {length} bytes");
        table.good(format!("1.1.{number}"), about, vec![send(FIN | TEXT, &text), expect_text(&text)]);
        let binary = vec![0xfe; length];
        let about = format!("binary of {length} bytes");
        table.good(format!("1.2.{number}"), about, vec![send(FIN | BINARY, &binary), expect_binary(&binary)]);
    }
    let (text, binary) = (vec![b'*'; 65536], vec![0xfe; 65536]);
    table.good(
        "1.1.8",
        "text of 65536 bytes in chops of 997",
        vec![Step::Chopped(vec![frame(FIN | TEXT, &text)], 997), expect_text(&text)],
    );
    table.good(
        "1.2.8",
        "binary of 65536 bytes in chops of 997",
        vec![Step::Chopped(vec![frame(FIN | BINARY, &binary)], 997), expect_binary(&binary)],
    );
}

fn pings(table: &mut Table) {
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    table.good("2.1", "ping without payload", vec![send(PING, b""), expect_pong(b"")]);
    table.good("2.2", "ping with text", vec![send(PING, b"Hello, world!"), expect_pong(b"Hello, world!")]);
    table.good("2.3", "ping with bytes that are not UTF-8", vec![send(PING, binary), expect_pong(binary)]);
    table.good("2.4", "ping of 125 bytes", vec![send(PING, [0xfe; 125]), expect_pong([0xfe; 125])]);
    table.bad("2.5", "ping of 126 bytes (§5.5)", 1002, vec![send(PING, [0xfe; 126])]);
    table.good(
        "2.6",
        "ping of 125 bytes, byte by byte",
        vec![Step::Chopped(vec![frame(PING, [0xfe; 125])], 1), expect_pong([0xfe; 125])],
    );
    table.good("2.7", "pong that nobody asked for", vec![send(PONG, b""), Step::ExpectSilence]);
    table.good("2.8", "the same with payload", vec![send(PONG, b"unsolicited"), Step::ExpectSilence]);
    table.good(
        "2.9",
        "the same, then a ping",
        vec![send(PONG, b"unsolicited"), send(PING, b"ping"), expect_pong(b"ping")],
    );
    let pings: Vec<Frame> = (0..10).map(|number| frame(PING, format!("payload-{number}"))).collect();
    let pongs = || pings.iter().map(|ping| expect_pong(&ping.payload));
    let script = std::iter::once(Step::Send(pings.clone())).chain(pongs()).collect();
    table.good("2.10", "ten pings at once", script);
    let script = std::iter::once(Step::Chopped(pings.clone(), 1)).chain(pongs()).collect();
    table.good("2.11", "ten pings, byte by byte", script);
}

fn reserved_bits(table: &mut Table) {
    let rsv = |bits: u8| bits << 4;
    let text = || vec![send(FIN | TEXT, b"Hello"), expect_text(b"Hello")];
    table.bad("3.1", "text with RSV3", 1002, vec![send(FIN | rsv(1) | TEXT, b"Hello")]);
    let mut script = text();
    script.extend([send(FIN | rsv(2) | TEXT, b"Hello"), send(PING, b"")]);
    table.bad("3.2", "text, then text with RSV2, then a ping", 1002, script);
    let first = frame(FIN | TEXT, b"Hello");
    let second = frame(FIN | rsv(3) | TEXT, b"Hello");
    let both = vec![first, second, frame(PING, b"")];
    table.bad(
        "3.3",
        "text, then text with RSV2 and RSV3, at once",
        1002,
        vec![Step::Send(both), expect_text(b"Hello")],
    );
    let rsv1 = vec![frame(FIN | TEXT, b"Hello"), frame(FIN | rsv(4) | TEXT, b"Hello"), frame(PING, b"")];
    table.bad(
        "3.4",
        "text, then text with RSV1, byte by byte",
        1002,
        vec![Step::Chopped(rsv1, 1), expect_text(b"Hello")],
    );
    table.bad("3.5", "binary with RSV1 and RSV3", 1002, vec![send(FIN | rsv(5) | BINARY, [0xff; 8])]);
    table.bad("3.6", "ping with RSV1 and RSV2", 1002, vec![send(PING | rsv(6), b"Hello")]);
    table.bad("3.7", "close with RSV1, RSV2 and RSV3", 1002, vec![send(CLOSE | rsv(7), b"")]);
    table.bad("3.a", "pong with RSV1", 1002, vec![send(PONG | rsv(4), b"")]);
    table.bad(
        "3.b",
        "continuation with RSV1",
        1002,
        vec![send(TEXT, b"Hel"), send(FIN | rsv(4) | CONTINUATION, b"lo")],
    );
}

fn reserved_opcodes(table: &mut Table) {
    for (group, opcodes) in [(1, 0x3..=0x7), (2, 0xb..=0xf)] {
        for (number, opcode) in (1..).zip(opcodes) {
            let id = format!("4.{group}.{number}");
            let about = format!("opcode {opcode:#x} without payload");
            match number {
                1 => table.bad(id, about, 1002, vec![send(FIN | opcode, b"")]),
                2 => table.bad(
                    id,
                    format!("opcode {opcode:#x} with payload"),
                    1002,
                    vec![send(FIN | opcode, b"reserved")],
                ),
                _ => {
                    let good = frame(FIN | TEXT, b"Hello");
                    let frames = vec![good, frame(FIN | opcode, b"reserved"), frame(PING, b"")];
                    let about = format!("text, then opcode {opcode:#x}, then a ping");
                    let send = match number {
                        3 => Step::Send(frames),
                        _ => Step::Chopped(frames, 1),
                    };
                    table.bad(id, about, 1002, vec![send, expect_text(b"Hello")]);
                }
            }
        }
    }
}

fn headers(table: &mut Table) {
    let header = |first, length| Step::Header { first, length, mask_bit: MaskBit::Right };
    let wrong_mask = |first| Step::Header { first, length: Length::Seven(0), mask_bit: MaskBit::Wrong };
    let forms = [
        ("1.a", "0 in 16 bits", Length::Sixteen(0)),
        ("1.b", "125 in 16 bits", Length::Sixteen(125)),
        ("1.c", "0 in 64 bits", Length::SixtyFour(0)),
        ("1.d", "126 in 64 bits", Length::SixtyFour(126)),
        ("1.e", "65535 in 64 bits", Length::SixtyFour(65535)),
        ("1.f", "2^63 in 64 bits: the top bit is set", Length::SixtyFour(1 << 63)),
        ("1.g", "2^64 - 1", Length::SixtyFour(u64::MAX)),
    ];
    for (id, about, length) in forms {
        table.bad(id, format!("length {about}"), 1002, vec![header(FIN | BINARY, length)]);
    }
    table.section("RFC 6455 §5.1");
    for (number, first) in [FIN | TEXT, FIN | BINARY, TEXT, PING, PONG, CLOSE].into_iter().enumerate() {
        let number = number + 1;
        table.bad_in_role(
            Role::Server,
            format!("1.h.{number}"),
            format!("frame {first:#04x} from a client without a mask"),
            1002,
            vec![wrong_mask(first)],
        );
        table.bad_in_role(
            Role::Client,
            format!("1.i.{number}"),
            format!("frame {first:#04x} from a server with a mask"),
            1002,
            vec![wrong_mask(first)],
        );
    }
    table.section("RFC 6455 §5.5");
    for (number, first) in [PING, PONG, CLOSE].into_iter().enumerate() {
        let number = number + 1;
        for (letter, length) in [('a', Length::Sixteen(126)), ('b', Length::SixtyFour(65536))] {
            table.bad(
                format!("2.{letter}.{number}"),
                format!("control frame {first:#04x} with an extended length"),
                1002,
                vec![header(first, length)],
            );
        }
        table.bad(
            format!("2.c.{number}"),
            format!("control frame {:#04x} without FIN", first ^ FIN),
            1002,
            vec![send(first ^ FIN, b"")],
        );
    }
}
