//! A command on the bus: behind the header a byte of flags, where [`AMONG`] is set how many apps are meant (u16) with their names,
//! each behind a byte for its length, then the command in the layout of the binary link, without an id and an app.

use crate::dispatch::{Action, Apps, Command as Asked, CommandError, CommandLimits, ErrorCode};
use crate::link_bin::wire::{Reader, put_count, put_text, put_whole};
use crate::link_bin::{Command, Malformed, Request, TooLong};
use crate::session::AppId;
use std::fmt;

/// Of a listing: everything about each session is wanted.
const DETAILED: u8 = 0x01;
/// Of apps: only the named ones are.
const AMONG: u8 = 0x02;

/// Why an action is not told to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// It is about the links of this node, or about nobody: there is nothing to do elsewhere.
    Local,
    /// It does not fit.
    TooLong(TooLong),
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("it is about this node alone"),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl std::error::Error for Untold {}

/// Appends the body of a command to `out`. `apps` has the names of the apps that it may mean.
///
/// # Errors
/// [`Untold`]; `out` is as it was then.
pub fn encode(action: &Action, apps: &Apps, out: &mut Vec<u8>) -> Result<(), Untold> {
    let mut text = String::new();
    let command = Command::of_action(action, &mut text).ok_or(Untold::Local)?;
    let among = match action {
        Action::Names { among, .. } => among.as_deref(),
        _ => None,
    };
    let is_detailed = matches!(action, Action::List { detailed: true, .. });
    let flag = |flag, is_set| if is_set { flag } else { 0 };
    put_whole(out, |out| {
        out.push(flag(DETAILED, is_detailed) | flag(AMONG, among.is_some()));
        if let Some(among) = among {
            put_count(among.len(), "the apps", out)?;
            among.iter().try_for_each(|app| put_text(apps.name_of(*app), "app", out))?;
        }
        Request::new(0, command).encode(out)
    })
    .map_err(Untold::TooLong)
}

/// Reads the body of a command. An app that is not among `apps` is none of those that it is about. The bounds of the sender have
/// held: those of this node may be others.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) where it is not of the layout, or asks for what no node asks of
/// another.
pub fn decode(body: &[u8], apps: &Apps) -> Result<Action, CommandError> {
    let malformed = |malformed: Malformed| bad_request(malformed.to_string());
    let mut reader = Reader::new(body);
    let flags = reader.u8("flags").map_err(malformed)?;
    reader.check_flags(flags, DETAILED | AMONG, "0x01 (detailed), 0x02 (among)").map_err(malformed)?;
    let among = match flags & AMONG {
        0 => None,
        _ => Some(read_among(&mut reader, apps).map_err(malformed)?),
    };
    let request = Request::decode(reader.rest()).map_err(|refused| malformed(refused.error))?;
    let mut action = match request.asks(&CommandLimits::BOUNDLESS)? {
        (_, Asked::Act(action, _)) if !action.is_for_all() => action,
        _ => return Err(bad_request("no node asks this of another")),
    };
    match &mut action {
        Action::List { detailed, .. } => *detailed = flags & DETAILED != 0,
        Action::Names { among: named, .. } => *named = among,
        _ => {}
    }
    Ok(action)
}

fn read_among(reader: &mut Reader<'_>, apps: &Apps) -> Result<Box<[AppId]>, Malformed> {
    let count = reader.u16("the number of apps")?;
    let mut among = Vec::new();
    for _ in 0..count {
        among.extend(apps.find(reader.text("app")?).ok());
    }
    Ok(among.into())
}

