use super::*;
use crate::dispatch::EncodedFrame;
use crate::protocol::{FrameHeader, OpCode, encode_frame};

const BOUNDS: RecordBounds = RecordBounds { events: 100, head: 4 };

fn recorder(bounds: RecordBounds) -> Recorder {
    let subject = Subject { session: SessionId::new(0, 0, 1, 7), app: AppId(2), user: Name::new("ada").ok() };
    let began = Began { unix_ms: 1_800_000_000_000, ns: 1_000_000 };
    Recorder::new(subject, began, bounds, None, false)
}

/// A frame as a client sends it, with a mask that shows whether it was taken off.
fn masked(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let key = [0x11, 0x22, 0x33, 0x44];
    let header =
        FrameHeader { fin, rsv1: false, opcode, payload_length: payload.len() as u64, mask: Some(key) };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    bytes
}

/// What, opcode, FIN, length and first bytes.
type Shown = (Happened, Option<OpCode>, bool, u64, Vec<u8>);

fn shown(recorder: &Recorder) -> Vec<Shown> {
    let events = recorder.record(true).events.into_iter();
    events.map(|event| (event.what, event.opcode, event.fin, event.bytes, event.head.to_vec())).collect()
}

fn message(text: &str) -> Item {
    Item::Message(EncodedFrame::text(text))
}

/// The same frames come however the bytes are cut.
#[test]
fn what_comes_is_recorded_frame_by_frame_wherever_it_is_cut() {
    let wire = [
        masked(false, OpCode::Text, b"hello"),
        masked(true, OpCode::Ping, b""),
        masked(true, OpCode::Continuation, b"wo"),
        masked(true, OpCode::Binary, &[7; 70_000]),
    ]
    .concat();
    let expected = [
        (Happened::In, Some(OpCode::Text), false, 5, b"hell".to_vec()),
        (Happened::In, Some(OpCode::Ping), true, 0, Vec::new()),
        (Happened::In, Some(OpCode::Continuation), true, 2, b"wo".to_vec()),
        (Happened::In, Some(OpCode::Binary), true, 70_000, vec![7; 4]),
    ];
    for size in [1, 2, 3, 7, 13, 14, 15, 1000, wire.len()] {
        let mut recorder = recorder(BOUNDS);
        wire.chunks(size).for_each(|bytes| recorder.came(bytes, 2_000_000));
        assert_eq!(shown(&recorder), expected, "cut to {size}");
        assert!(recorder.record(true).events.iter().all(|event| event.at_us == 1_000));
    }
}

#[test]
fn what_is_held_and_comes_again_is_recorded_once() {
    let wire = [masked(true, OpCode::Text, b"a"), masked(true, OpCode::Text, b"b")].concat();
    let mut recorder = recorder(BOUNDS);
    recorder.came(&wire, 0);
    recorder.held(wire.len() - 7);
    recorder.came(&wire[7..10], 0);
    recorder.came(&[&wire[10..], &masked(true, OpCode::Text, b"c")].concat(), 0);
    let heads: Vec<_> = shown(&recorder).into_iter().map(|event| event.4).collect();
    assert_eq!(heads, [b"a", b"b", b"c"]);
}

#[test]
fn bytes_that_are_no_frame_are_shown_once_and_nothing_after_them() {
    let mut recorder = recorder(BOUNDS);
    recorder.came(b"\x81\x01x unmasked", 0);
    recorder.came(&masked(true, OpCode::Text, b"a"), 0);
    assert_eq!(shown(&recorder), [(Happened::In, None, true, 12, b"\x81\x01x ".to_vec())]);
}

#[test]
fn the_ring_keeps_the_last_ones_and_counts_those_that_are_lost() {
    let mut recorder = recorder(RecordBounds { events: 2, head: 0 });
    for text in ["a", "bc", "def"] {
        recorder.admitted(&message(text), 0);
    }
    let record = recorder.record(false);
    let lengths: Vec<u64> = record.events.iter().map(|event| event.bytes).collect();
    assert_eq!((record.lost, lengths, record.live), (1, vec![2, 3], false));
    assert!(record.events.iter().all(|event| event.head.is_empty()));
}

