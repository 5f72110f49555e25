use super::in_json::{equivalent, same};
use super::*;
use crate::dispatch::CommandLimits;
use crate::gateway::api::render;
use crate::link_bin::{Event, Payload, Push, Selector};
use serde::Deserialize;
use serde_json::Value;

/// clients/link-bin-vectors.json: what the clients in other languages check themselves against as well.
#[derive(Deserialize)]
struct Vectors {
    commands: Vec<Vector>,
    replies: Vec<Vector>,
    events: Vec<Vector>,
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Vector {
    about: String,
    hex: String,
    json: Value,
}

#[derive(Deserialize)]
struct Error {
    about: String,
    hex: String,
    id: u32,
    code: String,
    says: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../clients/link-bin-vectors.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn apps() -> Apps {
    Apps::new(["chess"]).unwrap()
}

fn written(write: impl FnOnce(&mut String)) -> Value {
    let mut json = String::new();
    write(&mut json);
    serde_json::from_str(&json).unwrap()
}

#[test]
fn every_command_is_as_its_vector_says() {
    let roomy = CommandLimits { max_selectors: 8, ..CommandLimits::small() };
    for Vector { about, hex, json } in vectors().commands {
        let message = bytes(&hex);
        let request = Request::decode(&message).unwrap_or_else(|refused| panic!("{about}: {refused:?}"));
        let mut again = Vec::new();
        request.encode(&mut again).unwrap();
        assert_eq!(again, message, "{about}");
        let parsed = parse(&message, &apps(), &roomy);
        same(parsed, &json, &apps(), &roomy);
        // What the fuzz target holds commands against says what the vector says.
        same(parse(&message, &apps(), &roomy), &equivalent(&request), &apps(), &roomy);
    }
}

#[test]
fn every_reply_is_as_its_vector_says() {
    for Vector { about, hex, json } in vectors().replies {
        let message = bytes(&hex);
        let (id, reply) = Reply::decode(&message).unwrap_or_else(|error| panic!("{about}: {error}"));
        assert_eq!(u64::from(id), json["id"].as_u64().unwrap_or(0), "{about}");
        if let Reply::Resume(resumption) = reply {
            let first = written(|out| render::resumption(out, &resumption));
            assert_eq!(first, json, "{about}");
            let mut again = Vec::new();
            Reply::Resume(resumption).encode(id, &mut again).unwrap();
            assert_eq!(again, message, "{about}");
            continue;
        }
        let outcome = outcome_of(reply);
        let mut again = Vec::new();
        super::reply(id, &outcome, &mut again);
        assert_eq!(again, message, "{about}");
        let body = written(|out| assert!(render::http_answer(out, None, &outcome) > 0));
        let expected = json.get("ok").cloned().unwrap_or_else(|| serde_json::json!({"error": json["error"]}));
        assert_eq!(body, expected, "{about}");
    }
}

/// What the reply is to; any but the first message of a link.
fn outcome_of(reply: Reply<'_>) -> Outcome {
    match reply {
        Reply::Done => Outcome::Accepted,
        Reply::Listening(ticks) => Outcome::Listening { ticks: ticks.into_owned(), missing: Vec::new() },
        Reply::Receipt(receipt) => Outcome::Receipt(receipt),
        Reply::Sessions(sessions) => Outcome::Done(OperationOutcome::Sessions(sessions)),
        Reply::Session(info) => Outcome::Done(OperationOutcome::Session(Box::new(info.into_owned()))),
        Reply::Renewed(expires_unix_ms) => Outcome::Done(OperationOutcome::Renewed { expires_unix_ms }),
        Reply::Presence(presence) => Outcome::Done(OperationOutcome::Presence(presence.into_owned())),
        Reply::Changed(sessions, unknown) => Outcome::Done(OperationOutcome::Changed { sessions, unknown }),
        Reply::Joined(sessions, recalled, unknown) => {
            Outcome::Done(OperationOutcome::Joined { sessions, recalled: Some(recalled), unknown })
        }
        Reply::Kept(page) => Outcome::Done(OperationOutcome::Kept(page.into_owned())),
        Reply::Counted(counted) => Outcome::Done(OperationOutcome::Counted(counted)),
        Reply::Stats(stats) => Outcome::Done(OperationOutcome::Stats(stats)),
        Reply::Names(page) => Outcome::Done(OperationOutcome::Names(page.into_owned())),
        Reply::Page(page) => Outcome::Done(OperationOutcome::Page(page.into_owned())),
        Reply::Unbanned(bans) => Outcome::Done(OperationOutcome::Unbanned(bans)),
        Reply::Bans(page) => Outcome::Done(OperationOutcome::Bans(page.into_owned())),
        Reply::Forgotten(messages) => Outcome::Done(OperationOutcome::Forgotten(messages)),
        Reply::Partial(of, missing) => match outcome_of(*of) {
            Outcome::Done(of) => {
                Outcome::Done(OperationOutcome::Partial { of: of.into(), missing: missing.into_owned() })
            }
            Outcome::Listening { ticks, .. } => Outcome::Listening { ticks, missing: missing.into_owned() },
            Outcome::Accepted => Outcome::Listening { ticks: Vec::new(), missing: missing.into_owned() },
            other => panic!("{other:?} is never partial"),
        },
        Reply::Resume(_) => panic!("it answers no command"),
        Reply::Error { code, message } => Outcome::Refused(CommandError::new(code, message)),
    }
}

#[test]
fn every_event_is_as_its_vector_says() {
    for Vector { about, hex, json } in vectors().events {
        let message = bytes(&hex);
        let (event, details) =
            Event::decode_with(&message).unwrap_or_else(|error| panic!("{about}: {error}"));
        let mut said = written(|out| render::event(out, &event, &details));
        let mut again = Vec::new();
        event.encode_with(&details, &mut again).unwrap();
        if let Some(number) = link_bin::number_of(&message) {
            said["n"] = number.into();
            again = link_bin::numbered(&again, number);
        }
        assert_eq!((said, again), (json, message), "{about}");
    }
}

#[test]
fn every_refusal_is_as_its_vector_says() {
    for Error { about, hex, id, code, says } in vectors().errors {
        let refused = parse(&bytes(&hex), &apps(), &CommandLimits::small()).expect_err(&about);
        assert_eq!((refused.id, refused.error.code.as_str()), (id, &*code), "{about}");
        assert!(
            refused.error.message.starts_with(&says),
            "{about}\n said {:?}\n not {says:?}",
            refused.error.message
        );
    }
}

#[test]
fn a_payload_beyond_its_limit_has_its_own_code() {
    for (length, refused) in [(64, false), (65, true)] {
        let payload = vec![0; length];
        let command = link_bin::Command::Push(Push::new(
            [Selector::All].into_iter().collect(),
            Payload::Binary(&payload),
        ));
        let mut message = Vec::new();
        Request::new(7, command).encode(&mut message).unwrap();
        let parsed = parse(&message, &apps(), &CommandLimits::small());
        assert_eq!(parsed.is_err_and(|error| error.error.code == ErrorCode::PayloadTooLarge), refused);
    }
}

/// The layout is in the reference: every opcode of the vectors stands in its tables.
#[test]
fn the_reference_names_every_opcode() {
    let reference = include_str!("../../../../docs/link.md");
    let Vectors { commands, replies, events, .. } = vectors();
    for Vector { about, hex, .. } in commands.iter().chain(&replies).chain(&events) {
        let opcode = format!("| 0x{} |", &hex[..2]);
        assert!(reference.contains(&opcode), "{about}: {opcode}");
    }
}
