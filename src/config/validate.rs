//! How the settings must go together.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use super::limits::CONNECTIONS;
use super::table::{KIB, Legal, as_millis};
use super::{AppConfig, AppKeyFault, Config, ConfigError, Endpoint, GroupFault, Limits, Listen, Secret};
use crate::session::{Name, SessionId};

/// Room in a request head beside its target: method, version and the fields that every client sends.
const HEAD_REST_BYTES: u64 = 512;
/// Room in an event beside the message it carries.
const EVENT_REST_BYTES: u64 = 4 * KIB;
/// What JSON makes of one byte at worst: `\u0000`.
const JSON_ESCAPE_BYTES: u64 = 6;

impl Config {
    /// The shortest secret of an app: as long as the hash that is made with it (RFC 7518 §3.2).
    pub const MIN_SECRET_BYTES: usize = 32;

    /// The longest path of a Unix socket: with the byte 0 behind it, it fills `sun_path` of unix(7).
    pub const MAX_SOCKET_PATH_BYTES: usize = 107;

    /// The longest time between two ticks, in milliseconds.
    pub const MAX_TICK_MS: u64 = 10_000;

    /// The most reactors: a set of them is a bit set of this width.
    pub const MAX_REACTORS: usize = 128;

    pub(super) const REACTORS: RangeInclusive<u64> = 1..=Self::MAX_REACTORS as u64;
    pub(super) const NODES: RangeInclusive<u64> = 0..=(1 << SessionId::NODE_BITS) - 1;
    pub(super) const SPIN_US: RangeInclusive<u64> = 0..=1_000_000;

