//! What a backend asks that has no link and wants events all the same: a feed, which it reads by long polling.

use super::bounds::bad_request;
use super::fields::Fields;
use super::table::links::listen;
use crate::dispatch::{CommandError, Listen};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// What there is, or will be.
    Poll(Box<FeedPoll>),
    /// The feed of this ticket is over.
    End(Box<str>),
}

/// A request for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPoll {
    /// Which, where a feed is opened.
    pub listen: Listen,
    /// The ticket of the feed, and how many of its events have been read; without, one is opened.
    pub resume: Option<(Box<str>, u64)>,
    /// How long it waits, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Reads a poll.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest).
pub fn poll(fields: &mut Fields<'_>) -> Result<Feed, CommandError> {
    let listen = listen(fields)?;
    let resume = match (fields.resume.take(), fields.received.take()) {
        (None, None) => None,
        (Some(ticket), Some(received)) => Some(((&*ticket).into(), received)),
        _ => {
            return Err(bad_request(
                "a feed goes on with resume, its ticket, and received, the events read; \
                                     without both one is opened",
            ));
        }
    };
    Ok(Feed::Poll(Box::new(FeedPoll { listen, resume, wait_ms: fields.wait_ms.take() })))
}

/// Reads an end.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest).
pub fn end(fields: &mut Fields<'_>) -> Result<Feed, CommandError> {
    let ticket = fields.resume.take().ok_or_else(|| bad_request("the parameter resume is needed"))?;
    Ok(Feed::End((&*ticket).into()))
}
