//! How long a reactor looks for work before it sleeps. A wake from sleep costs tens of microseconds, a look costs a core:
//! the budget is spent where work comes soon, and shrinks where it does not. Knows nothing of where work comes from.

/// The budget of one reactor; all times in nanoseconds of the server's clock.
#[derive(Debug, Clone, Copy)]
pub struct Spin {
    most_ns: u64,
    budget_ns: u64,
}

impl Spin {
    /// Looks for `most_ns` at the most; 0 never looks.
    pub fn new(most_ns: u64) -> Self {
        Self { most_ns, budget_ns: most_ns }
    }

    /// How long to look this time.
    pub fn budget_ns(&self) -> u64 {
        self.budget_ns
    }

    /// Work was found while looking: the next look may take as long as any.
    pub fn found(&mut self) {
        self.budget_ns = self.most_ns;
    }

    /// Nothing was found; work came `waited_ns` after the last turn. If a full look would have caught it, the next one may
    /// be full; if not, the budget halves, so that an idle reactor soon stops looking.
    pub fn slept(&mut self, waited_ns: u64) {
        self.budget_ns = if waited_ns < self.most_ns { self.most_ns } else { self.budget_ns / 2 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_reactor_soon_stops_looking_and_a_busy_one_starts_again() {
        let mut spin = Spin::new(50_000);
        let looks: Vec<u64> = std::iter::repeat_with(|| {
            spin.slept(1_000_000);
            spin.budget_ns()
        })
        .take(17)
        .collect();
        assert_eq!(looks[..3], [25_000, 12_500, 6_250]);
        assert_eq!(looks[16], 0);
        spin.slept(49_999);
        assert_eq!(spin.budget_ns(), 50_000);
    }

    #[test]
    fn what_was_found_keeps_the_budget() {
        let mut spin = Spin::new(50_000);
        spin.slept(1_000_000);
        spin.found();
        assert_eq!(spin.budget_ns(), 50_000);
    }

    #[test]
    fn off_is_off() {
        let mut spin = Spin::new(0);
        spin.found();
        spin.slept(0);
        assert_eq!(spin.budget_ns(), 0);
    }
}
