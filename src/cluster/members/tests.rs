use super::*;

const LEASE_MS: u64 = 5_000;

fn heartbeat(node: u16, incarnation: u64, stamp_ms: u64) -> Heartbeat {
    Heartbeat {
        node,
        incarnation,
        name: format!("n{incarnation}"),
        advertise: Some("wss://eu1.game.example".to_owned()),
        version: "0.2.0".to_owned(),
        draining: false,
        sessions: 7,
        uses_buckets: true,
        is_ready: true,
        published: vec![PublishedTo { reactor: 1, server: 0, last: u64::MAX }],
        stamp_ms,
    }
}

fn came(incarnation: u64) -> MemberEvent {
    MemberEvent::Came { incarnation, name: format!("n{incarnation}") }
}

fn gone(incarnation: u64, is_goodbye: bool) -> MemberEvent {
    MemberEvent::Gone { incarnation, name: format!("n{incarnation}"), is_goodbye }
}

#[test]
fn a_node_comes_with_its_first_heartbeat_and_goes_after_a_lease_of_silence() {
    let mut members = Members::new(LEASE_MS);
    assert_eq!((members.due_ms(), members.is_empty()), (None, true));
    assert_eq!(members.hear(&heartbeat(3, 30, 100), 1_000), [came(30)]);
    assert_eq!(members.hear(&heartbeat(3, 30, 350), 1_250), []);
    assert_eq!((members.incarnation_of(3), members.due_ms()), (Some(30), Some(6_250)));
    assert_eq!(members.turn(6_249), []);
    assert_eq!(members.turn(6_250), [gone(30, false)]);
    assert_eq!((members.incarnation_of(3), members.len()), (None, 0));
    assert_eq!(members.hear(&heartbeat(3, 30, 9_000), 9_900), [came(30)], "it was only slow");
}

#[test]
fn a_node_that_said_goodbye_does_not_come_back_by_a_late_heartbeat() {
    let mut members = Members::new(LEASE_MS);
    members.hear(&heartbeat(3, 30, 100), 1_000);
    assert_eq!(members.goodbye(30, 1_100), Some(gone(30, true)));
    assert_eq!(members.goodbye(30, 1_101), None);
    assert_eq!(members.hear(&heartbeat(3, 30, 99), 1_102), []);
    assert!(members.is_empty());
    // The next start has another incarnation.
    assert_eq!(members.hear(&heartbeat(3, 31, 5), 1_103), [came(31)]);
}

#[test]
fn a_successor_is_no_conflict_and_two_that_go_on_are_one_which_is_told_once() {
    let mut members = Members::new(LEASE_MS);
    members.hear(&heartbeat(3, 30, 100), 1_000);
    // 30 was killed, and its lease ran out a little before it is forgotten.
    assert_eq!(members.hear(&heartbeat(3, 31, 1), 4_000), [came(31)]);
    assert_eq!(members.hear(&heartbeat(3, 31, 251), 4_250), []);
    assert_eq!(members.incarnation_of(3), Some(31));
    // Or it was not.
    let conflict = MemberEvent::Conflict { node: 3, first: (30, "n30".into()), second: (31, "n31".into()) };
    assert_eq!(members.hear(&heartbeat(3, 30, 3_400), 4_300), [conflict]);
    assert_eq!(members.hear(&heartbeat(3, 30, 3_600), 4_500), []);
    assert_eq!(members.hear(&heartbeat(3, 31, 501), 4_500), []);
    // Whoever is left has it.
    members.goodbye(31, 4_600);
    assert_eq!(members.incarnation_of(3), Some(30));
}

#[test]
fn numbers_change_hands_and_none_is_no_number() {
    let mut members = Members::new(LEASE_MS);
    members.hear(&heartbeat(0, 30, 100), 1_000);
    assert_eq!(members.hear(&heartbeat(0, 31, 100), 1_001), [came(31)]);
    assert_eq!(members.hear(&heartbeat(0, 30, 101), 1_002), [], "nodes without a number are in no conflict");
    assert_eq!(members.incarnation_of(0), None);
    members.hear(&heartbeat(3, 30, 200), 1_100);
    members.hear(&heartbeat(4, 30, 300), 1_200);
    assert_eq!((members.incarnation_of(3), members.incarnation_of(4)), (None, Some(30)));
    // An older one that comes late says nothing new.
    members.hear(&heartbeat(3, 30, 250), 1_201);
    assert_eq!(members.get(30).map(|member| member.heartbeat.node), Some(4));
    assert_eq!(members.incarnation_of(4), Some(30));
    let listed: Vec<_> = members.list().iter().map(|member| member.heartbeat.node).collect();
    assert_eq!(listed, [0, 4]);
}

#[test]
fn a_message_that_came_late_is_known_to_be() {
    let mut members = Members::new(LEASE_MS);
    for time in 0..4 {
        members.hear(&heartbeat(3, 30, time * 250), 77_002 + time * 250);
    }
    assert_eq!(members.excess_delay_ms(30, 2_000, 79_002), 0);
    assert_eq!(members.excess_delay_ms(30, 2_000, 80_502), 1_500);
    assert_eq!(members.excess_delay_ms(31, 2_000, 80_502), 0);
}

#[test]
fn a_heartbeat_is_read_as_it_was_written_and_hostile_bytes_are_not() {
    let full = heartbeat(4_095, u64::MAX, u64::MAX);
    let bytes = full.encode();
    assert_eq!(Heartbeat::decode(&bytes), Ok(full.clone()));
    for end in 0..bytes.len() {
        assert_eq!(Heartbeat::decode(&bytes[..end]), Err(InvalidHeartbeat::Form), "cut at {end}");
    }
    for place in 0..bytes.len() {
        for value in [0x00, 0x1b, 0x5f, 0x7f, 0x9b, 0x9f, 0xbb, 0xff] {
            let mut changed = bytes.clone();
            changed[place] = value;
            // Whatever comes of it is within bounds.
            if let Ok(heartbeat) = Heartbeat::decode(&changed) {
                assert!(heartbeat.name.len() <= 128 && heartbeat.version.len() <= MOST);
            }
        }
    }
    let with = |change: fn(&mut Heartbeat)| {
        let mut heartbeat = full.clone();
        change(&mut heartbeat);
        Heartbeat::decode(&heartbeat.encode())
    };
    assert_eq!(with(|heartbeat| heartbeat.name.clear()), Err(InvalidHeartbeat::Text));
    assert_eq!(with(|heartbeat| heartbeat.name.push('\n')), Err(InvalidHeartbeat::Text));
    assert_eq!(with(|heartbeat| heartbeat.version = "v".repeat(65)), Err(InvalidHeartbeat::Text));
    assert_eq!(with(|heartbeat| heartbeat.advertise = Some("a".repeat(257))), Err(InvalidHeartbeat::Text));
    let many = |heartbeat: &mut Heartbeat| heartbeat.published = vec![heartbeat.published[0]; 20_000];
    assert_eq!(with(many), Err(InvalidHeartbeat::TooLong));
    assert!(with(|heartbeat| heartbeat.advertise = None).is_ok());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut members = Members::new(LEASE_MS);
    for incarnation in 0..5_000 {
        members.hear(&heartbeat(1, incarnation, 0), 1_000);
        members.goodbye(1_000_000 + incarnation, 1_000);
    }
    assert_eq!((members.len(), members.departed.len()), (MOST, MOST));
    members.turn(1_000 + LEASE_MS);
    assert_eq!((members.len(), members.departed.len(), members.numbers.len()), (0, 0, 0));
}