#[test]
fn the_frames_of_the_connection_itself_are_out_when_their_last_byte_is() {
    let mut recorder = recorder(BOUNDS);
    let (pong, text) = (encode_frame(OpCode::Pong, b"x"), encode_frame(OpCode::Text, b"welcome"));
    let answer = [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], &text].concat();
    recorder.wrote(&[&answer, b""], answer.len(), 5_000_000);
    recorder.wrote(&[&pong, &text], pong.len() + 3, 6_000_000);
    recorder.own_settled(&text[3..], Fate::Written, true, 7_000_000);
    recorder.own_settled(&pong, Fate::Written, true, 8_000_000);
    recorder.own_settled(&pong, Fate::Closed, true, 8_000_000);
    let events = recorder.record(true).events.into_iter();
    let events: Vec<_> = events.map(|event| (event.at_us, event.what, event.opcode)).collect();
    let out = |at_us, opcode| (at_us, Happened::Out, Some(opcode));
    assert_eq!(
        events,
        [
            out(4_000, OpCode::Text),
            out(5_000, OpCode::Pong),
            out(6_000, OpCode::Text),
            out(7_000, OpCode::Pong)
        ]
    );
}

#[test]
fn a_record_that_begins_within_a_frame_begins_behind_it() {
    let wire = masked(true, OpCode::Text, b"hello");
    for cut in 1..wire.len() {
        let mut websocket = WebSocket::server(Default::default());
        let mut before = wire[..cut].to_vec();
        websocket.receive(&mut crate::protocol::Input::new(&mut before), &mut Vec::new()).unwrap();
        let subject = recorder(BOUNDS).subject;
        let began = Began { unix_ms: 0, ns: 0 };
        let mut recorder = Recorder::new(subject, began, BOUNDS, Some(&websocket), false);
        recorder.came(&[&wire[cut..], &masked(true, OpCode::Binary, b"b")].concat(), 0);
        let opcodes: Vec<_> = shown(&recorder).into_iter().map(|event| event.1).collect();
        let all = [Some(OpCode::Text), Some(OpCode::Binary)];
        // Of its header all is known where only that has begun.
        assert_eq!(opcodes, if cut < 6 { &all[..] } else { &all[1..] }, "cut at {cut}");
    }
}

#[test]
fn only_the_session_that_is_acted_for_is_recorded_and_the_one_before_goes_on() {
    let mut records = Records::default();
    assert!(!records.any());
    assert!(!records.begin(recorder(BOUNDS)) && records.begin(recorder(BOUNDS)), "it begins anew");
    let before = records.act_on(7, true, 0);
    records.admitted(&message("a"));
    let within = records.act_on(8, true, 0);
    assert!(!records.is_acting(), "nobody records that one");
    records.admitted(&message("b"));
    records.go_back(within);
    records.settled(&message("a"), Fate::Written);
    records.go_back(before);
    assert!(!records.is_acting());
    let whats: Vec<_> = shown(records.of_slot(7).unwrap()).into_iter().map(|event| event.0).collect();
    assert_eq!(whats, [Happened::Queued, Happened::Out]);
}

#[test]
fn what_becomes_of_a_message_without_frames_has_no_frames() {
    let mut records = Records::default();
    records.begin(recorder(BOUNDS));
    records.act_on(7, false, 0);
    records.settled(&message("a"), Fate::Written);
    records.settled(&Item::Owned(encode_frame(OpCode::Pong, b"").into()), Fate::Written);
    for fate in [Fate::Replaced, Fate::Dropped, Fate::Expired, Fate::Closed] {
        records.settled(&message("a"), fate);
    }
    records.turned_away(&message("a"));
    let whats: Vec<_> = shown(records.of_slot(7).unwrap()).into_iter().map(|event| event.0).collect();
    use Happened::{Closed, Dropped, Expired, Replaced, Written};
    assert_eq!(whats, [Written, Replaced, Dropped, Expired, Closed, Dropped]);
}

