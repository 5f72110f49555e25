use super::super::carried::CarriedRecords;
use super::super::forger::Forger;
use super::super::suite::Aead;
use super::*;

const AEADS: [Aead; 3] = [Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305];

/// Types and contents of records, why they are refused, and the alert.
type Case<'a> = (&'a [(u8, &'a [u8])], Refusal, Option<u8>);

fn suites() -> impl Iterator<Item = Suite> {
    [Version::Tls12, Version::Tls13].into_iter().flat_map(|version| AEADS.map(|aead| Suite { version, aead }))
}

fn tls12() -> impl Iterator<Item = Suite> {
    suites().filter(|suite| suite.version == Version::Tls12)
}

fn tls13() -> impl Iterator<Item = Suite> {
    suites().filter(|suite| suite.version == Version::Tls13)
}

/// The keys of a side, with `sequence` records behind them.
fn keys(suite: Suite, side: u8, sequence: u64) -> (Keys, Option<TrafficSecret>) {
    match suite.version {
        Version::Tls12 => {
            let key = vec![side; suite.algorithm().key_len()];
            (Keys::new(suite, &key, [side; 12], sequence).unwrap(), None)
        }
        Version::Tls13 => {
            let secret = TrafficSecret::new(suite, &vec![side; suite.secret_bytes()]).unwrap();
            (secret.keys(suite, sequence), Some(secret))
        }
    }
}

fn layer(suite: Suite, receives: u8, sends: u8, sequence: u64) -> RecordLayer {
    let (receiving, received) = keys(suite, receives, sequence);
    let (sending, sent) = keys(suite, sends, sequence);
    let secrets = received.zip(sent).map(|(receiving, sending)| Secrets { receiving, sending });
    RecordLayer::new(suite, receiving, sending, secrets)
}

/// A server, and a client of it.
fn server(suite: Suite) -> (RecordLayer, Forger) {
    let (client, secret) = keys(suite, 1, 0);
    (layer(suite, 1, 2, 0), Forger::new(suite, client, secret))
}

/// Two sides of one session, after `sequence` records each way.
fn pair(suite: Suite, sequence: u64) -> [RecordLayer; 2] {
    [layer(suite, 1, 2, sequence), layer(suite, 2, 1, sequence)]
}

fn open(layer: &mut RecordLayer, bytes: &[u8]) -> (Vec<u8>, Result<(), Refusal>, Vec<u8>) {
    let (mut bytes, mut replies) = (bytes.to_vec(), Vec::new());
    let (opened, result) = layer.open(&mut bytes, &mut replies);
    bytes.truncate(opened.data);
    (bytes, result, replies)
}

/// The server opens what the client has made of `records`, types and contents: what was refused, and the alert, which the
/// client opens.
fn refused(suite: Suite, records: &[(u8, &[u8])]) -> (Refusal, Option<u8>) {
    let (mut server, mut forger) = server(suite);
    let mut wire = Vec::new();
    records.iter().for_each(|(kind, content)| forger.seal(*kind, content, &mut wire));
    let (_, result, replies) = open(&mut server, &wire);
    let refusal = result.expect_err("it is refused");
    assert!(!refusal.to_string().is_empty());
    let mut client = layer(suite, 2, 1, 0);
    let alert = match open(&mut client, &replies) {
        (_, Err(Refusal::AlertReceived(alert)), _) => Some(alert),
        (_, Ok(()), _) if replies.is_empty() => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(alert, refusal.alert().map(|alert| alert as u8));
    // It is over: nothing is sealed any more, and no second alert.
    let mut out = Vec::new();
    assert_eq!(server.seal(&[IoSlice::new(b"data")], 4, &mut out), Err(Sealed));
    server.close(&mut out);
    assert_eq!(out, b"");
    (refusal, alert)
}

const HELLO: &[u8] = &[1, 0, 0, 3, 9, 9, 9];
const UPDATE: &[u8] = &[KEY_UPDATE, 0, 0, 1, 0];

#[test]
fn what_a_client_may_not_send_is_refused_with_its_alert() {
    for suite in suites() {
        let cases: &[Case<'_>] = &[
            // Alerts: RFC 8446 §6, RFC 5246 §7.2.
            (&[(ALERT, &[2, 40])], Refusal::AlertReceived(40), None),
            (&[(ALERT, &[2, 222])], Refusal::AlertReceived(222), None),
            (&[(ALERT, &[3, 0])], Refusal::AlertLevel, Some(47)),
            (&[(ALERT, &[0, 90])], Refusal::AlertLevel, Some(47)),
            (&[(ALERT, &[1])], Refusal::AlertForm, Some(50)),
            (&[(ALERT, &[1, 90, 1, 90])], Refusal::AlertForm, Some(50)),
            (&[(ALERT, &[])], Refusal::EmptyMessage, Some(10)),
            (&[(ALERT, [1u8, 90].as_slice()); 5], Refusal::Warnings, Some(10)),
            // Messages: RFC 8446 §4.6 and §5.1.
            (&[(HANDSHAKE, &[])], Refusal::EmptyMessage, Some(10)),
            (&[(HANDSHAKE, &[11, 0, 0, 0])], Refusal::HandshakeMessage(11), Some(10)),
            (&[(HANDSHAKE, &[4, 0, 0, 1, 0])], Refusal::HandshakeMessage(4), Some(10)),
            (&[(HANDSHAKE, &[20, 0, 0, 1, 0])], Refusal::HandshakeMessage(20), Some(10)),
        ];
        for (records, refusal, alert) in cases {
            assert_eq!(refused(suite, records), (*refusal, *alert), "{suite:?}");
        }
        let empty = vec![(APPLICATION_DATA, b"".as_slice()); 33];
        assert_eq!(refused(suite, &empty), (Refusal::EmptyRecords, Some(10)));
        let long = vec![7; MAX_PLAINTEXT + 1];
        assert_eq!(refused(suite, &[(APPLICATION_DATA, &long)]), (Refusal::Overflow, Some(22)));
    }
}

#[test]
fn what_only_tls_1_3_knows_is_refused_in_it() {
    for suite in tls13() {
        let cases: &[Case<'_>] = &[
            (&[(ALERT, &[1, 41])], Refusal::AlertReceived(41), None),
            (&[(20, &[1])], Refusal::RecordType(20), Some(10)),
            (&[(24, &[1])], Refusal::RecordType(24), Some(10)),
            (&[(0, &[])], Refusal::NoContentType, Some(10)),
            (&[(0, &[0, 0, 0])], Refusal::NoContentType, Some(10)),
            (&[(0, &[ALERT, 0, 0])], Refusal::EmptyMessage, Some(10)),
            (&[(HANDSHAKE, HELLO)], Refusal::HandshakeMessage(1), Some(10)),
            (&[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 2, 0, 0])], Refusal::HandshakeLength, Some(50)),
            (&[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 0])], Refusal::HandshakeLength, Some(50)),
            (&[(HANDSHAKE, &[KEY_UPDATE, 1, 0, 1])], Refusal::HandshakeLength, Some(50)),
            (&[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2])], Refusal::KeyUpdateRequest, Some(47)),
            (&[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE])], Refusal::KeyUpdateNotLast, Some(10)),
            (&[(HANDSHAKE, &UPDATE.repeat(2))], Refusal::KeyUpdateNotLast, Some(10)),
            (&[(HANDSHAKE, &UPDATE[..3]), (APPLICATION_DATA, b"x")], Refusal::Interleaved, Some(10)),
            (&[(HANDSHAKE, &UPDATE[..3]), (ALERT, &[1, 0])], Refusal::Interleaved, Some(10)),
            // A record under the old keys behind an update.
            (&[(HANDSHAKE, UPDATE), (APPLICATION_DATA, b"x")], Refusal::BadMac, Some(20)),
        ];
        for (records, refusal, alert) in cases {
            assert_eq!(refused(suite, records), (*refusal, *alert), "{suite:?}");
        }
        // The content may have 2^14 bytes, with its type and padding one more (RFC 8446 §5.4).
        let mut padded = vec![7; MAX_PLAINTEXT - 1];
        padded.extend([APPLICATION_DATA, 0]);
        assert_eq!(refused(suite, &[(0, &padded)]), (Refusal::Overflow, Some(22)));
    }
}

