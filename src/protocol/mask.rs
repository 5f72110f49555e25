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
pub fn apply_mask(payload: &mut [u8], mut key: [u8; 4], offset: usize) {
    key.rotate_left(offset % 4);
    let word = u32::from_ne_bytes(key);
    let wide = u64::from(word) << 32 | u64::from(word);
    let (blocks, rest) = payload.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
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
        let bytes: Vec<u8> = (0..200u32).map(|i| (i * 37 + 11) as u8).collect();
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
