//! A bound on the memory of all reactors together: of their outboxes, and in the same way of what is half received. Each reactor keeps its own sum and publishes it once a turn, as the
//! gauge that `/metrics` shows. When all are beyond the bound, those beyond their share of it close the largest of their
//! own queues with 4003, each in proportion. Sessions are spread evenly over the reactors, so these are about the largest
//! of the server. Knows nothing of who filled them.

use super::Core;
use super::envelope::Envelope;
use crate::connection::{Flag, Kind, Outbox, Phase};
use crate::session::AppId;

/// Queues compared in one turn, and connections closed in one: what bounds its work.
const COMPARED: usize = 4096;
const CLOSED: usize = 64;
/// A reactor adds up the sums of all when its own has grown by this part of its share.
const STEPS: u64 = 16;

/// What one reactor knows of a bound on the memory of all.
#[derive(Debug)]
pub struct Relief {
    /// For all reactors.
    limit: u64,
    /// Where they are beyond it, so much is left of all: what is coming still must not be beyond it at once again.
    goal: u64,
    /// Whether the goal is lower than the limit.
    has_slack: bool,
    /// A reactor's even part of it.
    share: u64,
    /// It adds up when its own memory reaches this; `u64::MAX` where there is no bound.
    look_at: u64,
    /// Another reactor has added up, or the last turn did not do all of its part.
    asked: bool,
    /// Where among the outboxes that are behind the next comparison begins.
    cursor: usize,
}

/// What a reactor does where all are beyond the bound.
pub struct Part {
    /// Bytes that it frees itself.
    pub free: u64,
    /// The other reactors that have more than their share.
    pub others: Vec<usize>,
}

impl Relief {
    /// The bound of all `reactors`, in bytes; 0 is none.
    pub fn new(limit: usize, reactors: usize) -> Self {
        let mut relief =
            Self { limit: 0, goal: 0, has_slack: false, share: 0, look_at: 0, asked: false, cursor: 0 };
        relief.set_limit(limit, reactors);
        relief
    }

    /// The same, where a part of what is left will grow a little before it ends: an eighth is kept free for that.
    pub fn with_slack(limit: usize, reactors: usize) -> Self {
        let mut relief = Self { has_slack: true, ..Self::new(limit, reactors) };
        relief.set_limit(limit, reactors);
        relief
    }

    /// The bound is another one from now on.
    pub fn set_limit(&mut self, limit: usize, reactors: usize) {
        self.limit = if limit == 0 { u64::MAX } else { limit as u64 };
        self.goal = if self.has_slack { self.limit - self.limit / 8 } else { self.limit };
        self.share = self.limit / reactors as u64;
        self.look_at = 0;
    }

    /// Whether something is left to do that nothing outside will remind of.
    pub fn is_pending(&self) -> bool {
        self.asked
    }

    /// Another reactor has found all of them beyond the bound.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Looks whether all are beyond the bound, where this reactor, the one at `index`, has `own` bytes; mostly a compare.
    pub fn look(&mut self, index: usize, own: u64, sums: impl FnOnce() -> Vec<u64>) -> Option<Part> {
        let asked = std::mem::take(&mut self.asked);
        if !asked && own < self.look_at {
            self.look_at = self.look_at.min(own.saturating_add(self.step()));
            return None;
        }
        let sums = sums();
        self.look_at = own.saturating_add(self.step());
        if sums.iter().sum::<u64>() <= self.limit {
            return None;
        }
        let others = (0..sums.len()).filter(|&one| !asked && one != index && sums[one] > self.share);
        Some(Part { free: part_of(own, &sums, self.goal, self.share), others: others.collect() })
    }

    /// The part is done, or as much of it as a turn does.
    pub fn done(&mut self, own: u64, is_unfinished: bool) {
        self.asked = is_unfinished;
        self.look_at = own.saturating_add(self.step());
    }

    fn step(&self) -> u64 {
        (self.share / STEPS).max(1)
    }
}

/// How much of what is beyond the bound a reactor with `own` bytes frees, where all have `sums`, its own among them.
fn part_of(own: u64, sums: &[u64], limit: u64, share: u64) -> u64 {
    let total: u64 = sums.iter().sum();
    let over = |sum: u64| sum.saturating_sub(share);
    let all_over: u64 = sums.iter().map(|&sum| over(sum)).sum();
    if total <= limit || all_over == 0 {
        return 0;
    }
    // The product of two sizes of memory needs more than 64 bits.
    let part = u128::from(total - limit) * u128::from(over(own)) / u128::from(all_over);
    // Rounded up, so that the parts are never less than the whole.
    if over(own) == 0 { 0 } else { u64::try_from(part).unwrap_or(u64::MAX).saturating_add(1) }
}

/// A connection whose socket is behind.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    /// Its slot.
    pub slot: u32,
    /// The app of a session, by which it is counted; it stays while it is listed.
    pub app: Option<AppId>,
}

