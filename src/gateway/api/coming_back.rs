//! What a client says that comes back for its session: its ticket, and how many messages of the session it has read. Knows
//! nothing of whether the ticket is good.

use super::params::{self, Value};
use crate::dispatch::CommandError;
use crate::ops::field::once;

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

#[cfg(test)]
mod tests {
    use super::*;

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
