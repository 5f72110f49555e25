//! How what is admitted is carried to another process, but for what follows from the connections that go along.

use super::Admission;
use super::address::CarriedMeter;
use super::users::UserSessions;
use crate::session::Name;
use minicbor::{Decode, Encode};

/// An [`Admission`] on its way, without what follows from the connections.
#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct CarriedAdmission {
    #[n(0)]
    upgrades_ns: u64,
    #[n(1)]
    upgrades_per_address: Vec<CarriedMeter>,
    #[n(2)]
    wrong_keys: Vec<CarriedMeter>,
    /// The order in which the sessions of users who have several came.
    #[n(3)]
    users: Vec<CarriedUser>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedUser {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Box<str>,
    /// Their ids, the oldest session first.
    #[n(2)]
    ids: Vec<u64>,
}

impl Admission {
    /// Rates and orders that are of all reactors together, for another process; `now_ns` is of the server's clock.
    pub fn carry(&self, now_ns: u64) -> CarriedAdmission {
        // The places follow from the connections, the bounds from the configuration.
        let Self {
            bounds,
            sessions: _,
            connections: _,
            strangers: _,
            upgrades,
            upgrades_per_address,
            wrong_keys,
        } = self;
        let bounds = bounds.load();
        let apps = bounds.apps.iter().zip(0..).flat_map(|(app, id)| {
            let shared = app.places.users.get().into_iter().flat_map(UserSessions::carry);
            shared.map(move |(user, ids)| CarriedUser { app: id, user: user.as_str().into(), ids })
        });
        CarriedAdmission {
            upgrades_ns: upgrades.as_ns(),
            upgrades_per_address: upgrades_per_address.carry(now_ns),
            wrong_keys: wrong_keys.carry(now_ns),
            users: apps.collect(),
        }
    }

    /// Goes on from what came from another process, when every session has been taken over.
    pub fn go_on_from(&self, carried: CarriedAdmission) {
        let CarriedAdmission { upgrades_ns, upgrades_per_address, wrong_keys, users } = carried;
        self.upgrades.go_on_from(upgrades_ns);
        self.upgrades_per_address.go_on_from(upgrades_per_address);
        self.wrong_keys.go_on_from(wrong_keys);
        let bounds = self.bounds.load();
        for CarriedUser { app, user, ids } in users {
            let places = bounds.apps.get(usize::from(app)).map(|app| &app.places);
            if let (Some(users), Ok(user)) = (places.and_then(|places| places.users.get()), Name::new(&user))
            {
                users.put_in_order(&user, &ids);
            }
        }
    }
}
