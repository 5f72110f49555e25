//! Why a connection is not read. One set of reasons, which reading and the deadlines both consult.

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Answers to what it has asked have to leave first.
    Answers,
    /// A command of its own has to be done before the next one is looked at.
    Barrier,
    /// It has sent more than its rate allows.
    Rate,
    /// A link that gets its messages has to take those that wait first.
    Link,
}

/// A set of [`Pause`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pauses(u8);

impl Pauses {
    /// Whether there is no reason.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of the reasons.
    pub fn has(self, reason: Pause) -> bool {
        self.0 & bit(reason) != 0
    }

    pub(super) fn add(&mut self, reason: Pause) {
        self.0 |= bit(reason);
    }

    pub(super) fn remove(&mut self, reason: Pause) {
        self.0 &= !bit(reason);
    }
}

fn bit(reason: Pause) -> u8 {
    1 << reason as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_do_not_touch_each_other() {
        let all = [Pause::Answers, Pause::Barrier, Pause::Rate, Pause::Link];
        for reason in all {
            let mut pauses = Pauses::default();
            pauses.add(reason);
            assert!(all.iter().all(|&other| pauses.has(other) == (other == reason)));
            all.iter().filter(|&&other| other != reason).for_each(|&other| pauses.add(other));
            pauses.remove(reason);
            assert!(all.iter().all(|&other| pauses.has(other) == (other != reason)));
        }
    }
}
