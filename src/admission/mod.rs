//! Who fits in: sessions of an app, of a user, from an address; connections from an address; upgrades a second. One for
//! all reactors, asked as connections come and sessions begin, change their user and end; a bound that is off costs a
//! look at an `Option`. Bounds may change at any time, counts stay. Knows nothing of sockets, nor of what a session does.

mod address;
mod brake;
mod capacity;
mod carry;
mod elsewhere;
mod rate;
mod sharded;
mod users;

pub use address::client_network;
pub use capacity::{Capacity, OpenFiles, Role};
pub use carry::CarriedAdmission;
pub use rate::{Limiter, Meter};
pub use users::Displaced;

use crate::config::{AppConfig, Limits, Network, PerUser, Rates};
use crate::session::{AppId, Name, SessionId};
use address::{AddressCounts, AddressRates};
use arc_swap::ArcSwap;
use brake::Brake;
use rate::SharedMeter;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use users::UserSessions;

/// See the module.
#[derive(Debug)]
pub struct Admission {
    bounds: ArcSwap<Bounds>,
    sessions: Counted,
    connections: Counted,
    strangers: AddressCounts,
    upgrades: SharedMeter,
    upgrades_per_address: AddressRates,
    wrong_keys: Brake,
}

/// What is counted once it has a bound, and from then on: a bound that goes and comes back finds everybody.
type Counted = OnceLock<AddressCounts>;

/// What there may be.
#[derive(Debug)]
struct Bounds {
    /// Indexed by [`AppId`].
    apps: Box<[AppBounds]>,
    /// For each address; `None` is no bound.
    sessions: Option<usize>,
    connections: Option<usize>,
    strangers: Option<usize>,
    upgrades: Option<Limiter>,
    upgrades_per_address: Option<Limiter>,
    wrong_keys: Option<Limiter>,
}

#[derive(Debug)]
struct AppBounds {
    most: Option<usize>,
    per_user: PerUser,
    places: Arc<AppPlaces>,
}