#[test]
fn what_only_tls_1_2_knows_is_refused_in_it() {
    for suite in tls12() {
        let long = [1, 1, 0, 0];
        let cases: &[Case<'_>] = &[
            (&[(20, &[1])], Refusal::RecordType(20), Some(10)),
            (&[(24, &[1])], Refusal::RecordType(24), Some(10)),
            (&[(HANDSHAKE, UPDATE)], Refusal::HandshakeMessage(KEY_UPDATE), Some(10)),
            (&[(HANDSHAKE, &long)], Refusal::HandshakeLength, Some(50)),
            (&[(HANDSHAKE, &HELLO[..2]), (APPLICATION_DATA, b"x")], Refusal::Interleaved, Some(10)),
        ];
        for (records, refusal, alert) in cases {
            assert_eq!(refused(suite, records), (*refusal, *alert), "{suite:?}");
        }
    }
}

#[test]
fn headers_that_no_client_sends_now_are_refused_before_their_bodies() {
    for suite in suites() {
        let longest = suite.max_body() as u16;
        for (header, refusal) in [
            ([20, 3, 3, 0, 1], Refusal::RecordType(20)),
            ([24, 3, 3, 0, 1], Refusal::RecordType(24)),
            ([0, 3, 3, 0, 0], Refusal::RecordType(0)),
            ([23, 3, 1, 0, 20], Refusal::RecordVersion),
            ([23, 2, 3, 0, 20], Refusal::RecordVersion),
            ([23, 3, 3, (longest >> 8) as u8, longest as u8 + 1], Refusal::Overflow),
            ([23, 3, 3, 255, 255], Refusal::Overflow),
        ] {
            assert_eq!(open(&mut server(suite).0, &header).1, Err(refusal), "{suite:?}");
            assert_eq!(open(&mut server(suite).0, &header[..4]).1, Ok(()));
        }
        let short = [23, 3, 3, 0, 3, 1, 2, 3];
        assert_eq!(open(&mut server(suite).0, &short).1, Err(Refusal::BadMac));
        // Of TLS 1.3 every record is one of application data outside.
        let alert = [ALERT, 3, 3, 0, 2, 1, 0];
        let expected = match suite.version {
            Version::Tls12 => Refusal::BadMac,
            Version::Tls13 => Refusal::RecordType(ALERT),
        };
        assert_eq!(open(&mut server(suite).0, &alert).1, Err(expected));
    }
}

