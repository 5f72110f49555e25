//! The wires that are decoded.

/// The mask of every frame.
pub const KEY: [u8; 4] = [0x5c, 0x3e, 0xe1, 0x9a];

/// A masked frame, as a client sends it.
pub fn masked_frame(first: u8, payload: &[u8], wire: &mut Vec<u8>) {
    wire.push(first);
    match payload.len() {
        length @ 0..=125 => wire.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            wire.push(0x80 | 126);
            wire.extend((length as u16).to_be_bytes());
        }
        length => {
            wire.push(0x80 | 127);
            wire.extend((length as u64).to_be_bytes());
        }
    }
    wire.extend(KEY);
    wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Frames as games send them: 2 to 125 bytes, two in three text, of which one in eight is not ASCII.
pub fn mixed_small_frames(count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = 2 + (state >> 32) as usize % 124;
        let text = if state.is_multiple_of(8) { "grüße κόσμε " } else { "{\"move\":[12,7],\"t\":1}" };
        let mut payload: Vec<u8> = text.bytes().cycle().take(length).collect();
        let first = if state.is_multiple_of(3) { 0x82 } else { 0x81 };
        if let Err(error) = std::str::from_utf8(&payload) {
            payload.truncate(error.valid_up_to());
        }
        masked_frame(first, &payload, &mut wire);
    }
    wire
}

/// Frames of one length.
pub fn equal_frames(first: u8, length: usize, count: usize) -> Vec<u8> {
    let payload = vec![b'x'; length];
    let mut wire = Vec::new();
    (0..count).for_each(|_| masked_frame(first, &payload, &mut wire));
    wire
}
