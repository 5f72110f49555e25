//! Masking, RFC 6455 §5.3: the payload XOR a four-byte key, the same in both directions.

/// XORs `payload` in place with `key`, of which the first `offset` bytes (modulo 4) were used up by earlier pieces of
/// the same frame.
///
/// ```
/// use gannet::protocol::apply_mask;
/// let mut payload = *b"Hello";
/// apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
#[inline]
pub fn apply_mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let key = advance(key, offset);
    match payload.len() {
        64.. => apply_in_blocks::<64>(payload, key),
        32.. => apply_in_blocks::<32>(payload, key),
        16.. => apply_in_blocks::<16>(payload, key),
        8.. => apply_in_blocks::<8>(payload, key),
        4.. => apply_in_blocks::<4>(payload, key),
        _ => payload.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key),
    }
}

/// The key as it applies after `used` bytes.
#[inline]
pub(super) fn advance(key: [u8; 4], used: usize) -> [u8; 4] {
    // The first byte is the least significant one.
    u32::from_le_bytes(key).rotate_right(8 * (used % 4) as u32).to_le_bytes()
}

/// The last block overlaps the one before it, so that no rest is left to go through byte by byte, which for small
/// payloads would be most of the work. `N` is a multiple of 4, and at most the payload's length.
#[inline]
fn apply_in_blocks<const N: usize>(payload: &mut [u8], key: [u8; 4]) {
    if let (blocks, []) = payload.as_chunks_mut::<N>() {
        return blocks.iter_mut().for_each(|block| xor(block, key));
    }
    let Some(&(mut last)) = payload.last_chunk::<N>() else { return };
    let start = payload.len() - N;
    xor(&mut last, advance(key, start));
    let (blocks, _) = payload.as_chunks_mut::<N>();
    blocks.iter_mut().for_each(|block| xor(block, key));
    payload[start..].copy_from_slice(&last);
}

#[inline]
fn xor<const N: usize>(block: &mut [u8; N], key: [u8; 4]) {
    let (words, _) = block.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(payload: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
    }

    #[test]
    fn equals_the_one_liner_at_every_length_alignment_and_offset() {
        // All block sizes; Miri, which looks at every access, has no time for more.
        let longest = if cfg!(miri) { 80 } else { 200 };
        let bytes: Vec<u8> = (0..longest).map(|i| (i * 37 + 11) as u8).collect();
        let key = [0xa1, 0x02, 0xff, 0x70];
        for start in 0..9 {
            for length in 0..=bytes.len() - start {
                for offset in 0..5 {
                    let mut masked = bytes.clone();
                    apply_mask(&mut masked[start..start + length], key, offset);
                    assert_eq!(
                        masked[start..start + length],
                        naive(&bytes[start..start + length], key, offset)
                    );
                    assert_eq!(masked[..start], bytes[..start]);
                    assert_eq!(masked[start + length..], bytes[start + length..]);
                }
            }
        }
    }

    #[test]
    fn pieces_make_the_whole() {
        let bytes: Vec<u8> = (0..100).collect();
        let key = [1, 2, 3, 4];
        let whole = naive(&bytes, key, 0);
        for cut in 0..=bytes.len() {
            let mut pieces = bytes.clone();
            let (head, tail) = pieces.split_at_mut(cut);
            apply_mask(head, key, 0);
            apply_mask(tail, key, cut);
            assert_eq!(pieces, whole);
        }
    }
}