#[test]
fn padding_and_the_longest_content_are_taken() {
    for suite in tls13() {
        let (mut server, mut forger) = server(suite);
        let mut wire = Vec::new();
        forger.seal(APPLICATION_DATA, &[5; MAX_PLAINTEXT], &mut wire);
        forger.seal(0, &[b'a', b'b', 0, APPLICATION_DATA, 0, 0, 0], &mut wire);
        forger.seal(0, &[APPLICATION_DATA, 0, 0, 0], &mut wire);
        forger.seal(0, &[1, 90, ALERT, 0, 0], &mut wire);
        let (data, result, replies) = open(&mut server, &wire);
        assert_eq!((result, replies.len()), (Ok(()), 0));
        assert!(data == [&[5; MAX_PLAINTEXT][..], b"ab\0"].concat());
    }
}

#[test]
fn an_update_of_keys_may_be_cut_into_records_but_shares_none() {
    for suite in tls13() {
        let (mut server, mut forger) = server(suite);
        let mut wire = Vec::new();
        for byte in UPDATE {
            forger.seal(HANDSHAKE, &[*byte], &mut wire);
        }
        forger.skip_key();
        forger.seal(APPLICATION_DATA, b"behind", &mut wire);
        assert_eq!(open(&mut server, &wire).0, b"behind");
    }
}