impl Core {
    /// Another reactor has found all of them beyond a bound.
    pub fn asked_for_relief(&mut self) {
        self.relief.ask();
        self.incoming_relief.ask();
    }

    /// Does this reactor's part where the outboxes of all are beyond their bound.
    pub fn relieve(&mut self) {
        let (own, index, shared) = (self.settlements.memory, self.index, &self.shared);
        let Some(part) = self.relief.look(index, own, || shared.sums(index, own, |one| &one.outbox_memory))
        else {
            return;
        };
        self.ask_for_relief(part.others);
        self.free(part.free);
    }

    pub(super) fn ask_for_relief(&mut self, reactors: Vec<usize>) {
        for reactor in reactors {
            // One that is busy gets no envelope, and looks when it has grown.
            let _ = self.peers.post(reactor, Envelope::Relieve);
        }
    }

    /// Closes the largest queues, until so many bytes are free or the turn has closed enough of them; then the next goes on.
    fn free(&mut self, bytes: u64) {
        let goal = self.settlements.memory.saturating_sub(bytes);
        // Those whose clients may not come back at all, first.
        self.end_oldest_away(goal);
        let mut closed = 0;
        for slot in self.largest_behind() {
            if self.settlements.memory <= goal {
                break;
            }
            self.metrics().relieved.add(1);
            self.close_slow(slot);
            closed += 1;
        }
        let own = self.settlements.memory;
        self.relief.done(own, closed > 0 && own > goal);
    }

    /// The open connections with the largest queues among the next [`COMPARED`] whose sockets are behind, largest first.
    fn largest_behind(&mut self) -> Vec<u32> {
        let count = self.behind.len().min(COMPARED);
        let from = if self.relief.cursor < self.behind.len() { self.relief.cursor } else { 0 };
        self.relief.cursor = from + count;
        let slots = self.behind.iter().map(|behind| behind.slot).cycle().skip(from).take(count);
        let mut queues: Vec<(usize, u32)> = slots
            .filter_map(|slot| {
                let connection = self.connections.slot(slot)?;
                let speaks = matches!(connection.kind, Kind::Player | Kind::Echo | Kind::Link);
                let bytes = connection.outbox.as_ref()?.bytes();
                let is_slow = connection.flags.has(Flag::Blocked) && connection.phase == Phase::Open;
                (speaks && is_slow).then_some((bytes, slot))
            })
            .collect();
        queues.sort_unstable_by(|one, other| other.cmp(one));
        queues.truncate(CLOSED);
        queues.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Lists the connection in `slot` among those that are behind, if it is.
    pub fn note_behind(&mut self, slot: u32) {
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.flags.has(Flag::Blocked)
            && let Some(outbox) = &mut connection.outbox
            && outbox.behind().is_none()
        {
            outbox.list_behind(self.behind.len() as u32, self.now.ms);
            let app = self.hub.app_of(slot);
            self.behind.push(Behind { slot, app });
            if let Some(app) = app {
                self.shared.metrics.reactor(self.index).apps.behind.of(app.0).add(1);
            }
            if connection.kind.must_progress() {
                connection.extras().progress_ms = attended_ms;
            }
        }
    }

    /// Since when the socket of this outbox has been behind, in milliseconds since the Unix epoch.
    pub(super) fn behind_since_unix_ms(&self, outbox: &Outbox) -> Option<u64> {
        Some(self.shared.stats.zero_unix_ms() + outbox.behind_since_ms()?)
    }

    /// Strikes the entry at `place` out of the list of those that are behind.
    pub fn strike_behind(&mut self, place: u32) {
        let struck = self.behind.swap_remove(place as usize);
        if let Some(app) = struck.app {
            self.metrics().apps.behind.of(app.0).sub(1);
        }
        if let Some(moved) = self.behind.get(place as usize)
            && let Some(connection) = self.connections.slot_mut(moved.slot)
            && let Some(outbox) = &mut connection.outbox
        {
            outbox.list_behind(place, self.now.ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn those_beyond_their_share_free_what_is_beyond_the_bound_together() {
        let tables: [(&[u64], u64); 6] = [
            (&[100, 100, 100, 100], 400),
            (&[500, 10, 10, 10], 400),
            (&[300, 150, 50, 0], 400),
            (&[101, 101, 101, 101], 400),
            (&[u64::MAX / 4, u64::MAX / 4, 0], 1 << 40),
            (&[700], 400),
        ];
        for (sums, limit) in tables {
            let share = limit / sums.len() as u64;
            let parts: Vec<u64> = sums.iter().map(|&own| part_of(own, sums, limit, share)).collect();
            let beyond = sums.iter().sum::<u64>().saturating_sub(limit);
            let freed: u64 = parts.iter().sum();
            assert!(freed >= beyond && freed <= beyond + sums.len() as u64, "{sums:?}: {parts:?}");
            for (own, part) in sums.iter().zip(&parts) {
                assert!(*own > share || *part == 0, "{sums:?}: {parts:?}");
                assert!(part <= own, "{sums:?}: {parts:?}");
            }
        }
    }
}
