//! What an ear asks its Redis of what groups remember. It asks on the connection on which it hears their pushes: what was published
//! before the answer was made has come before it, and what is published later comes behind it. A question of a group that has just
//! got its first member here waits until the group's channel is heard. Who asks the same while a question is under way gets its answer
//! too: many that join one group at once ask once. Pure: the connection is the owner's.

use crate::cluster::memory::Wanted;
use crate::core::recollection::RecallRequest;
use crate::dispatch::{Action, Operation};
use crate::session::{AppId, Name};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Who asks.
#[derive(Debug)]
pub enum Asking {
    /// Sessions that have joined the group.
    Sessions(Box<RecallRequest>),
    /// A command that reads it.
    Command(Arc<Operation>),
}

/// A question.
#[derive(Debug)]
pub struct Question {
    /// The app of the group.
    pub app: AppId,
    /// The group.
    pub group: Name,
    /// What is read of it; `None`: it is to forget what the command says.
    pub wanted: Option<Wanted>,
    /// Who asks, one at least.
    pub asking: Vec<Asking>,
}

impl Question {
    /// One of one.
    pub fn new(app: AppId, group: Name, wanted: Option<Wanted>, asking: Asking) -> Self {
        Self { app, group, wanted, asking: vec![asking] }
    }

    /// Which key is to be forgotten.
    pub fn key(&self) -> Option<&str> {
        match self.asking.first() {
            Some(Asking::Command(operation)) => match &operation.action {
                Action::Forget { key, .. } => key.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Reading {
    questions: HashMap<u64, Question>,
    /// The newest question that reads each group, for those who ask the same.
    newest: HashMap<(AppId, Name), u64>,
    last: u64,
    /// Those that are not asked yet, each with the ticket of when its group is heard.
    waiting: VecDeque<(u64, u64)>,
    /// Whose reply comes next; `None` is nobody's.
    owed: VecDeque<Option<u64>>,
    /// When each is given up, in the order in which they came: all are waited for equally long.
    due: VecDeque<(u64, u64)>,
}

impl Reading {
    /// Takes a question that is asked when the `ticket` is confirmed, and given up at `due_ms`.
    pub fn take(&mut self, question: Question, ticket: u64, due_ms: u64) {
        let group = (question.app, question.group.clone());
        if question.wanted.is_some() {
            // What is published before the answer is made is in it, also for who has joined after it was asked for.
            let newest = self.newest.get(&group).and_then(|number| self.questions.get_mut(number));
            if let Some(same) = newest.filter(|newest| newest.wanted == question.wanted) {
                return same.asking.extend(question.asking);
            }
            self.newest.insert(group, self.last + 1);
        }
        self.last += 1;
        self.questions.insert(self.last, question);
        self.waiting.push_back((ticket, self.last));
        self.due.push_back((due_ms, self.last));
    }

    /// The next question that may be asked: it is, from now on.
    pub fn ask(&mut self, is_confirmed: impl Fn(u64) -> bool) -> Option<&Question> {
        loop {
            self.waiting.front().filter(|(ticket, _)| is_confirmed(*ticket))?;
            let (_, number) = self.waiting.pop_front()?;
            // It may have been given up while it waited.
            if self.questions.contains_key(&number) {
                self.owed.push_back(Some(number));
                return self.questions.get(&number);
            }
        }
    }

    /// Something else was asked on the connection.
    pub fn owe_nothing(&mut self) {
        self.owed.push_back(None);
    }

    /// The next reply has come. Whose it is, if anybody waits for it.
    pub fn answered(&mut self) -> Option<Question> {
        let number = self.owed.pop_front()??;
        let question = self.end(number);
        while self.due.front().is_some_and(|(_, number)| !self.questions.contains_key(number)) {
            self.due.pop_front();
        }
        question
    }

    fn end(&mut self, number: u64) -> Option<Question> {
        let question = self.questions.remove(&number)?;
        let group = (question.app, question.group.clone());
        if self.newest.get(&group) == Some(&number) {
            self.newest.remove(&group);
        }
        Some(question)
    }

    /// The connection is gone: who has waited, and gets no answer.
    pub fn went_down(&mut self) -> Vec<Question> {
        self.owed.clear();
        self.waiting.clear();
        let due = std::mem::take(&mut self.due);
        due.into_iter().filter_map(|(_, number)| self.end(number)).collect()
    }

    /// The next question that has waited long enough, given up.
    pub fn give_up(&mut self, now_ms: u64) -> Option<Question> {
        loop {
            self.due.front().filter(|(due_ms, _)| *due_ms <= now_ms)?;
            let (_, number) = self.due.pop_front()?;
            if let Some(question) = self.end(number) {
                return Some(question);
            }
        }
    }

    /// When the next is given up.
    pub fn due_ms(&self) -> Option<u64> {
        self.due.front().map(|(due_ms, _)| *due_ms)
    }

    /// Whether the first one that waits may be asked.
    pub fn has_work(&self, is_confirmed: impl Fn(u64) -> bool) -> bool {
        self.waiting.front().is_some_and(|(ticket, _)| is_confirmed(*ticket))
    }

    /// Whether nobody waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Origin;

    fn question(group: &str) -> Question {
        let group = Name::new(group).unwrap();
        let action = Action::Latest { group: group.clone() };
        let operation = Arc::new(Operation::new(AppId(0), action, Origin::Nobody));
        Question::new(AppId(0), group, Some(Wanted::Newest), Asking::Command(operation))
    }

    fn name(question: Option<Question>) -> Option<String> {
        question.map(|question| question.group.as_str().to_owned())
    }

    #[test]
    fn a_question_waits_for_its_group_and_replies_come_in_the_order_of_the_questions() {
        let mut reading = Reading::default();
        reading.take(question("a"), 1, 100);
        reading.take(question("b"), 2, 100);
        assert!(reading.ask(|ticket| ticket == 0).is_none() && !reading.has_work(|ticket| ticket == 0));
        assert_eq!(reading.ask(|ticket| ticket <= 1).map(|asked| asked.group.as_str()), Some("a"));
        reading.owe_nothing();
        assert_eq!(reading.ask(|ticket| ticket <= 2).map(|asked| asked.group.as_str()), Some("b"));
        let replies = [reading.answered(), reading.answered(), reading.answered(), reading.answered()];
        assert_eq!(replies.map(name), [Some("a".to_owned()), None, Some("b".to_owned()), None]);
        assert!(reading.is_empty() && reading.due_ms().is_none());
    }

    #[test]
    fn who_asks_the_same_meanwhile_gets_the_same_answer() {
        let mut reading = Reading::default();
        for _ in 0..3 {
            reading.take(question("a"), 0, 100);
        }
        assert!(reading.ask(|_| true).is_some() && reading.ask(|_| true).is_none(), "it is asked once");
        reading.take(question("a"), 0, 100);
        reading.take(Question { wanted: Some(Wanted::Page(0, None, 1)), ..question("a") }, 0, 100);
        reading.take(Question { wanted: None, ..question("a") }, 0, 100);
        reading.take(Question { wanted: None, ..question("a") }, 0, 100);
        while reading.ask(|_| true).is_some() {}
        let asking = |question: Option<Question>| question.map(|question| question.asking.len());
        assert_eq!(asking(reading.answered()), Some(4));
        assert_eq!(
            [asking(reading.answered()), asking(reading.answered()), asking(reading.answered())],
            [Some(1); 3]
        );
        reading.take(question("a"), 0, 100);
        assert_eq!(asking(reading.give_up(100)), Some(1), "an answer that has come is no one's any more");
        assert!(reading.is_empty() && reading.newest.is_empty());
    }

    #[test]
    fn what_is_given_up_takes_no_other_ones_reply() {
        let mut reading = Reading::default();
        reading.take(question("a"), 0, 100);
        reading.take(question("never heard"), 9, 101);
        reading.ask(|ticket| ticket == 0);
        assert!(reading.give_up(99).is_none());
        assert_eq!(name(reading.give_up(100)).as_deref(), Some("a"));
        reading.take(question("b"), 0, 200);
        assert_eq!(name(reading.give_up(150)).as_deref(), Some("never heard"));
        assert_eq!(reading.ask(|_| true).map(|asked| asked.group.as_str()), Some("b"));
        assert_eq!(name(reading.answered()), None, "that of the first");
        assert_eq!(name(reading.answered()).as_deref(), Some("b"));
    }

    #[test]
    fn a_connection_that_is_gone_answers_nobody() {
        let mut reading = Reading::default();
        reading.take(question("a"), 0, 100);
        reading.ask(|_| true);
        reading.take(question("b"), 5, 100);
        let names: Vec<_> = reading.went_down().into_iter().map(|asked| name(Some(asked)).unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(reading.is_empty() && reading.answered().is_none() && reading.due_ms().is_none());
    }
}
