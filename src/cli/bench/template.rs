//! What is published, as text with places to fill in: an HTTP request for any server, or a command of gannet's link. Parsed
//! once; rendering a message copies pieces.

use std::fmt;

/// A text with places for `{session}`, `{payload}` and `{length}`; other braces stand for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    head: Vec<Piece>,
    body: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The name of the session that the message is for.
    Session,
    /// The message.
    Payload,
    /// Length of the body, in bytes.
    Length,
}

impl Template {
    /// An HTTP/1.1 request: a line with method and target, headers, an empty line, the body. Lines may end in LF alone;
    /// version, `Host` and `Content-Length` are added where they are missing. A line break at the end is not of the body.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn http(text: &str, host: &str) -> Result<Self, TemplateError> {
        let (head, body) = split_head(text);
        // Editors end a file with a line break, which nobody means to publish.
        let body = body.strip_suffix('\n').map_or(body, |body| body.strip_suffix('\r').unwrap_or(body));
        let mut lines = head.lines();
        let request_line = lines.next().unwrap_or_default();
        let mut parts = request_line.split_ascii_whitespace();
        let (Some(method), Some(target), version) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TemplateError::RequestLine);
        };
        if !target.starts_with('/')
            || version.is_some_and(|version| version != "HTTP/1.1")
            || parts.count() > 0
        {
            return Err(TemplateError::RequestLine);
        }
        let mut request = format!("{method} {target} HTTP/1.1\r\n");
        let (mut has_host, mut has_length) = (false, false);
        for line in lines {
            let (name, _) = line.split_once(':').ok_or_else(|| TemplateError::Header(line.to_owned()))?;
            has_host |= name.eq_ignore_ascii_case("host");
            has_length |= name.eq_ignore_ascii_case("content-length");
            request.push_str(line);
            request.push_str("\r\n");
        }
        if !has_host {
            request.push_str(&format!("Host: {host}\r\n"));
        }
        if !has_length {
            request.push_str("Content-Length: {length}\r\n");
        }
        request.push_str("\r\n");
        Self { head: pieces(&request), body: pieces(body) }.checked()
    }

    /// A text without a head, such as a command of the link.
    ///
    /// # Errors
    /// [`TemplateError::NoPayload`].
    pub fn text(text: &str) -> Result<Self, TemplateError> {
        Self { head: Vec::new(), body: pieces(text) }.checked()
    }

    /// Appends the text for one message to `out`.
    pub fn render(&self, session: &str, payload: &str, out: &mut Vec<u8>) {
        let length: usize = self.body.iter().map(|piece| piece.len(session, payload)).sum();
        for piece in self.head.iter().chain(&self.body) {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Session => out.extend_from_slice(session.as_bytes()),
                Piece::Payload => out.extend_from_slice(payload.as_bytes()),
                Piece::Length => out.extend_from_slice(length.to_string().as_bytes()),
            }
        }
    }

    fn checked(self) -> Result<Self, TemplateError> {
        if self.body.contains(&Piece::Length) {
            return Err(TemplateError::LengthInBody);
        }
        let has_payload = self.head.iter().chain(&self.body).any(|piece| *piece == Piece::Payload);
        if has_payload { Ok(self) } else { Err(TemplateError::NoPayload) }
    }
}

impl Piece {
    fn len(&self, session: &str, payload: &str) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Session => session.len(),
            Self::Payload => payload.len(),
            Self::Length => 0,
        }
    }
}

fn split_head(text: &str) -> (&str, &str) {
    let ends = [("\r\n\r\n", 4), ("\n\n", 2)];
    let first = ends.iter().filter_map(|(end, length)| text.find(end).map(|at| (at, length))).min();
    first.map_or((text.trim_end(), ""), |(at, length)| (&text[..at], &text[at + length..]))
}

fn pieces(text: &str) -> Vec<Piece> {
    const PLACES: [(&str, Piece); 3] =
        [("{session}", Piece::Session), ("{payload}", Piece::Payload), ("{length}", Piece::Length)];
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let found = PLACES.iter().filter_map(|(place, piece)| Some((rest.find(place)?, place.len(), piece)));
        let Some((at, length, piece)) = found.min_by_key(|(at, ..)| *at) else { break };
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        pieces.push(piece.clone());
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// No request line in front.
    RequestLine,
    /// A line of the head that is no header.
    Header(String),
    /// There is no place for the message.
    NoPayload,
    /// `{length}` stands in what it measures.
    LengthInBody,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestLine => f.write_str(
                "begin the template with a request line such as \"POST /pub/{session}\", then headers, an empty line and \
                 the body",
            ),
            Self::Header(line) => write!(f, "\"{line}\" is no header: an empty line goes before the body"),
            Self::NoPayload => f.write_str("put {payload} where the message belongs"),
            Self::LengthInBody => f.write_str("{length} is the length of the body and cannot stand in it"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String, TemplateError> {
        let mut out = Vec::new();
        Template::http(template, "h:1")?.render("s7", "hello", &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn requests_are_completed_and_filled_in() {
        let table = [
            (
                "POST /pub?id={session}\n\n{payload}",
                "POST /pub?id=s7 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\n\r\nhello",
            ),
            (
                "PUT /a HTTP/1.1\r\nHOST: x\r\nContent-Type: a/b\r\n\r\n{\"to\":\"{session}\",\"m\":\"{payload}\"}\n",
                "PUT /a HTTP/1.1\r\nHOST: x\r\nContent-Type: a/b\r\nContent-Length: 23\r\n\r\n{\"to\":\"s7\",\"m\":\"hello\"}",
            ),
            (
                "GET /pub/{session}/{payload}/{other}\n",
                "GET /pub/s7/hello/{other} HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "POST /\ncontent-length: {length}\n\n{payload}\n\n{payload}",
                "POST / HTTP/1.1\r\ncontent-length: 12\r\nHost: h:1\r\n\r\nhello\n\nhello",
            ),
        ];
        for (template, request) in table {
            assert_eq!(rendered(template).as_deref(), Ok(request), "{template}");
        }
    }

    #[test]
    fn what_is_no_template() {
        let table = [
            ("", TemplateError::RequestLine),
            ("POST\n\n{payload}", TemplateError::RequestLine),
            ("POST pub\n\n{payload}", TemplateError::RequestLine),
            ("POST / HTTP/2\n\n{payload}", TemplateError::RequestLine),
            ("POST / HTTP/1.1 x\n\n{payload}", TemplateError::RequestLine),
            ("POST /\n{payload}", TemplateError::Header("{payload}".to_owned())),
            ("POST /\n\nhello {session}", TemplateError::NoPayload),
            ("POST /\n\n{payload} {length}", TemplateError::LengthInBody),
        ];
        for (template, error) in table {
            assert_eq!(rendered(template), Err(error), "{template}");
        }
    }

    #[test]
    fn a_text_has_no_head() {
        let mut out = Vec::new();
        let template = Template::text(r#"{"to":"{session}","text":"{payload}"}"#).unwrap();
        template.render("s", "m", &mut out);
        assert_eq!(out, br#"{"to":"s","text":"m"}"#);
    }
}
