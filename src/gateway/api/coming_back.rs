//! What a client says that comes back for its session: its ticket, and how many messages of the session it has read. Knows
//! nothing of whether the ticket is good.

use super::params::{self, Value};
use crate::dispatch::CommandError;
use crate::http::Request;
use crate::ops::field::once;
use crate::stream::EventId;

/// The parameters that say so. They stand beside whatever says who the client is.
pub const PARAMS: [&str; 2] = ["resume", "received"];

/// See the module. As it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComingBack<'a> {
    /// `resume`.
    pub ticket: Value<'a>,
    /// `received`.
    pub received: u64,
}

/// Whether the query is that of a client that comes back.
///
/// # Errors
/// 400 where one of the two parameters is missing or given twice, or the count is no number.
pub fn coming_back(query: Option<&str>) -> Result<Option<ComingBack<'_>>, CommandError> {
    let (mut ticket, mut received) = (None, None);
    for pair in params::pairs(query) {
        let (name, value) = pair?;
        match &*name {
            "resume" => once(&mut ticket, "resume", value)?,
            "received" => once(&mut received, "received", value)?,
            _ => {}
        }
    }
    if ticket.is_none() && received.is_none() {
        return Ok(None);
    }
    let ticket = params::needed("resume", ticket)?;
    let received = params::number("received", Some(params::needed("received", received)?))?.unwrap_or(0);
    Ok(Some(ComingBack { ticket, received }))
}

/// The same of a client of an event stream. `Last-Event-ID` says where the stream goes on, and counts where both say it: a
/// browser connects again by itself with the URL that it had at first.
///
/// # Errors
/// The same. What is no id of an event of this server's is an unknown ticket.
pub fn coming_back_to_stream<'a>(request: &Request<'a>) -> Result<Option<ComingBack<'a>>, CommandError> {
    let asked = coming_back(request.query)?;
    let Some(last) = request.header("last-event-id").filter(|last| !last.is_empty()) else {
        return Ok(asked);
    };
    let id = str::from_utf8(last).ok().and_then(EventId::parse);
    let (ticket, received) = id.map_or(("", 0), |EventId { ticket, count }| (ticket, count));
    Ok(Some(ComingBack { ticket: ticket.into(), received }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    #[test]
    fn the_last_event_counts_before_the_url() {
        let came = |ticket: &'static str, received| Ok(Some(ComingBack { ticket: ticket.into(), received }));
        for (target, fields, expected) in [
            ("/sse", "", Ok(None)),
            ("/sse?resume=abc&received=2", "", came("abc", 2)),
            ("/sse", "Last-Event-ID: abc:7\r\n", came("abc", 7)),
            ("/sse?resume=abc&received=2", "last-event-id: def:9\r\n", came("def", 9)),
            ("/sse", "Last-Event-ID:\r\n", Ok(None)),
            ("/sse", "Last-Event-ID: 17\r\n", came("", 0)),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let request = Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap();
            assert_eq!(coming_back_to_stream(&request), expected, "{target} {fields}");
        }
    }

    #[test]
    fn both_are_given_once_or_neither() {
        let came = |ticket: &'static str, received| Ok(Some(ComingBack { ticket: ticket.into(), received }));
        for (query, expected) in [
            ("", Ok(None)),
            ("user=ada", Ok(None)),
            ("resume=abc&received=0", came("abc", 0)),
            ("received=18446744073709551615&user=ada&resume=", came("", u64::MAX)),
        ] {
            assert_eq!(coming_back(Some(query)), expected, "{query}");
        }
        for (query, says) in [
            ("resume=abc", "the parameter received is missing"),
            ("received=1", "the parameter resume is missing"),
            ("resume=a&resume=b&received=1", "resume is given twice"),
            ("resume=a&received=1&received=1", "received is given twice"),
            ("resume=a&received=-1", "received"),
            ("resume=a&received=18446744073709551616", "received"),
            ("resume=a&received=", "received"),
            ("resume=%ff&received=1", "UTF-8"),
        ] {
            let error = coming_back(Some(query)).expect_err(query);
            assert!(error.message.contains(says), "{query}: {error}");
        }
    }
}
