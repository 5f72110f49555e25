//! Commands as bytes: a list of bulks.

/// Appends a command: its name and arguments.
pub fn write_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    write_head(out, b'*', args.len());
    for arg in args {
        write_bulk(out, &[arg]);
    }
}

/// Appends a command whose arguments are channels, each behind the tag.
pub fn write_of_channels(out: &mut Vec<u8>, name: &[u8], tag: &[u8], channels: &[&[u8]]) {
    write_head(out, b'*', 1 + channels.len());
    write_bulk(out, &[name]);
    for channel in channels {
        write_bulk(out, &[tag, channel]);
    }
}

/// Appends a `PUBLISH`, or with a tag, of which the channel's name begins, an `SPUBLISH`, of a payload whose parts are not joined
/// anywhere but in `out`.
pub fn write_publish(out: &mut Vec<u8>, tag: &[u8], channel: &[u8], payload: &[&[u8]]) {
    match tag {
        [] => out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n"),
        _ => out.extend_from_slice(b"*3\r\n$8\r\nSPUBLISH\r\n"),
    }
    write_bulk(out, &[tag, channel]);
    write_bulk(out, payload);
}

fn write_bulk(out: &mut Vec<u8>, parts: &[&[u8]]) {
    write_head(out, b'$', parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_head(out: &mut Vec<u8>, kind: u8, mut number: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push(kind);
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}
