//! How the load publishes: gannet's HTTP API, its link, or a request template for another server.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use socket2::SockRef;

use super::args::range;
use super::backend::Backend;
use super::error::BenchError;
use super::fleet::Fleet;
use super::publisher::{Publisher, Wording};
use super::template::{Template, TemplateError};
use crate::cli::backend::BackendArgs;
use crate::cli::error::CliError;
use crate::cli::http_client::exchange;
use crate::cli::push::{Receipt, name_of};
use crate::dispatch::ReceiptMode;
use crate::link_bin::SUBPROTOCOL;
use crate::protocol::handshake::Request;

/// The subprotocol of the JSON link.
pub const LINK: &str = "gannet.link.json";

/// Where and how to publish.
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    #[command(flatten)]
    backend: BackendArgs,
    /// How to publish to gannet
    #[arg(long, value_enum, default_value = "http")]
    via: Via,
    /// What gannet answers a publish after
    #[arg(long, value_enum, default_value = "queued")]
    receipt: Receipt,
    /// Publish to another server, with the HTTP request in this file: a request line, headers, an empty line, a body, with
    /// {session} and {payload} where they belong
    #[arg(long, value_name = "FILE", conflicts_with_all = ["via", "receipt"])]
    publish_template: Option<PathBuf>,
    /// Publishing connections of each load thread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = range(1, 1024))]
    publishers: usize,
}

/// A way into gannet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// Requests on a connection that stays open
    Http,
    /// Commands of the link, in JSON
    Link,
    /// Commands of the binary link
    LinkBin,
}

/// Whom messages are for.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    /// One session each.
    Session,
    /// The members of a group.
    Group(&'a str),
}

/// How to publish, ready to be used by every thread. It holds the key, so it cannot be printed.
pub struct Publishing {
    backend: Backend,
    publishers: usize,
    speech: Speech,
    wording: Wording,
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http,
    Link,
    LinkBin,
    /// HTTP of another server.
    Foreign,
}

impl PublishArgs {
    /// Reads the template, resolves the address.
    pub fn publishing(&self, recipient: Recipient<'_>, any_host: bool) -> Result<Publishing, CliError> {
        let backend = Backend::new(&self.backend, any_host)?;
        let key = self.backend.key()?;
        let (speech, wording) = match (&self.publish_template, self.via) {
            (Some(path), _) => {
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| BenchError::File { path: path.clone(), error })?;
                (Speech::Foreign, text_wording(Template::http(&text, backend.host()), path)?)
            }
            (None, Via::Http) => {
                let text = http_request(recipient, &name_of(self.receipt), key);
                (Speech::Http, text_wording(Template::http(&text, backend.host()), "--via http")?)
            }
            (None, Via::Link) => {
                let text = link_command(recipient, &name_of(self.receipt));
                (Speech::Link, text_wording(Template::text(&text), "--via link")?)
            }
            (None, Via::LinkBin) => (Speech::LinkBin, self.binary_wording(recipient)),
        };
        let key = key.map(str::to_owned);
        Ok(Publishing { backend, publishers: self.publishers, speech, wording, key })
    }

    /// Whether it is to another server than gannet.
    pub fn is_foreign(&self) -> bool {
        self.publish_template.is_some()
    }

    fn binary_wording(&self, recipient: Recipient<'_>) -> Wording {
        let receipt = match self.receipt {
            Receipt::None => ReceiptMode::None,
            Receipt::Queued => ReceiptMode::Queued,
            Receipt::Written => ReceiptMode::Written,
        };
        let group = match recipient {
            Recipient::Session => None,
            Recipient::Group(group) => Some(group.into()),
        };
        Wording::Binary { group, receipt }
    }
}

fn text_wording(
    template: Result<Template, TemplateError>,
    from: impl Into<PathBuf>,
) -> Result<Wording, BenchError> {
    let template = template.map_err(|error| BenchError::Template { path: from.into(), error })?;
    Ok(Wording::Text(Arc::new(template)))
}

impl Publishing {
    /// In words.
    pub fn describe(&self) -> String {
        let how = match self.speech {
            Speech::Http => "HTTP",
            Speech::Link => "link",
            Speech::LinkBin => "binary link",
            Speech::Foreign => "HTTP by template",
        };
        format!("{} × {how}", self.publishers)
    }

