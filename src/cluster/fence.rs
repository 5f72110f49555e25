//! The bodies of two messages. A reactor that is about to publish by another set of Redis servers asks, behind the last message that went
//! by the old one, whether everybody hears by the new one. Numbers are little-endian.
//!
//! | message | body |
//! | --- | --- |
//! | asked | the id of the set (u64) |
//! | answer | 1 where everything is heard by it, 0 where not |

/// Appends what is asked.
pub fn write_fence(id: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_le_bytes());
}

/// Reads what is asked; `None` where it is not of the layout.
pub fn read_fence(body: &[u8]) -> Option<u64> {
    body.try_into().ok().map(u64::from_le_bytes)
}

/// Reads an answer: whether everything is heard; `None` where it is not of the layout.
pub fn read_fenced(body: &[u8]) -> Option<bool> {
    match body {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_they_were_written_and_nothing_else_is_one() {
        let mut out = Vec::new();
        write_fence(0x0102, &mut out);
        assert_eq!(out, [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read_fence(&out), Some(0x0102));
        for end in 0..out.len() {
            assert_eq!(read_fence(&out[..end]), None);
        }
        let answers: [&[u8]; 4] = [&[0], &[1], &[2], &[]];
        assert_eq!(answers.map(read_fenced), [Some(false), Some(true), None, None]);
    }
}
