//! How many connections of each role there may be, by what is configured and by the limit of open files; and how many there
//! are. A connection is a descriptor, and what is promised to one role is never given to another: heads that do not end
//! cannot take the place of sessions, clients cannot take that of the backend port, and strangers there cannot take that of
//! those who have shown the key.

use crate::config::Limits;
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Descriptors for what is no connection and comes and goes: `/proc`, certificates, the log.
const SPARE_FILES: usize = 16;

/// The part of the descriptors that is kept for the backend port where `limits.reserved_files` is 0, and its bounds.
const RESERVED_PART: usize = 10;
const LEAST_RESERVED: usize = 8;
const MOST_RESERVED: usize = 512;

/// The part that is kept for connections in their upgrade, and the least of it. They may take what sessions leave free, too.
const UPGRADING_PART: usize = 16;
const LEAST_UPGRADING: usize = 4;

/// What a connection is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Client port: its upgrade request is not whole, or was refused.
    Upgrading,
    /// Client port: upgraded.
    Session,
    /// Backend port: it has shown no key.
    Stranger,
    /// Backend port: it has.
    Backend,
}

/// The descriptors of the process.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles {
    /// The most that it may have (RLIMIT_NOFILE, getrlimit(2)).
    pub most: usize,
    /// Those that it has before the first connection.
    pub used: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Capacity {
    files: OpenFiles,
    bounds: ArcSwap<Bounds>,
    taken: [AtomicUsize; 4],
}

#[derive(Debug)]
struct Bounds {
    /// Connections of all roles together.
    connections: usize,
    /// Of these, what is kept for the backend port.
    reserved: usize,
    /// And what is kept for connections in their upgrade.
    upgrading: usize,
    most: [usize; 4],
}

/// The limit of open files is lower than what is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Descriptors that all connections that are configured need, with all else.
    pub wanted: usize,
    /// The limit.
    pub most: usize,
    /// Sessions that there is room for.
    pub sessions: usize,
    /// What is kept for the backend port.
    pub reserved: usize,
}

impl Capacity {
    /// Nobody is there yet.
    pub fn new(limits: &Limits, files: OpenFiles) -> Self {
        Self { files, bounds: ArcSwap::from_pointee(Bounds::new(limits, files)), taken: Default::default() }
    }

    /// The bounds are others from now on. Where more are there than there may be, no more come until enough have gone.
    pub fn set_bounds(&self, limits: &Limits) {
        self.bounds.store(Arc::new(Bounds::new(limits, self.files)));
    }

    /// Whether another one may come.
    pub fn has_room(&self, role: Role) -> bool {
        self.taken(role) < self.bound(role)
    }

    /// One more, unless there are as many as there may be.
    pub fn enter(&self, role: Role) -> bool {
        let bound = self.bound(role);
        let enters = self.taken[role as usize].fetch_add(1, Ordering::Relaxed) < bound;
        if !enters {
            self.leave(role);
        }
        enters
    }

