//! What was heard of whom, on its way to the process that goes on with it.

use super::{Gap, Hearing, Publisher};
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
}

impl Hearing {
    /// What another process goes on with.
    pub fn carry(&self) -> CarriedHearing {
        let publishers = self.publishers.iter().map(|((incarnation, reactor), publisher)| {
            let Publisher { last, gap } = publisher;
            CarriedPublisher {
                incarnation: *incarnation,
                reactor: *reactor,
                last: *last,
                gap: gap.as_ref().map(|Gap { from, heard }| (*from, heard.clone())),
            }
        });
        CarriedHearing(publishers.collect())
    }

    /// Goes on with what another process had heard.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn going_on(carried: CarriedHearing) -> Result<Self, InvalidState> {
        let mut hearing = Self::default();
        for CarriedPublisher { incarnation, reactor, last, gap } in carried.0 {
            let gap = gap.map(|(from, heard)| Gap { from, heard });
            // It is searched.
            if gap.as_ref().is_some_and(|gap| !gap.heard.is_sorted()) {
                return Err(InvalidState::new("messages of the bus were heard in no order"));
            }
            hearing.publishers.insert((incarnation, reactor), Publisher { last, gap });
        }
        Ok(hearing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Missed;

    fn carried(hearing: &Hearing) -> CarriedHearing {
        minicbor::decode(&minicbor::to_vec(hearing.carry()).unwrap()).unwrap()
    }

    #[test]
    fn what_was_heard_is_no_news_in_the_next_process_and_a_gap_stays_open() {
        let mut first = Hearing::default();
        first.hear((7, 1), 10);
        first.hear((7, 2), 4);
        first.went_down();
        first.hear((7, 1), 12);
        let mut second = Hearing::going_on(carried(&first)).unwrap();
        assert!(!second.hear((7, 1), 12) && second.hear((7, 1), 13) && !second.hear((7, 2), 4));
        assert_eq!(second.gaps().count(), 2);
        let missed = second.fill_gap((7, 1), 14, &[2; 4], |channel| channel == 2);
        assert_eq!(missed, Missed { messages: 2, unknown: 0 }, "11 and 14");
    }

    #[test]
    fn a_gap_without_order_is_refused() {
        let mut hearing = Hearing::default();
        hearing.hear((7, 1), 10);
        hearing.went_down();
        let mut carried = hearing.carry();
        carried.0[0].gap = Some((10, vec![12, 11]));
        assert!(Hearing::going_on(carried).is_err());
    }
}
