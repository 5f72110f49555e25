//! What this reactor has asked other nodes, and their answers. How many there will be is what Redis says to the publishing: so many
//! nodes have got the question. Pure.

use crate::cluster::places::Seat;
use crate::dispatch::{Operation, Push};
use crate::session::{AppId, Name};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions that wait for answers, by number.
#[derive(Debug, Default)]
pub struct Awaiting {
    questions: HashMap<u64, Question>,
    /// When each is given up, in the order in which they were asked: all are waited for equally long.
    due: VecDeque<(u64, u64)>,
    last: u64,
    /// All that wait, those of other reactors among them.
    all: Arc<AtomicUsize>,
}

/// What was asked.
#[derive(Debug)]
pub enum Asked {
    /// What became of a push, or of a part of it.
    Push {
        /// The push.
        push: Arc<Push>,
        /// Which of its selectors those of the part are.
        places: SmallVec<[u16; 2]>,
    },
    /// What a command came to.
    Operation {
        /// The command.
        operation: Arc<Operation>,
        /// Where it is about a list: which of its entries those of the question are.
        places: SmallVec<[u16; 2]>,
    },
    /// Which sessions of a user there are, where its app bounds them.
    Places {
        /// The app.
        app: AppId,
        /// The user.
        user: Name,
        /// Those of other nodes that are known by now.
        seats: Vec<Seat>,
    },
    /// Whether everybody hears by another set of Redis servers, and has read all before the question.
    Fence {
        /// Over so many servers.
        questions: u32,
        /// Somebody does not hear so, or a question could not be asked.
        is_refused: bool,
    },
}

/// A question that is over.
#[derive(Debug)]
pub struct Ended {
    /// What was asked.
    pub asked: Asked,
    /// Who has answered, by node.
    pub answered: SmallVec<[u16; 4]>,
    /// How many have not; `None`: nobody knows, since Redis has not answered.
    pub missing: Option<u32>,
}

#[derive(Debug)]
struct Question {
    asked: Asked,
    /// Publishings that Redis has not answered.
    unpublished: u32,
    /// Nodes that have got the question, this one included where it hears itself.
    reached: u32,
    /// Answers of this node to itself, which say nothing.
    own: u32,
    answered: SmallVec<[u16; 4]>,
}

impl Question {
    fn missing(&self) -> Option<u32> {
        let answers = self.own + self.answered.len() as u32;
        (self.unpublished == 0).then(|| self.reached.saturating_sub(answers))
    }
}

