//! How the commands that talk to a running server reach its backend port, and what they make of its answers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::error::CliError;
use super::event_stream::{EventStream, Opened};
use super::http_client::{Body, HttpClient, Reply};
use super::key::KeyArgs;
use crate::client::Trust;
use crate::http::percent_encode;

/// Where the backend port is, and the key to it.
#[derive(Debug, Clone, Args)]
pub struct BackendArgs {
    /// Backend port of the running server, or its Unix socket as unix:/path; with https:// before it, over TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    backend: String,
    /// With https://: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    #[command(flatten)]
    key: KeyArgs,
}

impl BackendArgs {
    /// A backend port that other arguments named.
    pub fn new(backend: String, cacert: Option<PathBuf>, key: KeyArgs) -> Self {
        Self { backend, cacert, key }
    }

    /// Where the backend port is, as given.
    pub fn address(&self) -> &str {
        &self.backend
    }

    /// Which certificates are taken over TLS.
    pub fn trust(&self) -> Trust {
        self.cacert.clone().map_or(Trust::System, Trust::File)
    }

    /// The key to it, fit for a header field.
    pub fn key(&self) -> Result<Option<&str>, CliError> {
        self.key.fit()
    }

    /// Sends one request; answers the body of a success.
    pub fn call(&self, method: &str, target: &str, body: Option<Body<'_>>) -> Result<String, CliError> {
        self.call_by(false, method, target, body)
    }

    /// The same, however long the server takes.
    pub fn call_patiently(&self, method: &str, target: &str) -> Result<String, CliError> {
        self.call_by(true, method, target, None)
    }

    /// Asks for a stream of events, on which something comes at least every `silence`; `None` if the server has none there.
    pub fn events(&self, target: &str, silence: Duration) -> Result<Option<Box<EventStream>>, CliError> {
        let trust = self.trust();
        let client = HttpClient::new(&self.backend, self.key.secret()?, &trust).within(silence);
        match client.events(target)? {
            Opened::Events(events) => Ok(Some(events)),
            Opened::Other(reply) if reply.status == 404 => Ok(None),
            Opened::Other(reply) => Err(refusal(&reply)),
        }
    }

    fn call_by(
        &self,
        is_patient: bool,
        method: &str,
        target: &str,
        body: Option<Body<'_>>,
    ) -> Result<String, CliError> {
        let trust = self.trust();
        let client = HttpClient::new(&self.backend, self.key.secret()?, &trust);
        let client = if is_patient { client.patient() } else { client };
        let reply = client.request(method, target, body)?;
        if (200..300).contains(&reply.status) {
            return Ok(String::from_utf8_lossy(&reply.body).into_owned());
        }
        Err(refusal(&reply))
    }
}

/// A request target that grows.
pub struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// A target without a query; `path` stands as it is.
    pub fn new(path: &str) -> Self {
        Self { text: path.to_owned(), has_query: false }
    }

    /// The same with one more path segment.
    pub fn segment(mut self, segment: &str) -> Self {
        self.text.push('/');
        percent_encode(segment, &mut self.text);
        self
    }

    /// Adds one pair to the query for each of `values`.
    pub fn pairs(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        for value in values {
            self.text.push(if self.has_query { '&' } else { '?' });
            self.has_query = true;
            percent_encode(name, &mut self.text);
            self.text.push('=');
            percent_encode(value.as_ref(), &mut self.text);
        }
    }

    /// The target as it goes into the request line.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The JSON body of a refusal.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: String,
    message: String,
}

fn refusal(reply: &Reply) -> CliError {
    let detail = serde_json::from_slice::<ErrorBody>(&reply.body).ok().map(|body| body.error);
    let (code, message) = detail.map(|detail| (detail.code, detail.message)).unzip();
    CliError::Refused { status: reply.status, code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_encoded_part_by_part() {
        let mut target = Target::new("/v1/users").segment("ada/bob?");
        target.pairs("tag", ["a b", "c&d"]);
        target.pairs("code", None::<&str>);
        target.pairs("reason", Some("größe"));
        assert_eq!(target.as_str(), "/v1/users/ada%2Fbob%3F?tag=a%20b&tag=c%26d&reason=gr%C3%B6%C3%9Fe");
    }

    #[test]
    fn a_refusal_says_what_the_server_says() {
        let with = |body: &str| refusal(&Reply { status: 404, body: body.as_bytes().to_vec() }).to_string();
        assert_eq!(
            with(r#"{"error":{"code":"unknown_session","message":"it has gone"}}"#),
            "the server refused: 404 unknown_session: it has gone"
        );
        assert_eq!(with("<html>"), "the server refused: 404");
    }
}
