//! Group 9: large messages up to the limits, and what lies beyond.

use super::fragmentation::split;
use crate::case::*;
use crate::peer::LIMITS;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 6455 §5.2");
    for (number, size) in (1..).zip([64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB]) {
        both_types(&mut table, [1, 2], number, format!("of {size} bytes"), size, |message| {
            Step::Send(vec![message])
        });
    }
    table.section("RFC 6455 §5.4");
    for (number, fragment) in (1..).zip((3..=11).map(|power| 4usize.pow(power))) {
        let about = format!("of 4 MiB in fragments of {fragment}");
        both_types(&mut table, [3, 4], number, about, 4 * MIB, |message| {
            Step::Send(split(message.first & 0xf, &message.payload, fragment))
        });
    }
    table.section("RFC 6455 §5.2");
    for (number, chop) in (1..).zip((6..=11).map(|power| 1 << power)) {
        let about = format!("of 1 MiB in chops of {chop}");
        both_types(&mut table, [5, 6], number, about, MIB, |message| Step::Chopped(vec![message], chop));
    }
    for (number, size) in (1..).zip([0, 16, 64, 256, 1024, 4096]) {
        round_trips(&mut table, number, size);
    }
    beyond(&mut table);
    table.into_cases()
}

/// A case for text and one for binary.
fn both_types(
    table: &mut Table,
    groups: [u32; 2],
    number: u32,
    about: String,
    size: usize,
    step: impl Fn(Frame) -> Step,
) {
    let (text, binary) = (vec![b'*'; size], vec![0xfe; size]);
    let script = vec![step(frame(FIN | TEXT, &text)), expect_text(text)];
    table.good(format!("9.{}.{number}", groups[0]), format!("text {about}"), script);
    let script = vec![step(frame(FIN | BINARY, &binary)), expect_binary(binary)];
    table.good(format!("9.{}.{number}", groups[1]), format!("binary {about}"), script);
}

fn round_trips(table: &mut Table, number: u32, size: usize) {
    for (group, opcode) in [(7, TEXT), (8, BINARY)] {
        let payload = vec![b'*'; size];
        let round_trip = || {
            let expected = if opcode == TEXT { expect_text(&payload) } else { expect_binary(&payload) };
            [send(FIN | opcode, &payload), expected]
        };
        let script = (0..200).flat_map(|_| round_trip()).collect();
        table.good(format!("9.{group}.{number}"), format!("200 round trips of {size} bytes"), script);
    }
}

fn beyond(table: &mut Table) {
    table.section("RFC 6455 §10.4, §7.4.1");
    let too_long = LIMITS.max_frame_bytes as u64 + 1;
    for (number, first) in (1..).zip([FIN | TEXT, FIN | BINARY, TEXT, BINARY]) {
        for (letter, length) in [('a', too_long), ('b', (1 << 63) - 1)] {
            table.bad(
                format!("9.{letter}.{number}"),
                format!("frame {first:#04x} that announces {length} bytes"),
                1009,
                vec![Step::Header { first, length: Length::SixtyFour(length), mask_bit: MaskBit::Right }],
            );
        }
    }
    let half = vec![b'*'; LIMITS.max_message_bytes / 2];
    table.bad(
        "9.c",
        "fragments that add up to more than the limit",
        1009,
        vec![
            send(TEXT, &half),
            send(CONTINUATION, &half),
            Step::ExpectSilence,
            Step::Header { first: FIN | CONTINUATION, length: Length::Seven(1), mask_bit: MaskBit::Right },
        ],
    );
    let too_many = vec![frame(CONTINUATION, b""); LIMITS.max_fragments as usize];
    table.bad(
        "9.d",
        "more fragments than the limit, all empty",
        1008,
        vec![send(BINARY, b""), Step::Send(too_many)],
    );
}