fn bad_request(message: impl Into<Box<str>>) -> CommandError {
    CommandError::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{
        Banned, Epoch, NameKind, PresentAfter, Recall, Routed, Selector, SessionEnd, Token, Who,
    };
    use crate::session::{Name, SessionId};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| name(text)).collect()
    }

    fn id(slot: u32) -> SessionId {
        SessionId::new(4095, 255, 3, slot)
    }

    fn apps() -> Apps {
        Apps::new(["chess", "go"]).unwrap()
    }

    fn there_and_back(action: &Action, apps: (&Apps, &Apps)) -> Action {
        let mut body = b"header".to_vec();
        encode(action, apps.0, &mut body).unwrap_or_else(|error| panic!("{action:?}: {error}"));
        decode(&body[6..], apps.1).unwrap_or_else(|error| panic!("{action:?}: {error}"))
    }

    /// Every way of saying whose sessions.
    fn whos() -> [Who; 5] {
        let many = (0..300).map(id).collect();
        [
            Who::Session(id(1)),
            Who::User(name("größer")),
            Who::Sessions(vec![id(1), id(2)]),
            Who::Users(names(&["ada", "bob"])),
            Who::Sessions(many),
        ]
    }

    fn of_sessions() -> Vec<Action> {
        let after = |epoch, last| Recall::After { offset: 17, epoch, last };
        let recalls = [Recall::Last(0), after(None, None), after(Some(Epoch::from_u64(u64::MAX)), Some(5))];
        let mut actions = Vec::new();
        for who in whos() {
            let (group, tag) = (name("g"), name("t"));
            actions.extend([
                Action::Join { who: who.clone(), group: group.clone() },
                Action::JoinAll { who: who.clone(), groups: names(&["g"]) },
                Action::LeaveAll { who: who.clone(), groups: names(&["g", "h"]) },
                Action::SetGroups { who: who.clone(), groups: names(&["gx"]), prefix: Some(group.clone()) },
                Action::SetGroups { who: who.clone(), groups: Vec::new(), prefix: None },
                Action::Leave { who: who.clone(), group: group.clone() },
                Action::MoveSome { who: who.clone(), from: group.clone(), to: name("h") },
                Action::Kick { who: who.clone(), code: 4999, reason: "too many shots".into() },
                Action::SetTags { who: who.clone(), tags: names(&["t", "u"]), prefix: None },
            ]);
            let with = |recall| Action::JoinWith { who: who.clone(), group: group.clone(), recall };
            actions.extend(recalls.map(with));
            match who {
                Who::Session(session) => actions
                    .extend([Action::Tag { session, tag: tag.clone() }, Action::Untag { session, tag }]),
                who => {
                    if !who.users().is_empty() {
                        let sticky = |groups: &[&str], recall| Action::JoinSticky {
                            who: who.clone(),
                            groups: names(groups),
                            recall,
                        };
                        actions.extend([sticky(&["g"], None), sticky(&["g", "h"], None)]);
                        actions.extend(recalls.map(|recall| sticky(&["g"], Some(recall))));
                    }
                    actions.push(Action::TagAll { who: who.clone(), tag: tag.clone() });
                    actions.push(Action::UntagAll { who, tag });
                }
            }
        }
        actions
    }

    fn of_names() -> Vec<Action> {
        let (group, session) = (name("g"), id(7));
        let banned = || [Banned::User(name("a:b")), Banned::Address("10.0.0.0/8".parse().unwrap())];
        let ban = |for_ms| move |whom| Action::Ban { whom, for_ms, reason: "cheating".into() };
        let log = |after, epoch, limit| Action::Log { group: group.clone(), after, epoch, limit };
        let listed =
            [Selector::All, Selector::User(name("u")), Selector::Group(name("g")), Selector::Tag(name("t"))];
        let mut actions = vec![
            Action::Destroy { group: group.clone() },
            Action::Move { from: group.clone(), to: name("h") },
            Action::Bind { session, user: Some(name("ada")) },
            Action::Bind { session, user: None },
            Action::Renew { session, token: Token::new("a.b.c") },
            Action::RenewUntil { session, end: SessionEnd::At(u64::MAX) },
            Action::RenewUntil { session, end: SessionEnd::For(0) },
            Action::Describe { session },
            Action::Stats,
            Action::Latest { group: group.clone() },
            log(0, None, 1),
            log(u64::MAX, Some(Epoch::from_u64(0)), 70_000),
            Action::Forget { group: group.clone(), key: None },
            Action::Forget { group: group.clone(), key: Some("score".into()) },
            Action::Bans { limit: 1, after: None },
        ];
        actions.extend(banned().map(ban(None)));
        actions.extend(banned().map(ban(Some(u64::MAX))));
        actions.extend(banned().map(|whom| Action::Unban { whom }));
        actions.extend(banned().map(|whom| Action::Bans { limit: 70_000, after: Some(whom) }));
        for by in listed {
            actions.push(Action::Count { by: by.clone() });
            for (limit, after, detailed) in [(1, None, false), (u32::MAX as usize, Some(session), true)] {
                actions.push(Action::List { by: by.clone(), limit, after, detailed });
            }
        }
        for kind in [NameKind::Users, NameKind::Groups, NameKind::Apps] {
            let (prefix, after) = (Some(name("p")), Some(name("q")));
            actions.push(Action::Names { kind, prefix, limit: 5, after, among: None });
            actions.push(Action::Names { kind, prefix: None, limit: 1, after: None, among: None });
        }
        let befores = [None, Some(PresentAfter::User(name("s:1"))), Some(PresentAfter::Session(session))];
        for (after, members) in befores.into_iter().zip([true, false, true]) {
            actions.push(Action::Presence { group: group.clone(), limit: 9, after, members });
        }
        actions
    }

    #[test]
    fn every_action_is_read_as_it_was_written() {
        for action in of_sessions().into_iter().chain(of_names()) {
            assert_eq!(there_and_back(&action, (&apps(), &apps())), action);
        }
    }

    #[test]
    fn apps_are_told_by_their_names_and_those_that_are_not_there_are_left_out() {
        let other = Apps::new(["poker", "go"]).unwrap();
        let names = |among: &[u16]| Action::Names {
            kind: NameKind::Apps,
            prefix: None,
            limit: 5,
            after: None,
            among: Some(among.iter().map(|id| AppId(*id)).collect()),
        };
        assert_eq!(there_and_back(&names(&[0, 1, 2]), (&apps(), &other)), names(&[0, 2]));
        assert_eq!(there_and_back(&names(&[]), (&apps(), &other)), names(&[]));
    }

    #[test]
    fn a_page_of_none_is_asked_for_as_one_of_one() {
        let action = |limit| Action::List { by: Selector::All, limit, after: None, detailed: false };
        assert_eq!(there_and_back(&action(0), (&apps(), &apps())), action(1));
    }

    #[test]
    fn what_is_about_this_node_or_about_nobody_is_not_told() {
        let (who, none) = (Who::User(name("ada")), Vec::new);
        let all_of = Selector::AllOf([Selector::All].into());
        for action in [
            Action::Route { what: Routed::Session(id(1)), link: None },
            Action::Rebalance { share: name("game") },
            Action::Unlisten { link: id(1) },
            Action::JoinAll { who: who.clone(), groups: none() },
            Action::JoinSticky { who, groups: none(), recall: None },
            Action::Leave { who: Who::Sessions(Vec::new()), group: name("g") },
            Action::Leave { who: Who::Users(Vec::new()), group: name("g") },
            Action::Count { by: all_of },
            Action::List { by: Selector::Session(id(1)), limit: 1, after: None, detailed: false },
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(encode(&action, &apps(), &mut out), Err(Untold::Local), "{action:?}");
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_told() {
        let sessions = Who::Sessions((0..65_536).map(id).collect());
        let mut out = b"before".to_vec();
        let refused = encode(&Action::Leave { who: sessions, group: name("g") }, &apps(), &mut out);
        assert!(matches!(refused, Err(Untold::TooLong(_))) && out == b"before", "{refused:?}");
    }

    #[test]
    fn what_no_node_asks_of_another_is_refused() {
        let body = |flags: u8, command| {
            let mut body = vec![flags];
            Request::new(0, command).encode(&mut body).unwrap();
            body
        };
        assert!(decode(&body(0, Command::Stats), &apps()).is_ok());
        assert!(decode(&body(0x04, Command::Stats), &apps()).is_err());
        assert!(decode(&body(0, Command::Rebalance { share: "game" }), &apps()).is_err());
        let push = crate::link_bin::Push::new(Default::default(), crate::link_bin::Payload::Text(""));
        assert!(decode(&body(0, Command::Push(push)), &apps()).is_err());
        let whole = body(0, Command::Destroy { group: "g" });
        for end in 0..whole.len() {
            assert!(decode(&whole[..end], &apps()).is_err(), "{end}");
        }
    }
}
