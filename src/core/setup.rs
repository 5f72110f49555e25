//! What a scrape shows beside what the reactors count: the configuration in force, and tables that they share. Made on the observer's thread.

use super::Shared;
use crate::admission::Role;
use crate::metrics::Setup;
use crate::session::AppId;

impl Shared {
    /// See the module.
    pub fn setup(&self) -> Setup {
        let rules = self.in_force.look();
        let config = &rules.settings.config;
        let apps: Vec<String> = rules.apps.names().map(ToString::to_string).collect();
        let bound = |name: &String| config.apps.get(name).map_or(0, |app| app.max_sessions as u64);
        let app_bounds = apps.iter().map(bound).enumerate().filter(|(_, bound)| *bound > 0).collect();
        // A table of numbers, each of which fits: what cannot be is not shown.
        let limits = match serde_json::to_value(&config.limits) {
            Ok(serde_json::Value::Object(limits)) => limits,
            _ => serde_json::Map::new(),
        };
        let limits = limits.into_iter().filter_map(|(key, value)| Some((key, value.as_u64()?))).collect();
        let now_ms = self.clock.now().ms;
        let sticky = apps.iter().zip(0..=u16::MAX).map(|(_, id)| self.sticky.pairs(AppId(id), now_ms) as u64);
        Setup {
            sticky: sticky.collect(),
            app_bounds,
            apps,
            limits,
            key_ages: rules.auth.key_ages().map(|(app, age)| (app, age.as_secs_f64())).collect(),
            max_sessions: self.capacity.bound(Role::Session) as u64,
            certificates: rules.tls.expiries(),
        }
    }
}
