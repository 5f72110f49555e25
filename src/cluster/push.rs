//! A push on the bus: behind the header how many sessions the receipt names at the most (u32), then the push in the layout of the
//! binary link, without an id and an app. The time to live that is left stands in the header.

use crate::dispatch::{EncodedFrame, PushOptions, Scope, Target};
use crate::link_bin::wire::{Reader, put_whole};
use crate::link_bin::{Command, Malformed, Payload, Push, Request, Selector, TooLong, Wrong};

/// Appends the body of a push to `out`; the payload is copied once. An empty key is no key.
///
/// # Errors
/// [`TooLong`] where it has more than 65,535 selectors or a key of more than 255 bytes; `out` is as it was then.
pub fn encode(
    target: &Target,
    frame: &EncodedFrame,
    options: &PushOptions,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    put_whole(out, |out| {
        out.extend_from_slice(&options.names.to_le_bytes());
        let command = Command::Push(Push::of(target, frame, options));
        Request::new(0, command).encode(out)
    })
}

/// Reads the body of a push. Its selectors stand in the order of the publisher, each as often as there; [`PushOptions::ttl`] is for
/// the header to say.
///
/// # Errors
/// [`Malformed`]: not of the layout, not a push, or with a name that is none.
pub fn decode(body: &[u8]) -> Result<(Target, EncodedFrame, PushOptions), Malformed> {
    let mut reader = Reader::new(body);
    let names = reader.u32("names")?;
    let request = Request::decode(reader.rest()).map_err(|refused| refused.error)?;
    let Command::Push(push) = request.command else {
        return Err(wrong("a command", "a push"));
    };
    let Push { target, payload, ttl_ms: _, key, class, except, without, receipt, names: has_names } = push;
    let mut chosen = Target::nobody();
    for selector in target.iter() {
        chosen.push(named(selector)?);
    }
    let frame = match payload {
        Payload::Text(text) => EncodedFrame::text(text),
        Payload::Binary(bytes) => EncodedFrame::binary(bytes),
    };
    let options = PushOptions {
        ttl: None,
        key: key.map(Into::into),
        class,
        except,
        without: without.iter().map(named).collect::<Result<_, _>>()?,
        receipt,
        names: if has_names { names } else { 0 },
        // It has come from another node: here it is for this one.
        scope: Scope::Node,
    };
    Ok((chosen, frame, options))
}

fn named(selector: &Selector<'_>) -> Result<crate::dispatch::Selector, Malformed> {
    selector.chosen().map_err(|_| wrong("a name", "names of 1 to 128 bytes without control characters"))
}

fn wrong(what: &'static str, known: &'static str) -> Malformed {
    Malformed { offset: 0, wrong: Wrong::Unknown { what, value: 0, known } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{Class, ReceiptMode, Selector as Chosen};
    use crate::session::{Name, SessionId};
    use std::time::Duration;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Every way of naming sessions, some of them twice.
    fn selectors() -> Vec<Chosen> {
        let session = Chosen::Session(SessionId::new(4095, 255, 7, 9));
        let common = [Chosen::Tag(name("t")), session.clone(), Chosen::User(name("größer"))];
        let all_of = Chosen::AllOf(common.into());
        let user = Chosen::User(name("ada"));
        vec![
            user.clone(),
            session,
            all_of,
            Chosen::Group(name("g")),
            Chosen::Tag(name("t")),
            Chosen::All,
            user,
        ]
    }

    fn there_and_back(
        target: &Target,
        frame: &EncodedFrame,
        options: &PushOptions,
    ) -> (Target, EncodedFrame, PushOptions) {
        let mut body = b"header".to_vec();
        encode(target, frame, options, &mut body).unwrap();
        decode(&body[6..]).unwrap()
    }

    fn target(selectors: &[Chosen]) -> Target {
        selectors.iter().cloned().fold(Target::nobody(), Target::or)
    }

    #[test]
    fn a_push_is_read_as_it_was_written_and_its_selectors_keep_their_places() {
        let frames =
            [EncodedFrame::text(""), EncodedFrame::text("größer"), EncodedFrame::binary(&[0xff; 70_000])];
        for (index, class) in [Class::Normal, Class::Urgent, Class::Droppable].into_iter().enumerate() {
            for receipt in [ReceiptMode::None, ReceiptMode::Queued, ReceiptMode::Written] {
                for (some, names) in [(false, 0), (true, u32::MAX)] {
                    let options = PushOptions {
                        ttl: None,
                        key: some.then(|| "score".into()),
                        class,
                        except: some.then(|| SessionId::from_u64(0)),
                        without: if some { selectors() } else { Vec::new() },
                        receipt,
                        names,
                        scope: Scope::Node,
                    };
                    let target = target(&if some { selectors() } else { Vec::new() });
                    let frame = &frames[index];
                    let expected = (target.clone(), frame.clone(), options.clone());
                    let options = PushOptions { ttl: Some(Duration::from_secs(9)), ..options };
                    assert_eq!(there_and_back(&target, frame, &options), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_in_common_of_what_is_in_common_is_told_flat() {
        let user = || Chosen::User(name("ada"));
        let nested =
            Chosen::AllOf([Chosen::AllOf([user(), Chosen::All].into()), Chosen::Tag(name("t"))].into());
        let flat = Chosen::AllOf([user(), Chosen::All, Chosen::Tag(name("t"))].into());
        let (target, ..) = there_and_back(&nested.into(), &EncodedFrame::text("hi"), &PushOptions::default());
        assert_eq!(target, flat.into());
    }

    #[test]
    fn what_does_not_fit_leaves_no_half_of_a_body() {
        let mut out = b"before".to_vec();
        let options = PushOptions { key: Some("x".repeat(256).into()), ..PushOptions::default() };
        let frame = EncodedFrame::text("hi");
        assert!(encode(&Target::nobody(), &frame, &options, &mut out).is_err());
        let many = target(&vec![Chosen::All; 65_536]);
        assert!(encode(&many, &frame, &PushOptions::default(), &mut out).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn what_is_no_push_is_refused() {
        let body = |command| {
            let mut body = vec![0; 4];
            Request::new(0, command).encode(&mut body).unwrap();
            body
        };
        assert!(decode(&body(Command::Stats)).is_err());
        let bad_name =
            |selector| body(Command::Push(Push::new([selector].into_iter().collect(), Payload::Text("hi"))));
        assert!(decode(&bad_name(Selector::User("ada"))).is_ok());
        assert!(decode(&bad_name(Selector::User(""))).is_err());
        assert!(decode(&bad_name(Selector::AllOf(vec![Selector::Tag("a\nb")]))).is_err());
        for end in 0..body(Command::Push(Push::new(Default::default(), Payload::Text("")))).len() {
            assert!(decode(&bad_name(Selector::User("ada"))[..end]).is_err(), "{end}");
        }
    }
}
