//! The OpenAPI document beside the server that serves it: every request that it describes is made, with its examples, and
//! answered as it says; what it does not describe is refused.

use crate::raw::{Answer, Raw};
use crate::support::schema::Schemas;
use crate::support::*;
use gannet::config::{GroupConfig, LogConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: gannet.link.json\r\n";

/// The document, as a server has it.
struct Document(Value);

/// A method of a path, and what the document says of it.
struct Operation<'a> {
    path: &'a str,
    method: String,
    is: &'a Value,
}

/// A request: values for the parameters in the path and in the query.
#[derive(Debug, Clone, Default)]
struct Call {
    path: BTreeMap<String, String>,
    query: Vec<(String, String)>,
}

impl Document {
    fn of(address: std::net::SocketAddr) -> Self {
        let answer = ask(address, "GET", "/v1/openapi.json", "", "");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        Self(answer.json())
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let operations: Vec<_> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().iter().map(move |(method, is)| Operation {
                    path,
                    method: method.to_uppercase(),
                    is,
                })
            })
            .collect();
        assert!(operations.len() > 15, "{}", operations.len());
        operations
    }

    /// Holds an answer against what the document says of the operation.
    fn check(&self, operation: &Operation<'_>, answer: &Answer) {
        let (shown, status) = (operation.shown(), answer.status.to_string());
        let mut declared = &operation.is["responses"][&status];
        assert!(!declared.is_null(), "{shown}: {status} is not in the document: {answer:?}");
        if let Some(reference) = declared["$ref"].as_str() {
            declared = self.0.pointer(&reference[1..]).unwrap();
        }
        for name in declared["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(answer.header(&name.to_lowercase()).is_some(), "{shown}: no {name} in {answer:?}");
        }
        let Some(content) = declared["content"].as_object() else {
            assert_eq!(status, "101", "{shown}");
            return;
        };
        let (media, content) = content.iter().next().unwrap();
        let sent = answer.header("content-type").unwrap().split(';').next().unwrap();
        assert_eq!(sent, media, "{shown}");
        let value = match media.as_str() {
            "application/json" => answer.json(),
            _ => String::from_utf8(answer.body.clone()).unwrap().into(),
        };
        if let Err(wrong) = Schemas(&self.0).check(&content["schema"], &value) {
            panic!("{shown}: {wrong}: {value}");
        }
    }

    fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }
}

impl Operation<'_> {
    fn shown(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn parameters(&self, place: &str) -> impl Iterator<Item = &Value> {
        let all = self.is["parameters"].as_array().unwrap().iter();
        all.filter(move |parameter| parameter["in"] == place)
    }

    fn is_upgrade(&self) -> bool {
        !self.is["responses"]["101"].is_null()
    }

    fn body(&self) -> String {
        let content = self.is["requestBody"]["content"].as_object();
        let mut examples = content.into_iter().flat_map(|content| content.values());
        match examples.next().map(|media| &media["example"]) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(object) => object.to_string(),
        }
    }

    /// Calls with everything that has to be there, one for each choice that the document leaves.
    fn calls(&self, live: &str) -> Vec<Call> {
        let value = |parameter: &Value| example(parameter, live);
        let mut least = Call::default();
        for parameter in self.parameters("path") {
            least.path.insert(name(parameter), value(parameter));
        }
        let required = self.parameters("query").filter(|parameter| parameter["required"] == true);
        least.query = required.map(|parameter| (name(parameter), value(parameter))).collect();
        let (mut calls, mut optional) = (Vec::new(), Vec::new());
        let choices = ["exactly", "at-least", "at-most"].map(|which| self.choice(which));
        for parameter in self.parameters("query").filter(|parameter| parameter["required"] == false) {
            let given = (name(parameter), value(parameter));
            match choices.iter().any(|choice| choice.contains(&given.0)) {
                true => calls.push(Call { query: [&least.query[..], &[given]].concat(), ..least.clone() }),
                false => optional.push(given),
            }
        }
        if calls.is_empty() || !choices[2].is_empty() {
            calls.push(least);
        }
        // A sticky join is about a user, which is the second choice.
        let is_of_users = optional.iter().any(|(name, _)| name == "sticky");
        let mut full = calls[usize::from(is_of_users)].clone();
        full.query.extend(optional);
        calls.push(full);
        calls
    }

    /// The parameters of which so many have to be given.
    fn choice(&self, which: &str) -> Vec<String> {
        let names = self.is[format!("x-gannet-{which}-one-of")].as_array();
        names.into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    fn target(&self, call: &Call) -> String {
        let mut target = self.path.to_owned();
        for (name, value) in &call.path {
            target = target.replace(&format!("{{{name}}}"), value);
        }
        for (index, (name, value)) in call.query.iter().enumerate() {
            target += &format!("{}{name}={value}", if index == 0 { '?' } else { '&' });
        }
        target
    }

    fn ask(&self, address: std::net::SocketAddr, call: &Call) -> Answer {
        self.ask_with(address, call, "")
    }

    fn ask_with(&self, address: std::net::SocketAddr, call: &Call, headers: &str) -> Answer {
        let upgrade = if self.is_upgrade() { UPGRADE } else { "" };
        ask(address, &self.method, &self.target(call), &format!("{upgrade}{headers}"), &self.body())
    }
}

