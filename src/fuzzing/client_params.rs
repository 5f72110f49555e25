//! What a client says of a session that it comes back for, or polls, or leaves: whatever the request, the parameters are within
//! their bounds or refused, and a place in a stream that is read is one that could have been written.

use super::apps;
use crate::gateway::api::coming_back::{coming_back, coming_back_to_stream};
use crate::gateway::api::over_http::{Cors, HttpRoute, OfApp, http_path, http_route, is_text, wait_ms};
use crate::http::{HeadLimits, Request, accepts_gzip};
use crate::stream::EventId;

const DEFAULT_MS: u64 = 25_000;
const MOST_MS: u64 = 60_000;

/// A byte for the method, then a target, and behind a line feed the rest of the head.
pub fn run(data: &[u8]) {
    let (&choice, data) = data.split_first().unwrap_or((&0, data));
    let method = ["GET", "POST", "DELETE", "OPTIONS"][usize::from(choice % 4)];
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (target, fields) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"].concat();
    let Ok(request) = Request::parse(&head, &HeadLimits::default()) else { return };
    let apps = apps();
    let path = http_path(request.path, &apps);
    match http_route(&request, &apps) {
        Ok(Some(route)) => {
            assert!(path.is_some(), "a page that asks is told what it may know of the answer");
            let of_app = matches!(path, Some(OfApp::Named(_)));
            match route {
                HttpRoute::Stream(_) | HttpRoute::Poll(_) => assert!(of_app && method == "GET"),
                HttpRoute::Say => assert!(!of_app && method == "POST"),
                HttpRoute::Leave => assert!(!of_app && method == "DELETE"),
                HttpRoute::Preflight(methods) => {
                    assert!(methods.ends_with(", OPTIONS") && method == "OPTIONS")
                }
            }
        }
        Ok(None) => {}
        Err(refusal) => assert!(refusal.error.code.status() >= 400),
    }
    if let Ok((wait, rest)) = wait_ms(request.query, (DEFAULT_MS, MOST_MS)) {
        assert!(wait <= MOST_MS && rest.len() <= request.query.map_or(0, str::len));
        assert_eq!(wait_ms(Some(&rest), (DEFAULT_MS, MOST_MS)).map(|(wait, _)| wait), Ok(DEFAULT_MS));
    }
    let asked = coming_back(request.query);
    let last = request.header("last-event-id").filter(|last| !last.is_empty());
    match (coming_back_to_stream(&request), last) {
        (Ok(Some(came)), Some(last)) => {
            let mut written = Vec::new();
            EventId { ticket: &came.ticket, count: came.received }.write(&mut written);
            // Leading zeros aside, it is what was sent, or nothing that was ever written.
            let text = str::from_utf8(&written).expect("an id is text");
            let again = EventId::parse(text.trim_start_matches("id: ").trim_end());
            let is_read = str::from_utf8(last).is_ok_and(|last| EventId::parse(last).is_some());
            assert_eq!(again.is_some_and(|id| id.count == came.received), is_read);
        }
        (stream, _) => assert_eq!(stream, asked),
    }
    let _ = (is_text(&request).is_ok(), accepts_gzip(&request));
    let cors = Cors::of(&request, |_| true);
    let mut answer = Vec::new();
    cors.preflight("GET, OPTIONS").write(true, false, None, &mut answer);
    let mut slots = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut slots);
    assert_eq!(
        response.parse(&answer),
        Ok(httparse::Status::Complete(answer.len())),
        "no field comes of an origin"
    );
}
