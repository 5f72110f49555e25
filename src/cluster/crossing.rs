//! What two nodes say to each other about a session that crosses from the one to the other, since its client has come to the other
//! with a ticket. The bodies are CBOR (RFC 8949). Pure.

use crate::dispatch::{Class, EncodedFrame, Profile, PushId};
use crate::session::{Name, SessionId};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// What is said to the node that has the session.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToOld {
    /// The client of the session has come to another node.
    #[n(0)]
    Claim(#[n(0)] Box<Asked>),
    /// The other node hears the names of the session: what is there of it goes there.
    #[n(1)]
    Take(#[n(0)] Taking),
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Asked {
    #[n(0)]
    session: u64,
    /// The ticket as the client has shown it; `None` where the node that has made it says that it stands for this session.
    #[n(1)]
    sealed: Option<ByteVec>,
    #[n(2)]
    received: u64,
    #[n(3)]
    says_who: bool,
    #[n(4)]
    user: Option<Box<str>>,
}

/// A claim as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimFromElsewhere {
    /// The session.
    pub session: SessionId,
    /// The ticket; `None` where another node vouches for it.
    pub sealed: Option<Vec<u8>>,
    /// How many messages of the session its client has read.
    pub received: u64,
    /// Who it is, where it has to be who opened the session: inside, nobody or a user.
    pub claimant: Option<Option<Name>>,
}

/// The session is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Taking {
    /// The session.
    #[n(0)]
    pub session: u64,
    /// What it is called from now on.
    #[n(1)]
    pub new: u64,
}

/// What is said to the node to which the client has come.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToNew {
    /// What the session is.
    #[n(0)]
    Facts(#[n(0)] Box<Facts>),
    /// The client cannot have it: 0 it has ended, 1 a gap, 2 the ticket is good for nothing, 3 it is somebody else's.
    #[n(1)]
    Refused(#[n(0)] u8),
    /// It has crossed before, and is this one now.
    #[n(2)]
    Elsewhere(#[n(0)] u64),
    /// A part of what its client has not read.
    #[n(3)]
    Rest(#[n(0)] Box<Rest>),
    /// All pushes that the session was given, and that go over this Redis, are before this; and what of each publisher was heard there.
    #[n(4)]
    End(#[n(0)] Vec<HeardOf>),
}

/// Of a publisher of one Redis nothing behind this number has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HeardOf {
    /// Its process.
    #[n(0)]
    pub incarnation: u64,
    /// The reactor.
    #[n(1)]
    pub reactor: u8,
    /// The number of its last message.
    #[n(2)]
    pub last: u64,
}

/// What a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Facts {
    #[n(0)]
    user: Option<Box<str>>,
    #[n(1)]
    groups: Vec<Box<str>>,
    #[n(2)]
    tags: Vec<Box<str>>,
    #[n(3)]
    claims: Option<Box<str>>,
    #[n(4)]
    params: Vec<(Box<str>, Box<str>)>,
}

/// What it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The user that it is bound to.
    pub user: Option<Name>,
    /// Its groups.
    pub groups: Vec<Name>,
    /// Its tags.
    pub tags: Vec<Name>,
    /// What is kept of what its client has shown.
    pub profile: Option<Arc<Profile>>,
}

/// Some of what a client has not read: first what was written and is in the ring, then what waits.
#[derive(Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rest {
    /// Which part this is, from 0 on, and how many there are.
    #[n(0)]
    pub part: u32,
    /// How many there are.
    #[n(1)]
    pub parts: u32,
    /// How many messages have been written since the session opened.
    #[n(2)]
    pub sent: u64,
    /// Of the first part: pushes that the session was given since it was claimed.
    #[n(3)]
    pub given: Vec<PushId>,
    /// Written.
    #[n(4)]
    pub kept: Vec<Written>,
    /// Waiting.
    #[n(5)]
    pub waiting: Vec<Waiting>,
}

/// A message that has been written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Written {
    #[n(0)]
    is_text: bool,
    #[n(1)]
    payload: ByteVec,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Waiting {
    #[n(0)]
    message: Written,
    /// 0 normal, 1 urgent, 2 droppable.
    #[n(1)]
    class: u8,
    /// How long it may still wait, in milliseconds.
    #[n(2)]
    ttl_left_ms: Option<u64>,
    #[n(3)]
    key: Option<Box<str>>,
    /// Of a group that remembers, whose key it is.
    #[n(4)]
    scope: Option<u64>,
}

