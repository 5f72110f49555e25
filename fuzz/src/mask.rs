//! Masking is the one-liner, at every offset and alignment.

use gannet::protocol::apply_mask;

use super::choices::Choices;

/// Four bytes of key, a byte for the offset, one for the alignment, the payload.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let key = [choices.byte(), choices.byte(), choices.byte(), choices.byte()];
    let offset = usize::from(choices.byte());
    let start = usize::from(choices.byte() % 16);
    let payload = choices.rest();
    let start = start.min(payload.len());

    let mut masked = payload.to_vec();
    apply_mask(&mut masked[start..], key, offset);
    assert_eq!(masked[..start], payload[..start]);
    for (index, (masked, byte)) in masked.iter().zip(payload).enumerate().skip(start) {
        assert_eq!(*masked, byte ^ key[(index - start + offset) % 4]);
    }
}
