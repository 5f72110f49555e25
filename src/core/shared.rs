//! The few things that all reactors see: the settings, the interest table, the counters, the clock, and the way in for
//! other threads. Nothing here is on the way of a message but the interest table, which is read without locks.

use super::delivery_rules::DeliveryRules;
use super::drain::Drain;
use super::envelope::{Envelope, Port};
use super::gate::{EventLimit, Gate};
use super::settings::Settings;
use crate::admission::{Admission, Capacity};
use crate::auth::{Auth, BackendKeys, Pages, RemoteSets};
use crate::connection::{Extras, Transport};
use crate::dispatch::{Action, Apps, CommandError, Operation, Push, PushOptions, Selector, Target, Who};
use crate::hub::{Interest, ReactorSet};
use crate::mailbox::Handle;
use crate::metrics::{ByApp, Gauge, Metrics, ReactorMetrics};
use crate::session::SessionId;
use crate::timer::{Clock, Moment};
use crate::tls::{Acceptor, Failed, Ports, Session};
use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a reactor has to carry, as the acceptor sees it: connections it owns or will get.
#[derive(Debug, Default)]
pub struct Load {
    /// On the client port.
    pub clients: AtomicUsize,
    /// On the backend port.
    pub backends: AtomicUsize,
}

/// Counts of threads that are no reactors, and so have no counters of their own.
#[derive(Debug, Default)]
pub struct Outside {
    /// Pushes, by app.
    pub pushes: ByApp<AtomicU64>,
    /// Set when there is one among them.
    pub has_pushes: AtomicBool,
    /// Messages that found no room in a mailbox.
    pub dropped: AtomicU64,
    /// Named sessions and users that were not there.
    pub offline: AtomicU64,
}

/// See the module.
pub struct Shared {
    /// Limits and times.
    pub settings: Settings,
    /// App names.
    pub apps: Apps,
    /// Who a client is, by what its backend signed.
    pub auth: Auth,
    /// The public keys at URLs: they outlive the configuration that names them.
    pub remote_keys: RemoteSets,
    /// Who asks at the backend port, and what that one may do.
    pub backend_keys: BackendKeys,
    /// Which web pages may ask there.
    pub backend_pages: Pages,
    /// What the ports speak.
    pub tls: Ports,
    /// Who fits in.
    pub admission: Admission,
    /// How many fit in.
    pub capacity: Capacity,
    /// How the apps want their pushes delivered.
    pub delivery_rules: DeliveryRules,
    /// Which reactors have any session of a user, group, tag or app.
    pub interest: Arc<Interest>,
    /// Counters.
    pub metrics: Metrics,
    /// The gates of the links that listen, by link: looked up when one begins, never on the way of a message.
    pub gates: Mutex<HashMap<SessionId, Arc<Gate>>>,
    /// The clock.
    pub clock: Clock,
    /// One a reactor.
    pub loads: Box<[CachePadded<Load>]>,
    /// The way in for threads that are no reactors.
    pub handle: Handle<Envelope>,
    /// What other threads have to count; the next reactor that turns does it for them.
    pub outside: Outside,
    /// Set when the server is to stop: no new sessions from then on. Every reactor looks at it once a turn.
    pub draining: AtomicBool,
    /// The drain, if there is one.
    pub drain: Drain,
    /// Set when a reactor has failed: the others end without the lame duck.
    pub ends_at_once: AtomicBool,
    /// Set when the first reactor ends what is left: nothing is taken from outside any more.
    pub ending: AtomicBool,
    /// Reactors that have not closed their players' sessions yet; the last one to do so tells all.
    pub reactors_with_sessions: AtomicUsize,
}

impl Shared {
    /// Whether new players are refused because those that are there leave.
    pub fn turns_players_away(&self) -> bool {
        self.draining.load(Ordering::Relaxed) || self.drain.is_on()
    }

    /// The number of reactors.
    pub fn reactors(&self) -> usize {
        self.loads.len()
    }

    /// What lies between a socket of `port` and its bytes, behind a PROXY header where it has one.
    pub fn transport_of(&self, port: Port) -> Transport {
        match self.acceptor_of(port) {
            Some(_) => Transport::Handshake,
            None => Transport::Plain,
        }
    }

