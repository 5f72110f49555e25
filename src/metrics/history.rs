//! An hour of figures: a row each ten seconds, in a ring of a fixed size. What is kept of it is a few hundred bytes a row.

use super::labels::{CloseClass, DeliveryOutcome};
use super::sample::{AppSample, Sample};
use minicbor::{Decode, Encode};
use std::collections::VecDeque;

/// A row, each figure of [`History::NAMES`]: counts of its ten seconds, the others as they were at its end.
type Figures = [u64; History::COUNT];

/// An hour of figures.
#[derive(Debug, Default)]
pub struct History {
    rows: VecDeque<Row>,
    /// When the newest row ended, in milliseconds since the Unix epoch.
    end_unix_ms: u64,
    /// The figures at its end. `None`: the next ones begin a row.
    base: Option<Sample>,
}

#[derive(Debug, Clone, Default)]
struct Row {
    figures: Figures,
    apps: Box<[[u32; AppSample::COUNT]]>,
    /// The part of its time that each reactor was busy, in thousandths; empty where another version has kept the row.
    busy: Box<[u16]>,
}

/// A [`History`] on its way to another process.
#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct CarriedHistory {
    #[n(0)]
    end_unix_ms: u64,
    /// Each row: its figures, and those of the apps. A version that has more of them has them behind these.
    #[n(1)]
    rows: Vec<CarriedRow>,
}

#[derive(Debug, Encode, Decode)]
struct CarriedRow(#[n(0)] Vec<u64>, #[n(1)] Vec<Vec<u32>>, #[n(2)] Option<Vec<u16>>);

impl History {
    /// How long a row is, in milliseconds.
    pub const EVERY_MS: u64 = 10_000;
    /// So many rows are kept: an hour.
    pub const KEPT: usize = 360;
    /// The apps with the lowest ids of which rows are kept.
    pub const APPS: usize = 64;
    /// How many figures a row has.
    pub const COUNT: usize = 26;
    /// What they are called. Those that end in `_us` are in tenths, `busy` in thousandths; what stands behind a dot belongs
    /// into a table.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "sessions",
        "away",
        "behind",
        "outbox_messages",
        "outbox_bytes",
        "opened",
        "closed",
        "closed_too_slow",
        "refused",
        "messages_in",
        "messages_out",
        "bytes_in",
        "bytes_out",
        "pushes",
        "deliveries.queued",
        "deliveries.written",
        "deliveries.replaced",
        "deliveries.dropped",
        "deliveries.expired",
        "deliveries.offline",
        "deliveries.closed",
        "push_to_write_p50_us",
        "push_to_write_p99_us",
        "turn_p99_us",
        "busy",
        "push_to_write_p999_us",
    ];

    /// When the next row ends, in milliseconds of the server's clock; `None`: the first begins now.
    pub fn next_ms(&self) -> Option<u64> {
        self.base.as_ref().map(|base| base.at_ms + Self::EVERY_MS)
    }

    /// The figures at `now_unix_ms`: the end of a row, where one has begun, and the beginning of the next.
    pub fn add(&mut self, sample: Sample, now_unix_ms: u64) {
        if let Some(base) = &self.base {
            if self.rows.len() == Self::KEPT {
                self.rows.pop_front();
            }
            self.rows.push_back(Row::between(base, &sample));
            self.end_unix_ms = now_unix_ms;
        }
        self.base = Some(sample);
    }

    /// When the newest row ended, in milliseconds since the Unix epoch; 0 without any.
    pub fn end_unix_ms(&self) -> u64 {
        self.end_unix_ms
    }

    /// The column of the figure with this index, the oldest row first.
    pub fn column(&self, figure: usize) -> impl Iterator<Item = u64> {
        self.rows.iter().map(move |row| row.figures[figure])
    }

    /// The column of this figure of an app.
    pub fn column_of_app(&self, app: usize, figure: usize) -> impl Iterator<Item = u32> {
        self.rows.iter().map(move |row| row.apps.get(app).map_or(0, |figures| figures[figure]))
    }

    /// How many reactors there are columns of.
    pub fn reactors(&self) -> usize {
        self.rows.iter().map(|row| row.busy.len()).max().unwrap_or(0)
    }

    /// The part of its time that a reactor was busy, in thousandths, where that was kept.
    pub fn column_of_reactor(&self, reactor: usize) -> impl Iterator<Item = Option<u16>> {
        self.rows.iter().map(move |row| row.busy.get(reactor).copied())
    }

    /// As it is carried.
    pub fn carry(&self) -> CarriedHistory {
        // What the next row has counted so far is counted from nought again in the other process.
        let Self { rows, end_unix_ms, base: _ } = self;
        let row = |row: &Row| {
            let apps = row.apps.iter().map(|figures| figures.to_vec()).collect();
            CarriedRow(row.figures.to_vec(), apps, Some(row.busy.to_vec()))
        };
        CarriedHistory { end_unix_ms: *end_unix_ms, rows: rows.iter().map(row).collect() }
    }

    /// Goes on from what another process has kept, and forgets what this one has: its counters begin where those of the other
    /// one ended.
    pub fn go_on_from(&mut self, carried: CarriedHistory) {
        let CarriedHistory { end_unix_ms, rows } = carried;
        let surplus = rows.len().saturating_sub(Self::KEPT);
        let rows = rows.into_iter().skip(surplus).map(|CarriedRow(figures, apps, busy)| {
            let mut row = Row { figures: cut(&figures), ..Row::default() };
            row.busy = busy.unwrap_or_default().into();
            row.apps = apps.iter().take(Self::APPS).map(|figures| cut(figures)).collect();
            row
        });
        *self = Self { rows: rows.collect(), end_unix_ms, base: None };
    }
}

