//! The place in a stream: the session's ticket, and how many messages have been sent in it. A browser sends it back by itself,
//! as `Last-Event-ID`, when it connects again.

/// See the module. `<ticket>:<count>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId<'a> {
    /// What the session is resumed with.
    pub ticket: &'a str,
    /// Messages that have been sent in it, with this one.
    pub count: u64,
}

impl<'a> EventId<'a> {
    /// Appends the `id:` line.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(self.ticket.as_bytes());
        out.push(b':');
        decimal(self.count, out);
        out.push(b'\n');
    }

    /// Reads what a client sends back; `None` where it is no such thing.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (ticket, count) = text.rsplit_once(':')?;
        let is_ticket = !ticket.is_empty() && ticket.bytes().all(|byte| byte.is_ascii_graphic());
        // As in every other parameter: digits and nothing else.
        let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|_| is_ticket && is_count)?;
        Some(Self { ticket, count })
    }
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    const DIGITS: usize = 20;
    let mut digits = [0; DIGITS];
    let mut at = DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (ticket, count) in [("t", 0), ("a-b_c", 9), ("a:b", 10), ("x", u64::MAX)] {
            let mut line = Vec::new();
            EventId { ticket, count }.write(&mut line);
            let line = String::from_utf8(line).unwrap();
            assert_eq!(line, format!("id: {ticket}:{count}\n"));
            let value = line.trim_end().strip_prefix("id: ").unwrap();
            assert_eq!(EventId::parse(value), Some(EventId { ticket, count }));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            ":",
            "t",
            "t:",
            ":1",
            "t:-1",
            "t:+1",
            "t:1 ",
            "t:1x",
            "t :1",
            "t:18446744073709551616",
            "\u{f6}:1",
        ] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
    }
}
