//! What differs between two configurations, by the names of the keys, and what of it a running server cannot take.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Config;

/// Gives each of these keys the value that it has in `$running`, and names those that had another one.
macro_rules! keep {
    ($new:ident, $running:ident, $($first:ident $(. $rest:ident)*),+ $(,)?) => {{
        let mut kept = Vec::new();
        $(
            if $new.$first$(.$rest)* != $running.$first$(.$rest)* {
                $new.$first$(.$rest)* = $running.$first$(.$rest)*.clone();
                kept.push(concat!(stringify!($first) $(, ".", stringify!($rest))*));
            }
        )+
        kept
    }};
}

impl Config {
    /// Leaves what only a restart can change as it is in the configuration that is `running`: addresses, threads, what
    /// a mailbox holds, where the log goes, the cluster but for its list of Redis servers, and which ports speak TLS. Returns the names of the keys that differed.
    pub(crate) fn keep_until_restart(&mut self, running: &Self) -> Vec<&'static str> {
        // The list of servers may change while everything runs, but for the one that gives out the numbers.
        let redis = std::mem::replace(&mut self.cluster.redis, running.cluster.redis.clone());
        let mut kept = keep!(
            self,
            running,
            listen,
            reactors,
            pin,
            spin_us,
            node,
            backend.listen,
            unix_mode,
            backend.unix_mode,
            limits.socket_unsent_bytes,
            limits.mailbox_messages,
            limits.mailbox_bytes,
            limits.overflow_messages,
            limits.overflow_bytes,
            log.format,
            log.file,
            log.queue_lines,
            log.remembered_clients,
            cluster,
        );
        match running.cluster.may_move_to(&redis) {
            true => self.cluster.redis = redis,
            false => kept.push("cluster.redis"),
        }
        let speaks_tls = |config: &Self| {
            [config.tls.client_certificates(), config.tls.backend_certificates()]
                .map(|files| !files.is_empty())
        };
        if speaks_tls(self) != speaks_tls(running) {
            self.tls = running.tls.clone();
            kept.push("tls");
        }
        kept
    }

    /// The names of the keys in which this one differs from the one `before`, sorted.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changed = BTreeSet::new();
        compare("", &as_json(before), &as_json(self), &mut changed);
        // Secrets all look the same.
        for (name, app) in &self.apps {
            if before.apps.get(name).is_some_and(|before| before.secrets != app.secrets) {
                changed.insert(format!("apps.{name}.secrets"));
            }
        }
        if self.backend.key != before.backend.key {
            changed.insert("backend.key".to_owned());
        }
        if self.backend.keys != before.backend.keys {
            changed.insert("backend.keys".to_owned());
        }
        if self.cluster.password != before.cluster.password {
            changed.insert("cluster.password".to_owned());
        }
        if self.cluster.redis != before.cluster.redis {
            changed.insert("cluster.redis".to_owned());
        }
        changed.into_iter().collect()
    }
}

impl Config {
    /// The values of these keys before and now, as JSON; `None` where a key is not there. Secrets are `***` on both sides.
    pub(crate) fn values_since<'k>(
        &self,
        before: &Self,
        keys: &'k [String],
    ) -> impl Iterator<Item = (&'k str, Option<String>, Option<String>)> + use<'k> {
        let (old, new) = (as_json(before), as_json(self));
        let value = |all: &Value, key: &str| value_of(all, key).map(Value::to_string);
        keys.iter().map(move |key| (key.as_str(), value(&old, key), value(&new, key)))
    }
}

/// The value of a key in a table, both of whose names may have dots.
fn value_of<'v>(table: &'v Value, key: &str) -> Option<&'v Value> {
    let table = table.as_object()?;
    let below = |(name, value): (&String, &'v Value)| {
        let rest = key.strip_prefix(name.as_str())?;
        if rest.is_empty() { Some(value) } else { value_of(value, rest.strip_prefix('.')?) }
    };
    table.iter().find_map(below)
}

