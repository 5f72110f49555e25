//! The ways into the backend port that a load uses side by side, each on a connection of its own: requests, batches, the
//! JSON link, the binary link. Each remembers what it asked, so that every answer is held against its question.

use std::collections::{HashMap, VecDeque};

use super::answer::{Answer, Asked};
use super::forms;
use super::random::Random;
use crate::cli::bench::fleet::Fleet;
use crate::link_bin::{Command, Request};

/// Lines of one batch, at most.
const MOST_LINES: usize = 16;

/// How a connection speaks, and where it is in the [`Fleet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// A request for each command, on a pipeline.
    Http(usize),
    /// A request for several commands, on a pipeline.
    Batch(usize),
    /// The JSON link, in a slot.
    Json(usize),
    /// The binary link, in a slot.
    Binary(usize),
}

impl Speech {
    /// Of a link: its slot, and whether it is the binary one.
    pub fn link(self) -> Option<(usize, bool)> {
        match self {
            Self::Http(_) | Self::Batch(_) => None,
            Self::Json(slot) => Some((slot, false)),
            Self::Binary(slot) => Some((slot, true)),
        }
    }
}

/// Pipelines among the ways in.
pub const PIPELINES: usize = 3;
/// Links among them.
pub const LINKS: usize = 3;

/// All ways in, with the most commands under way on each; the links are in slots from `first_link` on. What is pushed on the last
/// one may be answered late.
pub fn ways_in(first_link: usize) -> [(Speech, usize); PIPELINES + LINKS] {
    [
        (Speech::Http(0), 32),
        (Speech::Http(1), 32),
        (Speech::Batch(2), 4),
        (Speech::Json(first_link), 64),
        (Speech::Binary(first_link + 1), 64),
        (Speech::Json(first_link + 2), 16),
    ]
}

/// One of the doors that have room, as chance has it.
pub fn free_door(doors: &[Door], random: &mut Random) -> Option<usize> {
    let count = doors.len();
    let first = random.below(count);
    (0..count).map(|turn| (first + turn) % count).find(|&door| doors[door].has_room())
}

/// What a request has asked: a command, or several in a batch.
#[derive(Debug)]
enum Inquiry {
    One(Asked),
    Several(Vec<Asked>),
}

/// See the module.
#[derive(Debug)]
pub struct Door {
    speech: Speech,
    /// Requests, or commands of a link, without an answer at a time.
    room: usize,
    host: String,
    key: Option<String>,
    /// Of a pipeline, in order.
    inquiries: VecDeque<Inquiry>,
    /// Of a link, by id.
    asked: HashMap<u32, Asked>,
    next_id: u32,
    /// The batch that is being put together.
    lines: String,
    asked_in_lines: Vec<Asked>,
}

impl Door {
    /// A way in with at most `room` requests or commands under way.
    pub fn new(speech: Speech, room: usize, host: &str, key: Option<&str>) -> Self {
        Self {
            speech,
            room,
            host: host.to_owned(),
            key: key.map(str::to_owned),
            inquiries: VecDeque::new(),
            asked: HashMap::new(),
            next_id: 0,
            lines: String::new(),
            asked_in_lines: Vec::new(),
        }
    }

    /// Whether it takes another command.
    pub fn has_room(&self) -> bool {
        let has_lines = self.asked_in_lines.len() < MOST_LINES;
        self.inquiries.len() + self.asked.len() < self.room && has_lines
    }

    /// Whether it is a link.
    pub fn is_link(&self) -> bool {
        self.speech.link().is_some()
    }

    /// Whether everything has been answered.
    pub fn is_idle(&self) -> bool {
        self.inquiries.is_empty() && self.asked.is_empty() && self.asked_in_lines.is_empty()
    }

    /// Queues a command.
    pub fn ask(&mut self, fleet: &mut Fleet<'_>, command: Command<'_>, asked: Asked) {
        match self.speech {
            Speech::Http(number) => {
                let out = fleet.pipelines()[number].request();
                if forms::http(&command, &self.host, self.key.as_deref(), out) {
                    self.inquiries.push_back(Inquiry::One(asked));
                }
            }
            Speech::Batch(_) => {
                self.lines.push_str(&forms::json(0, &command));
                self.lines.push('\n');
                self.asked_in_lines.push(asked);
            }
            Speech::Json(slot) => {
                let id = self.remember(asked);
                fleet.send(slot, &forms::json(id, &command), false);
            }
            Speech::Binary(slot) => {
                let id = self.remember(asked);
                let mut message = Vec::new();
                // Our names are far shorter than what the layout has room for.
                let _ = Request::new(id, command).encode(&mut message);
                fleet.send_bytes(slot, &message);
            }
        }
    }

    /// Sends the batch that has been put together, if there is one.
    pub fn finish_batch(&mut self, fleet: &mut Fleet<'_>) {
        let Speech::Batch(number) = self.speech else { return };
        if self.asked_in_lines.is_empty() {
            return;
        }
        let body = Some(("application/x-ndjson", self.lines.as_bytes()));
        let out = fleet.pipelines()[number].request();
        forms::request("POST", "/v1/batch", body, &self.host, self.key.as_deref(), out);
        self.lines.clear();
        self.inquiries.push_back(Inquiry::Several(std::mem::take(&mut self.asked_in_lines)));
    }

    fn remember(&mut self, asked: Asked) -> u32 {
        // 0 is no id.
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.asked.insert(self.next_id, asked);
        self.next_id
    }

    /// An answer on its pipeline: what was asked, and the answers to it.
    ///
    /// # Errors
    /// What is no answer, in words.
    pub fn answered(&mut self, status: u16, body: &[u8]) -> Result<Vec<(Asked, Answer)>, String> {
        let unlike = || format!("{status} {}", String::from_utf8_lossy(body));
        match self.inquiries.pop_front() {
            None => Err(format!("nothing was asked, and answered with {}", unlike())),
            Some(Inquiry::One(asked)) => {
                let answer = Answer::from_http(status, body).ok_or_else(unlike)?;
                Ok(vec![(asked, answer)])
            }
            Some(Inquiry::Several(asked)) => {
                let lines: Vec<&[u8]> =
                    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
                if status != 200 || lines.len() != asked.len() {
                    return Err(format!("a batch of {} lines got {}", asked.len(), unlike()));
                }
                let answers = lines.into_iter().map(|line| Answer::from_json(line).ok_or_else(unlike));
                asked.into_iter().zip(answers).map(|(asked, answer)| Ok((asked, answer?.1))).collect()
            }
        }
    }

    /// A reply on its link: what was asked, and the answer.
    ///
    /// # Errors
    /// What is no answer, in words.
    pub fn replied(&mut self, reply: &[u8]) -> Result<(Asked, Answer), String> {
        let parsed = match self.speech {
            Speech::Binary(_) => Answer::from_binary(reply),
            _ => Answer::from_json(reply),
        };
        let text = || String::from_utf8_lossy(reply).into_owned();
        let (id, answer) = parsed.ok_or_else(text)?;
        let asked =
            self.asked.remove(&id).ok_or_else(|| format!("a reply to what was not asked: {}", text()))?;
        Ok((asked, answer))
    }
}
