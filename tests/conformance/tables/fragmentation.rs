//! Groups 5 and 10: fragmentation, with control frames in between.

use crate::case::*;

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 6455 §5.5");
    table.bad(
        "5.1",
        "ping in two fragments",
        1002,
        vec![send(PING ^ FIN, b"frag"), send(FIN | CONTINUATION, b"ment")],
    );
    table.bad(
        "5.2",
        "pong in two fragments",
        1002,
        vec![send(PONG ^ FIN, b"frag"), send(FIN | CONTINUATION, b"ment")],
    );
    table.section("RFC 6455 §5.4");
    two_fragments(&mut table);
    stray_continuations(&mut table);
    interrupted(&mut table);
    five_fragments(&mut table);
    empty_fragments(&mut table);
    let text = vec![b'*'; 65536];
    let script = vec![Step::Send(split(TEXT, &text, 1300)), expect_text(&text)];
    table.good("10.1.1", "text of 65536 bytes in fragments of 1300", script);
    table.into_cases()
}

/// A message in fragments of `size` bytes.
pub fn split(opcode: u8, payload: &[u8], size: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = payload.chunks(size).map(|fragment| frame(CONTINUATION, fragment)).collect();
    if let Some(first) = frames.first_mut() {
        first.first |= opcode;
    }
    if let Some(last) = frames.last_mut() {
        last.first |= FIN;
    }
    frames
}

fn two_fragments(table: &mut Table) {
    let first = || frame(TEXT, b"frag");
    let last = || frame(FIN | CONTINUATION, b"ment");
    let ping = || frame(PING, b"ping");
    let plain = || vec![first(), last()];
    let with_ping = || vec![first(), ping(), last()];
    let apart = |frames: Vec<Frame>| frames.into_iter().map(|frame| Step::Send(vec![frame]));
    let text = || expect_text(b"fragment");
    let pong = || expect_pong(b"ping");

    table.good("5.3", "text in two fragments, at once", vec![Step::Send(plain()), text()]);
    table.good("5.4", "text in two fragments, one after the other", apart(plain()).chain([text()]).collect());
    table.good("5.5", "text in two fragments, byte by byte", vec![Step::Chopped(plain(), 1), text()]);
    table.good("5.6", "a ping between, at once", vec![Step::Send(with_ping()), pong(), text()]);
    table.good(
        "5.7",
        "a ping between, answered before the message ends",
        vec![Step::Send(vec![first(), ping()]), pong(), Step::Send(vec![last()]), text()],
    );
    table.good("5.8", "a ping between, byte by byte", vec![Step::Chopped(with_ping(), 1), pong(), text()]);
    let pong_between = vec![first(), frame(PONG, b"one-way"), last()];
    table.good("5.a", "a pong between", vec![Step::Send(pong_between), text()]);
    table.exact(
        "5.b",
        "a close between: the message is abandoned",
        vec![
            Step::Send(vec![first(), frame(CLOSE, 1000u16.to_be_bytes())]),
            expect_close(1000),
            Step::Expect(Reply::End),
        ],
    );
}

fn stray_continuations(table: &mut Table) {
    let ways: [fn(Vec<Frame>) -> Step; 3] =
        [Step::Send, |frames| Step::Chopped(frames, 7), |frames| Step::Chopped(frames, 1)];
    for (start, fin) in [(9, FIN), (12, 0)] {
        for (number, way) in (start..).zip(ways) {
            let frames =
                vec![frame(fin | CONTINUATION, b"non-continuation"), frame(FIN | TEXT, b"Hello, world!")];
            let about = format!("continuation of nothing, FIN {}, then text", fin >> 7);
            table.bad(format!("5.{number}"), about, 1002, vec![way(frames)]);
        }
    }
    let message = || vec![frame(TEXT, b"frag"), frame(FIN | CONTINUATION, b"ment")];
    let frames = [message(), vec![frame(CONTINUATION, b"stray"), frame(FIN | TEXT, b"x")]].concat();
    table.bad(
        "5.15",
        "text in two fragments, then a continuation without FIN, then text",
        1002,
        vec![Step::Send(frames), expect_text(b"fragment")],
    );
    for (id, fin) in [("5.16", 0), ("5.17", FIN)] {
        let frames = vec![
            frame(fin | CONTINUATION, b"fragment1"),
            frame(TEXT, b"fragment2"),
            frame(FIN | CONTINUATION, b"fragment3"),
        ];
        let about = format!("continuation of nothing, FIN {}, then text in two fragments", fin >> 7);
        table.bad(id, about, 1002, vec![Step::Send([frames.clone(), frames].concat())]);
    }
}

fn interrupted(table: &mut Table) {
    for (id, second) in [("5.18", TEXT), ("5.c", BINARY)] {
        let frames = vec![frame(TEXT, b"fragment1"), frame(FIN | second, b"fragment2")];
        let about = format!("a second message, opcode {second}, begins before the first one ended");
        table.bad(id, about, 1002, vec![Step::Send(frames)]);
    }
}

fn five_fragments(table: &mut Table) {
    let part = |number: u8, first: u8| frame(first, format!("fragment{number}"));
    let ping = |number: u8| frame(PING, format!("pongme {number}!"));
    let first_half = || vec![part(1, TEXT), part(2, CONTINUATION), ping(1)];
    let second_half =
        || vec![part(3, CONTINUATION), part(4, CONTINUATION), ping(2), part(5, FIN | CONTINUATION)];
    let pong = |number: u8| expect_pong(format!("pongme {number}!"));
    let text = || expect_text("fragment1fragment2fragment3fragment4fragment5");
    table.good(
        "5.19",
        "text in five fragments and two pings, a pause after the first ping",
        vec![Step::Send(first_half()), pong(1), Step::Send(second_half()), pong(2), text()],
    );
    table.good(
        "5.20",
        "the same, byte by byte",
        vec![Step::Chopped(first_half(), 1), pong(1), Step::Chopped(second_half(), 1), pong(2), text()],
    );
}

fn empty_fragments(table: &mut Table) {
    for (id, opcode) in [("5.d", TEXT), ("5.e", BINARY)] {
        let mut frames = vec![frame(opcode, b"")];
        frames.extend((0..50).map(|_| frame(CONTINUATION, b"")));
        frames.push(frame(FIN | CONTINUATION, b"end"));
        let expected = if opcode == TEXT { expect_text(b"end") } else { expect_binary(b"end") };
        let about = format!("opcode {opcode}: fifty empty fragments, then a last one");
        table.good(id, about, vec![Step::Send(frames), expected]);
    }
}
