//! The ways to push, behind one face: each sends a list of pushes in order, some at a time, and gives their receipts.

use super::{Backend, DEADLINE, Link, Receipt, Target};
use base64::{Engine, engine::general_purpose::STANDARD};
use gannet::Pusher;
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use tungstenite::Message;

/// One push.
#[derive(Debug, Clone)]
pub struct Push {
    /// Whom it is for.
    pub target: Target,
    /// The message.
    pub message: Message,
    /// `none`, `queued` or `written`.
    pub receipt: &'static str,
}

/// One connection that pushes, or the library.
pub enum Publisher {
    /// HTTP, with so many requests under way.
    Http(Backend, usize),
    /// A link, with so many commands under way.
    Link(Box<Link>, usize),
    /// HTTP, with so many commands a batch.
    Batch(Backend, usize),
    /// From a thread of the embedding program.
    Library(Pusher),
}

impl Push {
    /// The query of `POST /v1/push`.
    pub fn query(&self) -> String {
        format!("{}&receipt={}", self.target.query(), self.receipt)
    }

    /// A link's command, without an id.
    pub fn command(&self) -> Value {
        let mut command = json!({ "op": "push", "to": self.target.json(), "receipt": self.receipt });
        if let Some(except) = self.target.except {
            command["except"] = except.to_string().into();
        }
        match &self.message {
            Message::Text(text) => command["text"] = text.as_str().into(),
            other => command["data"] = STANDARD.encode(other.clone().into_data()).into(),
        }
        command
    }

    fn wants_receipt(&self) -> bool {
        self.receipt != "none"
    }
}

impl Publisher {
    /// Pushes everything in order. The receipts, `None` where none was wanted.
    pub fn push_all(&mut self, pushes: &[Push]) -> Vec<Option<Receipt>> {
        match self {
            Self::Http(backend, window) => push_by_http(backend, *window, pushes),
            Self::Link(link, window) => push_by_link(link, *window, pushes),
            Self::Batch(backend, lines) => {
                pushes.chunks(*lines).flat_map(|pushes| push_by_batch(backend, pushes)).collect()
            }
            Self::Library(pusher) => pushes.iter().map(|push| push_by_library(pusher, push)).collect(),
        }
    }
}

fn push_by_http(backend: &mut Backend, window: usize, pushes: &[Push]) -> Vec<Option<Receipt>> {
    let mut waiting = VecDeque::new();
    let mut receipts = Vec::new();
    let mut receive = |backend: &mut Backend, push: &Push| {
        let reply = backend.receive();
        let wanted = if push.wants_receipt() { 200 } else { 202 };
        assert_eq!(reply.status, wanted, "{push:?}: {}", String::from_utf8_lossy(&reply.body));
        receipts.push(receipt(push, reply.json()));
    };
    for push in pushes {
        if waiting.len() == window {
            receive(backend, waiting.pop_front().unwrap());
        }
        backend.send_push(&push.query(), &push.message);
        waiting.push_back(push);
    }
    waiting.into_iter().for_each(|push| receive(backend, push));
    receipts
}

fn push_by_link(link: &mut Link, window: usize, pushes: &[Push]) -> Vec<Option<Receipt>> {
    let mut waiting = VecDeque::new();
    let mut receipts = Vec::new();
    // Replies come as soon as their commands are done: one whose receipt waits for a socket holds back no other.
    let mut early = HashMap::new();
    let mut receive = |link: &mut Link, (id, push): (u64, &Push)| {
        while !early.contains_key(&id) {
            let (replied, result) = link.receive();
            assert!(early.insert(replied, result).is_none(), "{replied} is answered twice");
        }
        receipts.push(receipt(push, early.remove(&id).unwrap().unwrap()));
    };
    for push in pushes {
        if waiting.len() == window {
            receive(link, waiting.pop_front().unwrap());
        }
        waiting.push_back((link.send(push.command()), push));
    }
    waiting.into_iter().for_each(|sent| receive(link, sent));
    receipts
}

fn push_by_batch(backend: &mut Backend, pushes: &[Push]) -> Vec<Option<Receipt>> {
    let mut body = String::new();
    for (line, push) in pushes.iter().enumerate() {
        let mut command = push.command();
        command["id"] = line.into();
        body.push_str(&command.to_string());
        body.push('\n');
    }
    backend.send("POST", "/v1/batch", "application/x-ndjson", body.as_bytes());
    let reply = backend.receive();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let lines: Vec<Value> = reply
        .body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(lines.len(), pushes.len(), "one reply a line");
    let numbered = lines.into_iter().zip(pushes).enumerate();
    numbered
        .map(|(line, (mut reply, push))| {
            assert_eq!(reply["id"], line, "replies come in the order of the lines");
            receipt(push, reply["ok"].take())
        })
        .collect()
}

fn push_by_library(pusher: &Pusher, push: &Push) -> Option<Receipt> {
    let frame = match &push.message {
        Message::Text(text) => EncodedFrame::text(text),
        other => EncodedFrame::binary(&other.clone().into_data()),
    };
    let receipt = match push.receipt {
        "none" => ReceiptMode::None,
        "written" => ReceiptMode::Written,
        _ => ReceiptMode::Queued,
    };
    let options = PushOptions { except: push.target.except, receipt, ..PushOptions::default() };
    let receipt = pusher.push_and_wait("default", push.target.gannet(), frame, options, DEADLINE).unwrap();
    push.wants_receipt().then_some(Receipt {
        matched: receipt.matched,
        queued: receipt.queued,
        replaced: receipt.replaced,
        dropped: receipt.dropped,
        expired: receipt.expired,
        offline: receipt.offline,
        written: receipt.written,
        closed: receipt.written.map(|_| receipt.closed),
        pending: receipt.pending,
        unreached: receipt.unreached,
        away: receipt.away,
        offset: receipt.offset,
        epoch: receipt.epoch.map(|epoch| epoch.to_string()),
        ..Receipt::default()
    })
}

fn receipt(push: &Push, ok: Value) -> Option<Receipt> {
    if push.wants_receipt() {
        return Some(serde_json::from_value(ok).unwrap());
    }
    assert_eq!(ok, json!({}), "no receipt was wanted");
    None
}