fn has_both(call: &Call, one: &str, other: &str) -> bool {
    [one, other].iter().all(|name| call.query.iter().any(|(given, _)| given == name))
}

fn name(parameter: &Value) -> String {
    parameter["name"].as_str().unwrap().to_owned()
}

/// The example of a parameter; where it is a session, one that lives.
fn example(parameter: &Value, live: &str) -> String {
    let text = |value: &Value| match value {
        Value::Array(values) => values[0].as_str().unwrap().to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match parameter["schema"].to_string().contains("SessionId") {
        true => live.to_owned(),
        false => text(&parameter["example"]),
    }
}

fn ask(address: std::net::SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut raw = Raw::connect(address);
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    raw.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}"));
    raw.answer_to(method)
}

#[test]
fn the_document_is_the_one_in_docs() {
    let server = TestServer::start(|_| ());
    let document = Document::of(server.backend).0;
    let in_docs: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    assert_eq!(document, in_docs);
    assert_eq!(document["openapi"], "3.1.0");
}

/// A server whose groups that the examples name remember.
fn remembering() -> TestServer {
    let groups = vec![GroupConfig { latest: true, log: Some(LogConfig::default()), ..GroupConfig::new("g") }];
    TestServer::start(|config| config.apps.get_mut("default").unwrap().groups = groups)
}