fn as_json(config: &Config) -> Value {
    // Every key has a name, and every value is one that a file can hold.
    serde_json::to_value(config).unwrap_or_default()
}

/// Names each key below `prefix` that is not the same on both sides. A table that only one of them has is named as a whole.
fn compare(prefix: &str, before: &Value, after: &Value, changed: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for name in before.keys().chain(after.keys()) {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => compare(&key, before, after, changed),
                    _ => _ = changed.insert(key),
                }
            }
        }
        (before, after) if before == after => {}
        _ => _ = changed.insert(prefix.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_toml(text).unwrap()
    }

    #[test]
    fn every_key_that_differs_is_named_once_and_no_other() {
        let before = "limits.max_page = 5\n[apps.chess]\nsecrets = ['0123456789abcdef0123456789abcdef']\norigins = ['https://a.example']\n[apps.go]\n";
        let table: [(&str, &[&str]); 6] = [
            ("", &["apps.chess", "apps.go", "limits.max_page"]),
            (before, &[]),
            (&before.replace("page = 5", "page = 6"), &["limits.max_page"]),
            (&before.replace("ef']", "ee']"), &["apps.chess.secrets"]),
            (&before.replace("a.example", "b.example"), &["apps.chess.origins"]),
            (
                &format!(
                    "backend.key = 'another of 16 bytes'\ntimeouts.ping_ms = 1000\n{before}tick_ms = 20"
                ),
                &["apps.go.tick_ms", "backend.key", "timeouts.ping_ms"],
            ),
        ];
        for (after, expected) in table {
            assert_eq!(config(after).changes_since(&config(before)), expected, "{after}");
        }
    }

    #[test]
    fn servers_come_and_go_behind_the_first_one() {
        let running = config("[cluster]\nredis = ['redis://a', 'redis://b']");
        for (redis, is_taken) in [
            ("'redis://a', 'redis://b', 'redis://c'", true),
            ("'redis://a'", true),
            ("'redis://a', 'redis://c', 'redis://b'", true),
            ("'redis://b', 'redis://a'", false),
            ("'redis://a/1', 'redis://b'", false),
            ("'redis://a', 'redis://:hunter2@b'", false),
            ("", false),
        ] {
            let mut new = config(&format!("[cluster]\nredis = [{redis}]\nheartbeat_ms = 20"));
            let wanted = new.cluster.redis.clone();
            let kept = new.keep_until_restart(&running);
            assert_eq!(
                kept,
                if is_taken { &["cluster"][..] } else { &["cluster", "cluster.redis"] },
                "{redis}"
            );
            assert_eq!(new.cluster.redis, if is_taken { wanted } else { running.cluster.redis.clone() });
            assert_eq!(new.cluster.heartbeat, running.cluster.heartbeat);
        }
        let alone = config("");
        let mut joins = config("[cluster]\nredis = ['redis://a']");
        assert_eq!((joins.keep_until_restart(&alone), joins.cluster.is_on()), (vec!["cluster.redis"], false));
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_runs() {
        let running = config("listen = '127.0.0.1:1'\n[limits]\nmailbox_messages = 7");
        let mut new =
            config("listen = '127.0.0.1:2'\nnode = 3\n[limits]\nmailbox_messages = 7\nmax_page = 9");
        new.cluster.password = Some(crate::config::Secret::new("hunter2"));
        assert_eq!(new.keep_until_restart(&running), ["listen", "node", "cluster"]);
        assert_eq!((&new.listen, new.node, new.limits.max_page), (&running.listen, 0, 9));
        assert_eq!(new.keep_until_restart(&running), [""; 0]);
        assert_eq!(new.cluster.redis, running.cluster.redis);
        new.tls.cert = Some("cert.pem".into());
        new.tls.key = Some("key.pem".into());
        assert_eq!(new.keep_until_restart(&running), ["tls"]);
        assert!(!new.tls.is_on());
    }
}
