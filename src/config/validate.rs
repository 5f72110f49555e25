//! How the settings must go together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{AppConfig, Config, ConfigError, Limits, Rates, Secret};
use crate::http::HeadLimits;
use crate::session::{Name, SessionId};

const KIB: u64 = 1024;
const GIB: u64 = 1024 * 1024 * KIB;
/// The most of anything that is counted and has no bound of its own.
const COUNT: u64 = 1 << 24;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Room in a request head beside its target: method, version and the fields that every client sends.
const HEAD_REST_BYTES: u64 = 512;
/// Room in an event beside the message it carries.
const EVENT_REST_BYTES: u64 = 4 * KIB;
/// What JSON makes of one byte at worst: `\u0000`.
const JSON_ESCAPE_BYTES: u64 = 6;

impl Config {
    /// The shortest secret of an app: as long as the hash that is made with it (RFC 7518 §3.2).
    pub const MIN_SECRET_BYTES: usize = 32;

    /// The longest time between two ticks, in milliseconds.
    pub const MAX_TICK_MS: u64 = 10_000;

    /// The most reactors: a set of them is a bit set of this width.
    pub const MAX_REACTORS: usize = 128;

    /// Checks every bound, how they go together, and that nothing is open to the world by accident. The first fault
    /// found is the answer.
    ///
    /// # Errors
    /// [`ConfigError`], with a message that says what to change.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value, min, max) in self.ranges() {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfRange { key: key.to_owned(), value, min, max });
            }
        }
        for relation in self.relations() {
            relation.check()?;
        }
        self.check_slots()?;
        self.check_apps()?;
        self.check_key()?;
        self.tls.check()?;
        self.check_addresses()
    }

    /// Every number with its smallest and its largest legal value.
    fn ranges(&self) -> impl Iterator<Item = (&'static str, u64, u64, u64)> + use<> {
        let (reactors, node) = (self.reactors.unwrap_or(1) as u64, u64::from(self.node));
        let limits = self.limits.ranges().map(|(key, value, min, max)| (key, value as u64, min, max));
        let (delivery, timeouts) = (&self.delivery, &self.timeouts);
        let times = [
            ("delivery.ttl_ms", delivery.ttl, 30 * DAY_MS),
            ("delivery.max_ttl_ms", delivery.max_ttl, 30 * DAY_MS),
            ("delivery.receipt_ms", delivery.receipt, DAY_MS),
            ("auth.timestamp_window_ms", self.auth.timestamp_window, DAY_MS),
            ("timeouts.upgrade_ms", timeouts.upgrade, DAY_MS),
            ("timeouts.close_ms", timeouts.close, DAY_MS),
            ("timeouts.ping_ms", timeouts.ping, DAY_MS),
            ("timeouts.idle_ms", timeouts.idle, DAY_MS),
            ("timeouts.message_ms", timeouts.message, DAY_MS),
            ("timeouts.link_stalled_ms", timeouts.link_stalled, DAY_MS),
            ("timeouts.shutdown_ms", timeouts.shutdown, DAY_MS),
            ("timeouts.backend_idle_ms", timeouts.backend_idle, DAY_MS),
        ];
        [
            ("reactors", reactors, 1, Self::MAX_REACTORS as u64),
            ("node", node, 0, (1 << SessionId::NODE_BITS) - 1),
            ("spin_us", self.spin_us as u64, 0, 1_000_000),
            ("deflate.min_bytes", self.deflate.min_bytes as u64, 0, u64::from(u32::MAX)),
            ("deflate.level", self.deflate.level as u64, 1, 9),
        ]
        .into_iter()
        .chain(self.auth_ranges())
        .chain(limits)
        .chain(self.rates.ranges())
        .chain(times.map(|(key, time, max)| (key, as_millis(time), 1, max)))
    }

    fn auth_ranges(&self) -> [(&'static str, u64, u64, u64); 3] {
        let auth = &self.auth;
        [
            ("auth.leeway_ms", as_millis(auth.leeway), 0, 10 * 60 * 1000),
            ("auth.max_token_bytes", auth.max_token_bytes as u64, 128, 1024 * KIB),
            ("auth.max_nonces", auth.max_nonces as u64, 1, COUNT),
        ]
    }

    fn relations(&self) -> impl Iterator<Item = Relation> {
        self.time_relations().into_iter().chain(self.limits.relations())
    }

    fn time_relations(&self) -> [Relation; 2] {
        let ping = as_millis(self.timeouts.ping);
        [
            Relation {
                key: "timeouts.idle_ms",
                value: as_millis(self.timeouts.idle),
                least: ping + 1,
                or_lower: "timeouts.ping_ms",
                because: "a session must be pinged before it counts as idle",
            },
            Relation {
                key: "delivery.max_ttl_ms",
                value: as_millis(self.delivery.max_ttl),
                least: as_millis(self.delivery.ttl),
                or_lower: "delivery.ttl_ms",
                because: "the default time to live must be one that a push may ask for",
            },
        ]
    }

    fn check_slots(&self) -> Result<(), ConfigError> {
        let wanted = (self.limits.max_sessions + self.limits.max_backend_connections) as u64;
        let slots = (self.reactors.unwrap_or(1) as u64) << SessionId::SLOT_BITS;
        if wanted > slots {
            return Err(ConfigError::TooManySessions { wanted, slots });
        }
        Ok(())
    }

    fn check_apps(&self) -> Result<(), ConfigError> {
        if self.apps.len() > usize::from(u16::MAX) {
            return Err(ConfigError::TooManyApps);
        }
        for (name, app) in &self.apps {
            Name::check(name)
                .map_err(|error| ConfigError::BadAppName { name: name.escape_debug().to_string(), error })?;
            check_quotas(name, app)?;
            check_ticks(name, app)?;
            check_secrets(name, app)?;
        }
        self.check_secrets_differ()?;
        let (with, without): (Vec<_>, Vec<_>) =
            self.apps.iter().partition(|(_, app)| !app.secrets.is_empty());
        match with.first() {
            Some((with, _)) if !without.is_empty() => Err(ConfigError::SomeWithoutSecrets {
                with: (*with).clone(),
                without: without.into_iter().map(|(name, _)| name.clone()).collect(),
            }),
            _ => Ok(()),
        }
    }

    /// A token may name no app: its signature is what ties it to one.
    fn check_secrets_differ(&self) -> Result<(), ConfigError> {
        let mut owners = HashMap::new();
        for (name, app) in &self.apps {
            for secret in &app.secrets {
                match owners.insert(secret.expose(), name) {
                    Some(one) if one != name => {
                        return Err(ConfigError::SharedSecret { one: one.clone(), other: name.clone() });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn check_key(&self) -> Result<(), ConfigError> {
        match (&self.backend.key, &self.backend.key_file) {
            (Some(_), Some(_)) => Err(ConfigError::KeyTwice),
            (None, Some(_)) => Err(ConfigError::KeyFileNotRead),
            (Some(key), None) if !is_bearer(key.expose()) => Err(ConfigError::BadKey),
            _ => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        if overlap(self.listen, self.backend.listen) {
            return Err(ConfigError::SameAddress(self.backend.listen));
        }
        let takes_words = self.apps.values().all(|app| app.secrets.is_empty());
        if takes_words && !is_loopback(self.listen) && !self.insecure {
            return Err(ConfigError::OpenToAnybody(self.listen));
        }
        if !is_loopback(self.backend.listen) && self.backend.key.is_none() {
            return Err(ConfigError::BackendWithoutKey(self.backend.listen));
        }
        Ok(())
    }
}

impl Limits {
    fn relations(&self) -> [Relation; 10] {
        let push = ("limits.max_push_bytes", self.max_push_bytes as u64);
        let message = ("limits.max_message_bytes", self.max_message_bytes as u64);
        let bound = |value| if value == 0 { usize::MAX } else { value };
        let incoming = bound(self.incoming_bytes);
        let fits = |key, value: usize, least, than: (&'static str, u64), because| Relation {
            key,
            value: value as u64,
            least,
            or_lower: than.0,
            because,
        };
        [
            fits(
                "limits.outbox_bytes",
                self.outbox_bytes,
                push.1 + Limits::FRAME_HEADER_BYTES as u64,
                push,
                "the largest push must fit with its frame header",
            ),
            fits(
                "limits.outboxes_bytes",
                bound(self.outboxes_bytes),
                self.outbox_bytes as u64,
                ("limits.outbox_bytes", 0),
                "one session may fill its outbox (0 is no bound)",
            ),
            fits("limits.mailbox_bytes", self.mailbox_bytes, push.1, push, "the largest push must fit"),
            fits("limits.overflow_bytes", self.overflow_bytes, push.1, push, "the largest push must fit"),
            fits("limits.max_body_bytes", self.max_body_bytes, push.1, push, "the largest push must fit"),
            fits(
                "limits.incoming_bytes",
                incoming,
                self.max_body_bytes as u64,
                ("limits.max_body_bytes", 0),
                "the largest body must fit (0 is no bound)",
            ),
            fits(
                "limits.incoming_bytes",
                incoming,
                message.1,
                message,
                "the largest message must fit (0 is no bound)",
            ),
            fits(
                "limits.max_message_bytes",
                self.max_message_bytes,
                self.max_frame_bytes as u64,
                ("limits.max_frame_bytes", 0),
                "a frame is part of a message",
            ),
            fits(
                "limits.link_outbox_bytes",
                self.link_outbox_bytes,
                message.1 * JSON_ESCAPE_BYTES + EVENT_REST_BYTES,
                message,
                "the largest message event must fit, whatever JSON escapes in it",
            ),
            fits(
                "limits.max_head_bytes",
                self.max_head_bytes,
                self.max_target_bytes as u64 + HEAD_REST_BYTES,
                ("limits.max_target_bytes", 0),
                "the largest target must fit with some header fields",
            ),
        ]
    }

    fn ranges(&self) -> [(&'static str, usize, u64, u64); 40] {
        let connections = (Config::MAX_REACTORS as u64) << SessionId::SLOT_BITS;
        let headers = HeadLimits::HEADERS_CEILING as u64;
        let least_unsent = if self.socket_unsent_bytes == 0 { 0 } else { 4 * KIB };
        [
            ("limits.max_sessions", self.max_sessions, 1, connections),
            ("limits.max_backend_connections", self.max_backend_connections, 1, connections),
            ("limits.sessions_per_address", self.sessions_per_address, 0, connections),
            ("limits.connections_per_address", self.connections_per_address, 0, connections),
            ("limits.max_frame_bytes", self.max_frame_bytes, 125, GIB),
            ("limits.max_message_bytes", self.max_message_bytes, 125, GIB),
            ("limits.max_fragments", self.max_fragments, 1, COUNT),
            ("limits.incoming_bytes", self.incoming_bytes, 0, 16 * 1024 * GIB),
            ("limits.max_head_bytes", self.max_head_bytes, KIB, 1024 * KIB),
            ("limits.max_headers", self.max_headers, 8, headers),
            ("limits.max_target_bytes", self.max_target_bytes, 64, 1024 * KIB),
            ("limits.max_body_bytes", self.max_body_bytes, 1, GIB),
            ("limits.max_push_bytes", self.max_push_bytes, 1, GIB),
            ("limits.max_selectors", self.max_selectors, 1, COUNT),
            ("limits.max_batch_lines", self.max_batch_lines, 1, COUNT),
            ("limits.max_pipelined", self.max_pipelined, 1, COUNT),
            ("limits.max_receipts", self.max_receipts, 1, COUNT),
            ("limits.max_page", self.max_page, 1, COUNT),
            ("limits.groups_per_session", self.groups_per_session, 0, COUNT),
            ("limits.tags_per_session", self.tags_per_session, 0, COUNT),
            ("limits.outbox_bytes", self.outbox_bytes, 1, 4 * GIB),
            ("limits.outbox_messages", self.outbox_messages, 1, COUNT),
            ("limits.outboxes_bytes", self.outboxes_bytes, 0, 16 * 1024 * GIB),
            ("limits.socket_unsent_bytes", self.socket_unsent_bytes, least_unsent, GIB),
            ("limits.link_outbox_bytes", self.link_outbox_bytes, 1, 16 * GIB),
            ("limits.link_outbox_messages", self.link_outbox_messages, 1, COUNT),
            ("limits.mailbox_messages", self.mailbox_messages, 1, COUNT),
            ("limits.mailbox_bytes", self.mailbox_bytes, 1, 16 * GIB),
            ("limits.overflow_messages", self.overflow_messages, 1, COUNT),
            ("limits.overflow_bytes", self.overflow_bytes, 1, 16 * GIB),
            ("limits.turn_read_bytes", self.turn_read_bytes, KIB, GIB),
            ("limits.turn_write_bytes", self.turn_write_bytes, KIB, GIB),
            ("limits.turn_accepts", self.turn_accepts, 1, COUNT),
            ("limits.turn_handshakes", self.turn_handshakes, 1, COUNT),
            ("limits.turn_envelopes", self.turn_envelopes, 1, COUNT),
            ("limits.turn_deliveries", self.turn_deliveries, 1, COUNT),
            ("limits.turn_writes", self.turn_writes, 1, COUNT),
            ("limits.turn_listed", self.turn_listed, 1, COUNT),
            ("limits.turn_bytes", self.turn_bytes, KIB, GIB),
            ("limits.read_buffer_bytes", self.read_buffer_bytes, 4 * KIB, GIB),
        ]
    }
}

impl Rates {
    fn ranges(&self) -> [(&'static str, u64, u64, u64); 8] {
        let range = |key, value: usize, max| (key, value as u64, 0, max);
        [
            range("rates.upgrades.per_second", self.upgrades.per_second, COUNT),
            range("rates.upgrades.burst", self.upgrades.burst, COUNT),
            range("rates.upgrades_per_address.per_second", self.upgrades_per_address.per_second, COUNT),
            range("rates.upgrades_per_address.burst", self.upgrades_per_address.burst, COUNT),
            range("rates.messages.per_second", self.messages.per_second, COUNT),
            range("rates.messages.burst", self.messages.burst, COUNT),
            range("rates.bytes.per_second", self.bytes.per_second, GIB),
            range("rates.bytes.burst", self.bytes.burst, GIB),
        ]
    }
}

fn check_quotas(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let max = (Config::MAX_REACTORS as u64) << SessionId::SLOT_BITS;
    for (key, value) in [("max_sessions", app.max_sessions), ("per_user.max", app.per_user.max)] {
        let value = value as u64;
        if value > max {
            return Err(ConfigError::OutOfRange { key: format!("apps.{name}.{key}"), value, min: 0, max });
        }
    }
    Ok(())
}

fn check_ticks(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let ticks = app.group_tick_ms.iter().map(|(group, ms)| (format!("group_tick_ms.{group:?}"), *ms));
    for (key, value) in ticks.chain([("tick_ms".to_owned(), app.tick_ms)]) {
        let max = Config::MAX_TICK_MS;
        if value > max {
            return Err(ConfigError::OutOfRange { key: format!("apps.{name}.{key}"), value, min: 0, max });
        }
    }
    for group in app.group_tick_ms.keys() {
        Name::check(group).map_err(|error| ConfigError::BadGroupName {
            app: name.to_owned(),
            name: group.escape_debug().to_string(),
            error,
        })?;
    }
    Ok(())
}

fn check_secrets(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let app_name = || name.to_owned();
    if app.secrets_file.is_some() {
        return Err(match app.secrets.is_empty() {
            true => ConfigError::SecretsFileNotRead { app: app_name() },
            false => ConfigError::SecretsTwice { app: app_name() },
        });
    }
    let short = |secret: &Secret| secret.expose().len() < Config::MIN_SECRET_BYTES;
    match app.secrets.iter().position(short) {
        Some(index) => Err(ConfigError::ShortSecret { app: app_name(), number: index + 1 }),
        None => Ok(()),
    }
}

/// One number that must not be less than another one asks for.
struct Relation {
    key: &'static str,
    value: u64,
    least: u64,
    or_lower: &'static str,
    because: &'static str,
}

impl Relation {
    fn check(self) -> Result<(), ConfigError> {
        let Self { key, value, least, or_lower, because } = self;
        if value < least {
            return Err(ConfigError::TooSmall { key, value, least, or_lower, because });
        }
        Ok(())
    }
}

/// A duration in whole milliseconds; what does not fit into 64 bits is out of every range anyway.
pub(super) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn is_bearer(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether a connection to one of the two could reach the other; port 0 becomes a port that nobody has.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    let same_ip = one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_ip
}
