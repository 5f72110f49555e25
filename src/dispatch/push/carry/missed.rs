//! Who has missed a push, on the way to another process.

use crate::dispatch::{Missed, MissedList, Why};
use crate::session::{Name, SessionId};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// Who has missed a push so far.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedMissed {
    /// So many are named at the most.
    #[n(0)]
    most: u32,
    /// The session or 0, the user, and the number of why.
    #[n(1)]
    named: Vec<(u64, Option<Box<str>>, u8)>,
    #[n(2)]
    more: u32,
}

impl CarriedMissed {
    /// Of a push that names so many at the most.
    pub fn of(list: MissedList, most: u32) -> Self {
        let MissedList { named, more } = list;
        let named = named.into_iter().map(|Missed { session, user, why }| {
            let user = user.map(|user| user.as_str().into());
            (session.map_or(0, SessionId::as_u64), user, why.number())
        });
        Self { most, named: named.collect(), more }
    }

    /// How many it names at the most, and whom so far.
    ///
    /// # Errors
    /// It is none.
    pub fn unpack(self) -> Result<(u32, MissedList), InvalidState> {
        let Self { most, named, more } = self;
        let invalid = || InvalidState::new("a receipt names what is no session");
        let named = named.into_iter().map(|(session, user, why)| {
            let why = Why::ALL.into_iter().find(|known| known.number() == why).ok_or_else(invalid)?;
            let user = user.map(|user| Name::new(&user)).transpose().map_err(|_| invalid())?;
            Ok(Missed { session: Some(session).filter(|id| *id != 0).map(SessionId::from_u64), user, why })
        });
        let list = MissedList { named: named.collect::<Result<_, _>>()?, more };
        Ok((most, list))
    }
}