    /// Checks every bound, how they go together, and that nothing is open to the world by accident. The first fault
    /// found is the answer.
    ///
    /// # Errors
    /// [`ConfigError`], with a message that says what to change.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        for relation in self.relations() {
            relation.check()?;
        }
        self.check_slots()?;
        self.check_apps()?;
        self.backend.check(&self.apps)?;
        self.tls.check()?;
        self.cluster.check()?;
        self.check_addresses(&self.listen, &self.backend.listen)
    }

    /// Whether each value is legal for itself, whatever the others are.
    pub(super) fn check_each(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.apps.iter().try_for_each(|(name, app)| {
            check_quotas(name, app)?;
            check_ticks(name, app)?;
            check_groups(name, app)
        })
    }

    /// Whether every number is within its bounds.
    fn check_ranges(&self) -> Result<(), ConfigError> {
        Legal::from(Self::REACTORS).check("reactors", self.reactors.unwrap_or(1) as u64)?;
        Legal::from(Self::NODES).check("node", u64::from(self.node))?;
        Legal::from(Self::SPIN_US).check("spin_us", self.spin_us as u64)?;
        self.auth.check_ranges()?;
        self.limits.check_ranges()?;
        self.rates.check_ranges()?;
        self.delivery.check_ranges()?;
        self.deflate.check_ranges()?;
        self.log.check_ranges()?;
        self.upgrade.check_ranges()?;
        self.cluster.check_ranges()?;
        self.timeouts.check_ranges()
    }

    fn relations(&self) -> impl Iterator<Item = Relation> {
        let of_cluster = self.cluster.relations(self.limits.max_push_bytes);
        self.time_relations().into_iter().chain(self.limits.relations()).chain(of_cluster)
    }

    fn time_relations(&self) -> [Relation; 4] {
        let (ping, link_ping) = (as_millis(self.timeouts.ping), as_millis(self.timeouts.link_ping));
        [
            Relation {
                key: "timeouts.idle_ms",
                value: as_millis(self.timeouts.idle),
                least: ping + 1,
                or_lower: "timeouts.ping_ms",
                because: "a session must be pinged before it counts as idle",
            },
            Relation {
                key: "timeouts.link_idle_ms",
                value: as_millis(self.timeouts.link_idle),
                least: link_ping + 1,
                or_lower: "timeouts.link_ping_ms",
                because: "a link must be pinged before it counts as idle",
            },
            Relation {
                key: "timeouts.max_poll_wait_ms",
                value: as_millis(self.timeouts.max_poll_wait),
                least: as_millis(self.timeouts.poll_wait),
                or_lower: "timeouts.poll_wait_ms",
                because: "the time that polls wait by default must be one that they may ask for",
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
            check_groups(name, app)?;
            check_memory(name, app, &self.limits)?;
            check_secrets(name, app)?;
            check_public_keys(name, app)?;
        }
        self.check_secrets_differ()?;
        let (with, without): (Vec<_>, Vec<_>) = self.apps.iter().partition(|(_, app)| app.has_keys());
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

    /// Whether the two ports can listen there, each at places of its own, and nothing is open to the world by accident. What a
    /// name stands for is not known before it has been resolved: then this is asked once more.
    ///
    /// # Errors
    /// [`ConfigError`], as [`Config::validate`].
    pub(crate) fn check_addresses(&self, clients: &Listen, backends: &Listen) -> Result<(), ConfigError> {
        check_listen("listen", clients)?;
        check_listen("backend.listen", backends)?;
        let (clients, backends) = (clients.endpoints(), backends.endpoints());
        let is_shared = |one: &&Endpoint| clients.iter().any(|other| other.overlaps(one));
        if let Some(shared) = backends.iter().find(is_shared) {
            return Err(ConfigError::SameAddress(shared.clone()));
        }
        let takes_words = self.apps.values().all(|app| !app.has_keys());
        let open = |endpoints: &[Endpoint]| endpoints.iter().find(|one| !one.is_local()).cloned();
        match (open(clients), open(backends)) {
            (Some(open), _) if takes_words && !self.insecure => Err(ConfigError::OpenToAnybody(open)),
            (_, Some(open)) if !self.backend.needs_key() => Err(ConfigError::BackendWithoutKey(open)),
            _ => Ok(()),
        }
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
}

/// Whether a port listens anywhere, and nowhere twice; `key` is what the configuration calls it.
fn check_listen(key: &'static str, listen: &Listen) -> Result<(), ConfigError> {
    let all = listen.endpoints();
    if all.is_empty() {
        return Err(ConfigError::NoEndpoint { key });
    }
    let is_long = |path: &Path| path.as_os_str().len() > Config::MAX_SOCKET_PATH_BYTES;
    for (index, one) in all.iter().enumerate() {
        if let Endpoint::Unix(path) = one
            && is_long(path)
        {
            return Err(ConfigError::LongSocketPath { key, path: path.clone() });
        }
        if let Some(other) = all[index + 1..].iter().find(|other| one.is_in_the_way_of(other)) {
            return Err(ConfigError::ListensTwice { key, one: one.clone(), other: other.clone() });
        }
    }
    Ok(())
}

fn check_quotas(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let max = CONNECTIONS;
    let quotas = [("max_sessions", app.max_sessions, max), ("per_user.max", app.per_user.max, max)];
    let quotas = quotas.map(|(key, value, max)| (key, value as u64, max));
    let times = [
        ("offline_after_ms", app.offline_after_ms, super::table::DAY_MS),
        ("sticky_ms", app.sticky_ms, super::table::DAY_MS),
        ("max_sticky", app.max_sticky as u64, super::table::COUNT),
        ("unheard_ms", app.unheard_ms, super::table::DAY_MS),
        ("unheard_bytes", app.unheard_bytes as u64, super::table::GIB),
    ];
    for (key, value, max) in quotas.into_iter().chain(times).chain(app.resume.ranges()) {
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

/// Whether every entry of `groups` is legal for itself, and no prefix is there twice.
fn check_groups(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let legal = Legal::from(0..=16 * 1024 * super::table::GIB);
    legal.check(format!("apps.{name}.group_memory_bytes"), app.group_memory_bytes as u64)?;
    let mut seen = HashSet::new();
    for (index, group) in app.groups.iter().enumerate() {
        let key = format!("apps.{name}.groups[{index}]");
        let prefix_fault = |fault| ConfigError::AppGroup { key: format!("{key}.prefix"), fault };
        Name::check(&group.prefix).map_err(|error| prefix_fault(GroupFault::Prefix(error)))?;
        let has_two_ticks = group.tick_ms.is_some() && app.group_tick_ms.contains_key(&group.prefix);
        if !seen.insert(&*group.prefix) || has_two_ticks {
            return Err(prefix_fault(GroupFault::Twice));
        }
        group.check_ranges(&key)?;
    }
    Ok(())
}

/// Whether what one group remembers fits an outbox.
fn check_memory(name: &str, app: &AppConfig, limits: &Limits) -> Result<(), ConfigError> {
    app.groups
        .iter()
        .enumerate()
        .try_for_each(|(index, group)| group.check_fits(&format!("apps.{name}.groups[{index}]"), limits))
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

/// Whether every public key is there; whether it is one, is for those who use it to say.
fn check_public_keys(name: &str, app: &AppConfig) -> Result<(), ConfigError> {
    let table = format!("apps.{}", name.escape_debug());
    let keys = app.public_keys.iter().enumerate();
    let keys = keys.map(|(index, key)| {
        (format!("public_keys[{index}]"), key.pem.is_some(), key.file.is_some(), Err(AppKeyFault::Missing))
    });
    let jwks = ("jwks_file".to_owned(), app.jwks.is_some(), app.jwks_file.is_some(), Ok(()));
    for (key, has_text, has_file, without) in keys.chain([jwks]) {
        let fault = match (has_text, has_file) {
            (true, true) => Err(AppKeyFault::Twice),
            (false, true) => Err(AppKeyFault::FileNotRead),
            (true, false) => Ok(()),
            (false, false) => without,
        };
        fault.map_err(|fault| fault.of(&table, &key))?;
    }
    match &app.jwks_url {
        Some(url) if url.is_secure() && !cfg!(feature = "tls") => {
            Err(AppKeyFault::TlsNotBuilt.of(&table, "jwks_url"))
        }
        _ => Ok(()),
    }
}

/// One number that must not be less than another one asks for.
pub(super) struct Relation {
    pub key: &'static str,
    pub value: u64,
    pub least: u64,
    /// The key to lower instead.
    pub or_lower: &'static str,
    pub because: &'static str,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_listens_twice_in_one_place_or_nowhere() {
        let check = |listen: &str| {
            let text = format!("insecure = true\nlisten = {listen}");
            Config::from_toml(&text).unwrap().validate().map_err(|error| error.to_string())
        };
        for fine in [
            "['127.0.0.1:1', '127.0.0.1:2']",
            "['127.0.0.1:1', '127.0.0.2:1']",
            "['0.0.0.0:1', '[::]:1']",
            "['127.0.0.1:1', '[::]:1']",
            "['127.0.0.1:0', '127.0.0.1:0']",
            "['localhost:0', 'localhost:0']",
            // What the name stands for is looked at when it has been resolved.
            "['localhost:1', '127.0.0.1:1']",
            "'localhost:9001'",
            "['unix:/a', 'unix:/b']",
            "['systemd', 'systemd', 'systemd:a', 'systemd:b']",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for (listen, refused) in [
            ("[]", "listen is empty: "),
            ("['127.0.0.1:1', '127.0.0.1:1']", "listen names 127.0.0.1:1 twice: "),
            ("['127.0.0.1:1', '[::ffff:127.0.0.1]:1']", "listen names 127.0.0.1:1 twice: "),
            ("['localhost:1', 'localhost:1']", "listen names localhost:1 twice: "),
            (
                "['127.0.0.1:1', '0.0.0.0:1']",
                "listen names 127.0.0.1:1 and 0.0.0.0:1, and both take the same ",
            ),
            ("['[::]:1', '[::1]:1']", "listen names [::]:1 and [::1]:1, "),
            ("['systemd:a', 'systemd:a']", "listen names systemd:a twice: "),
            ("['unix:/a', 'unix:/a']", "listen names unix:/a twice: "),
            ("[':1', '[::1]:1']", "listen names *:1 and [::1]:1, "),
            // A program that connects to localhost would come to one port or the other by chance.
            ("'[::]:9001'", "listen and backend.listen would share 127.0.0.1:9001: "),
            ("['127.0.0.1:1', '*:9001']", "listen and backend.listen would share 127.0.0.1:9001: "),
        ] {
            let error = check(listen).unwrap_err();
            assert!(error.starts_with(refused), "{listen}: {error}");
        }
    }
}