    /// A connection that had its place in another process has it here, whatever the bounds.
    pub fn take_over(&self, role: Role) {
        self.taken[role as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn leave(&self, role: Role) {
        self.taken[role as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// How far the limit of open files falls short of what is configured, if it does.
    pub fn shortage(&self, limits: &Limits) -> Option<Shortage> {
        let bounds = self.bounds.load();
        let configured = limits.max_sessions + limits.max_backend_connections;
        let others = bounds.most[Role::Upgrading as usize] + bounds.most[Role::Stranger as usize];
        let OpenFiles { most, used } = self.files;
        let wanted = configured + others + used + SPARE_FILES;
        let sessions = self.bound(Role::Session);
        (wanted > most).then_some(Shortage { wanted, most, sessions, reserved: bounds.reserved })
    }

    fn taken(&self, role: Role) -> usize {
        self.taken[role as usize].load(Ordering::Relaxed)
    }

    /// How many there may be now.
    pub fn bound(&self, role: Role) -> usize {
        self.bounds.load().of(role, |role| self.taken(role))
    }
}

impl Bounds {
    fn new(limits: &Limits, files: OpenFiles) -> Self {
        let connections = files.most.saturating_sub(files.used + SPARE_FILES);
        let reserved = match limits.reserved_files {
            0 => (connections / RESERVED_PART).clamp(LEAST_RESERVED, MOST_RESERVED),
            reserved => reserved,
        };
        let reserved = reserved.min(connections / 2);
        let upgrading = limits.max_upgrading.min((connections / UPGRADING_PART).max(LEAST_UPGRADING));
        let strangers = limits.max_backend_strangers.min((reserved / 2).max(1));
        let mut most = [0; 4];
        most[Role::Upgrading as usize] = limits.max_upgrading;
        most[Role::Session as usize] = limits.max_sessions;
        most[Role::Stranger as usize] = strangers;
        most[Role::Backend as usize] = limits.max_backend_connections;
        Self { connections, reserved, upgrading, most }
    }

    /// How many there may be now. All but strangers may take what is kept for nobody and what the others leave free of it. A
    /// session was in its upgrade before, so its place is there. The counts of two roles are not of one moment:
    /// [`SPARE_FILES`] makes up for that.
    fn of(&self, role: Role, taken: impl Fn(Role) -> usize) -> usize {
        let most = self.most[role as usize];
        let strangers = self.most[Role::Stranger as usize];
        let connections = self.connections.saturating_sub(strangers);
        // Of what is reserved, without the part of the strangers.
        let reserved = self.reserved.saturating_sub(strangers);
        let [upgrading, sessions, backends] = [Role::Upgrading, Role::Session, Role::Backend].map(taken);
        let left = |others: usize| connections.saturating_sub(others);
        most.min(match role {
            Role::Stranger => strangers,
            Role::Upgrading => self.upgrading.max(left(sessions + reserved.max(backends))),
            Role::Session => left(self.upgrading + reserved.max(backends)),
            Role::Backend => reserved.max(left(sessions + self.upgrading.max(upgrading))),
        })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, most, sessions, reserved } = self;
        write!(
            f,
            "limits.max_sessions and limits.max_backend_connections ask for {wanted} open files and the limit is {most}: \
             at most {sessions} sessions fit, beside {reserved} connections to the backend port; raise the limit \
             (ulimit -n, LimitNOFILE=) or lower limits.max_sessions"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(most: usize, limits: &Limits) -> Capacity {
        Capacity::new(limits, OpenFiles { most, used: 10 })
    }

    /// Enters until there is no room: how many that were.
    fn fill(capacity: &Capacity, role: Role) -> usize {
        (0..).take_while(|_| capacity.enter(role)).count()
    }

    #[test]
    fn what_is_kept_for_a_role_is_there_whoever_came_before_and_no_descriptor_is_given_twice() {
        let limits = Limits::default();
        use Role::{Backend, Session, Stranger, Upgrading};
        for most in [40, 64, 400, 1_024, 20_000] {
            for order in [[Session, Upgrading, Stranger, Backend], [Backend, Stranger, Session, Upgrading]] {
                let capacity = capacity(most, &limits);
                let counts = order.map(|role| fill(&capacity, role));
                // Backends, which are trusted, may take what sessions have not taken.
                let are_kept = order.iter().zip(counts).all(|(role, count)| *role == Session || count > 0);
                assert!(are_kept && counts[0] > 0, "{most}: {counts:?}");
                assert!(counts.iter().sum::<usize>() + 10 + SPARE_FILES <= most, "{most}: {counts:?}");
                capacity.leave(order[0]);
                assert!(capacity.has_room(order[0]) && capacity.enter(order[0]) && !capacity.enter(order[0]));
            }
        }
    }

    #[test]
    fn three_hundred_players_fit_into_four_hundred_files() {
        assert!(fill(&capacity(400, &Limits::default()), Role::Session) >= 300);
    }

    #[test]
    fn what_is_configured_holds_where_files_abound() {
        let limits = Limits {
            max_sessions: 50,
            max_backend_connections: 40,
            max_upgrading: 30,
            max_backend_strangers: 20,
            ..Limits::default()
        };
        let files = OpenFiles { most: usize::MAX, used: 10 };
        let capacity = Capacity::new(&limits, files);
        let roles = [Role::Session, Role::Backend, Role::Upgrading, Role::Stranger];
        assert_eq!(roles.map(|role| fill(&capacity, role)), [50, 40, 30, 20]);
        assert_eq!(capacity.shortage(&limits), None);
    }

    #[test]
    fn a_shortage_says_what_fits_and_what_to_do() {
        let files = OpenFiles { most: 1_024, used: 10 };
        let limits = Limits::default();
        let shortage = Capacity::new(&limits, files).shortage(&limits).unwrap();
        assert_eq!((shortage.most, shortage.reserved), (1_024, 99));
        assert!((800..1_000).contains(&shortage.sessions), "{shortage:?}");
        assert!(shortage.to_string().contains("ulimit -n"));
    }

    #[test]
    fn connections_in_their_upgrade_take_what_sessions_leave_free_and_become_sessions() {
        let capacity = capacity(400, &Limits::default());
        assert!(fill(&capacity, Role::Upgrading) > 300);
        while capacity.enter(Role::Session) {
            capacity.leave(Role::Upgrading);
        }
        let taken = capacity.taken(Role::Session) + capacity.taken(Role::Upgrading);
        assert!(capacity.taken(Role::Session) >= 300 && !capacity.has_room(Role::Upgrading));
        let bounds = capacity.bounds.load();
        assert!(taken + bounds.reserved <= bounds.connections);
        assert_eq!(fill(&capacity, Role::Backend) + fill(&capacity, Role::Stranger), bounds.reserved);
    }

    #[test]
    fn bounds_that_are_lowered_turn_no_session_out() {
        let capacity = capacity(400, &Limits::default());
        let most = fill(&capacity, Role::Session);
        capacity.set_bounds(&Limits { max_sessions: 10, ..Limits::default() });
        assert!(!capacity.has_room(Role::Session) && capacity.taken(Role::Session) == most);
        (0..most - 9).for_each(|_| capacity.leave(Role::Session));
        assert!(capacity.enter(Role::Session) && !capacity.enter(Role::Session));
        capacity.set_bounds(&Limits::default());
        assert_eq!(fill(&capacity, Role::Session), most - 10);
    }

    #[test]
    fn the_reserve_may_be_named() {
        let limits = Limits { reserved_files: 100, ..Limits::default() };
        let capacity = capacity(400, &limits);
        fill(&capacity, Role::Session);
        assert_eq!(fill(&capacity, Role::Backend) + fill(&capacity, Role::Stranger), 100);
    }
}
