//! What travels: routes, operations, codes of errors and of Closes.
//!
//! The tables of docs/http-api.md and docs/link.md are made of the rows in the source and held to them there
//! (`ops::reference`). They are what every other mention is measured by.

use crate::Findings;
use crate::page::{Page, pages, rows};
use crate::program::Server;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The text between the marks of a generated part.
fn generated(page: &Page, name: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: made of src/ops -->"), format!("<!-- end of {name} -->"));
    let (_, rest) = page.text.split_once(&begin).unwrap_or_else(|| panic!("{} has no {begin}", page.name));
    rest.split_once(&end).unwrap().0.to_owned()
}

/// The first cells of a generated table, without their marks of code.
fn first_cells(page: &str, name: &str) -> BTreeSet<String> {
    let rows = rows(&generated(&Page::read(page), name));
    rows.into_iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

/// Every request of the backend port that the server says it has: `GET /v1/groups/{group}`.
fn requests(server: &Server) -> BTreeSet<String> {
    let openapi = server.openapi();
    let paths = openapi["paths"].as_object().unwrap().iter();
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys().filter(|name| *name != "parameters").cloned();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.flat_map(of).collect()
}

/// Whether a request that is written somewhere is one of `requests`: `GET /v1/groups/red` is `GET /v1/groups/{group}`.
fn is_one_of(request: &str, requests: &BTreeSet<String>) -> bool {
    let split = |request: &str| request.split(['/', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let parts = split(request);
    requests.iter().any(|known| {
        let known = split(known);
        let same =
            |(known, part): (&String, &String)| known == part || known.starts_with('{') && !part.is_empty();
        known.len() == parts.len() && known.iter().zip(&parts).all(same)
    })
}

#[test]
fn every_route_stands_in_the_documents_and_every_route_there_exists() {
    let (server, mut findings) = (Server::start("routes"), Findings::default());
    let requests = requests(&server);
    let listed = first_cells("docs/http-api.md", "requests");
    for request in requests.symmetric_difference(&listed) {
        let how =
            "run GANNET_WRITE_REFERENCE=1 cargo test --lib ops::reference, and describe it above the table";
        findings.add(
            "docs/http-api.md",
            format!("the table \"All requests\" and the server differ in {request}: {how}"),
        );
    }
    // Of the client port, docs/protocol.md. HEAD is taken wherever GET is.
    let mut all = requests;
    let of_players = [
        "GET /ws",
        "GET /ws/{app}",
        "GET /echo",
        "GET /sse",
        "GET /sse/{app}",
        "GET /poll",
        "GET /poll/{app}",
        "POST /send",
        "DELETE /session",
    ];
    all.extend(of_players.map(str::to_owned));
    let heads: Vec<String> =
        all.iter().filter_map(|known| Some(format!("HEAD {}", known.strip_prefix("GET ")?))).collect();
    all.extend(heads);
    let has_body = Regex::new(r" (?:-d|--data-binary|--data) ").unwrap();
    let method_of_curl = Regex::new(r" -X ([A-Z]+)").unwrap();
    for page in pages() {
        for (place, groups) in page.find(r"\b(GET|HEAD|POST|PUT|DELETE|PATCH) (/[^\s`?|,;:()]*)") {
            let path = groups[1].trim_end_matches('.');
            // Templates of requests to other servers, in docs/bench.md.
            if !path.starts_with("/pub/") && !is_one_of(&format!("{} {path}", groups[0]), &all) {
                findings.add(place, format!("there is no request {} {path}: correct it", groups[0]));
            }
        }
        for (place, groups) in
            page.find(r"(?m)^(.*\bcurl\b.*?(?:127\.0\.0\.1:9001|localhost)(/[^\s'\x22?]*).*)$")
        {
            let is_post = has_body.is_match(&groups[0]);
            let named = method_of_curl.captures(&groups[0]).map(|found| found[1].to_owned());
            let method = named.unwrap_or_else(|| if is_post { "POST" } else { "GET" }.to_owned());
            let request = format!("{method} {}", groups[1]);
            if !is_one_of(&request, &all) {
                findings.add(place, format!("there is no request {request}: correct the command"));
            }
        }
        for (place, groups) in page.find(r"`(/(?:v1|ws|echo|healthz|readyz|metrics)[^`\s?]*)") {
            let is_path = ["GET", "POST", "PUT", "DELETE"]
                .iter()
                .any(|method| is_one_of(&format!("{method} {}", groups[0]), &all));
            // `/v1/admin` stands for all that begins so.
            let is_folder = all.iter().any(|known| known.contains(&format!(" {}/", groups[0])));
            if !is_path && !is_folder {
                findings.add(place, format!("there is no path {}: correct it", groups[0]));
            }
        }
    }
    findings.none();
}

#[test]
fn every_operation_stands_in_the_documents_and_every_operation_there_exists() {
    let (server, mut findings) = (Server::start("operations"), Findings::default());
    let ops = first_cells("docs/link.md", "fields");
    let openapi = server.openapi();
    let schemas = openapi["components"]["schemas"].as_object().unwrap().values();
    let served = schemas.filter_map(|schema| schema["properties"]["op"]["const"].as_str());
    for op in served.filter(|op| !ops.contains(*op)) {
        findings.add("docs/link.md", format!("the table \"Commands\" has no op {op}: run GANNET_WRITE_REFERENCE=1 cargo test --lib ops::reference"));
    }
    let mut shown = BTreeSet::new();
    for page in pages() {
        for (place, groups) in page.find(r#""op": ?"([^"]+)""#) {
            if !ops.contains(&groups[0]) {
                findings.add(place, format!("there is no op {}: correct it", groups[0]));
            }
            shown.insert(groups.concat());
        }
    }
    for op in ops.difference(&shown) {
        findings
            .add("docs/link.md", format!("add an example of the op {op} to the block under \"## Commands\""));
    }
    findings.none();
}

/// The codes of errors, each with every status that may come with it.
fn errors() -> BTreeMap<String, BTreeSet<String>> {
    let rows = rows(&generated(&Page::read("docs/http-api.md"), "errors"));
    let of = |row: Vec<String>| {
        let further = row[2].split(", ").filter(|status| !status.is_empty()).map(str::to_owned);
        (row[0].trim_matches('`').to_owned(), further.chain([row[1].clone()]).collect())
    };
    rows.into_iter().map(of).collect()
}

#[test]
fn every_code_of_an_error_in_the_documents_exists_with_its_status() {
    let (errors, mut findings) = (errors(), Findings::default());
    let on_links: BTreeSet<String> = rows(&generated(&Page::read("docs/link.md"), "codes"))
        .into_iter()
        .map(|row| row[1].trim_matches('`').to_owned())
        .collect();
    for code in errors.keys().collect::<BTreeSet<_>>().symmetric_difference(&on_links.iter().collect()) {
        findings.add("docs", format!("http-api.md and link.md differ in {code}: run GANNET_WRITE_REFERENCE=1 cargo test --lib ops::reference"));
    }
    for page in pages() {
        for (place, groups) in page.find(r"\b([1-5]\d\d) `([a-z_]+)`") {
            match errors.get(&groups[1]) {
                None => findings.add(place, format!("there is no code of errors {}: correct it", groups[1])),
                Some(statuses) if !statuses.contains(&groups[0]) => {
                    findings.add(
                        place,
                        format!("{} comes with {statuses:?}, not with {}: correct it", groups[1], groups[0]),
                    );
                }
                Some(_) => {}
            }
        }
        for (place, groups) in page.find(r#""error": ?\{"code": ?"([a-z_]+)""#) {
            if !errors.contains_key(&groups[0]) {
                findings.add(place, format!("there is no code of errors {}: correct it", groups[0]));
            }
        }
    }
    findings.none();
}

#[test]
fn every_close_code_stands_in_the_documents_and_every_code_there_exists() {
    let (server, mut findings) = (Server::start("closes"), Findings::default());
    let families = server.families();
    let counted = families["gannet_closed_total"].labels["code"].iter().filter(|code| *code != "other");
    let counted: BTreeSet<String> = counted.cloned().collect();
    let protocol = Page::read("docs/protocol.md");
    let table = rows(protocol.section("## Close codes").unwrap());
    let listed: BTreeSet<String> =
        table.iter().flat_map(|row| row[0].split(", ").map(str::to_owned)).collect();
    for code in counted.difference(&listed) {
        let how = "add a row: what it means from the server, and what a client should do";
        findings.add("docs/protocol.md, \"## Close codes\"", format!("{code} is missing: {how}"));
    }
    for code in listed.difference(&counted) {
        findings.add(
            "docs/protocol.md, \"## Close codes\"",
            format!("gannet closes with no {code}: remove its row"),
        );
    }
    // A backend, or a program that embeds the server, may close with any code that an application may send.
    let is_chosen = |code: &str| code.parse().is_ok_and(|code: u16| (3000..4000).contains(&code));
    for page in pages() {
        for (place, groups) in page.find(r"(?i)\b(?:closed?s?|closed with|close code|codes?|with)[ =:]*`?(1\d{3}|[34]\d{3})\b(?:[,.](?:\D|$)|[^,.\d%×µ]|$)") {
            if !counted.contains(&groups[0]) && !is_chosen(&groups[0]) {
                findings.add(place, format!("gannet closes with no {}: correct it", groups[0]));
            }
        }
    }
    findings.none();
}
