//! What Redis answers to what is asked of a group's memory.

use super::super::push;
use super::super::resp::Value;
use super::Wanted;
use crate::dispatch::{EncodedFrame, Epoch, Recall};
use crate::hub::LogRule;
use crate::link_bin::wire::Reader;

/// What became of a push to a group that remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// How many nodes heard it.
    pub nodes: u32,
    /// Its epoch and its number; `None` where it was not kept, or has been before.
    pub numbered: Option<(Epoch, u64)>,
    /// Redis had no memory for it.
    pub is_unkept: bool,
    /// Messages that are gone for the bound of messages, of bytes, and of keys.
    pub lost: [u64; 3],
}

/// Reads the answer to a [`Keep`](super::Keep).
pub fn read_published(answer: &[Value]) -> Option<Published> {
    let numbers = || answer.iter().map(number);
    let nodes = u32::try_from(numbers().next()??).ok()?;
    let (is_unkept, bare) = (answer.len() == 2, Published { nodes, ..Published::default() });
    if answer.len() <= 2 {
        return Some(Published { is_unkept, ..bare });
    }
    let mut lost = [0; 3];
    for (lost, number) in lost.iter_mut().zip(numbers().skip(4)) {
        *lost = number?;
    }
    let epoch = epoch_of(answer.get(3)?.bytes()?)?;
    Some(Published { numbered: Some((epoch, numbers().nth(1)??)), lost, ..bare })
}

/// The place that Redis has given a push in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenPlace {
    /// The epoch.
    pub epoch: Epoch,
    /// The number.
    pub offset: u64,
    /// The order among all pushes of the group; it never begins anew.
    pub order: u64,
}

/// Reads what stands in a message before a push to a group that remembers: its place, `None` where it was not kept; and the push.
pub fn read_place(body: &[u8]) -> Option<(Option<GivenPlace>, &[u8])> {
    let mut reader = Reader::new(body);
    let epoch = Epoch::from_u64(reader.u64("an epoch").ok()?);
    let (offset, order) = (reader.u64("a number").ok()?, reader.u64("an order").ok()?);
    Some(((offset > 0).then_some(GivenPlace { epoch, offset, order }), reader.rest()))
}

/// What a group remembers, as far as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The epoch of its numbers; `None` where it has none.
    pub epoch: Option<Epoch>,
    /// The number of its newest push.
    pub offset: u64,
    /// Whether nothing of what was asked for is gone.
    pub complete: bool,
    /// The messages, in their order.
    pub kept: Vec<Kept>,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub offset: u64,
    /// Its place among all pushes of its group.
    pub order: u64,
    /// The key that it was pushed with.
    pub key: Option<Box<str>>,
    /// The message.
    pub frame: EncodedFrame,
    at_ms: u64,
}

/// Reads the answer to what was `wanted` of a group, by the rule of its log.
pub fn read_kept(answer: &Value, wanted: Wanted, log: Option<&LogRule>) -> Option<Read> {
    let Value::List(answer) = answer else { return None };
    if answer.is_empty() {
        let complete = !matches!(wanted, Wanted::Page(after, epoch, _)
            | Wanted::Log(Recall::After { offset: after, epoch, .. }) if after > 0 || epoch.is_some());
        return Some(Read { epoch: None, offset: 0, complete, kept: Vec::new() });
    }
    let [epoch, offset, lacks, now_ms, Value::List(entries)] = &answer[..] else { return None };
    let epoch = epoch_of(epoch.bytes()?)?;
    let (offset, lacks_keys, now_ms) = (number(offset)?, number(lacks)? > 0, number(now_ms)?);
    let mut kept = entries.iter().map(|entry| read_entry(entry.bytes()?)).collect::<Option<Vec<Kept>>>()?;
    let mut complete = true;
    match wanted {
        Wanted::Newest => complete = !lacks_keys,
        Wanted::Log(Recall::Last(_)) => kept.reverse(),
        Wanted::Log(Recall::After { .. }) | Wanted::Page(..) => {}
    }
    if wanted != Wanted::Newest
        && let Some(log) = log
    {
        kept.retain(|entry| now_ms < entry.at_ms.saturating_add(log.ttl_ms));
    }
    if let Wanted::Page(after, of, _) | Wanted::Log(Recall::After { offset: after, epoch: of, .. }) = wanted {
        let is_known = of.is_none_or(|of| of == epoch) && after <= offset;
        complete = is_known && kept.first().map_or(after == offset, |first| first.offset == after + 1);
    }
    if let Wanted::Log(Recall::After { last: Some(last), .. }) = wanted {
        let cut = kept.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
        complete &= cut == 0;
        kept.drain(..cut);
    }
    Some(Read { epoch: Some(epoch), offset, complete, kept })
}

/// Reads the answer to what a group was to forget: how many messages are gone.
pub fn read_forgotten(answer: &Value) -> Option<u32> {
    u32::try_from(number(answer)?).ok()
}

/// An entry as the script has written it: order, number, time, weight, and the body of the push.
fn read_entry(entry: &[u8]) -> Option<Kept> {
    let mut reader = Reader::new(entry);
    let mut next = |what| reader.u64(what).ok();
    let (order, offset, at_ms) = (next("an order")?, next("a number")?, next("a time")?);
    reader.u32("a weight").ok()?;
    let (_, frame, options) = push::decode(reader.rest()).ok()?;
    Some(Kept { offset, order, key: options.key, frame, at_ms })
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn epoch_of(bytes: &[u8]) -> Option<Epoch> {
    Some(Epoch::from_u64(u64::from_le_bytes(bytes.try_into().ok()?)))
}
