//! Before a step, all that is under way comes to its end: every reactor has delivered or handed on what it had been posted when it
//! was asked, and Redis has taken what it had published. What a reactor hands on in that time another one has to deliver: so it
//! takes two rounds.

use super::super::Bus;
use super::super::news::BusNews;
use super::state::{Pass, Round, SettleAsked, Step};
use crate::core::{Core, Envelope};

impl Core {
    /// Does the step when all that is under way now is settled.
    pub(super) fn when_settled(&mut self, step: Step) {
        if let Some(bus) = self.bus.as_deref_mut() {
            bus.crossing.next_round.push((step, Pass::First));
        }
    }

    /// Begins a round for all steps that wait for one.
    pub(in crate::core::bus) fn begin_settling(&mut self) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if bus.crossing.next_round.is_empty() {
            return;
        }
        let due_ms = now_ms + bus.patience_ms();
        let reactors = self.shared.reactors();
        let steps = std::mem::take(&mut bus.crossing.next_round);
        bus.crossing.last_round += 1;
        let round = bus.crossing.last_round;
        bus.crossing.rounds.insert(round, Round { left: reactors, steps, due_ms });
        for reactor in (0..reactors).filter(|reactor| *reactor != index) {
            let news = BusNews::Settle { reactor: index, round };
            self.peers.post_always(reactor, Envelope::Bus(Box::new(news)));
        }
        self.is_asked_to_settle(index, round);
    }

    /// A reactor, or this one itself, asks when what is under way here is settled.
    pub(in crate::core::bus) fn is_asked_to_settle(&mut self, reactor: usize, round: u64) {
        let (now_ms, work) = (self.now.ms, self.work_ticket());
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let due_ms = now_ms + bus.patience_ms();
        let sequences = bus.lines.iter().map(|line| line.next_sequence()).collect();
        bus.crossing.asks.push(SettleAsked { reactor, round, work, sequences, due_ms });
    }

    /// Answers those for whom it is settled. Those that have waited too long get no answer.
    pub(in crate::core::bus) fn answer_settled(&mut self) {
        let now_ms = self.now.ms;
        if self.bus.as_ref().is_none_or(|bus| bus.crossing.asks.is_empty()) {
            return;
        }
        let has_backlog = self.peers.backlog() > 0;
        let asks = self.bus.as_deref_mut().map(|bus| std::mem::take(&mut bus.crossing.asks));
        let mut waiting = Vec::new();
        for ask in asks.unwrap_or_default() {
            let is_settled = !has_backlog
                && self.is_work_done(ask.work)
                && self.bus.as_deref().is_some_and(|bus| has_taken(bus, &ask));
            match (is_settled, ask.reactor == self.index) {
                (false, _) if ask.due_ms > now_ms => waiting.push(ask),
                (false, _) => {}
                (true, true) => self.one_is_settled(ask.round),
                (true, false) => {
                    let news = BusNews::Settled { round: ask.round };
                    self.peers.post_always(ask.reactor, Envelope::Bus(Box::new(news)));
                }
            }
        }
        if let Some(bus) = self.bus.as_deref_mut() {
            bus.crossing.asks.extend(waiting);
        }
    }

    /// A reactor has answered; the last one lets the steps go on.
    pub(in crate::core::bus) fn one_is_settled(&mut self, round: u64) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(waiting) = bus.crossing.rounds.get_mut(&round) else { return };
        waiting.left -= 1;
        if waiting.left > 0 {
            return;
        }
        let steps = bus.crossing.rounds.remove(&round).map(|round| round.steps);
        for (step, pass) in steps.into_iter().flatten() {
            match pass {
                Pass::First => {
                    if let Some(bus) = self.bus.as_deref_mut() {
                        bus.crossing.next_round.push((step, Pass::Second));
                    }
                }
                Pass::Second => self.take_step(step),
            }
        }
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Answer(session, claim) => self.answer_claim(session, claim),
            Step::Cut(session, claim) => self.let_go(session, claim),
            Step::Send(parcel) => self.send_parcel(*parcel),
            Step::Make(number) => self.make_session(number),
            Step::Take(number) => self.take_session(number),
            Step::GoOn(number) => self.go_on_here(number),
        }
    }
}

/// Whether Redis has taken all that had been published when it was asked.
fn has_taken(bus: &Bus, ask: &SettleAsked) -> bool {
    bus.lines.iter().zip(&ask.sequences).all(|(line, sequence)| line.has_answered_before(*sequence))
}
