//! What a server goes by: the configuration, and everything that is worked out from it. A set of rules never changes; a
//! reload puts another in its place. Every reactor follows one set at a time, so that nothing it does in between two envelopes
//! stands on two of them.

use super::delivery_rules::DeliveryRules;
use super::envelope::Port;
use super::event_rules::EventRules;
use super::resume_rules::ResumeRules;
use super::settings::Settings;
use super::sticky::StickyRule;
use crate::auth::{Auth, BackendKeys, Pages, RemoteSets};
use crate::config::{AppConfig, Config, ConfigError, DEFAULT_APP};
use crate::connection::{Extras, Transport};
use crate::dispatch::{Apps, InvalidApps, PushOptions};
use crate::session::{AppId, Name};
use crate::timer::Moment;
use crate::tls::{Acceptor, Failed, Ports, Session, TlsError};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// See the module.
#[derive(Debug)]
pub struct Rules {
    /// Limits and times.
    pub settings: Settings,
    /// The apps that a backend may name, with the ids that they keep.
    pub apps: Apps,
    /// The apps that players may enter.
    pub open_apps: Apps,
    /// Who a client is, by what its backend signed.
    pub auth: Auth,
    /// Who asks at the backend port, and what that one may do.
    pub backend_keys: BackendKeys,
    /// Which web pages may ask there.
    pub backend_pages: Pages,
    /// What the ports speak.
    pub tls: Ports,
    /// How the apps want their pushes delivered.
    pub delivery_rules: DeliveryRules,
    /// Whether the apps' sessions may resume.
    pub resume_rules: ResumeRules,
    /// What links hear of the apps' sessions.
    pub event_rules: EventRules,
    /// How long users stay in groups without a session, by app.
    sticky_rules: Box<[StickyRule]>,
    /// What the apps were that the configuration has no longer: sessions of theirs may still be there.
    removed: BTreeMap<String, AppConfig>,
}

/// Why a server cannot run by a configuration.
///
/// ```
/// use gannet::{ReloadError, Reloader, RulesError, config::Config};
///
/// fn is_about_certificates(reloader: &Reloader, config: Config) -> bool {
///     matches!(reloader.apply(config), Err(ReloadError::Rules(RulesError::Tls(_))))
/// }
/// ```
#[derive(Debug)]
pub enum RulesError {
    /// It is not one to run with.
    Config(ConfigError),
    /// Its apps make no table.
    Apps(InvalidApps),
    /// A key of an app is none to check tokens with.
    Keys(Box<str>),
    /// Its certificates are none to run with.
    Tls(TlsError),
}

impl std::error::Error for RulesError {}