    /// Gives a fleet one publishing connection and answers which of gannet's reactors serves it.
    pub fn open_one(&self, fleet: &mut Fleet<'_>) -> Result<u8, BenchError> {
        let key = self.key.as_ref().map_or(String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
        let request = format!("GET /v1/stats HTTP/1.1\r\nHost: {}\r\n{key}\r\n", self.backend.host());
        let mut stream = self.backend.connect_blocking().map_err(BenchError::Publisher)?;
        let reply = exchange(&mut stream, request.as_bytes()).map_err(BenchError::Publisher)?;
        let stats: Option<Stats> = serde_json::from_slice(&reply.body).ok();
        let refused =
            || BenchError::PublishRefused { answer: String::from_utf8_lossy(&reply.body).into_owned() };
        let stats = stats.ok_or_else(refused)?;
        SockRef::from(&*stream.socket()).set_nonblocking(true).map_err(BenchError::Publisher)?;
        fleet.add_publisher(Publisher::http(stream, self.wording.clone()))?;
        Ok(stats.reactor)
    }

    /// Gives a fleet its publishing connections.
    pub fn open(&self, fleet: &mut Fleet<'_>) -> Result<(), BenchError> {
        for number in 0..self.publishers {
            let stream = self.backend.connect(number).map_err(BenchError::Publisher)?;
            let wording = self.wording.clone();
            let publisher = match self.speech {
                Speech::Http | Speech::Foreign => Publisher::http(stream, wording),
                Speech::Link | Speech::LinkBin => {
                    let subprotocol = if self.speech == Speech::Link { LINK } else { SUBPROTOCOL };
                    let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
                    let headers: Vec<_> =
                        bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
                    let request = Request {
                        host: self.backend.host(),
                        path: "/v1/link",
                        subprotocols: &[subprotocol],
                        extensions: None,
                        headers: &headers,
                    };
                    Publisher::link(stream, &request, wording)?
                }
            };
            fleet.add_publisher(publisher)?;
        }
        Ok(())
    }
}

/// What gannet's stats say of the connection that asks.
#[derive(Deserialize)]
struct Stats {
    reactor: u8,
}

fn http_request(recipient: Recipient<'_>, receipt: &str, key: Option<&str>) -> String {
    let mut target = String::new();
    match recipient {
        Recipient::Session => target.push_str("session={session}"),
        Recipient::Group(group) => {
            target.push_str("group=");
            crate::http::percent_encode(group, &mut target);
        }
    }
    let key = key.map_or(String::new(), |key| format!("Authorization: Bearer {key}\n"));
    format!("POST /v1/push?{target}&receipt={receipt}\nContent-Type: text/plain\n{key}\n{{payload}}")
}

fn link_command(recipient: Recipient<'_>, receipt: &str) -> String {
    let to = match recipient {
        Recipient::Session => r#"{"session":"{session}"}"#.to_owned(),
        Recipient::Group(group) => serde_json::json!({ "group": group }).to_string(),
    };
    // Payloads are hex digits and the letter x.
    format!(r#"{{"id":1,"op":"push","to":{to},"text":"{{payload}}","receipt":"{receipt}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gannets_own_requests_are_templates() {
        let rendered = |template: Template| {
            let mut out = Vec::new();
            template.render("00a0000000000001", "hi", &mut out);
            String::from_utf8(out).unwrap()
        };
        let http =
            |recipient, key| rendered(Template::http(&http_request(recipient, "queued", key), "h").unwrap());
        assert_eq!(
            http(Recipient::Session, Some("k")),
            "POST /v1/push?session=00a0000000000001&receipt=queued HTTP/1.1\r\nContent-Type: text/plain\r\n\
             Authorization: Bearer k\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(
            http(Recipient::Group("a b"), None).starts_with("POST /v1/push?group=a%20b&receipt=queued HTTP")
        );
        let link = |recipient| rendered(Template::text(&link_command(recipient, "none")).unwrap());
        assert_eq!(
            link(Recipient::Session),
            r#"{"id":1,"op":"push","to":{"session":"00a0000000000001"},"text":"hi","receipt":"none"}"#
        );
        assert_eq!(
            link(Recipient::Group("a\"b")),
            r#"{"id":1,"op":"push","to":{"group":"a\"b"},"text":"hi","receipt":"none"}"#
        );
    }
}