    /// What a connection that has been accepted begins with, and its TLS.
    ///
    /// # Errors
    /// What keeps TLS from its beginning.
    pub fn wrap(
        &self,
        port: Port,
        extras: Option<&Extras>,
    ) -> Result<(Transport, Option<Box<Session>>), Failed> {
        let session = self.acceptor_of(port).map(Acceptor::accept).transpose()?.map(Box::new);
        let transport = match extras {
            Some(Extras { proxy_header: true, .. }) => Transport::ProxyHeader,
            _ => self.transport_of(port),
        };
        Ok((transport, session))
    }

    fn acceptor_of(&self, port: Port) -> Option<&Acceptor> {
        match port {
            Port::Client => self.tls.client.as_ref(),
            Port::Backend => self.tls.backend.as_ref(),
        }
    }

    /// The gate of a link.
    pub fn gate_of(&self, link: SessionId) -> Arc<Gate> {
        let limits = &self.settings.config.limits;
        let limit = EventLimit { bytes: limits.link_outbox_bytes, events: limits.link_outbox_messages };
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(link).or_insert_with(|| Arc::new(Gate::new(limit))))
    }

    /// The link has gone.
    pub fn forget_gate(&self, link: SessionId) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&link);
    }

    /// The gauge that `of` picks, on all reactors; `own` is the value of the one at `index`, which may not be published yet.
    pub fn sums(&self, index: usize, own: u64, of: impl Fn(&ReactorMetrics) -> &Gauge) -> Vec<u64> {
        let sum = |reactor| if reactor == index { own } else { of(self.metrics.reactor(reactor)).get() };
        (0..self.reactors()).map(sum).collect()
    }

    /// The reactors that have a part in an operation. One about a session that no reactor can own has failed.
    pub fn reactors_for(&self, operation: &Operation) -> ReactorSet {
        let of = |selector: Selector| self.interest.reactors_of(operation.app, &Target::from(selector));
        let owner = |id: SessionId| {
            let reactors = of(Selector::Session(id));
            if reactors.is_empty() {
                operation.fail(CommandError::unknown_session(id));
            }
            reactors
        };
        match &operation.action {
            Action::Join { who, .. } | Action::Leave { who, .. } | Action::Kick { who, .. } => match who {
                Who::Session(id) => owner(*id),
                Who::User(user) => of(Selector::User(user.clone())),
            },
            Action::Bind { session, .. }
            | Action::Tag { session, .. }
            | Action::Untag { session, .. }
            | Action::Renew { session, .. }
            | Action::Describe { session } => owner(*session),
            Action::Destroy { group } | Action::Move { from: group, .. } => {
                of(Selector::Group(group.clone()))
            }
            Action::List { by, .. } => of(by.clone()),
            Action::Listen { .. } | Action::Unlisten { .. } => ReactorSet::first(self.reactors()),
        }
    }

    /// When a push that is accepted `now` expires, in milliseconds of the server's clock.
    pub fn deadline_ms(&self, now: Moment, options: &PushOptions) -> u64 {
        let delivery = &self.settings.config.delivery;
        let ttl = options.ttl.unwrap_or(delivery.ttl).min(delivery.max_ttl);
        now.ms.saturating_add(ttl.as_millis() as u64)
    }

    /// The mailbox of `reactor` did not take the push. The users who may be there are not known to be offline.
    pub fn count_unreached(&self, push: &Push, reactor: usize) {
        for (index, selector) in push.target.selectors().iter().enumerate() {
            if let Selector::User(_) = selector
                && self.interest.reactors_of(push.app, &Target::from(selector.clone())).contains(reactor)
            {
                push.user_found(index);
            }
        }
        push.part_unreached();
    }

    /// Named sessions that no reactor here can own are offline, and no reactor will say so: the publisher does.
    pub fn count_unroutable(&self, push: &Push) {
        for selector in push.target.selectors() {
            if let Selector::Session(id) = selector
                && (id.node() != self.settings.node || usize::from(id.worker()) >= self.reactors())
            {
                push.count_offline_session();
            }
        }
    }
}
