//! The metrics: docs/operations.md has each family with its type, its labels and their values.

use crate::Findings;
use crate::page::{Page, code, pages, rows};
use crate::program::{Family, Server};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

const OPERATIONS: &str = "docs/operations.md";

/// Labels whose values are not a fixed set of words that the table could list; `le` is Prometheus's own.
const OPEN: [&str; 6] = ["app", "le", "name", "reactor", "server", "version"];

/// A row's family: its labels, its type, and the code in its last cell.
type Row = (BTreeSet<String>, String, BTreeSet<String>);

/// The families of the table, each with its row.
fn listed() -> BTreeMap<String, Row> {
    let page = Page::read(OPERATIONS);
    let mut listed = BTreeMap::new();
    for row in rows(page.section("## Metrics").unwrap()) {
        let [families, kinds, about] = &row[..] else { panic!("a row with {} cells: {row:?}", row.len()) };
        let (names, kinds) = (code(families), kinds.split(", ").collect::<Vec<_>>());
        for (number, name) in names.iter().enumerate() {
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let kind = kinds.get(number).unwrap_or(&kinds[0]);
            let words = code(about).into_iter().map(str::to_owned).collect();
            listed.insert(name.to_owned(), (labels.map(str::to_owned).collect(), (*kind).to_owned(), words));
        }
    }
    listed
}

#[test]
fn the_table_has_every_family_with_its_type_and_labels() {
    let (families, listed) = (Server::start("families").families(), listed());
    let mut findings = Findings::default();
    for (name, family) in &families {
        let Some((labels, kind, _)) = listed.get(name) else {
            findings.add(
                OPERATIONS,
                format!("add a row for {name}, a {}, to the table under \"## Metrics\"", family.kind),
            );
            continue;
        };
        // Every family may have `reactor`; the text above the table says so.
        let is_told = |label: &&String| !matches!(label.as_str(), "le" | "reactor");
        let has: BTreeSet<String> = family.labels.keys().filter(is_told).cloned().collect();
        // A family without a sample, such as the age of a set that was never fetched, shows no label.
        let shows = !family.labels.is_empty() || !labels.is_empty() && name != "gannet_jwks_age_seconds";
        if shows && *labels != has {
            findings.add(OPERATIONS, format!("{name} has the labels {has:?}: its row says {labels:?}"));
        }
        if *kind != family.kind {
            findings.add(OPERATIONS, format!("{name} is a {}: its row says {kind}", family.kind));
        }
    }
    for name in listed.keys().filter(|name| !families.contains_key(*name)) {
        findings.add(OPERATIONS, format!("there is no metric {name}: remove its row"));
    }
    findings.none();
}

/// Where the values of the labels stand that have too many for a row.
fn words_beside(family: &str) -> BTreeSet<String> {
    let protocol = Page::read("docs/protocol.md");
    let words = |text: &str| -> BTreeSet<String> { code(text).into_iter().map(str::to_owned).collect() };
    match family {
        "gannet_refused_total" => {
            let reasons = words(protocol.section("## Refusals before the upgrade").unwrap());
            &reasons | &words(Page::read(OPERATIONS).section("## Three in the morning").unwrap())
        }
        "gannet_closed_total" => {
            let codes = rows(protocol.section("## Close codes").unwrap());
            codes.iter().flat_map(|row| row[0].split(", ").map(str::to_owned)).collect()
        }
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_value_of_a_label_is_explained() {
    let (families, listed) = (Server::start("values").families(), listed());
    let mut findings = Findings::default();
    for (name, family) in &families {
        let Some((_, _, words)) = listed.get(name) else { continue };
        let explained = words | &words_beside(name);
        for (label, values) in family.labels.iter().filter(|(label, _)| !OPEN.contains(&label.as_str())) {
            for value in values.difference(&explained) {
                let place = match name.as_str() {
                    "gannet_refused_total" => "docs/protocol.md, \"## Refusals before the upgrade\"",
                    "gannet_closed_total" => "docs/protocol.md, \"## Close codes\"",
                    _ => "docs/operations.md, \"## Metrics\"",
                };
                findings
                    .add(place, format!("{name}{{{label}=\"{value}\"}} is explained nowhere: add `{value}`"));
            }
        }
    }
    findings.none();
}

#[test]
fn every_series_that_a_document_names_exists() {
    let families = Server::start("series").families();
    let mut findings = Findings::default();
    let label = Regex::new(r#"(\w+)(?:=~?"([^"]*)")?"#).unwrap();
    let alerts = Page::read("contrib/prometheus/alerts.yml");
    for page in pages().into_iter().chain([alerts]) {
        for (place, groups) in page.find(r"\b((?:gannet|process)_[a-z_]+)\{([^}\n]*)\}") {
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| groups[0].strip_suffix(end));
            let name = name.filter(|name| families.contains_key(*name)).unwrap_or(&groups[0]);
            let Some(Family { labels, .. }) = families.get(name) else {
                findings.add(place, format!("there is no metric {name}: correct it"));
                continue;
            };
            // What Prometheus adds to every sample is no label of ours.
            for found in
                label.captures_iter(&groups[1]).filter(|found| !["job", "instance"].contains(&&found[1]))
            {
                let Some(values) = labels.get(&found[1]) else {
                    if name != "gannet_jwks_age_seconds" {
                        findings.add(&place, format!("{name} has no label {}: correct it", &found[1]));
                    }
                    continue;
                };
                // `reason=~"full|user"`.
                let named = found.get(2).map_or("", |values| values.as_str()).split('|');
                let is_open = OPEN.contains(&&found[1]) && &found[1] != "name";
                for value in named.filter(|value| !value.is_empty() && !is_open && !values.contains(*value)) {
                    findings.add(&place, format!("{name} has no {}=\"{value}\": correct it", &found[1]));
                }
            }
        }
    }
    findings.none();
}

/// Every expression of the dashboard: those of its panels, its notes and its variables.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "expr" || name == "query") {
                    Some(expression) => found.push(expression.to_owned()),
                    None => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_and_labels_that_are_there() {
    const DASHBOARD: &str = "contrib/grafana/gannet.json";
    let (families, mut findings, mut asked) =
        (Server::start("dashboard").families(), Findings::default(), Vec::new());
    expressions(&serde_json::from_str(&Page::read(DASHBOARD).text).unwrap(), &mut asked);
    assert!(asked.len() > 30, "the dashboard is gone");
    let alerts = Page::read("contrib/prometheus/alerts.yml").text;
    let texts = asked.iter().map(|text| (DASHBOARD, text.as_str())).chain([("alerts.yml", alerts.as_str())]);
    let name = Regex::new(r#"\b((?:gannet|process)_[a-z_]+)(?:\{([^}]*)\})?"#).unwrap();
    let of_prometheus = ["job", "instance"];
    for (place, text) in texts {
        for found in name.captures_iter(text) {
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| found[1].strip_suffix(end)).unwrap_or("");
            let Some(family) = families.get(base).or_else(|| families.get(&found[1])) else {
                findings.add(place, format!("there is no metric {}: {text}", &found[1]));
                continue;
            };
            let labels = found.get(2).map_or("", |labels| labels.as_str()).split(',');
            for label in labels.filter_map(|label| label.split_once('=')).map(|(label, _)| label.trim()) {
                if !of_prometheus.contains(&label) && !family.labels.contains_key(label) {
                    findings.add(place, format!("{} has no label {label}: {text}", &found[1]));
                }
            }
        }
    }
    findings.none();
}
