//! Links that are away: how many there may be, and for how long each lingers.

use super::Seat;
use crate::auth::BackendKeys;
use crate::core::Core;
use crate::session::SessionId;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

impl Core {
    /// Another link is away.
    pub(super) fn is_away_now(&self) {
        self.metrics().links_away.add(1);
        self.shared.links_away.fetch_add(1, Relaxed);
    }

    /// As many links are away as may be: the one of this reactor that has been longest ends.
    pub(super) fn bound_away(&mut self) {
        let most = self.rules.settings.config.limits.links_away;
        while self.shared.links_away.load(Relaxed) > most {
            let away = self.seats.seats.iter().filter_map(|(link, seat)| Some((seat.until_ms?, *link)));
            let Some((_, link)) = away.min() else { return };
            self.end_seat(link);
        }
    }

    /// The link is not away any more.
    pub(super) fn came_back(&mut self, link: SessionId) {
        if self.seats.change(link, |seat| seat.until_ms.take()).flatten().is_some() {
            self.metrics().links_away.sub(1);
            self.shared.links_away.fetch_sub(1, Relaxed);
        }
    }

    /// Links that have been away for too long are over.
    pub fn end_late_seats(&mut self) {
        let attended_ms = self.attended_ms();
        if self.seats.next_ms().is_none_or(|next_ms| next_ms > attended_ms) {
            return;
        }
        let is_late = |seat: &Seat| seat.next_ms().is_some_and(|next_ms| next_ms <= attended_ms);
        let late = self.seats.seats.iter().filter(|(_, seat)| is_late(seat)).map(|(link, _)| *link);
        for link in late.collect::<Vec<_>>() {
            if !self.answer_feed(link) {
                self.end_seat(link);
            }
        }
    }

    /// When the first link that is away lingers no more, in milliseconds of the server's clock.
    pub fn next_seat_ms(&self) -> Option<u64> {
        self.seats.next_ms().map(|attended_ms| attended_ms + self.absent_ms)
    }

    /// The keys of the port are others: a link that is away, and whose key is gone or may do less, is over.
    pub fn seats_follow_keys(&mut self, before: &BackendKeys, now: &BackendKeys) {
        let mut ended = Vec::new();
        for (link, seat) in &mut self.seats.seats {
            let Some(resume) = &mut seat.resume else { continue };
            match now.successor_of(&resume.access, before) {
                Some(access) => resume.access = Arc::clone(access),
                None => {
                    seat.leaves = true;
                    ended.extend(seat.connection.is_none().then_some(*link));
                }
            }
        }
        ended.into_iter().for_each(|link| self.end_seat(link));
    }
}