#[test]
fn many_requests_for_our_keys_are_answered_by_one_update_before_the_next_data() {
    for suite in tls13() {
        let (mut server, mut forger) = server(suite);
        let mut client = layer(suite, 2, 1, 0);
        let mut wire = Vec::new();
        (0..5).for_each(|_| forger.update_key(1, &mut wire));
        forger.update_key(0, &mut wire);
        let (_, result, replies) = open(&mut server, &wire);
        assert_eq!((result, replies.len()), (Ok(()), 0));
        let mut out = Vec::new();
        server.seal(&[IoSlice::new(b"one")], 3, &mut out).unwrap();
        let first = out.len();
        server.seal(&[IoSlice::new(b"two")], 3, &mut out).unwrap();
        assert_eq!(first - (out.len() - first), HEADER_BYTES + 5 + 1 + 16);
        assert_eq!(open(&mut client, &out), (b"onetwo".to_vec(), Ok(()), Vec::new()));
        assert_eq!(client.tolerated.key_updates, 0);
        assert!(!client.owes_key_update, "it asks for none itself");
    }
}

#[test]
fn a_key_of_tls_1_3_gives_way_before_its_limit_and_one_of_tls_1_2_ends_the_session() {
    for suite in suites() {
        let most = suite.max_records();
        let [mut server, mut client] = pair(suite, most - 3);
        let mut seal = |server: &mut RecordLayer| {
            let mut out = Vec::new();
            server.seal(&[IoSlice::new(b"x")], 1, &mut out).map(|_| open(&mut client, &out).0)
        };
        assert_eq!(seal(&mut server).unwrap(), b"x");
        assert_eq!(seal(&mut server).unwrap(), b"x");
        match suite.version {
            Version::Tls13 => {
                (0..10).for_each(|_| assert_eq!(seal(&mut server).unwrap(), b"x"));
                assert_eq!(server.sending.sequence(), 10);
                // The client was asked for new keys too.
                assert!(client.owes_key_update);
                let mut out = Vec::new();
                client.seal(&[IoSlice::new(b"y")], 1, &mut out).unwrap();
                assert_eq!(open(&mut server, &out).0, b"y");
                assert_eq!(server.receiving.sequence(), 1);
            }
            Version::Tls12 => {
                assert_eq!(seal(&mut server).unwrap(), b"x");
                let mut out = Vec::new();
                assert_eq!(server.seal(&[IoSlice::new(b"x")], 1, &mut out), Err(Sealed));
                assert_eq!(open(&mut client, &out).1, Ok(()));
                assert!(client.has_peer_closed());
            }
        }
    }
}

#[test]
fn no_sequence_number_wraps() {
    for suite in suites() {
        let [mut server, _] = pair(suite, MAX_SEQUENCE + 1);
        let (keys, secret) = keys(suite, 1, MAX_SEQUENCE + 1);
        let mut wire = Vec::new();
        Forger::new(suite, keys, secret).seal(APPLICATION_DATA, b"x", &mut wire);
        assert_eq!(open(&mut server, &wire).1, Err(Refusal::Exhausted));
    }
}

#[test]
fn a_first_renegotiation_is_declined_by_a_warning_and_a_second_ends_the_session() {
    for suite in tls12() {
        let (mut server, mut forger) = server(suite);
        let mut client = layer(suite, 2, 1, 0);
        let mut wire = Vec::new();
        // In pieces, with its body in several records.
        for piece in [&HELLO[..1], &HELLO[1..5], &HELLO[5..]] {
            forger.seal(HANDSHAKE, piece, &mut wire);
        }
        forger.seal(APPLICATION_DATA, b"it goes on", &mut wire);
        let (data, result, replies) = open(&mut server, &wire);
        assert_eq!((data.as_slice(), result), (b"it goes on".as_slice(), Ok(())));
        assert_eq!(replies[0], ALERT);
        assert_eq!(open(&mut client, &replies).1, Ok(()));
        assert_eq!(client.tolerated.warnings, 1);
        wire.clear();
        forger.seal(HANDSHAKE, HELLO, &mut wire);
        assert_eq!(open(&mut server, &wire).1, Err(Refusal::Renegotiations));
    }
}