/// The places of an app that are taken.
#[derive(Debug, Default)]
struct AppPlaces {
    taken: AtomicUsize,
    users: OnceLock<UserSessions>,
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
        let none = Bounds::new(std::iter::empty(), &[], limits, rates);
        let admission = Self {
            bounds: ArcSwap::from_pointee(none),
            sessions: Counted::new(),
            connections: Counted::new(),
            strangers: AddressCounts::new(),
            upgrades: SharedMeter::default(),
            upgrades_per_address: AddressRates::new(),
            wrong_keys: Brake::new(),
        };
        admission.set_bounds(apps, limits, rates);
        admission
    }

    /// The bounds are others from now on; `apps` are those of before and new ones. Where more are there than there may be, all
    /// stay, and no more come until enough have gone. What was not counted before has to be [counted in](Self::count_in).
    pub fn set_bounds<'a>(
        &self,
        apps: impl IntoIterator<Item = &'a AppConfig>,
        limits: &Limits,
        rates: &Rates,
    ) {
        let bounds = Bounds::new(apps, &self.bounds.load().apps, limits, rates);
        for (most, counted) in [(bounds.sessions, &self.sessions), (bounds.connections, &self.connections)] {
            if most.is_some() {
                counted.get_or_init(AddressCounts::new);
            }
        }
        for app in &bounds.apps {
            if app.per_user.max > 0 {
                app.places.users.get_or_init(UserSessions::new);
            }
        }
        self.bounds.store(Arc::new(bounds));
    }

    /// Whether connections are counted by where they come from.
    pub fn counts_connections(&self) -> bool {
        self.connections.get().is_some()
    }

    /// A connection has come from `address`: where it is counted, or `None` when there are as many as there may be.
    /// Only where [`Admission::counts_connections`].
    pub fn connect(&self, address: IpAddr) -> Option<Network> {
        let network = client_network(address);
        let most = self.bounds.load().connections.unwrap_or(usize::MAX);
        self.connections.get()?.enter(network, most).then_some(network)
    }

    /// A connection that was counted as from `network` has gone.
    pub fn disconnect(&self, network: Network) {
        if let Some(connections) = self.connections.get() {
            connections.leave(network);
        }
    }

    /// A stranger has come to the backend port from `address`, over a Unix socket where that is `None`. `false` where as many
    /// are there as there may be.
    pub fn stranger_came(&self, address: Option<IpAddr>) -> bool {
        let most = self.bounds.load().strangers.unwrap_or(usize::MAX);
        address.is_none_or(|address| self.strangers.enter(client_network(address), most))
    }

    /// A stranger from `address` has gone, or is none any more.
    pub fn stranger_left(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.strangers.leave(client_network(address));
        }
    }

    /// Whether somebody at `address` may ask for an upgrade at `now_ns` of the server's clock; it counts as one.
    pub fn may_upgrade(&self, address: impl FnOnce() -> Option<IpAddr>, now_ns: u64) -> bool {
        let bounds = self.bounds.load();
        let within = |limiter: &Limiter| {
            let take = |address| self.upgrades_per_address.take(limiter, client_network(address), now_ns);
            address().is_none_or(take)
        };
        bounds.upgrades_per_address.as_ref().is_none_or(within)
            && bounds.upgrades.as_ref().is_none_or(|limiter| self.upgrades.take(limiter, now_ns))
    }

    /// Somebody at `address` has shown no key of the backend port, at `now_ns` of the server's clock.
    pub fn refuse_key(&self, address: Option<IpAddr>, now_ns: u64) -> brake::Refusal {
        self.wrong_keys.refuse(self.bounds.load().wrong_keys.as_ref(), address, now_ns)
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
        let bounds = self.bounds.load();
        let mut network = None;
        if let (Some(sessions), Some(address)) = (self.sessions.get(), address()) {
            let (from, most) = (client_network(address), bounds.sessions.unwrap_or(usize::MAX));
            if !sessions.enter(from, most) {
                return Err(NoRoom::Address(most));
            }
            network = Some(from);
        }
        let entered = bounds.app(app).enter(user, id);
        if entered.is_err() {
            self.leave_address(network);
        }
        Ok(Entered { network, displaced: entered? })
    }

    /// A session was there before the bounds of its user or its address: from now on it counts. `network` is where it counts
    /// already. Returns where it does now. A second time changes nothing.
    pub fn count_in(
        &self,
        app: AppId,
        user: Option<&Name>,
        id: SessionId,
        network: Option<Network>,
        address: Option<IpAddr>,
    ) -> Option<Network> {
        if let (Some(users), Some(user)) = (self.bounds.load().app(app).places.users.get(), user) {
            users.count_in(user, id);
        }
        network.or_else(|| {
            let from = client_network(address?);
            self.sessions.get()?.enter(from, usize::MAX).then_some(from)
        })
    }

    /// A session that was in its places in another process is in them here, whatever the bounds. Returns where it counts as coming
    /// from.
    pub fn take_over(
        &self,
        app: AppId,
        user: Option<&Name>,
        id: SessionId,
        address: Option<IpAddr>,
    ) -> Option<Network> {
        self.bounds.load().app(app).places.taken.fetch_add(1, Ordering::Relaxed);
        self.count_in(app, user, id, None, address)
    }

    /// A session that counts as coming from `before` comes from `address` now, whatever the bounds. Returns where it counts.
    pub fn move_address(&self, before: Option<Network>, address: Option<IpAddr>) -> Option<Network> {
        let now = address.map(client_network).filter(|_| self.sessions.get().is_some());
        if now != before {
            self.leave_address(before);
            if let (Some(sessions), Some(now)) = (self.sessions.get(), now) {
                sessions.enter(now, usize::MAX);
            }
        }
        now
    }

    /// The same for a connection: where it counts as coming from.
    pub fn take_over_connection(&self, address: IpAddr) -> Option<Network> {
        let network = client_network(address);
        self.connections.get()?.enter(network, usize::MAX).then_some(network)
    }

    /// The same for a stranger at the backend port.
    pub fn take_over_stranger(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.strangers.enter(client_network(address), usize::MAX);
        }
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
        if from == to {
            return Ok(Displaced::new());
        }
        let bounds = self.bounds.load();
        let displaced = bounds.app(app).enter_user(to, id)?;
        bounds.app(app).places.leave_user(from, id);
        Ok(displaced)
    }

    /// The sessions of a user who was refused another, where they are to be asked whether they are still there.
    pub fn probe(&self, app: AppId, user: &Name, now_ms: u64, every_ms: u64) -> Displaced {
        let users =
            self.bounds.load().app(app).places.users.get().map(|users| users.probe(user, now_ms, every_ms));
        users.unwrap_or_default()
    }

    /// Gives the places of a session back; `network` as it was given.
    pub fn leave(&self, app: AppId, user: Option<&Name>, id: SessionId, network: Option<Network>) {
        self.bounds.load().app(app).places.leave(user, id);
        self.leave_address(network);
    }

    /// Whether any session has a place in the app.
    pub fn has_sessions(&self, app: AppId) -> bool {
        self.bounds.load().app(app).places.taken.load(Ordering::Relaxed) > 0
    }

    fn leave_address(&self, network: Option<Network>) {
        if let (Some(sessions), Some(network)) = (self.sessions.get(), network) {
            sessions.leave(network);
        }
    }
}

