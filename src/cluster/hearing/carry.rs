//! What was heard of whom, on its way to the process that goes on with it.

use super::{BITS, Gap, Hearing, Publisher, place};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// See [`Hearing`].
#[derive(Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct CarriedHearing(#[n(0)] Vec<CarriedPublisher>);

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedPublisher {
    #[n(0)]
    incarnation: u64,
    #[n(1)]
    reactor: u8,
    #[n(2)]
    last: u64,
    /// Behind which number nothing was heard, and what has come since.
    #[n(3)]
    gap: Option<(u64, Vec<u64>)>,
    /// Which of the last numbers were heard, a bit each; as many bits as numbers.
    #[n(4)]
    heard: Vec<u64>,
}

impl Hearing {
    /// What another process goes on with.
    pub fn carry(&self) -> CarriedHearing {
        // The window is as long as the bits.
        let Self { publishers, window: _ } = self;
        let publishers = publishers.iter().map(|((incarnation, reactor), publisher)| {
            let Publisher { last, heard, gap } = publisher;
            CarriedPublisher {
                incarnation: *incarnation,
                reactor: *reactor,
                last: *last,
                gap: gap.as_ref().map(|Gap { from, heard }| (*from, heard.iter().copied().collect())),
                heard: heard.to_vec(),
            }
        });
        CarriedHearing(publishers.collect())
    }

    /// Goes on with what another process had heard.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on_from(&mut self, carried: CarriedHearing) -> Result<(), InvalidState> {
        let window = self.window as u64;
        for CarriedPublisher { incarnation, reactor, last, gap, heard } in carried.0 {
            let before = (heard.len() * BITS) as u64;
            if before == 0 {
                return Err(InvalidState::new("nobody knows what of the bus was heard"));
            }
            let mut publisher = Publisher::new(last, self.window);
            for number in last.saturating_sub(window - 1)..=last {
                let (word, bit) = place(number, before);
                // What is older than the window before is written again by nobody.
                if last - number >= before || heard[word] & bit != 0 {
                    let (word, bit) = place(number, window);
                    publisher.heard[word] |= bit;
                }
            }
            publisher.gap = gap.map(|(from, heard)| Gap { from, heard: heard.into_iter().collect() });
            self.publishers.insert((incarnation, reactor), publisher);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Heard, Missed};

    const KEY: (u64, u8) = (7, 1);

    fn next(hearing: &Hearing, window: usize) -> Hearing {
        let mut next = Hearing::new(window);
        let carried = minicbor::to_vec(hearing.carry()).unwrap();
        next.go_on_from(minicbor::decode(&carried).unwrap()).unwrap();
        next
    }

    #[test]
    fn what_was_heard_is_no_news_in_the_next_process_and_a_gap_stays_open() {
        let mut first = Hearing::new(64);
        first.hear(KEY, 10);
        first.hear((7, 2), 4);
        first.went_down();
        first.hear(KEY, 12);
        let mut second = next(&first, 64);
        assert_eq!([12, 13].map(|number| second.hear(KEY, number)), [Heard::Again, Heard::New]);
        assert_eq!(second.hear((7, 2), 4), Heard::Again);
        assert_eq!(second.gaps().count(), 2);
        let missed = second.fill_gap(KEY, 14, &[2; 4], |channel| channel == 2);
        assert_eq!(missed, Missed { messages: 2, unknown: 0 }, "11 and 14");
    }

    #[test]
    fn what_came_in_no_order_is_known_whatever_the_window_is_then() {
        let mut first = Hearing::new(128);
        for number in [700, 702, 705] {
            first.hear(KEY, number);
        }
        for window in [64, 128, 256] {
            let mut second = next(&first, window);
            assert_eq!([702, 705].map(|number| second.hear(KEY, number)), [Heard::Again; 2], "{window}");
            assert_eq!([701, 704].map(|number| second.hear(KEY, number)), [Heard::TooLate; 2], "{window}");
            assert_eq!(second.hear(KEY, 705 - 128), Heard::Again, "{window}: nobody writes that again");
        }
    }

    #[test]
    fn one_of_whom_nothing_is_known_is_refused() {
        let mut hearing = Hearing::new(64);
        hearing.hear(KEY, 10);
        let mut carried = hearing.carry();
        carried.0[0].heard.clear();
        assert!(hearing.go_on_from(carried).is_err());
    }
}