/// A message that waits, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Encoded.
    pub frame: EncodedFrame,
    /// Which messages it goes before.
    pub class: Class,
    /// How long it may still wait, in milliseconds.
    pub ttl_left_ms: Option<u64>,
    /// See [`PushOptions::key`](crate::dispatch::PushOptions::key).
    pub key: Option<Box<str>>,
    /// Of a group that remembers, whose key it is.
    pub scope: Option<u64>,
}

/// Appends a body.
pub fn write<T: Encode<()>>(body: &T, out: &mut Vec<u8>) {
    // A vector takes whatever there is memory for: encoding into one fails never.
    let _: Result<(), minicbor::encode::Error<std::convert::Infallible>> = minicbor::encode(body, out);
}

/// Reads a body; `None` where it is none, or more than one.
pub fn read<'b, T: Decode<'b, ()>>(body: &'b [u8]) -> Option<T> {
    let mut decoder = minicbor::Decoder::new(body);
    let value = decoder.decode().ok()?;
    (decoder.position() == body.len()).then_some(value)
}

impl Asked {
    /// As it is told.
    pub fn of(claim: &ClaimFromElsewhere) -> Self {
        let ClaimFromElsewhere { session, sealed, received, claimant } = claim;
        Self {
            session: session.as_u64(),
            sealed: sealed.clone().map(ByteVec::from),
            received: *received,
            says_who: claimant.is_some(),
            user: claimant.as_ref().and_then(Option::as_ref).map(|user| user.as_str().into()),
        }
    }

    /// The session that is claimed.
    pub fn session(&self) -> SessionId {
        SessionId::from_u64(self.session)
    }

    /// The claim; `None` where a name is none.
    pub fn claim(&self) -> Option<ClaimFromElsewhere> {
        let sealed = self.sealed.as_ref().map(|bytes| bytes.to_vec());
        let user = name_of(self.user.as_deref())?;
        let claimant = self.says_who.then_some(user);
        let (session, received) = (SessionId::from_u64(self.session), self.received);
        Some(ClaimFromElsewhere { session, sealed, received, claimant })
    }
}

fn name_of(text: Option<&str>) -> Option<Option<Name>> {
    text.map(|text| Name::new(text).ok()).map_or(Some(None), |name| name.map(Some))
}

impl Facts {
    /// As they are told.
    pub fn of(names: &Names) -> Self {
        let texts = |names: &[Name]| names.iter().map(|name| name.as_str().into()).collect();
        let profile = names.profile.as_deref();
        Self {
            user: names.user.as_ref().map(|user| user.as_str().into()),
            groups: texts(&names.groups),
            tags: texts(&names.tags),
            claims: profile.and_then(|profile| profile.claims.clone()),
            params: profile.map(|profile| profile.params.clone()).unwrap_or_default(),
        }
    }

    /// The names; `None` where one is none.
    pub fn names(&self) -> Option<Names> {
        let names = |texts: &[Box<str>]| -> Option<Vec<Name>> {
            texts.iter().map(|text| Name::new(text).ok()).collect()
        };
        let profile = Profile { claims: self.claims.clone(), params: self.params.clone() };
        Some(Names {
            user: name_of(self.user.as_deref())?,
            groups: names(&self.groups)?,
            tags: names(&self.tags)?,
            profile: (!profile.is_empty()).then(|| Arc::new(profile)),
        })
    }
}

impl Written {
    /// As it is told.
    pub fn of(frame: &EncodedFrame) -> Self {
        let (is_text, payload) = frame.message();
        Self { is_text, payload: payload.to_vec().into() }
    }

    /// Its length.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// The frame; `None` where it is text and is no UTF-8.
    pub fn frame(&self) -> Option<EncodedFrame> {
        match self.is_text {
            true => std::str::from_utf8(&self.payload).ok().map(EncodedFrame::text),
            false => Some(EncodedFrame::binary(&self.payload)),
        }
    }
}