impl Bounds {
    /// `before` are the apps as they were: those of now begin with them.
    fn new<'a>(
        apps: impl IntoIterator<Item = &'a AppConfig>,
        before: &[AppBounds],
        limits: &Limits,
        rates: &Rates,
    ) -> Self {
        let bound = |most: usize| (most > 0).then_some(most);
        let app = |(index, app): (usize, &AppConfig)| AppBounds {
            most: bound(app.max_sessions),
            per_user: app.per_user,
            places: before.get(index).map_or_else(Arc::default, |before| Arc::clone(&before.places)),
        };
        Self {
            apps: apps.into_iter().enumerate().map(app).collect(),
            sessions: bound(limits.sessions_per_address),
            connections: bound(limits.connections_per_address),
            strangers: bound(limits.backend_strangers_per_address),
            upgrades: Limiter::new(rates.upgrades),
            upgrades_per_address: Limiter::new(rates.upgrades_per_address),
            wrong_keys: Limiter::new(rates.wrong_keys_per_address),
        }
    }

    fn app(&self, app: AppId) -> &AppBounds {
        &self.apps[usize::from(app.0)]
    }
}

impl AppBounds {
    fn enter(&self, user: Option<&Name>, id: SessionId) -> Result<Displaced, NoRoom> {
        let before = self.places.taken.fetch_add(1, Ordering::Relaxed);
        let entered = match self.most {
            Some(most) if before >= most => Err(NoRoom::App(most)),
            _ => self.enter_user(user, id),
        };
        if entered.is_err() {
            self.places.taken.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    fn enter_user(&self, user: Option<&Name>, id: SessionId) -> Result<Displaced, NoRoom> {
        match (self.places.users.get(), user) {
            (Some(users), Some(user)) => {
                users.enter(self.per_user, user, id).ok_or(NoRoom::User(self.per_user.max))
            }
            _ => Ok(Displaced::new()),
        }
    }
}

impl AppPlaces {
    fn leave_user(&self, user: Option<&Name>, id: SessionId) {
        if let (Some(users), Some(user)) = (self.users.get(), user) {
            users.leave(user, id);
        }
    }

    fn leave(&self, user: Option<&Name>, id: SessionId) {
        self.leave_user(user, id);
        self.taken.fetch_sub(1, Ordering::Relaxed);
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
    use crate::config::PerUserPolicy;

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

    #[test]
    fn bounds_that_come_later_find_those_who_are_there_and_bounds_that_go_leave_no_trace() {
        let (open, ada) = (AppConfig::default(), name("ada"));
        let bounded = AppConfig {
            max_sessions: 3,
            per_user: PerUser { max: 1, policy: PerUserPolicy::Refuse },
            ..AppConfig::default()
        };
        let (limits, rates) = (Limits::default(), Rates::default());
        let per_address = Limits { sessions_per_address: 2, ..Limits::default() };
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let admission = Admission::new([&open], &limits, &rates);
        let enter = |slot, user: Option<&Name>| admission.enter(APP, user, id(slot), || Some(address));
        assert_eq!(
            [enter(1, Some(&ada)), enter(2, None)].map(|entered| entered.unwrap().network),
            [None, None]
        );
        admission.set_bounds([&bounded], &per_address, &rates);
        // Until each reactor has counted its sessions in they may exceed the bounds, and may leave.
        assert_eq!(admission.count_in(APP, None, id(2), None, Some(address)), Some(client_network(address)));
        let from = admission.count_in(APP, Some(&ada), id(1), None, Some(address));
        assert_eq!(admission.count_in(APP, Some(&ada), id(1), from, Some(address)), from, "once");
        assert_eq!(enter(3, None), Err(NoRoom::Address(2)));
        admission.set_bounds([&bounded, &open], &limits, &rates);
        assert_eq!(enter(3, Some(&ada)), Err(NoRoom::User(1)));
        let third = enter(3, None).unwrap().network;
        assert_eq!(enter(4, None), Err(NoRoom::App(3)));
        admission.set_bounds([&open, &open], &limits, &rates);
        let fourth = enter(4, Some(&ada)).unwrap().network;
        for (slot, user, network) in
            [(1, Some(&ada), from), (2, None, from), (3, None, third), (4, Some(&ada), fourth)]
        {
            assert!(admission.has_sessions(APP));
            admission.leave(APP, user, id(slot), network);
        }
        assert!(!admission.has_sessions(APP) && !admission.has_sessions(AppId(1)));
        admission.set_bounds([&bounded, &open], &per_address, &rates);
        assert!(enter(5, Some(&ada)).is_ok() && enter(6, None).is_ok());
        assert_eq!(enter(7, None), Err(NoRoom::Address(2)));
    }
}
