//! The bodies of two messages: what a node that missed something asks the publishers, and what they answer. Numbers are little-endian.
//!
//! | message | body |
//! | --- | --- |
//! | asked | for each reactor of the publisher: its number (u8), and behind which sequence something was missed (u64) |
//! | answer | the sequence of the newest message that was published (u64), then the hash of the channel of each of the last messages up to it (u64), 0 for one that was never published |

use super::outgoing::Digest;

/// Bytes of a reactor's number and a sequence.
const WINDOW_BYTES: usize = 9;

/// Appends what is asked.
pub fn write_windows(windows: &[(u8, u64)], out: &mut Vec<u8>) {
    for (reactor, from) in windows {
        out.push(*reactor);
        out.extend_from_slice(&from.to_le_bytes());
    }
}

/// Reads what is asked; `None` where it is not of the layout.
pub fn read_windows(body: &[u8]) -> Option<Vec<(u8, u64)>> {
    let windows = body.chunks_exact(WINDOW_BYTES);
    let is_whole = windows.remainder().is_empty();
    let window = |bytes: &[u8]| Some((*bytes.first()?, number(bytes.get(1..)?)?));
    is_whole.then(|| windows.map(window).collect()).flatten()
}

/// Appends an answer.
pub fn write_digest(digest: &Digest, out: &mut Vec<u8>) {
    out.extend_from_slice(&digest.to.to_le_bytes());
    digest.channels.iter().for_each(|channel| out.extend_from_slice(&channel.to_le_bytes()));
}

/// Reads an answer; `None` where it is not of the layout.
pub fn read_digest(body: &[u8]) -> Option<Digest> {
    let (to, channels) = body.split_at_checked(8)?;
    let channels = channels.chunks_exact(8);
    let is_whole = channels.remainder().is_empty();
    let channels = is_whole.then(|| channels.map(number).collect::<Option<Vec<u64>>>()).flatten()?;
    Some(Digest { to: number(to)?, channels })
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_they_were_written_and_not_when_cut() {
        let windows = [(0, 7), (255, u64::MAX)];
        let mut asked = Vec::new();
        write_windows(&windows, &mut asked);
        assert_eq!(read_windows(&asked), Some(windows.to_vec()));
        let digest = Digest { to: 9, channels: vec![0, 3, u64::MAX] };
        let mut answer = Vec::new();
        write_digest(&digest, &mut answer);
        assert_eq!(read_digest(&answer), Some(digest));
        for end in 0..answer.len() {
            assert_eq!(read_digest(&answer[..end]).is_some(), end >= 8 && end % 8 == 0, "{end}");
        }
        for end in 0..asked.len() {
            assert_eq!(read_windows(&asked[..end]).is_some(), end % WINDOW_BYTES == 0, "{end}");
        }
    }
}
