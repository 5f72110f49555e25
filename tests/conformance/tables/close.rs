//! Group 7: the closing handshake and what a Close may say.

use crate::case::*;

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 6455 §5.5.1");
    order(&mut table);
    payloads(&mut table);
    table.section("RFC 6455 §7.4");
    codes(&mut table);
    table.into_cases()
}

fn close(code: u16, reason: &[u8]) -> Frame {
    frame(CLOSE, [&code.to_be_bytes()[..], reason].concat())
}

fn end() -> Step {
    Step::Expect(Reply::End)
}

fn order(table: &mut Table) {
    table.good(
        "7.1.1",
        "text, then close",
        vec![send(FIN | TEXT, b"Hello World!"), expect_text(b"Hello World!")],
    );
    let closed_then =
        |after: Frame| vec![Step::Send(vec![close(1000, b""), after]), expect_close(1000), end()];
    table.exact("7.1.2", "two closes: one answer", closed_then(close(1000, b"")));
    table.exact("7.1.3", "close, then ping: no pong", closed_then(frame(PING, b"")));
    table.exact("7.1.4", "close, then text: no echo", closed_then(frame(FIN | TEXT, b"Hello World!")));
    table.exact(
        "7.1.5",
        "fragment, close, last fragment: no echo",
        vec![
            Step::Send(vec![frame(TEXT, b"fragment1"), close(1000, b""), frame(FIN | CONTINUATION, b"2")]),
            expect_close(1000),
            end(),
        ],
    );
    let big = vec![b'B'; 256 * 1024];
    table.exact(
        "7.1.6",
        "256 KiB, then text, close and ping: both echoed, no pong",
        vec![
            Step::Send(vec![
                frame(FIN | TEXT, &big),
                frame(FIN | TEXT, b"Hello World!"),
                close(1000, b""),
                frame(PING, b""),
            ]),
            expect_text(&big),
            expect_text(b"Hello World!"),
            expect_close(1000),
            end(),
        ],
    );
    table.exact("7.a", "close, then what is no frame: no second close", closed_then(frame(0xff, b"garbage")));
}

fn payloads(table: &mut Table) {
    table.exact(
        "7.3.1",
        "close without payload",
        vec![send(CLOSE, b""), Step::Expect(Reply::Close(None)), end()],
    );
    table.bad("7.3.2", "close with one byte", 1002, vec![send(CLOSE, b"a")]);
    let answered = |reason: &[u8]| vec![Step::Send(vec![close(1000, reason)]), expect_close(1000), end()];
    table.exact("7.3.3", "close with a code", answered(b""));
    table.exact("7.3.4", "close with a code and a reason", answered(b"Hello World!"));
    table.exact("7.3.5", "close with a reason of 123 bytes", answered(&[b'*'; 123]));
    table.bad(
        "7.3.6",
        "close with a reason of 124 bytes",
        1002,
        vec![Step::Send(vec![close(1000, &[b'*'; 124])])],
    );
    table.exact(
        "7.b",
        "close with a reason in several scripts, byte by byte",
        vec![Step::Chopped(vec![close(1000, "κόσμε 🎲".as_bytes())], 1), expect_close(1000), end()],
    );
    let bad_reason = ["κόσμε".as_bytes(), b"\xed\xa0\x80", b"edited"].concat();
    table.section("RFC 6455 §5.5.1, §8.1");
    table.bad(
        "7.5.1",
        "close with a reason that is not UTF-8",
        1007,
        vec![Step::Send(vec![close(1000, &bad_reason)])],
    );
    table.bad(
        "7.c",
        "close with a reason that ends within a character",
        1007,
        vec![Step::Send(vec![close(1000, b"\xe2\x82")])],
    );
}

fn codes(table: &mut Table) {
    let valid =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014];
    for (number, code) in (1..).zip(valid) {
        table.exact(
            format!("7.7.{number}"),
            format!("close with code {code}, which is echoed"),
            vec![Step::Send(vec![close(code, b"")]), expect_close(code), end()],
        );
    }
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1, 1015, 1017];
    for (number, code) in (1..).zip(invalid) {
        table.bad(
            format!("7.9.{number}"),
            format!("close with code {code}"),
            1002,
            vec![Step::Send(vec![close(code, b"")])],
        );
    }
    table.bad("7.13.1", "close with code 5000", 1002, vec![Step::Send(vec![close(5000, b"")])]);
    table.bad("7.13.2", "close with code 65535", 1002, vec![Step::Send(vec![close(65535, b"")])]);
}