#[test]
fn every_request_of_the_document_is_answered_as_it_says() {
    let server = remembering();
    // The link and the share that the examples name.
    let mut link = server.link();
    let listen = serde_json::json!({"op": "listen", "events": ["close"], "share": "game", "name": "m7"});
    link.command(listen);
    let document = Document::of(server.backend);
    for operation in document.operations() {
        let count = operation.calls("").len();
        for index in 0..count {
            // A drain that an earlier request began would turn it away.
            ask(server.backend, "DELETE", "/v1/admin/drain", "", "");
            // Some requests end the session that they are about.
            let player = server.player("user=ada&group=g&tag=ios");
            if operation.path.ends_with("/record") {
                // There has to be one to be read, or stopped.
                let record = format!("/v1/sessions/{}/record", player.id);
                assert_eq!(ask(server.backend, "POST", &record, "", "").status, 200);
            }
            let call = &operation.calls(&player.id.to_string())[index];
            let answer = operation.ask(server.backend, call);
            let is_done = match operation.path {
                // Where players are taken at their word there is no token to renew.
                path if path.ends_with("/renew") => {
                    (answer.status, answer.error()) == (400, "bad_request".into())
                }
                // The ticket of the examples is that of no feed.
                path if path.ends_with("/events") && operation.method == "DELETE" => {
                    (answer.status, answer.error()) == (404, "not_found".into())
                }
                // The link that there is has the name of the examples.
                path if path.ends_with("/events") && call.query.iter().any(|(name, _)| name == "name") => {
                    (answer.status, answer.error()) == (409, "conflict".into())
                }
                // Those that are behind have one page.
                path if path.ends_with("/sessions") && has_both(call, "behind", "after") => {
                    (answer.status, answer.error()) == (400, "bad_request".into())
                }
                // A server inside another program is not upgraded.
                path if path.ends_with("/upgrade") => {
                    (answer.status, answer.error()) == (409, "conflict".into())
                }
                // No feed has the ticket of the example.
                path if path.ends_with("/events") && operation.method == "DELETE" => {
                    (answer.status, answer.error()) == (404, "not_found".into())
                }
                _ => matches!(answer.status, 101 | 200 | 202),
            };
            assert!(is_done, "{}: {call:?}: {answer:?}", operation.shown());
            document.check(&operation, &answer);
            if operation.method == "GET" && !operation.is_upgrade() {
                let head = ask(server.backend, "HEAD", &operation.target(call), "", "");
                assert_eq!((head.status, head.body.len()), (answer.status, 0), "{}", operation.shown());
            }
        }
    }
    let no_receipt = ask(server.backend, "POST", "/v1/push?all=1&receipt=none", "", "hi");
    let push = document.operations().into_iter().find(|operation| operation.path == "/v1/push").unwrap();
    assert_eq!(no_receipt.status, 202);
    document.check(&push, &no_receipt);
}

#[test]
fn what_the_document_does_not_have_is_refused() {
    let server = TestServer::start(|_| ());
    let document = Document::of(server.backend);
    let player = server.player("user=ada&group=g&tag=ios");
    for operation in document.operations() {
        let call = operation.calls(&player.id.to_string()).remove(0);
        let refused = |call: &Call, status: u16, why: &str| {
            let answer = operation.ask(server.backend, call);
            assert_eq!(answer.status, status, "{}: {why}: {answer:?}", operation.shown());
            document.check(&operation, &answer);
        };
        let with = |name: &str, value: &str| {
            let mut call = call.clone();
            call.query.retain(|(other, _)| other != name);
            call.query.push((name.to_owned(), value.to_owned()));
            call
        };
        refused(&with("nonsense", "1"), 400, "a parameter that is not there");
        for parameter in operation.parameters("query") {
            let name = name(parameter);
            if parameter["required"] == true {
                let mut call = call.clone();
                call.query.retain(|(other, _)| *other != name);
                refused(&call, 400, "a required parameter is missing");
            }
            let schema = parameter["schema"].to_string();
            if ["SessionId", "CloseCode", "integer", "enum"].iter().any(|kind| schema.contains(kind))
                && !schema.contains("null")
            {
                refused(&with(&name, "!"), 400, "a value that is none");
            }
            if name == "app" {
                refused(&with("app", "poker"), 404, "an app that is not there");
            }
        }
        for parameter in operation.parameters("path") {
            if parameter["schema"].to_string().contains("SessionId") {
                let mut call = call.clone();
                call.path.insert(name(parameter), "ffffffffffffffff".to_owned());
                refused(&call, 404, "a session that does not live");
            }
        }
    }
}

