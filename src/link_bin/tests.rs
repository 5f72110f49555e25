use super::*;
use crate::dispatch::{Class, Receipt, ReceiptMode};
use crate::session::SessionId;

/// A command with everything in it that a message can be cut or damaged in.
fn full() -> Vec<u8> {
    let session = SessionId::from_u64(0x00a0_0000_0000_0001);
    let selectors = [Selector::Session(session), Selector::User("größer"), Selector::Tag("t"), Selector::All];
    let push = Push {
        ttl_ms: Some(500),
        key: Some("score"),
        class: Class::Urgent,
        except: Some(session),
        receipt: ReceiptMode::Written,
        ..Push::new(selectors.into_iter().collect(), Payload::Text("hi"))
    };
    let mut message = Vec::new();
    Request { app: Some("chess"), ..Request::new(9, Command::Push(push)) }.encode(&mut message).unwrap();
    message
}

/// Cut anywhere, or with a byte changed: refused or read, and what is read is written the same way again.
#[test]
fn damaged_messages_are_refused_where_they_are_wrong() {
    let whole = full();
    let payload_at = whole.len() - 2;
    for end in 0..payload_at {
        let refused = Request::decode(&whole[..end]).unwrap_err();
        assert!(refused.error.offset <= end, "{refused:?}");
        assert_eq!(refused.id, if end < 8 { 0 } else { 9 });
    }
    for index in 0..whole.len() {
        for byte in 0..=255 {
            let mut damaged = whole.clone();
            damaged[index] = byte;
            if let Ok(request) = Request::decode(&damaged) {
                let mut again = Vec::new();
                request.encode(&mut again).unwrap();
                assert_eq!(again, damaged);
            }
        }
    }
}

/// What such a join is to get of which log could not be said.
#[test]
fn a_join_to_several_groups_with_a_part_of_a_log_is_refused_at_its_flags() {
    let (who, groups) = (Who::User("ada"), vec!["g", "h"]);
    let mut message = Vec::new();
    let command = Command::JoinAll { who, groups };
    Request::new(7, command).encode(&mut message).unwrap();
    for recall in [0x02, 0x04, 0x08] {
        let mut with_recall = message.clone();
        with_recall[1] |= recall;
        with_recall.extend_from_slice(&5u64.to_le_bytes());
        let refused = Request::decode(&with_recall).unwrap_err();
        assert_eq!((refused.id, refused.error.offset), (7, 1));
    }
}

#[test]
fn what_a_later_version_adds_to_a_reply_is_skipped() {
    let mut message = Vec::new();
    let receipt = Reply::Receipt(Receipt { matched: 1, queued: 1, ..Receipt::default() });
    receipt.encode(7, &mut message).unwrap();
    message.extend_from_slice(b"more");
    assert_eq!(Reply::decode(&message), Ok((7, receipt)));
}

/// A client of before the flag 0x02 reads the counts that it knows, and skips what follows.
#[test]
fn a_receipt_is_longer_only_where_something_is_pending_or_unreached() {
    let settled = Receipt { matched: 3, queued: 3, written: Some(3), ..Receipt::default() };
    let encoded = |receipt: &Receipt| {
        let mut message = Vec::new();
        Reply::Receipt(receipt.clone()).encode(7, &mut message).unwrap();
        assert_eq!(Reply::decode(&message), Ok((7, Reply::Receipt(receipt.clone()))));
        message
    };
    let short = encoded(&settled);
    assert_eq!((short.len(), short[1]), (40, 0x01));
    for (pending, unreached) in [(1, 0), (0, 1), (u32::MAX, u32::MAX)] {
        let long = encoded(&Receipt { pending, unreached, ..settled.clone() });
        assert_eq!((long.len(), long[1]), (48, 0x03));
        assert_eq!(long[2..40], short[2..]);
        let unmarked = [&[long[0], 0x01], &long[2..]].concat();
        assert_eq!(Reply::decode(&unmarked), Ok((7, Reply::Receipt(settled.clone()))));
    }
    let queued = encoded(&Receipt { written: None, unreached: 2, ..settled });
    assert_eq!((queued.len(), queued[1]), (40, 0x02));
}

#[test]
fn what_does_not_fit_leaves_no_half_of_a_message() {
    let long = "x".repeat(256);
    let mut out = b"before".to_vec();
    let command = Command::Move { from: "g", to: &long };
    let error = Request::new(7, command).encode(&mut out).unwrap_err();
    assert_eq!(error, TooLong { what: "to", length: 256, most: 255 });
    assert_eq!(out, b"before");
    let target = std::iter::repeat_n(Selector::All, 65_536).collect();
    let command = Command::Push(Push::new(target, Payload::Binary(b"")));
    assert!(Request::new(7, command).encode(&mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn replies_and_events_are_told_apart_by_their_first_byte() {
    assert!(is_event(&[0xc1]) && is_event(&[0xff]));
    assert!(!is_event(&[0x8f]) && !is_event(&[]));
}