#[test]
fn a_record_is_kept_for_a_while_after_its_session_and_then_forgotten() {
    let mut records = Records::default();
    let id = SessionId::new(0, 0, 1, 7);
    records.begin(recorder(BOUNDS));
    records.leave(SessionId::new(0, 0, 2, 7), 50);
    assert!(records.any(), "another one had the slot");
    records.of_slot(7).unwrap().ended(4000, "idle", 3_000_000);
    records.of_slot(7).unwrap().ended(1006, "", 4_000_000);
    records.leave(id, 100);
    assert!(!records.any() && records.next_ms() == Some(100));
    let end = RecordedEnd { at_us: 2_000, code: 4000, reason: "idle".into() };
    assert_eq!(records.of(id).unwrap().record(false).end, Some(end), "the first end counts");
    assert_eq!((records.expire(99), records.of(id).is_some()), (0, true));
    assert_eq!((records.expire(100), records.of(id).is_none()), (1, true));
    records.begin(recorder(BOUNDS));
    assert_eq!((records.forget(|_| false), records.forget(|_| true)), (0, 1));
    assert!(!records.any());
}

/// In the middle of everything: half a frame has come, half of one has gone, an end is there.
#[test]
fn records_go_on_in_another_process_where_they_were() {
    let wire = masked(true, OpCode::Text, b"hello");
    for cut in 0..wire.len() {
        let mut records = Records::default();
        let mut one = recorder(BOUNDS);
        one.admitted(&message("a"), 2_000_000);
        one.came(&wire[..cut], 2_000_000);
        let text = encode_frame(OpCode::Text, b"out");
        one.wrote(&[&text], 1, 2_000_000);
        records.begin(one);
        let mut ended = recorder(BOUNDS);
        ended.subject.session = SessionId::new(0, 0, 1, 9);
        ended.ended(4001, "bye", 2_000_000);
        records.begin(ended);
        records.leave(SessionId::new(0, 0, 1, 9), 500);

        let bytes = minicbor::to_vec(records.carry()).unwrap();
        let mut next = Records::default();
        next.go_on_from(minicbor::decode(&bytes).unwrap()).unwrap();
        assert_eq!((next.next_ms(), next.all().count()), (Some(500), 2));
        for records in [&mut records, &mut next] {
            let one = records.of_slot(7).unwrap();
            one.came(&wire[cut..], 3_000_000);
            one.own_settled(&text[1..], Fate::Written, true, 4_000_000);
        }
        for session in [7, 9].map(|slot| SessionId::new(0, 0, 1, slot)) {
            let (here, there) = (records.of(session).unwrap(), next.of(session).unwrap());
            assert_eq!((here.record(true), here.subject()), (there.record(true), there.subject()));
        }
        assert_eq!(shown(next.of_slot(7).unwrap()).len(), 3);
    }
}

#[test]
fn a_carried_record_of_more_than_its_bounds_is_refused() {
    let mut records = Records::default();
    let mut one = recorder(BOUNDS);
    one.admitted(&message("hello"), 0);
    for bounds in [RecordBounds { events: 0, head: 4 }, RecordBounds { events: 1, head: 3 }] {
        one.bounds = bounds;
        let mut other = Recorder { events: one.events.clone(), ..recorder(bounds) };
        other.lost = 5;
        records.begin(other);
        let bytes = minicbor::to_vec(records.carry()).unwrap();
        assert!(Records::default().go_on_from(minicbor::decode(&bytes).unwrap()).is_err(), "{bounds:?}");
    }
}
