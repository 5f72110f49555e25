//! Who fits in: sessions of an app, of a user, from an address; connections from an address; upgrades a second. One for
//! all reactors, asked as connections come and sessions begin, change their user and end; a bound that is off costs a
//! look at an `Option`. Knows nothing of sockets, nor of what a session does.

mod address;
mod brake;
mod capacity;
mod rate;
mod sharded;
mod users;

pub use address::client_network;
pub use capacity::{Capacity, OpenFiles, Role};
pub use rate::{Limiter, Meter};
pub use users::Displaced;

use crate::config::{AppConfig, Limits, Network, Rates};
use crate::session::{AppId, Name, SessionId};
use address::{AddressCounts, AddressRates};
use brake::Brake;
use rate::SharedLimiter;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use users::UserSessions;

/// See the module.
#[derive(Debug)]
pub struct Admission {
    /// Indexed by [`AppId`].
    apps: Box<[AppPlaces]>,
    sessions: Option<AddressCounts>,
    connections: Option<AddressCounts>,
    strangers: Option<AddressCounts>,
    upgrades: Option<SharedLimiter>,
    upgrades_per_address: Option<AddressRates>,
    wrong_keys: Brake,
}

/// The places that an app has.
#[derive(Debug)]
struct AppPlaces {
    /// `None` is no bound: then nothing is counted.
    most: Option<usize>,
    taken: AtomicUsize,
    users: Option<UserSessions>,
}

/// Which bound a session would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// The app's `max_sessions`.
    App(usize),
    /// The app's `per_user`.
    User(usize),
    /// `limits.sessions_per_address`.
    Address(usize),
}

/// A session that has its places.
#[derive(Debug, PartialEq, Eq)]
pub struct Entered {
    /// Where it is counted as coming from: to be given back as it leaves.
    pub network: Option<Network>,
    /// Older sessions of its user, to be closed.
    pub displaced: Displaced,
}

impl Admission {
    /// Everybody's places, all free; `apps` in the order of their ids.
    pub fn new<'a>(apps: impl IntoIterator<Item = &'a AppConfig>, limits: &Limits, rates: &Rates) -> Self {
        let places = |app: &AppConfig| AppPlaces {
            most: (app.max_sessions > 0).then_some(app.max_sessions),
            taken: AtomicUsize::new(0),
            users: UserSessions::new(app.per_user),
        };
        let counts = |most: usize| (most > 0).then(|| AddressCounts::new(most));
        Self {
            apps: apps.into_iter().map(places).collect(),
            sessions: counts(limits.sessions_per_address),
            connections: counts(limits.connections_per_address),
            strangers: counts(limits.backend_strangers_per_address),
            upgrades: Limiter::new(rates.upgrades).map(SharedLimiter::new),
            upgrades_per_address: Limiter::new(rates.upgrades_per_address).map(AddressRates::new),
            wrong_keys: Brake::new(rates.wrong_keys_per_address),
        }
    }

    /// Whether connections are counted by where they come from.
    pub fn counts_connections(&self) -> bool {
        self.connections.is_some()
    }

    /// A connection has come from `address`: where it is counted, or `None` when there are as many as there may be.
    /// Only where [`Admission::counts_connections`].
    pub fn connect(&self, address: IpAddr) -> Option<Network> {
        let network = client_network(address);
        self.connections.as_ref()?.enter(network).then_some(network)
    }

    /// A connection that was counted as from `network` has gone.
    pub fn disconnect(&self, network: Network) {
        if let Some(connections) = &self.connections {
            connections.leave(network);
        }
    }

    /// A stranger has come to the backend port from `address`, over a Unix socket where that is `None`. `false` where as many
    /// are there as there may be.
    pub fn stranger_came(&self, address: Option<IpAddr>) -> bool {
        let (Some(strangers), Some(address)) = (&self.strangers, address) else { return true };
        strangers.enter(client_network(address))
    }

    /// A stranger from `address` has gone, or is none any more.
    pub fn stranger_left(&self, address: Option<IpAddr>) {
        if let (Some(strangers), Some(address)) = (&self.strangers, address) {
            strangers.leave(client_network(address));
        }
    }

    /// Whether somebody at `address` may ask for an upgrade at `now_ns` of the server's clock; it counts as one.
    pub fn may_upgrade(&self, address: impl FnOnce() -> Option<IpAddr>, now_ns: u64) -> bool {
        let within = |rates: &AddressRates| {
            address().is_none_or(|address| rates.take(client_network(address), now_ns))
        };
        self.upgrades_per_address.as_ref().is_none_or(within)
            && self.upgrades.as_ref().is_none_or(|upgrades| upgrades.take(now_ns))
    }

    /// Somebody at `address` has shown no key of the backend port, at `now_ns` of the server's clock.
    pub fn refuse_key(&self, address: Option<IpAddr>, now_ns: u64) -> brake::Refusal {
        self.wrong_keys.refuse(address, now_ns)
    }

    /// Takes the places of a session.
    ///
    /// # Errors
    /// [`NoRoom`]; then it has taken none.
    pub fn enter(
        &self,
        app: AppId,
        user: Option<&Name>,
        id: SessionId,
        address: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<Entered, NoRoom> {
        let mut network = None;
        if let (Some(sessions), Some(address)) = (&self.sessions, address()) {
            let from = client_network(address);
            if !sessions.enter(from) {
                return Err(NoRoom::Address(sessions.most));
            }
            network = Some(from);
        }
        let entered = self.enter_app(app, user, id);
        if entered.is_err() {
            self.leave_address(network);
        }
        Ok(Entered { network, displaced: entered? })
    }

    fn enter_app(&self, app: AppId, user: Option<&Name>, id: SessionId) -> Result<Displaced, NoRoom> {
        let places = self.places(app);
        if let Some(most) = places.most
            && places.taken.fetch_add(1, Ordering::Relaxed) >= most
        {
            places.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::App(most));
        }
        let displaced = places.enter_user(user, id);
        if displaced.is_err() {
            places.leave();
        }
        displaced
    }

    /// A session is another user's from now on, or nobody's. Returns that user's older sessions, to be closed.
    ///
    /// # Errors
    /// [`NoRoom`]; then it stays the user's that it was.
    pub fn rebind(
        &self,
        app: AppId,
        id: SessionId,
        from: Option<&Name>,
        to: Option<&Name>,
    ) -> Result<Displaced, NoRoom> {
        let places = self.places(app);
        if from == to {
            return Ok(Displaced::new());
        }
        let displaced = places.enter_user(to, id)?;
        places.leave_user(from, id);
        Ok(displaced)
    }

    /// Gives the places of a session back; `network` as it was given.
    pub fn leave(&self, app: AppId, user: Option<&Name>, id: SessionId, network: Option<Network>) {
        let places = self.places(app);
        places.leave_user(user, id);
        places.leave();
        self.leave_address(network);
    }

    fn leave_address(&self, network: Option<Network>) {
        if let (Some(sessions), Some(network)) = (&self.sessions, network) {
            sessions.leave(network);
        }
    }

    fn places(&self, app: AppId) -> &AppPlaces {
        &self.apps[usize::from(app.0)]
    }
}

