//! Group 6: text is UTF-8, and is refused at the first byte that is not.

use super::fragmentation::split;
use crate::case::*;

/// "κόσμε", its second letter of three bytes.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// Bytes, and whether they are UTF-8.
type Sequence = (bool, Vec<u8>);

pub fn cases() -> Vec<Case> {
    let mut table = Table::new("RFC 6455 §8.1");
    empty(&mut table);
    whole_and_fragmented(&mut table);
    fail_fast(&mut table);
    for (group, (about, sequences)) in (5..).zip(sequences()) {
        for (number, (is_valid, bytes)) in (1..).zip(sequences) {
            let id = format!("6.{group}.{number}");
            let about = format!("{about}: {bytes:02x?}");
            if is_valid {
                table.good(id, about, vec![send(FIN | TEXT, &bytes), expect_text(&bytes)]);
            } else {
                table.bad(id, about, 1007, vec![send(FIN | TEXT, &bytes)]);
            }
        }
    }
    table.into_cases()
}

fn empty(table: &mut Table) {
    table.good("6.1.1", "empty text", vec![send(FIN | TEXT, b""), expect_text(b"")]);
    let fragments = |middle: &str| {
        Step::Send(vec![frame(TEXT, b""), frame(CONTINUATION, middle), frame(FIN | CONTINUATION, b"")])
    };
    table.good("6.1.2", "text in three empty fragments", vec![fragments(""), expect_text(b"")]);
    table.good(
        "6.1.3",
        "text in three fragments, the outer ones empty",
        vec![fragments("middle frame payload"), expect_text("middle frame payload")],
    );
}

fn whole_and_fragmented(table: &mut Table) {
    let valid = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    table.good("6.2.1", "valid, whole", vec![send(FIN | TEXT, valid), expect_text(valid)]);
    let (head, tail) = valid.split_at(12);
    let cut = vec![frame(TEXT, head), frame(FIN | CONTINUATION, tail)];
    table.good(
        "6.2.2",
        "valid, in two fragments between characters",
        vec![Step::Send(cut), expect_text(valid)],
    );
    table.good(
        "6.2.3",
        "valid, in fragments of a byte",
        vec![Step::Send(split(TEXT, valid, 1)), expect_text(valid)],
    );
    table.good(
        "6.2.4",
        "valid, in fragments of a byte",
        vec![Step::Send(split(TEXT, KOSME, 1)), expect_text(KOSME)],
    );
    let invalid = [KOSME, b"\xed\xa0\x80", b"edited"].concat();
    table.bad("6.3.1", "a surrogate, whole", 1007, vec![send(FIN | TEXT, &invalid)]);
    table.bad(
        "6.3.2",
        "a surrogate, in fragments of a byte",
        1007,
        vec![Step::Send(split(TEXT, &invalid, 1))],
    );
    table.bad(
        "6.a",
        "a character that the last fragment leaves unfinished",
        1007,
        vec![send(TEXT, b"abc\xf0\x9f"), send(FIN | CONTINUATION, b"")],
    );
}

fn fail_fast(table: &mut Table) {
    let beyond_unicode = b"\xf4\x90\x80\x80";
    table.bad(
        "6.4.1",
        "beyond U+10FFFF in the second of three fragments",
        1007,
        vec![send(TEXT, KOSME), Step::ExpectSilence, send(CONTINUATION, beyond_unicode)],
    );
    table.bad(
        "6.4.2",
        "the same, refused at the second byte of the character",
        1007,
        vec![send(TEXT, [KOSME, b"\xf4"].concat()), Step::ExpectSilence, send(CONTINUATION, b"\x90")],
    );
    let whole = || frame(FIN | TEXT, [KOSME, beyond_unicode, b"edited"].concat());
    table.bad(
        "6.4.3",
        "the same in one frame, refused when the character has come, before the frame ends",
        1007,
        vec![
            Step::Part { frame: whole(), from: 0, to: 11 },
            Step::ExpectSilence,
            Step::Part { frame: whole(), from: 11, to: 15 },
        ],
    );
    table.bad(
        "6.4.4",
        "the same in one frame, refused at the second byte of the character",
        1007,
        vec![
            Step::Part { frame: whole(), from: 0, to: 12 },
            Step::ExpectSilence,
            Step::Part { frame: whole(), from: 12, to: 13 },
        ],
    );
    for (number, (bytes, good)) in [
        (&b"\xc0"[..], 0),
        (b"\xc1", 0),
        (b"\xf5", 0),
        (b"\xff", 0),
        (b"\x80", 0),
        (b"\xe0\x80", 1),
        (b"\xe0\x9f", 1),
        (b"\xed\xa0", 1),
        (b"\xf0\x8f", 1),
        (b"\xf4\x90", 1),
        (b"\xc3\x28", 1),
        (b"\xe2\x82\x28", 2),
        (b"\xf0\x9f\x8e\x41", 3),
    ]
    .into_iter()
    .enumerate()
    {
        // Long enough that what comes before the bad byte is checked by wide instructions.
        for (letter, before) in [("b", 0), ("c", 200)] {
            let payload = [&vec![b'x'; before][..], bytes, b"and the rest of the frame"].concat();
            let whole = || frame(FIN | TEXT, &payload);
            let mut script = vec![
                Step::Part { frame: whole(), from: 0, to: before + good },
                Step::ExpectSilence,
                Step::Part { frame: whole(), from: before + good, to: before + good + 1 },
            ];
            if before + good == 0 {
                script = vec![Step::Part { frame: whole(), from: 0, to: 1 }];
            }
            let about = format!("{bytes:02x?} after {before} good bytes, refused at byte {}", good + 1);
            table.bad(format!("6.{letter}.{}", number + 1), about, 1007, script);
        }
    }
}