impl Waiting {
    /// As it is told.
    pub fn of(queued: &Queued) -> Self {
        let Queued { frame, class, ttl_left_ms, key, scope } = queued;
        let class = match class {
            Class::Normal => 0,
            Class::Urgent => 1,
            Class::Droppable => 2,
        };
        let (ttl_left_ms, scope) = (*ttl_left_ms, *scope);
        Self { message: Written::of(frame), class, ttl_left_ms, key: key.clone(), scope }
    }

    /// The length of the message.
    pub fn len(&self) -> usize {
        self.message.len()
    }

    /// The message; `None` where it is none.
    pub fn queued(&self) -> Option<Queued> {
        let class = match self.class {
            0 => Class::Normal,
            1 => Class::Urgent,
            2 => Class::Droppable,
            _ => return None,
        };
        let (ttl_left_ms, scope) = (self.ttl_left_ms, self.scope);
        Some(Queued { frame: self.message.frame()?, class, ttl_left_ms, key: self.key.clone(), scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::MARK;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn there_and_back<T>(said: &T) -> T
    where
        T: Encode<()> + for<'b> Decode<'b, ()>,
    {
        let mut body = Vec::new();
        write(said, &mut body);
        for end in 0..body.len() {
            assert!(read::<T>(&body[..end]).is_none(), "{end} of {}", body.len());
        }
        assert!(read::<T>(&[&body[..], &[0]].concat()).is_none(), "more than a body");
        read(&body).unwrap()
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let session = SessionId::new(7, 1, 2, 3);
        for sealed in [None, Some(vec![5; 28])] {
            for claimant in [None, Some(None), Some(Some(name("ada")))] {
                let claim =
                    ClaimFromElsewhere { session, sealed: sealed.clone(), received: u64::MAX, claimant };
                let ToOld::Claim(asked) = there_and_back(&ToOld::Claim(Box::new(Asked::of(&claim)))) else {
                    panic!("it was a claim");
                };
                assert_eq!((asked.session(), asked.claim()), (session, Some(claim)));
            }
        }
        let nobody = Asked { session: 1, sealed: None, received: 0, says_who: true, user: Some("".into()) };
        assert_eq!(nobody.claim(), None, "no user has no name");
    }

    #[test]
    fn what_a_session_is_is_read_as_it_was_written() {
        let profile = Profile { claims: Some("{}".into()), params: vec![("v".into(), "1".into())] };
        let names = Names {
            user: Some(name("ada")),
            groups: vec![name("red"), name("größer")],
            tags: vec![name("ios")],
            profile: Some(Arc::new(profile)),
        };
        for names in [Names::default(), names] {
            let ToNew::Facts(facts) = there_and_back(&ToNew::Facts(Box::new(Facts::of(&names)))) else {
                panic!("it was facts");
            };
            assert_eq!(facts.names(), Some(names));
        }
        assert_eq!(Facts { groups: vec!["a\nb".into()], ..Facts::default() }.names(), None);
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        for frame in [EncodedFrame::text(&format!("{MARK}x")), EncodedFrame::binary(&[0xff; 300])] {
            for class in [Class::Normal, Class::Urgent, Class::Droppable] {
                for (ttl_left_ms, key, scope) in [(None, None, None), (Some(0), Some("k".into()), Some(7))] {
                    let queued = Queued { frame: frame.clone(), class, ttl_left_ms, key, scope };
                    let rest = Rest {
                        part: 1,
                        parts: 2,
                        sent: 9,
                        given: vec![PushId { incarnation: 1, reactor: 2, server: 3, sequence: 4 }],
                        kept: vec![Written::of(&frame)],
                        waiting: vec![Waiting::of(&queued)],
                    };
                    let ToNew::Rest(read) = there_and_back(&ToNew::Rest(Box::new(rest))) else {
                        panic!("it was a rest");
                    };
                    assert_eq!((read.part, read.parts, read.sent, read.given.len()), (1, 2, 9, 1));
                    assert_eq!(read.kept[0].frame(), Some(frame.clone()));
                    assert_eq!(read.waiting[0].queued(), Some(queued));
                }
            }
        }
        let broken = Written { is_text: true, payload: vec![0xff].into() };
        assert_eq!(broken.frame(), None, "no text");
        let message = Written::of(&EncodedFrame::text("x"));
        let other = Waiting { message, class: 3, ttl_left_ms: None, key: None, scope: None };
        assert_eq!(other.queued(), None, "of no class");
    }
}
