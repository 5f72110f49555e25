//! The few things that all reactors see: the settings, the interest table, the counters, the clock, and the way in for
//! other threads. Nothing here is on the way of a message but the interest table, which is read without locks.

use super::deliveries::Deliveries;
use super::envelope::{Envelope, Port};
use crate::admission::Admission;
use crate::auth::Auth;
use crate::config::Config;
use crate::connection::{InboundLimits, Moment, OutboxLimits, Silence, Terms, Transport};
use crate::dispatch::{Action, CommandError, Operation, Push, PushOptions, Selector, Target, Who};
use crate::gateway::{Apps, CommandLimits};
use crate::http::HeadLimits;
use crate::hub::{Interest, ReactorSet};
use crate::mailbox::Handle;
use crate::metrics::Metrics;
use crate::protocol::{DeflateConfig, Limits};
use crate::session::SessionId;
use crate::tls::{Acceptor, Failed, Ports, Session};
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The server's clock: time since it started, and the wall clock at that moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_unix_ms: u64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), start_unix_ms: Self::wall_unix_ms() }
    }

    /// The wall clock as it is set now, in milliseconds since the Unix epoch: what others sign has its readings.
    pub fn wall_unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    /// Time since the start.
    pub fn now(&self) -> Moment {
        self.start.elapsed().into()
    }

    /// The wall clock at `moment`, in milliseconds since the Unix epoch, as it was set at the start.
    pub fn unix_ms(&self, moment: Moment) -> u64 {
        self.start_unix_ms + moment.ms
    }
}

/// The configuration in the units of the hot path, worked out once.
#[derive(Debug)]
pub struct Settings {
    /// The configuration itself.
    pub config: Config,
    /// This node's number in session ids.
    pub node: u16,
    /// Bounds of a session's outbox.
    pub outbox: OutboxLimits,
    /// Bounds of a link's outbox.
    pub link_outbox: OutboxLimits,
    /// When silent connections are pinged and closed.
    pub silence: Silence,
    /// Milliseconds for an upgrade.
    pub upgrade_ms: u64,
    /// How long a reactor looks for work before it sleeps, in nanoseconds; 0 is not at all.
    pub spin_ns: u64,
    /// Bounds of a player's frames and messages.
    pub player_limits: Arc<Limits>,
    /// Bounds of a link's frames and messages.
    pub link_limits: Arc<Limits>,
    /// Bounds of HTTP heads.
    pub head_limits: HeadLimits,
    /// Bounds of what commands say.
    pub command_limits: CommandLimits,
    /// What is agreed on with clients that offer permessage-deflate; `None` declines.
    pub deflate: Option<DeflateConfig>,
    /// How fast a session may send; `None` where that is not bounded.
    pub inbound: Option<InboundLimits>,
    /// The key that backend requests must show.
    pub backend_key: Option<Box<str>>,
}

impl Settings {
    /// Works out a configuration that has been validated.
    pub fn new(config: Config) -> Self {
        let limits = &config.limits;
        let timeouts = &config.timeouts;
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            node: config.node,
            outbox: OutboxLimits { bytes: limits.outbox_bytes, messages: limits.outbox_messages },
            link_outbox: OutboxLimits {
                bytes: limits.link_outbox_bytes,
                messages: limits.link_outbox_messages,
            },
            silence: Silence {
                upgrade_ms: ms(timeouts.upgrade),
                ping_ms: ms(timeouts.ping),
                idle_ms: ms(timeouts.idle),
                backend_idle_ms: ms(timeouts.backend_idle),
                close_ms: ms(timeouts.close),
            },
            upgrade_ms: ms(timeouts.upgrade),
            spin_ns: config.spin_us as u64 * 1_000,
            player_limits: Arc::new(Limits {
                max_frame_bytes: limits.max_frame_bytes,
                max_message_bytes: limits.max_message_bytes,
                max_fragments: u32::try_from(limits.max_fragments).unwrap_or(u32::MAX),
            }),
            // A push in base64 with its frame around it: a link's messages are bounded like a request's body.
            link_limits: Arc::new(Limits {
                max_frame_bytes: limits.max_body_bytes,
                max_message_bytes: limits.max_body_bytes,
                max_fragments: u32::try_from(limits.max_fragments).unwrap_or(u32::MAX),
            }),
            head_limits: limits.head(),
            command_limits: CommandLimits {
                max_push_bytes: limits.max_push_bytes,
                default_ttl: config.delivery.ttl,
                max_ttl: config.delivery.max_ttl,
                max_page: limits.max_page,
                max_selectors: limits.max_selectors,
                max_batch_lines: limits.max_batch_lines,
            },
            deflate: config.deflate.enabled.then(|| DeflateConfig {
                min_bytes: config.deflate.min_bytes,
                level: config.deflate.level.clamp(1, 9) as u8,
                ..DeflateConfig::default()
            }),
            inbound: InboundLimits::new(&config.rates),
            backend_key: config.backend.key.as_ref().map(|key| key.expose().into()),
            config,
        }
    }
}

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
    /// Pushes.
    pub pushes: AtomicU64,
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
    /// What the ports speak.
    pub tls: Ports,
    /// Who fits in.
    pub admission: Admission,
    /// How the apps want their pushes delivered.
    pub deliveries: Deliveries,
    /// Which reactors have any session of a user, group, tag or app.
    pub interest: Arc<Interest>,
    /// Counters.
    pub metrics: Metrics,
    /// The clock.
    pub clock: Clock,
    /// One a reactor.
    pub loads: Box<[CachePadded<Load>]>,
    /// The way in for threads that are no reactors.
    pub handle: Handle<Envelope>,
    /// What other threads have to count; the next reactor that turns does it for them.
    pub outside: Outside,
    /// Set when the server stops: no new sessions. Every reactor looks at it once a turn.
    pub draining: AtomicBool,
    /// Reactors that have not closed their players' sessions yet; the last one to do so tells all.
    pub reactors_with_sessions: AtomicUsize,
}

impl Shared {
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
        terms: Option<&Terms>,
    ) -> Result<(Transport, Option<Box<Session>>), Failed> {
        let session = self.acceptor_of(port).map(Acceptor::accept).transpose()?.map(Box::new);
        let transport = match terms {
            Some(Terms { proxy_header: true, .. }) => Transport::ProxyHeader,
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

    /// Player connections in all, those in their upgrade included.
    pub fn clients(&self) -> usize {
        self.loads.iter().map(|load| load.clients.load(Ordering::Relaxed)).sum()
    }

    /// Backend connections in all.
    pub fn backends(&self) -> usize {
        self.loads.iter().map(|load| load.backends.load(Ordering::Relaxed)).sum()
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
