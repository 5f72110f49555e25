//! Groups 12 and 13: permessage-deflate, RFC 7692.

use super::fragmentation::split;
use crate::case::*;

/// What most browsers offer, and what is answered by default.
const BROWSER: Extension = Extension {
    offer: "permessage-deflate; client_max_window_bits",
    answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    takeover: false,
};

const TAKEOVER: Extension =
    Extension { offer: "permessage-deflate", answer: "permessage-deflate", takeover: true };

/// Message lengths, and the length of their fragments where they are fragmented.
const SIZES: [(usize, Option<usize>); 18] = [
    (16, None),
    (64, None),
    (256, None),
    (1024, None),
    (4096, None),
    (8192, None),
    (16384, None),
    (32768, None),
    (65536, None),
    (131_072, None),
    (8192, Some(256)),
    (16384, Some(256)),
    (32768, Some(256)),
    (65536, Some(256)),
    (131_072, Some(256)),
    (131_072, Some(1024)),
    (131_072, Some(4096)),
    (131_072, Some(32768)),
];

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 7692 §6");
    let corpora: [(&str, u8, Vec<u8>); 3] = [
        ("JSON", TEXT, json()),
        ("HTML", TEXT, "<li class=\"row\">Größe: 12 · κόσμε</li>\n".repeat(4000).into_bytes()),
        ("noise", BINARY, noise(200_000)),
    ];
    for (group, (name, opcode, corpus)) in (1..).zip(&corpora) {
        table.extension(Some(BROWSER));
        messages(&mut table, &format!("12.{group}"), name, *opcode, corpus);
    }
    // What is offered beside the extension's name, and what has to be answered beside the takeover.
    let parameters = [
        ("", ""),
        ("; server_no_context_takeover", ""),
        ("; client_no_context_takeover", ""),
        ("; server_max_window_bits=8", "; server_max_window_bits=8"),
        ("; server_max_window_bits=15", ""),
        ("; server_no_context_takeover; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("; client_max_window_bits=10", "; client_max_window_bits=10"),
        ("; server_max_window_bits=16, permessage-deflate; client_no_context_takeover", ""),
    ];
    for (group, (offered, windows)) in (1..).zip(parameters) {
        for takeover in [false, true] {
            table.extension(Some(extension(offered, windows, takeover)));
            let group = format!("13.{group}{}", if takeover { "t" } else { "n" });
            messages(&mut table, &group, &format!("offer \"{offered}\""), TEXT, &corpora[0].2);
        }
    }
    for extension in [BROWSER, TAKEOVER] {
        table.extension(Some(extension));
        let id = |number: &str| format!("12.{}{number}", if extension.takeover { "t" } else { "n" });
        reserved_bits(&mut table, id);
        examples(&mut table, id);
        broken(&mut table, id);
    }
    table.into_cases()
}

fn extension(offered: &str, windows: &str, takeover: bool) -> Extension {
    let mut answer = "permessage-deflate".to_owned();
    for parameter in ["; server_no_context_takeover", "; client_no_context_takeover"] {
        if !takeover || offered.contains(parameter) {
            answer += parameter;
        }
    }
    answer += windows;
    // The tables live as long as the tests.
    Extension { offer: format!("permessage-deflate{offered}").leak(), answer: answer.leak(), takeover }
}

fn messages(table: &mut Table, group: &str, name: &str, opcode: u8, corpus: &[u8]) {
    for (number, (length, fragment)) in (1..).zip(SIZES) {
        let mut script = Vec::new();
        let mut rest = corpus;
        for _ in 0..4 {
            let end = character_boundary(rest, length);
            let message = &rest[..end];
            script.push(Step::Compressed { opcode, payload: message.to_vec(), fragment });
            script.push(if opcode == TEXT { expect_text(message) } else { expect_binary(message) });
            rest = if rest.len() - end > length { &rest[end..] } else { corpus };
        }
        let fragments = fragment.map_or(String::new(), |size| format!(" in fragments of {size}"));
        table.good(format!("{group}.{number}"), format!("{name}: {length} bytes{fragments}"), script);
    }
}

/// The last place at or before `length` where a character begins.
fn character_boundary(text: &[u8], length: usize) -> usize {
    (0..=length).rev().find(|&end| text.get(end).is_none_or(|byte| byte & 0xc0 != 0x80)).unwrap_or(0)
}

