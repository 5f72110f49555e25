//! What became of a push, in counts.

use super::{Epoch, MissedList};
use crate::session::Name;

/// The counts that answer a push. Their sums always hold: with [`ReceiptMode::Queued`](super::ReceiptMode::Queued) `matched` is `queued` + `dropped`,
/// with [`ReceiptMode::Written`](super::ReceiptMode::Written) it is `written` + `replaced` + `dropped` + `expired` + `closed` + `pending`.
///
/// ```
/// use gannet::dispatch::Receipt;
/// let receipt = Receipt { matched: 3, queued: 2, dropped: 1, ..Receipt::default() };
/// assert_eq!(receipt.matched, receipt.queued + receipt.dropped);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Sessions that the target named, each counted once, less the excepted one.
    pub matched: u32,
    /// Of these, those whose socket or queue took the message.
    pub queued: u32,
    /// Messages that gave way to a newer one with the same key.
    pub replaced: u32,
    /// Sessions whose queue had no room.
    pub dropped: u32,
    /// Sessions for which the time to live ran out.
    pub expired: u32,
    /// Sessions that closed before the message was written.
    pub closed: u32,
    /// Named sessions and users that have no live session.
    pub offline: u32,
    /// Sessions whose socket took all of the message: only with [`ReceiptMode::Written`](super::ReceiptMode::Written).
    pub written: Option<u32>,
    /// Sessions for which that was not known yet when the receipt was due: only with [`ReceiptMode::Written`](super::ReceiptMode::Written).
    pub pending: u32,
    /// Reactors whose mailbox took no more: sessions there did not get the message, and are not in `matched`.
    pub unreached: u32,
    /// Of the matched sessions, those whose client was away: the message waits until it comes back, as for a slow one.
    pub away: u32,
    /// Who missed the message, where that was asked for.
    pub missed: Option<MissedList>,
    /// The number that the push has in its group, where the group remembers.
    pub offset: Option<u64>,
    /// The epoch of that number.
    pub epoch: Option<Epoch>,
    /// The names of the nodes that have not answered in time: sessions there may have got the message, and are in none of the counts.
    /// Where there is one, the receipt is partial.
    pub missing: Vec<Name>,
}
