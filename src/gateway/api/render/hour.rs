//! The hour of figures, in columns: the second event of a stream of figures.

use crate::metrics::{AppSample, History};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Apps whose hour of figures a stream begins with.
const HISTORY_APPS: usize = 16;

/// An hour of figures in columns.
#[derive(Debug)]
pub struct HourOf<'a> {
    /// What is kept.
    pub history: &'a History,
    /// The apps that the reader may see: each with its id.
    pub apps: &'a [(usize, &'a str)],
    /// Whether the figures of the whole server are the reader's to see.
    pub is_of_server: bool,
}

impl Serialize for HourOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("every_ms", &History::EVERY_MS)?;
        map.serialize_entry("end_unix_ms", &self.history.end_unix_ms())?;
        if self.is_of_server {
            for (figure, name) in History::NAMES.iter().enumerate().filter(|(_, name)| !name.contains('.')) {
                map.serialize_entry(name, &Column { history: self.history, figure })?;
            }
            map.serialize_entry("deliveries", &Deliveries(self.history))?;
            map.serialize_entry("reactors_busy", &ReactorsBusy(self.history))?;
        }
        map.serialize_entry("apps", &AppsOf(self))?;
        map.end()
    }
}

struct Column<'a> {
    history: &'a History,
    figure: usize,
}

impl Serialize for Column<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { history, figure } = self;
        let column = history.column(*figure);
        match History::NAMES[*figure] {
            name if name.ends_with("_us") => {
                serializer.collect_seq(column.map(|tenths| tenths as f64 / 10.0))
            }
            "busy" => serializer.collect_seq(column.map(|thousandths| thousandths as f64 / 1_000.0)),
            _ => serializer.collect_seq(column),
        }
    }
}

struct Deliveries<'a>(&'a History);

impl Serialize for Deliveries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (figure, name) in History::NAMES.iter().enumerate() {
            if let Some(outcome) = name.strip_prefix("deliveries.") {
                map.serialize_entry(outcome, &Column { history: self.0, figure })?;
            }
        }
        map.end()
    }
}

/// A column for each reactor.
struct ReactorsBusy<'a>(&'a History);

impl Serialize for ReactorsBusy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct OfReactor<'a>(&'a History, usize);
        impl Serialize for OfReactor<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self(history, reactor) = self;
                let column = history.column_of_reactor(*reactor);
                serializer.collect_seq(column.map(|busy| busy.map(|busy| f64::from(busy) / 1_000.0)))
            }
        }
        serializer.collect_seq((0..self.0.reactors()).map(|reactor| OfReactor(self.0, reactor)))
    }
}

struct AppsOf<'a>(&'a HourOf<'a>);

impl Serialize for AppsOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let HourOf { history, apps, .. } = self.0;
        let kept = apps.iter().filter(|(id, _)| *id < History::APPS).take(HISTORY_APPS);
        serializer.collect_map(kept.map(|(id, name)| (*name, AppColumns { history, app: *id })))
    }
}

struct AppColumns<'a> {
    history: &'a History,
    app: usize,
}

impl Serialize for AppColumns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct AppColumn<'a>(&'a AppColumns<'a>, usize);
        impl Serialize for AppColumn<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self(AppColumns { history, app }, figure) = self;
                serializer.collect_seq(history.column_of_app(*app, *figure))
            }
        }
        let names = AppSample::NAMES.iter().enumerate();
        serializer.collect_map(names.map(|(figure, name)| (name, AppColumn(self, figure))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn who_may_not_see_the_server_is_shown_no_hour_of_it() {
        let hour = HourOf { history: &History::default(), apps: &[(0, "chess")], is_of_server: false };
        let hour = serde_json::to_value(&hour).unwrap();
        assert_eq!(hour.as_object().unwrap().keys().collect::<Vec<_>>(), ["apps", "end_unix_ms", "every_ms"]);
        assert_eq!(hour["apps"]["chess"]["queued"], serde_json::json!([]));
    }

    #[test]
    fn each_reactor_has_a_column() {
        let (metrics, mut history) = (Metrics::new(2, 0), History::default());
        history.add(metrics.sample(0, 0), 7);
        metrics.reactor(1).turn_time.observe(2_500_000_000);
        history.add(metrics.sample(10_000, 0), 17);
        let hour = HourOf { history: &history, apps: &[], is_of_server: true };
        let hour = serde_json::to_value(&hour).unwrap();
        assert_eq!(hour["reactors_busy"], serde_json::json!([[0.0], [0.25]]));
        assert_eq!(hour["busy"], serde_json::json!([0.25]));
    }
}