#[test]
fn a_close_notify_ends_the_peers_side_and_what_follows_is_ignored() {
    for suite in suites() {
        let (mut server, mut forger) = server(suite);
        let mut wire = Vec::new();
        forger.seal(APPLICATION_DATA, b"last", &mut wire);
        forger.seal(ALERT, &[1, 0], &mut wire);
        wire.extend([255; 50]);
        let (mut bytes, mut replies) = (wire.clone(), Vec::new());
        let (opened, result) = server.open(&mut bytes, &mut replies);
        assert_eq!((opened, result), (Opened { data: 4, used: wire.len() }, Ok(())));
        assert!(server.has_peer_closed());
        assert_eq!(server.seal(&[IoSlice::new(b"more")], 4, &mut replies), Ok(4));
    }
}

#[test]
fn a_record_is_accepted_once_and_in_its_order() {
    for suite in suites() {
        let (mut server, mut forger) = server(suite);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        forger.seal(APPLICATION_DATA, b"first", &mut first);
        forger.seal(APPLICATION_DATA, b"second", &mut second);
        let (_, mut other) = self::server(suite);
        let mut others = Vec::new();
        other.seal(APPLICATION_DATA, b"first", &mut others);
        assert_eq!(first, others);
        assert_eq!(open(&mut server, &first).0, b"first");
        assert_eq!(open(&mut server, &first).1, Err(Refusal::BadMac));
        assert_eq!(open(&mut self::server(suite).0, &second).1, Err(Refusal::BadMac));
    }
}

/// The nonce of AES-GCM in TLS 1.2 is on the wire: the peer's choice, where ours is the number of the record.
#[test]
fn no_two_records_of_ours_share_a_nonce() {
    for suite in tls12().filter(|suite| suite.explicit_nonce_bytes() > 0) {
        let [mut server, _] = pair(suite, 0);
        let mut nonces = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut out = Vec::new();
            server.seal(&[IoSlice::new(b"x")], 1, &mut out).unwrap();
            assert!(nonces.insert(out[HEADER_BYTES..HEADER_BYTES + 8].to_vec()));
        }
    }
}

#[test]
fn what_is_carried_is_what_it_was() {
    for suite in suites() {
        let mut before = layer(suite, 1, 2, 77);
        before.tolerated = Tolerated { empty_records: 1, key_updates: 2, warnings: 3, renegotiations: 1 };
        before.owes_key_update = suite.version == Version::Tls13;
        before.peer_closed = true;
        before.partial = Partial { header: 3, body: 0 };
        let state = |layer: &RecordLayer| minicbor::to_vec(CarriedRecords::of(layer)).unwrap();
        let bytes = state(&before);
        let after = minicbor::decode::<CarriedRecords>(&bytes).unwrap().restore().unwrap();
        assert_eq!(state(&after), bytes);
        assert!(
            after.sending.are_those_of(&before.sending) && after.receiving.are_those_of(&before.receiving)
        );
    }
}

#[test]
fn a_state_that_cannot_be_is_refused() {
    for suite in suites() {
        type Edit = fn(&mut RecordLayer);
        let edits: [Edit; 8] = [
            |layer| layer.sending.sequence = MAX_SEQUENCE + 1,
            |layer| layer.receiving.sequence = u64::MAX,
            |layer| layer.partial = Partial { header: 5, body: 1 },
            |layer| layer.partial = Partial { header: 0, body: 1 },
            |layer| layer.partial = Partial { header: 4, body: 0x10000 },
            |layer| layer.partial = Partial { header: 2, body: 256 },
            |layer| layer.tolerated.warnings = MAX_WARNINGS + 1,
            |layer| {
                layer.suite.version = match layer.suite.version {
                    Version::Tls12 => Version::Tls13,
                    Version::Tls13 => Version::Tls12,
                }
            },
        ];
        for edit in edits {
            let mut layer = layer(suite, 1, 2, 0);
            edit(&mut layer);
            assert!(CarriedRecords::of(&layer).restore().is_err(), "{suite:?}");
        }
    }
    // A cipher with keys of another length.
    let mut layer = layer(suites().next().unwrap(), 1, 2, 0);
    layer.suite.aead = Aead::ChaCha20Poly1305;
    let mut carried = minicbor::to_vec(CarriedRecords::of(&layer)).unwrap();
    assert!(minicbor::decode::<CarriedRecords>(&carried).unwrap().restore().is_ok(), "32 bytes of it");
    carried.pop();
    assert!(minicbor::decode::<CarriedRecords>(&carried).is_err());
}