/// The sequences of Markus Kuhn's decoder test, as Autobahn groups them: whether each is UTF-8.
fn sequences() -> Vec<(&'static str, Vec<Sequence>)> {
    let valid = |all: &[&[u8]]| all.iter().map(|bytes| (true, bytes.to_vec())).collect::<Vec<_>>();
    let invalid = |all: &[&[u8]]| all.iter().map(|bytes| (false, bytes.to_vec())).collect::<Vec<_>>();
    let prefixes =
        (1..=KOSME.len()).map(|end| (std::str::from_utf8(&KOSME[..end]).is_ok(), KOSME[..end].to_vec()));
    let lonely = [(0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)]
        .map(|(from, to)| (false, (from..to).flat_map(|byte: u8| [byte, b' ']).collect()));
    let incomplete: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    let mut continuations = invalid(&[
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\x80\xbf\x80",
        b"\x80\xbf\x80\xbf",
        b"\x80\xbf\x80\xbf\x80",
        b"\x80\xbf\x80\xbf\x80\xbf",
    ]);
    continuations.push((false, (0x80..0xbf).collect()));
    let mut boundaries = valid(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]);
    boundaries.extend(invalid(&[b"\xf4\x90\x80\x80"]));
    let noncharacters = (0x0_ffff_u32..0x11_0000)
        .step_by(0x1_0000)
        .flat_map(|last| [last - 1, last])
        .filter_map(char::from_u32)
        .map(|character| (true, character.to_string().into_bytes()));
    let specials = ('\u{fff9}'..='\u{ffff}').map(|character| (true, character.to_string().into_bytes()));
    let high: [&[u8]; 4] = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    let low: [&[u8]; 2] = [b"\xed\xb0\x80", b"\xed\xbf\xbf"];
    let pairs = high.iter().flat_map(|high| low.iter().map(|low| (false, [*high, *low].concat())));
    let singles = high.into_iter().chain(low).chain([&b"\xed\xbe\x80"[..]]);
    vec![
        (
            "valid",
            valid(&[
                b"hello\x24world",
                b"hello\xc2\xa2world",
                b"hello\xe2\x82\xacworld",
                b"hello\xf0\xa4\xad\xa2world",
                KOSME,
            ]),
        ),
        ("prefix", prefixes.collect()),
        ("first of its length", valid(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"])),
        ("first of five and six bytes", invalid(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"])),
        ("last of its length", valid(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"])),
        (
            "last of four to six bytes",
            invalid(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        ),
        ("boundary", boundaries),
        ("unexpected continuation", continuations),
        ("lonely start", lonely.into()),
        ("last byte missing", invalid(&incomplete)),
        ("incomplete ones in a row", vec![(false, incomplete.concat())]),
        ("impossible byte", invalid(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"])),
        (
            "overlong '/'",
            invalid(&[
                b"\xc0\xaf",
                b"\xe0\x80\xaf",
                b"\xf0\x80\x80\xaf",
                b"\xf8\x80\x80\x80\xaf",
                b"\xfc\x80\x80\x80\x80\xaf",
            ]),
        ),
        (
            "longest overlong",
            invalid(&[
                b"\xc1\xbf",
                b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ]),
        ),
        (
            "overlong NUL",
            invalid(&[
                b"\xc0\x80",
                b"\xe0\x80\x80",
                b"\xf0\x80\x80\x80",
                b"\xf8\x80\x80\x80\x80",
                b"\xfc\x80\x80\x80\x80\x80",
            ]),
        ),
        ("surrogate", singles.map(|bytes| (false, bytes.to_vec())).collect()),
        ("surrogate pair", pairs.collect()),
        ("non-character", noncharacters.collect()),
        ("special", specials.collect()),
    ]
}