/// The first of `figures`, 0 where there are fewer.
fn cut<T: Copy + Default, const N: usize>(figures: &[T]) -> [T; N] {
    std::array::from_fn(|index| figures.get(index).copied().unwrap_or_default())
}

impl Row {
    fn between(before: &Sample, now: &Sample) -> Self {
        let (old, new) = (&before.totals, &now.totals);
        let deliveries =
            |outcome: DeliveryOutcome| new.deliveries.of(outcome).saturating_sub(old.deliveries.of(outcome));
        let tenths = |us: f64| (us * 10.0) as u64;
        let push_to_write = new.push_to_write.since(&old.push_to_write);
        let busy: Box<[u16]> = now.busy_since(before).map(|part| (part * 1_000.0) as u16).collect();
        let figures = [
            new.sessions,
            new.away,
            now.behind(),
            new.outbox_messages,
            new.outbox_bytes,
            new.opened.saturating_sub(old.opened),
            new.closed.sum().saturating_sub(old.closed.sum()),
            new.closed.of(CloseClass::TooSlow).saturating_sub(old.closed.of(CloseClass::TooSlow)),
            new.refused.sum().saturating_sub(old.refused.sum()),
            new.messages_in.saturating_sub(old.messages_in),
            new.messages_out.saturating_sub(old.messages_out),
            new.bytes_in.saturating_sub(old.bytes_in),
            new.bytes_out.saturating_sub(old.bytes_out),
            new.pushes.saturating_sub(old.pushes),
            deliveries(DeliveryOutcome::Queued),
            deliveries(DeliveryOutcome::Written),
            deliveries(DeliveryOutcome::Replaced),
            deliveries(DeliveryOutcome::Dropped),
            deliveries(DeliveryOutcome::Expired),
            deliveries(DeliveryOutcome::Offline),
            deliveries(DeliveryOutcome::Closed),
            tenths(push_to_write.quantile_us(0.5)),
            tenths(push_to_write.quantile_us(0.99)),
            tenths(new.turn_time.since(&old.turn_time).quantile_us(0.99)),
            busy.iter().copied().max().unwrap_or(0).into(),
            tenths(push_to_write.quantile_us(0.999)),
        ];
        let narrow = |figure: u64| u32::try_from(figure).unwrap_or(u32::MAX);
        let app = |id: usize| now.app(id).since(before.app(id)).0.map(narrow);
        Self { figures, apps: (0..now.apps.len().min(History::APPS)).map(app).collect(), busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn column(history: &History, name: &str) -> Vec<u64> {
        let figure = History::NAMES.iter().position(|known| *known == name).unwrap();
        history.column(figure).collect()
    }

    #[test]
    fn each_row_has_the_counts_of_its_own_time_and_an_hour_is_kept() {
        let (metrics, mut history) = (Metrics::new(1, 0), History::default());
        assert_eq!((history.next_ms(), history.end_unix_ms()), (None, 0));
        for tick in 0..=400_u64 {
            metrics.reactor(0).pushes.of(0).add(tick);
            metrics.reactor(0).apps.sessions.of(0).set(tick);
            metrics.reactor(0).sessions.set(tick);
            history.add(metrics.sample(tick * 10_000, 1), 1_000_000 + tick);
        }
        assert_eq!((history.next_ms(), history.end_unix_ms()), (Some(4_010_000), 1_000_400));
        let expected: Vec<u64> = (41..=400).collect();
        assert_eq!(column(&history, "pushes"), expected);
        assert_eq!(column(&history, "sessions"), expected);
        assert_eq!(history.column_of_app(0, 0).map(u64::from).collect::<Vec<_>>(), expected);
        assert_eq!(history.column_of_app(7, 0).filter(|sessions| *sessions == 0).count(), 360);
    }

    #[test]
    fn an_hour_goes_on_in_another_process_whose_counters_begin_where_the_others_ended() {
        let (metrics, mut history) = (Metrics::new(1, 0), History::default());
        metrics.reactor(0).pushes.of(0).add(5);
        history.add(metrics.sample(0, 1), 7);
        metrics.reactor(0).pushes.of(0).add(3);
        history.add(metrics.sample(10_000, 1), 17);
        metrics.reactor(0).turn_time.observe(2_500_000_000);
        metrics.reactor(0).push_to_write.observe(3_000);
        history.add(metrics.sample(20_000, 1), 27);
        let busy = |history: &History| history.column_of_reactor(0).collect::<Vec<_>>();
        assert_eq!((history.reactors(), busy(&history)), (1, vec![Some(0), Some(250)]));
        assert!(column(&history, "push_to_write_p999_us")[1] >= 30);
        let bytes = minicbor::to_vec(history.carry()).unwrap();
        let mut next = History::default();
        next.add(Sample::default(), 18);
        next.go_on_from(minicbor::decode(&bytes).unwrap());
        assert_eq!((column(&next, "pushes"), next.end_unix_ms(), next.next_ms()), (vec![3, 0], 27, None));
        assert_eq!(busy(&next), busy(&history));
        next.add(metrics.sample(30_000, 1), 37);
        metrics.reactor(0).pushes.of(0).add(2);
        next.add(metrics.sample(40_000, 1), 47);
        assert_eq!(column(&next, "pushes"), [3, 0, 2], "not all that was ever counted");
    }

    /// Its rows have two fields, and one figure less.
    #[test]
    fn what_an_earlier_version_did_not_keep_is_not_known() {
        let earlier = minicbor::to_vec((vec![9_u64; History::COUNT - 1], vec![vec![4_u32; 9]])).unwrap();
        let row: CarriedRow = minicbor::decode(&earlier).unwrap();
        let mut next = History::default();
        next.go_on_from(CarriedHistory { end_unix_ms: 17, rows: vec![row] });
        assert_eq!((column(&next, "busy"), column(&next, "push_to_write_p999_us")), (vec![9], vec![0]));
        assert_eq!((next.reactors(), next.column_of_reactor(0).collect::<Vec<_>>()), (0, vec![None]));
    }
}