#[test]
fn methods_and_paths_that_the_document_does_not_have_are_refused() {
    let server = TestServer::start(|_| ());
    let document = Document::of(server.backend);
    let operations = document.operations();
    for operation in &operations {
        let call = operation.calls("00a0000000000001").remove(0);
        let here = operations.iter().filter(|other| other.path == operation.path);
        let mut allowed: Vec<&str> = here.map(|other| other.method.as_str()).collect();
        if allowed.contains(&"GET") && !operation.is_upgrade() {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = ask(server.backend, method, &operation.target(&call), "", "");
            assert_eq!(answer.status, 405, "{method} {}: {answer:?}", operation.path);
            let mut listed: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
            listed.sort_unstable();
            assert_eq!(listed, allowed, "{method} {}", operation.path);
        }
        let beside = format!("{}/nonsense/nonsense", operation.target(&Call { query: Vec::new(), ..call }));
        assert_eq!(ask(server.backend, &operation.method, &beside, "", "").status, 404, "{beside}");
    }
}

#[test]
fn a_key_is_asked_for_what_the_document_says() {
    let config = "[rates]\nwrong_keys_per_address = { per_second = 0 }\n[backend]\nkey = 'all-0123456789abcdef'\nkeys = [\n\
        { name = 'reader', key = 'read-0123456789abcdef', may = ['read'] },\n\
        { name = 'pusher', key = 'push-0123456789abcdef', may = ['push'] },\n]\n";
    let server = ServerProcess::start(&[], config);
    let bearer = |key: &str| format!("Authorization: Bearer {key}-0123456789abcdef\r\n");
    let document = Document(ask(server.backend, "GET", "/v1/openapi.json", &bearer("read"), "").json());
    for operation in document.operations() {
        let call = operation.calls("00a0000000000001").remove(0);
        let needs = operation.is["x-gannet-needs"].as_str().unwrap();
        assert_eq!(operation.is["security"] == json!([]), needs == "nothing", "{}", operation.shown());
        for (key, shown, refused) in [
            ("no", String::new(), (needs != "nothing").then_some(401)),
            ("read", bearer("read"), matches!(needs, "push" | "all").then_some(403)),
            ("push", bearer("push"), matches!(needs, "read" | "all").then_some(403)),
            ("all", bearer("all"), None),
        ] {
            let answer = operation.ask_with(server.backend, &call, &shown);
            let was = matches!(answer.status, 401 | 403).then_some(answer.status);
            assert_eq!(was, refused, "{} with {key}: {answer:?}", operation.shown());
            document.check(&operation, &answer);
        }
    }
}

/// The commands of the reference are those of the schemas, and so are a batch's replies.
#[test]
fn commands_and_replies_in_json_are_as_the_document_says() {
    let server = remembering();
    let document = Document::of(server.backend);
    let schemas = Schemas(&document.0);
    let reference = include_str!("../../docs/link.md");
    let commands: Vec<&str> = reference.lines().filter(|line| line.starts_with(r#"{"id":7,"op":"#)).collect();
    assert!(commands.len() > 15);
    let mut batch = String::new();
    for line in commands {
        let command: Value = serde_json::from_str(line).unwrap();
        let op = command["op"].as_str().unwrap();
        let name = format!("{}{}Command", op[..1].to_uppercase(), &op[1..]);
        schemas.check(document.schema(&name), &command).unwrap_or_else(|wrong| panic!("{line}: {wrong}"));
        let mut wrong = command.clone();
        wrong["nonsense"] = json!(1);
        assert!(schemas.check(document.schema(&name), &wrong).is_err(), "{line}");
        let is_for_batches = schemas.check(document.schema("Command"), &command).is_ok();
        assert_eq!(is_for_batches, op != "listen", "{line}");
        batch += &format!("{line}\n");
    }
    let _ada = server.player("user=ada");
    let replies = ask(server.backend, "POST", "/v1/batch", "", &batch);
    let lines: Vec<Value> = replies
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), batch.lines().count());
    for reply in &lines {
        schemas.check(document.schema("Reply"), reply).unwrap_or_else(|wrong| panic!("{reply}: {wrong}"));
    }
    assert!(
        lines.iter().any(|reply| reply["ok"].is_object())
            && lines.iter().any(|reply| reply["error"].is_object())
    );
}
