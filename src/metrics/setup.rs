//! What a scrape shows of the configuration, so that an alert needs no number of its own. Knows nothing of where it is
//! from.

use super::render::Text;

/// What the server has been set up with, at the moment of a scrape.
#[derive(Debug, Default)]
pub struct Setup {
    /// The names of the apps, by their ids.
    pub apps: Vec<String>,
    /// Pairs of a user and a sticky group, of each of them.
    pub sticky: Vec<u64>,
    /// The bounds on their sessions, of those that have one: by the place in `apps`.
    pub app_bounds: Vec<(usize, u64)>,
    /// The keys of `[limits]` and what they are set to.
    pub limits: Vec<(String, u64)>,
    /// Sessions that may be open.
    pub max_sessions: u64,
    /// Seconds since the keys of an app were fetched, of those whose keys are: by the place in `apps`.
    pub key_ages: Vec<(usize, f64)>,
    /// The certificates that the ports show.
    pub certificates: Vec<CertificateExpiry>,
}

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateExpiry {
    /// `client` or `backend`.
    pub port: &'static str,
    /// Its first name; empty where it has none.
    pub name: String,
    /// The end, in seconds since the Unix epoch.
    pub unix_seconds: u64,
}

impl Setup {
    pub(super) fn render(&self, text: &mut Text<'_>) {
        let help = "Sessions that may be open: limits.max_sessions, or what the limit of open files leaves for them now, if \
                    that is less.";
        text.single("gannet_max_sessions", help, self.max_sessions);
        let help = "The bound on the app's sessions, where it has one: apps.NAME.max_sessions.";
        text.family("gannet_app_max_sessions", help, "gauge");
        for (app, bound) in &self.app_bounds {
            let name = self.apps.get(*app).map_or("", String::as_str);
            text.sample("gannet_app_max_sessions", &[("app", name)], bound);
        }
        let help = "Pairs of a user and a group that the user is in with every session, those that come included; \
                    apps.NAME.max_sticky bounds them.";
        text.family("gannet_app_sticky", help, "gauge");
        for (name, pairs) in self.apps.iter().zip(&self.sticky) {
            text.sample("gannet_app_sticky", &[("app", name)], pairs);
        }
        let help = "What a key of the configuration's [limits] is set to, in bytes where its name ends so; 0 is no bound, or \
                    that the server chooses.";
        text.family("gannet_limit", help, "gauge");
        for (key, bound) in &self.limits {
            text.sample("gannet_limit", &[("name", key)], bound);
        }
        let help = "Time since the app's JWK set was fetched (apps.NAME.jwks_url); without a sample as long as it never was.";
        text.family("gannet_jwks_age_seconds", help, "gauge");
        for (app, age) in &self.key_ages {
            let name = self.apps.get(*app).map_or("", String::as_str);
            text.sample("gannet_jwks_age_seconds", &[("app", name)], age);
        }
        let (name, help) = (
            "gannet_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that the port shows ends, in seconds since the Unix epoch, by its first name. Put a new one \
             in its place before, and reload.",
        );
        text.family(name, help, "gauge");
        let mut certificates = self.certificates.clone();
        // A name of two certificates has one sample: of the one that ends first.
        certificates.sort_unstable();
        certificates.dedup_by(|later, earlier| (later.port, &later.name) == (earlier.port, &earlier.name));
        for CertificateExpiry { port, name: of, unix_seconds } in &certificates {
            text.sample(name, &[("port", port), ("name", of)], unix_seconds);
        }
    }
}