impl Rules {
    /// The first rules of a server, which finds fetched keys in `remote`.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn first(config: Config, remote: &RemoteSets) -> Result<Self, RulesError> {
        let config = checked(config)?;
        let tls = Ports::load(&config.tls).map_err(RulesError::Tls)?;
        let apps = Apps::new(config.apps.keys()).map_err(RulesError::Apps)?;
        Self::new(config, remote, apps, tls, BTreeMap::new())
    }

    /// The same rules for a server that goes on where another process was, whose `apps` had these names in the order of their ids:
    /// each keeps its id. One that the configuration has no longer takes no players, and a backend reaches it until the next
    /// reload.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn going_on(self, remote: &RemoteSets, apps: &[Box<str>]) -> Result<Self, RulesError> {
        let Self { settings, tls, .. } = self;
        let config = settings.config;
        let before = Apps::new(apps).map_err(RulesError::Apps)?;
        let apps = before.extended(config.apps.keys(), |_, _| true).map_err(RulesError::Apps)?;
        Self::new(config, remote, apps, tls, BTreeMap::new())
    }

    /// The rules that follow on these. An app keeps its id. One that the configuration has no longer takes no players, and
    /// a backend reaches it for as long as it `has_sessions`.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn next(
        &self,
        config: Config,
        remote: &RemoteSets,
        has_sessions: impl Fn(AppId) -> bool,
    ) -> Result<Self, RulesError> {
        let config = checked(config)?;
        let tls = self.tls.load_next(&config.tls).map_err(RulesError::Tls)?;
        let mut removed = BTreeMap::new();
        for (name, app) in self.settings.config.apps.iter().chain(&self.removed) {
            if !config.apps.contains_key(name) {
                removed.insert(name.clone(), app.clone());
            }
        }
        let is_reached = |name: &Name, id| config.apps.contains_key(name.as_str()) || has_sessions(id);
        let apps = self.apps.extended(config.apps.keys(), is_reached).map_err(RulesError::Apps)?;
        Self::new(config, remote, apps, tls, removed)
    }

    fn new(
        config: Config,
        remote: &RemoteSets,
        apps: Apps,
        tls: Ports,
        removed: BTreeMap<String, AppConfig>,
    ) -> Result<Self, RulesError> {
        let open: Vec<AppId> = config.apps.keys().filter_map(|name| apps.find(name).ok()).collect();
        let keyless = AppConfig::default();
        let keys =
            apps.names().map(|name| (name.clone(), config.apps.get(name.as_str()).unwrap_or(&keyless)));
        let auth = Auth::new(keys, &config.auth, &config.limits, remote)
            .map_err(|error| RulesError::Keys(error.to_string().into()))?;
        Ok(Self {
            open_apps: apps.only(&open),
            auth,
            backend_keys: BackendKeys::new(&config.backend, &apps),
            backend_pages: Pages::new(&config.backend),
            delivery_rules: DeliveryRules::new(of_each(&apps, &config, &removed)),
            resume_rules: ResumeRules::new(of_each(&apps, &config, &removed)),
            event_rules: EventRules::new(of_each(&apps, &config, &removed)),
            sticky_rules: of_each(&apps, &config, &removed).map(sticky_rule).collect(),
            tls,
            apps,
            removed,
            settings: Settings::new(config),
        })
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

    /// When a push that is accepted `now` expires, in milliseconds of the server's clock.
    pub fn deadline_ms(&self, now: Moment, options: &PushOptions) -> u64 {
        let delivery = &self.settings.config.delivery;
        let ttl = options.ttl.unwrap_or(delivery.ttl).min(delivery.max_ttl);
        now.ms.saturating_add(ttl.as_millis() as u64)
    }

    /// How long the users of an app stay in groups without a session.
    pub fn sticky_rule(&self, app: AppId) -> StickyRule {
        let rule = self.sticky_rules.get(usize::from(app.0));
        rule.copied().unwrap_or_else(|| sticky_rule(&AppConfig::default()))
    }

    /// What is configured for each app, in the order of their ids; for one that was removed, what was configured last.
    pub fn app_configs(&self) -> impl Iterator<Item = &AppConfig> {
        of_each(&self.apps, &self.settings.config, &self.removed)
    }
}

/// The configuration, where it is one to run with. The default app is in it: no program that embeds the server can forget it.
fn checked(mut config: Config) -> Result<Config, RulesError> {
    config.apps.entry(DEFAULT_APP.to_owned()).or_default();
    config.validate().map_err(RulesError::Config)?;
    Ok(config)
}

fn sticky_rule(app: &AppConfig) -> StickyRule {
    StickyRule { ms: app.sticky_ms, most: app.max_sticky }
}

fn of_each<'a>(
    apps: &'a Apps,
    config: &'a Config,
    removed: &'a BTreeMap<String, AppConfig>,
) -> impl Iterator<Item = &'a AppConfig> {
    static UNKNOWN: LazyLock<AppConfig> = LazyLock::new(AppConfig::default);
    apps.names().map(|name| {
        let name = name.as_str();
        config.apps.get(name).or_else(|| removed.get(name)).unwrap_or(&UNKNOWN)
    })
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Apps(error) => error.fmt(f),
            Self::Keys(why) => f.write_str(why),
            Self::Tls(error) => error.fmt(f),
        }
    }
}