fn json() -> Vec<u8> {
    (0..4000)
        .map(|number| {
            format!("{{\"id\":{number},\"x\":{},\"name\":\"player {number}\"}},", number * 7919 % 1000)
        })
        .collect::<String>()
        .into_bytes()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn reserved_bits(table: &mut Table, id: impl Fn(&str) -> String) {
    const RSV1: u8 = 0x40;
    let compressed_hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    table.section("RFC 7692 §6.1");
    let cases = [
        ("a", "ping with RSV1", vec![frame(PING | RSV1, b"")]),
        ("b", "pong with RSV1", vec![frame(PONG | RSV1, b"")]),
        ("c", "close with RSV1", vec![frame(CLOSE | RSV1, b"")]),
        (
            "d",
            "RSV1 on the second fragment of a compressed message",
            vec![
                frame(TEXT | RSV1, &compressed_hello[..3]),
                frame(FIN | RSV1 | CONTINUATION, &compressed_hello[3..]),
            ],
        ),
        (
            "e",
            "RSV1 on the second fragment of a plain message",
            vec![frame(TEXT, b"Hel"), frame(FIN | RSV1 | CONTINUATION, b"lo")],
        ),
        ("f", "text with RSV2", vec![frame(FIN | TEXT | 0x20, b"")]),
        ("g", "text with RSV1 and RSV3", vec![frame(FIN | TEXT | RSV1 | 0x10, compressed_hello)]),
    ];
    for (letter, about, frames) in cases {
        table.bad(id(letter), about, 1002, vec![Step::Send(frames)]);
    }
    table.good(
        id("h"),
        "messages that are not compressed, whole and in fragments",
        vec![
            send(FIN | TEXT, b"plain"),
            expect_text(b"plain"),
            Step::Send(split(BINARY, b"plain fragments", 4)),
            expect_binary(b"plain fragments"),
        ],
    );
    table.good(
        id("i"),
        "a ping between the fragments of a compressed message",
        vec![
            Step::Send(vec![
                frame(TEXT | RSV1, &compressed_hello[..3]),
                frame(PING, b"between"),
                frame(FIN | CONTINUATION, &compressed_hello[3..]),
            ]),
            expect_pong(b"between"),
            expect_text(b"Hello"),
        ],
    );
}

fn examples(table: &mut Table, id: impl Fn(&str) -> String) {
    const COMPRESSED_TEXT: u8 = FIN | 0x40 | TEXT;
    let examples: [(&str, &str, &[u8]); 5] = [
        ("RFC 7692 §7.2.3.1", "one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        (
            "RFC 7692 §7.2.3.3",
            "a block without compression",
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        ),
        ("RFC 7692 §7.2.3.4", "a final block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        (
            "RFC 7692 §7.2.3.5",
            "two blocks",
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ),
        ("RFC 7692 §7.2.3.6", "an empty message", &[0x00]),
    ];
    for (number, (section, about, payload)) in (1..).zip(examples) {
        table.section(section);
        let text = if payload == [0x00] { &b""[..] } else { b"Hello" };
        table.good(
            id(&format!("j.{number}")),
            format!("the standard's example of {about}"),
            vec![send(COMPRESSED_TEXT, payload), expect_text(text)],
        );
        table.good(
            id(&format!("k.{number}")),
            format!("the standard's example of {about}, byte by byte"),
            vec![Step::Chopped(vec![frame(COMPRESSED_TEXT, payload)], 1), expect_text(text)],
        );
    }
}

fn broken(table: &mut Table, id: impl Fn(&str) -> String) {
    table.section("RFC 7692 §7.2.2");
    let broken: [(&str, &str, &[u8]); 3] = [
        ("l", "a reserved block type", &[0x07, 0x00]),
        ("m", "a stored block whose lengths disagree", &[0x00, 0x05, 0x00, 0x05, 0x00]),
        ("n", "a distance before the start", &[0xf2, 0x00, 0x11, 0x00, 0x00]),
    ];
    for (letter, about, payload) in broken {
        table.bad(id(letter), about, 1007, vec![send(FIN | 0x40 | BINARY, payload)]);
    }
    table.section("RFC 6455 §8.1");
    table.bad(
        id("o"),
        "text that is not UTF-8 once inflated",
        1007,
        vec![Step::Compressed { opcode: TEXT, payload: b"Hello \xff".to_vec(), fragment: None }],
    );
    table.section("RFC 6455 §10.4");
    let bomb = vec![0; crate::peer::LIMITS.max_message_bytes + 1];
    table.bad(
        id("p"),
        "a small message that inflates beyond the limit",
        1009,
        vec![Step::Compressed { opcode: BINARY, payload: bomb, fragment: None }],
    );
}