impl Awaiting {
    /// None yet; those that wait are counted in `all` too.
    pub fn counted_in(all: Arc<AtomicUsize>) -> Self {
        Self { all, ..Self::default() }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// The number that the newest question of this reactor has, without the reactor.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Goes on behind the question with this number, of another process: what answers that answers no other.
    pub fn go_on_from(&mut self, last: u64) {
        self.last = last;
    }

    /// A number under which other nodes answer, of something that waits elsewhere.
    pub fn number(&mut self, reactor: usize) -> u64 {
        self.last += 1;
        (reactor as u64) << REACTOR_SHIFT | self.last & LOW_BITS
    }

    /// The number of a question that is published `publishings` times by `reactor`, and given up at `due_ms`.
    pub fn ask(&mut self, reactor: usize, asked: Asked, publishings: u32, due_ms: u64) -> u64 {
        let number = self.number(reactor);
        self.all.fetch_add(1, Ordering::AcqRel);
        let (reached, own, answered) = (0, 0, SmallVec::new());
        let question = Question { asked, unpublished: publishings, reached, own, answered };
        self.questions.insert(number, question);
        self.due.push_back((due_ms, number));
        number
    }

    /// Redis has handed the question to so many nodes. The question, if all of them have answered.
    pub fn published(&mut self, number: u64, nodes: u32) -> Option<Ended> {
        let question = self.questions.get_mut(&number)?;
        question.unpublished = question.unpublished.saturating_sub(1);
        question.reached += nodes;
        self.end_if_done(number)
    }

    /// The question as it waits, for an answer that has come.
    pub fn asked(&mut self, number: u64) -> Option<&mut Asked> {
        self.questions.get_mut(&number).map(|question| &mut question.asked)
    }

    /// The node has answered; `None` is this one. The question, if it was the last to do so.
    pub fn answered(&mut self, number: u64, node: Option<u16>) -> Option<Ended> {
        let question = self.questions.get_mut(&number)?;
        match node {
            Some(node) => question.answered.push(node),
            None => question.own += 1,
        }
        self.end_if_done(number)
    }

    fn end_if_done(&mut self, number: u64) -> Option<Ended> {
        let is_done = self.questions.get(&number)?.missing() == Some(0);
        is_done.then(|| self.end(number)).flatten()
    }

    fn end(&mut self, number: u64) -> Option<Ended> {
        let question = self.questions.remove(&number)?;
        self.all.fetch_sub(1, Ordering::AcqRel);
        let missing = question.missing();
        while self.due.front().is_some_and(|(_, number)| !self.questions.contains_key(number)) {
            self.due.pop_front();
        }
        Some(Ended { asked: question.asked, answered: question.answered, missing })
    }

    /// The next question that has waited long enough, given up.
    pub fn give_up(&mut self, now_ms: u64) -> Option<Ended> {
        while let Some(&(due_ms, number)) = self.due.front() {
            if due_ms > now_ms {
                return None;
            }
            self.due.pop_front();
            if let Some(ended) = self.end(number) {
                return Some(ended);
            }
        }
        None
    }

    /// When the next question is given up.
    pub fn due_ms(&self) -> Option<u64> {
        self.due.front().map(|(due_ms, _)| *due_ms)
    }
}

const REACTOR_SHIFT: u32 = 56;
const LOW_BITS: u64 = (1 << REACTOR_SHIFT) - 1;

/// The reactor that asked the question with this number.
pub fn reactor_of(number: u64) -> usize {
    (number >> REACTOR_SHIFT) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{Action, Origin};

    fn asked() -> Asked {
        let operation = Arc::new(Operation::new(AppId(0), Action::Stats, Origin::Nobody));
        Asked::Operation { operation, places: SmallVec::new() }
    }

    #[test]
    fn a_question_ends_with_the_last_answer_in_whatever_order_they_and_redis_come() {
        let mut awaiting = Awaiting::default();
        let number = awaiting.ask(3, asked(), 2, 100);
        assert_eq!(reactor_of(number), 3);
        assert!(awaiting.answered(number, Some(7)).is_none());
        assert!(awaiting.published(number, 2).is_none());
        assert!(awaiting.answered(number, None).is_none(), "Redis has not answered the second publishing");
        let ended = awaiting.published(number, 0).unwrap();
        assert_eq!((&ended.answered[..], ended.missing), (&[7][..], Some(0)));
        assert!(awaiting.answered(number, Some(8)).is_none() && awaiting.due_ms().is_none());
    }

    #[test]
    fn questions_of_all_reactors_are_counted_and_no_number_is_given_twice() {
        let all = Arc::<AtomicUsize>::default();
        let [mut one, mut other] = [0, 1].map(|_| Awaiting::counted_in(Arc::clone(&all)));
        let first = one.ask(0, asked(), 1, 100);
        let second = other.ask(1, asked(), 1, 100);
        assert_eq!((all.load(Ordering::Relaxed), one.is_empty()), (2, false));
        assert!(one.published(first, 0).is_some() && other.give_up(100).is_some());
        assert_eq!((all.load(Ordering::Relaxed), one.is_empty()), (0, true));
        let mut next = Awaiting::default();
        next.go_on_from(other.last());
        assert_ne!(next.ask(1, asked(), 1, 100), second);
    }

    #[test]
    fn what_is_not_answered_in_time_is_given_up_and_says_how_many_are_missing() {
        let mut awaiting = Awaiting::default();
        let first = awaiting.ask(0, asked(), 1, 100);
        let second = awaiting.ask(0, asked(), 1, 101);
        awaiting.published(first, 3);
        awaiting.answered(first, Some(1));
        assert!(awaiting.give_up(99).is_none());
        let ended = awaiting.give_up(100).unwrap();
        assert_eq!((&ended.answered[..], ended.missing), (&[1][..], Some(2)));
        assert!(awaiting.give_up(100).is_none());
        assert_eq!(awaiting.due_ms(), Some(101));
        assert_eq!(awaiting.give_up(101).unwrap().missing, None);
        assert!(awaiting.published(second, 0).is_none());
    }
}