impl AppPlaces {
    fn enter_user(&self, user: Option<&Name>, id: SessionId) -> Result<Displaced, NoRoom> {
        match (&self.users, user) {
            (Some(users), Some(user)) => users.enter(user, id).ok_or(NoRoom::User(users.most)),
            _ => Ok(Displaced::new()),
        }
    }

    fn leave_user(&self, user: Option<&Name>, id: SessionId) {
        if let (Some(users), Some(user)) = (&self.users, user) {
            users.leave(user, id);
        }
    }

    fn leave(&self) {
        if self.most.is_some() {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(most) => {
                write!(f, "{most} sessions of the app are open, as many as its max_sessions allows")
            }
            Self::User(most) => write!(f, "the user has {most} sessions, as many as per_user allows"),
            Self::Address(most) => {
                write!(f, "{most} sessions come from there, as many as limits.sessions_per_address allows")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PerUser, PerUserPolicy};

    const APP: AppId = AppId(0);

    fn id(slot: u32) -> SessionId {
        SessionId::new(0, 0, 0, slot)
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn admission(max_sessions: usize, per_user: PerUser, per_address: usize) -> Admission {
        let app = AppConfig { max_sessions, per_user, ..AppConfig::default() };
        let limits = Limits { sessions_per_address: per_address, ..Limits::default() };
        Admission::new([&app, &AppConfig::default()], &limits, &Rates::default())
    }

    #[test]
    fn whoever_is_refused_has_taken_no_place() {
        let refuse = PerUser { max: 1, policy: PerUserPolicy::Refuse };
        let admission = admission(2, refuse, 3);
        let ada = name("ada");
        let enter = |slot, user: Option<&Name>| admission.enter(APP, user, id(slot), || "::1".parse().ok());
        let network = enter(1, Some(&ada)).unwrap().network;
        assert!(network.is_some());
        for _ in 0..10 {
            assert_eq!(enter(2, Some(&ada)), Err(NoRoom::User(1)));
        }
        assert!(enter(3, None).is_ok());
        for _ in 0..10 {
            assert_eq!(enter(4, Some(&name("bob"))), Err(NoRoom::App(2)));
        }
        let other = |slot| admission.enter(AppId(1), Some(&ada), id(slot), || "::2".parse().ok());
        assert!(other(5).is_ok(), "another app has its own places");
        assert_eq!(other(6), Err(NoRoom::Address(3)), "but comes from the same network");
        admission.leave(APP, Some(&ada), id(1), network);
        assert!(other(6).is_ok());
        assert_eq!(enter(7, Some(&ada)), Err(NoRoom::Address(3)));
        admission.leave(AppId(1), Some(&ada), id(6), network);
        assert!(enter(7, Some(&ada)).is_ok());
    }

    #[test]
    fn a_session_that_changes_its_user_changes_its_place() {
        let replace = PerUser { max: 1, policy: PerUserPolicy::ReplaceOldest };
        let admission = admission(0, replace, 0);
        let (ada, bob) = (name("ada"), name("bob"));
        let enter = |slot, user: &Name| admission.enter(APP, Some(user), id(slot), || None).unwrap();
        assert_eq!(enter(1, &ada), Entered { network: None, displaced: Displaced::new() });
        assert!(admission.rebind(APP, id(1), Some(&ada), Some(&ada)).unwrap().is_empty());
        assert!(admission.rebind(APP, id(1), Some(&ada), Some(&bob)).unwrap().is_empty());
        assert!(enter(2, &ada).displaced.is_empty());
        assert_eq!(admission.rebind(APP, id(2), Some(&ada), Some(&bob)).unwrap().to_vec(), [id(1)]);
        assert!(admission.rebind(APP, id(2), Some(&bob), None).unwrap().is_empty());
        assert!(enter(3, &bob).displaced.is_empty());
        assert_eq!(enter(4, &bob).displaced.to_vec(), [id(3)]);
    }
}
