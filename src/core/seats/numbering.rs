//! Numbers of events, for links that ask for them. Rings keep events without, as any link may get them; an event has its number as
//! it goes to the socket of a link.

use super::Seat;
use crate::core::Core;
use crate::dispatch::{CommandError, EncodedFrame, ErrorCode, LinkForm, Listen};
use crate::link_bin;
use crate::session::SessionId;

impl Core {
    /// Whether the link may ask for numbers, where it does.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`] for a link that cannot come back.
    pub(in crate::core) fn can_number(&self, link: SessionId, listen: &Listen) -> Result<(), CommandError> {
        let can_resume = self.seats.seats.get(&link).is_some_and(|seat| seat.resume.is_some());
        match listen.numbers && !can_resume {
            true => Err(CommandError::new(
                ErrorCode::BadRequest,
                "numbers: they are what a link comes back with; open it with resume=new",
            )),
            false => Ok(()),
        }
    }
}

impl Seat {
    /// An event as it goes to the socket of the link, which has read `number` events with it.
    pub(super) fn as_sent(&self, number: u64, event: EncodedFrame) -> EncodedFrame {
        match (self.numbers, self.form) {
            (false, _) => event,
            (true, LinkForm::Binary) => EncodedFrame::binary(&link_bin::numbered(event.payload(), number)),
            (true, LinkForm::Json) => match event.as_text().and_then(|json| json.strip_suffix('}')) {
                Some(open) => EncodedFrame::text(&format!("{open},\"n\":{number}}}")),
                None => event,
            },
        }
    }
}
