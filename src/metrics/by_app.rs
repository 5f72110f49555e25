//! Figures that a reactor keeps for each app, in tables that grow with the ids of apps. Knows nothing of the apps' names.

use std::sync::OnceLock;

use super::carry::Carry;
use super::render::Text;
use super::value::{Counter, Gauge, Metric};

/// Apps in the first chunk of a table; each chunk is twice as long as the one before.
const FIRST: usize = 16;
/// As many as all ids of 16 bits need.
const CHUNKS: usize = (u16::MAX as usize + FIRST).ilog2() as usize - FIRST.ilog2() as usize + 1;

/// A figure for each app, by the app's id. An app that a reload adds has its place when it is first counted: a chunk is made
/// once and never moves, so that a reader needs no lock, and a count is a look-up and a store.
#[derive(Debug)]
pub struct ByApp<M> {
    chunks: [OnceLock<Box<[M]>>; CHUNKS],
}

impl<M> Default for ByApp<M> {
    fn default() -> Self {
        Self { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }
}

impl<M: Default> ByApp<M> {
    /// The figure of an app, by its id.
    #[inline]
    pub fn of(&self, app: u16) -> &M {
        let (chunk, index) = place(app);
        &self.chunks[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| M::default()).collect())[index]
    }

    /// The same, where anything has been written near it.
    pub fn seen(&self, app: u16) -> Option<&M> {
        let (chunk, index) = place(app);
        self.chunks[chunk].get()?.get(index)
    }

    /// The figures of all apps near which anything has been written, by their ids.
    pub fn all(&self) -> impl Iterator<Item = (u16, &M)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let first = (FIRST << number) - FIRST;
            let figures = chunk.get().into_iter().flatten();
            // The last chunk is longer than the ids that are left for it.
            (first..).map_while(|id| u16::try_from(id).ok()).zip(figures)
        })
    }
}

/// The chunk of an app, and its index there.
#[inline]
fn place(app: u16) -> (usize, usize) {
    let number = usize::from(app) + FIRST;
    let chunk = (number.ilog2() - FIRST.ilog2()) as usize;
    (chunk, number - (FIRST << chunk))
}

/// As a family of one reactor it is the sum over the apps.
impl Metric for ByApp<Counter> {
    const TYPE: &'static str = Counter::TYPE;
    type Total = u64;

    fn add_to(&self, total: &mut u64) {
        self.all().for_each(|(_, counter)| counter.add_to(total));
    }

    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>) {
        let mut total = 0;
        self.add_to(&mut total);
        text.sample(name, &[("reactor", reactor)], total);
    }
}

impl Carry for ByApp<Counter> {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        // Ids of apps stay what they are.
        self.all().for_each(|(app, counter)| see(&app.to_string(), counter.get()));
    }

    fn add_carried(&self, label: &str, count: u64) {
        if let Ok(app) = label.parse() {
            self.of(app).add(count);
        }
    }
}

/// What is counted by app alone.
#[derive(Debug, Default)]
pub struct AppMetrics {
    /// Sessions open now.
    pub sessions: ByApp<Gauge>,
    /// Sessions away now.
    pub away: ByApp<Gauge>,
    /// Sessions now whose sockets did not take all that waits for them.
    pub behind: ByApp<Gauge>,
    /// Sessions closed.
    pub closed: ByApp<Counter>,
    /// Connections refused once their app was known.
    pub refused: ByApp<Counter>,
    /// Pushed messages that were queued for a session.
    pub queued: ByApp<Counter>,
}

impl AppMetrics {
    pub(super) fn each_family(&self, see: &mut dyn FnMut(&str, &dyn Carry)) {
        // Sessions are gauges.
        let Self { sessions: _, away: _, behind: _, closed, refused, queued } = self;
        see("gannet_app_closed_total", closed);
        see("gannet_app_refused_total", refused);
        see("gannet_app_deliveries_total", queued);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_app_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for app in 0..=u16::MAX {
            assert_eq!(place(app), expected, "{app}");
            expected = match expected.1 + 1 {
                full if full == FIRST << expected.0 => (expected.0 + 1, 0),
                index => (expected.0, index),
            };
        }
        assert_eq!(place(u16::MAX).0 + 1, CHUNKS);
    }

    #[test]
    fn what_is_counted_of_one_app_is_not_of_another_and_all_is_in_the_sum() {
        let counters = ByApp::<Counter>::default();
        for app in [0, 15, 16, 47, 48, 1_000, u16::MAX] {
            assert_eq!(counters.seen(app).map_or(0, Counter::get), 0);
            counters.of(app).add(u64::from(app) + 1);
            assert_eq!(counters.of(app).get(), u64::from(app) + 1);
        }
        let mut total = 0;
        counters.add_to(&mut total);
        assert_eq!(total, 1 + 16 + 17 + 48 + 49 + 1_001 + 65_536);
    }
}
