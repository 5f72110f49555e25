//! The console: one page for operators, which is in the binary. It holds nothing of the server, so that it is for everybody who
//! reaches the port: what it shows it asks for with the key of the one who looks. Its scripts and styles stand in it, and its policy
//! names the hash of each, so that nothing else is run.

use crate::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::LazyLock;

/// The page.
const PAGE: &str = include_str!("../../../console/dist/index.html");

/// What is made of the page once a process.
struct Made {
    policy: String,
    /// The page compressed; empty where it could not be.
    gzip: Vec<u8>,
}

static MADE: LazyLock<Made> = LazyLock::new(|| Made { policy: policy(PAGE), gzip: gzip(PAGE) });

/// Compresses the page, which takes a few milliseconds: not on a reactor.
pub fn make_ready() {
    LazyLock::force(&MADE);
}

/// The page, as the client takes it.
pub fn page(request: &Request<'_>) -> Response {
    const HTML: &str = "text/html; charset=utf-8";
    let response = match takes_gzip(request) && !MADE.gzip.is_empty() {
        true => Response::new(200, HTML, MADE.gzip.as_slice()).with_header("Content-Encoding", "gzip"),
        false => Response::new(200, HTML, PAGE.as_bytes()),
    };
    response
        .with_header("Vary", "Accept-Encoding")
        .with_header("Cache-Control", "no-store")
        .with_header("Content-Security-Policy", MADE.policy.as_str())
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}

/// Whether the client takes gzip (RFC 9110 §12.5.3).
fn takes_gzip(request: &Request<'_>) -> bool {
    let mut codings =
        request.header_all("accept-encoding").flat_map(|value| value.split(|byte| *byte == b','));
    codings.any(|coding| {
        let mut parts = coding.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| matches!(part, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
        (name.eq_ignore_ascii_case(b"gzip") || name == b"*") && !is_refused
    })
}

/// What a page may do (CSP Level 3): run and apply what stands in it, and talk to the server that it is from, and as a client to the
/// client port, which has another origin.
fn policy(page: &str) -> String {
    let sources = |tag| {
        let hashes: Vec<String> = inline(page, tag).map(hash).collect();
        if hashes.is_empty() { "'none'".to_owned() } else { hashes.join(" ") }
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action \
         'none'; frame-ancestors 'none'",
        sources("script"),
        sources("style")
    )
}

/// The contents of the elements of this name, as they stand in the page.
fn inline<'p>(page: &'p str, tag: &'static str) -> impl Iterator<Item = &'p str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let open = rest.find(&format!("<{tag}"))?;
            rest = &rest[open + tag.len() + 1..];
            // Another element whose name begins so is none of these.
            if !rest.starts_with(|char: char| char == '>' || char.is_ascii_whitespace()) {
                continue;
            }
            let begin = rest.find('>')? + 1;
            let end = begin + rest[begin..].find(&format!("</{tag}>"))?;
            let content = &rest[begin..end];
            rest = &rest[end..];
            return Some(content);
        }
    })
}

fn hash(content: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
}

fn gzip(page: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes all that is written.
    encoder.write_all(page.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_policy_names_what_stands_in_the_page_and_nothing_else() {
        let page = "<style>a{}</style><scripts>x</scripts><script type=\"module\">one()</script>\n<script>two()</script>";
        assert_eq!(inline(page, "script").collect::<Vec<_>>(), ["one()", "two()"]);
        let policy = policy(page);
        let hashes = format!("script-src {} {}; style-src {};", hash("one()"), hash("two()"), hash("a{}"));
        assert!(policy.contains(&hashes), "{policy}");
        // From another tool: printf %s 'one()' | openssl dgst -sha256 -binary | base64
        assert_eq!(hash("one()"), "'sha256-HR7iaask9daLMRRskMI++QeJtjWDOjyPA6lGzYGzKW4='");
        assert!(super::policy("<p>").contains("script-src 'none'; style-src 'none';"));
        assert!(policy.ends_with("frame-ancestors 'none'"));
    }

    #[test]
    fn the_page_needs_nothing_that_its_policy_refuses() {
        for refused in
            [" style=", " onclick=", " onload=", "<link rel=\"stylesheet", "src=\"http", "@import", "eval("]
        {
            assert!(!PAGE.contains(refused), "{refused}");
        }
        assert!(
            PAGE.len() <= 150 * 1024 && MADE.gzip.len() <= 50 * 1024,
            "{}, {}",
            PAGE.len(),
            MADE.gzip.len()
        );
    }

    #[test]
    fn the_compressed_page_is_the_page() {
        let mut text = String::new();
        flate2::read::GzDecoder::new(MADE.gzip.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, PAGE);
    }
}
