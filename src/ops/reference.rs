//! The tables of the reference, made of the rows. To write them anew into docs/:
//! `GANNET_WRITE_REFERENCE=1 cargo test --lib ops::reference`.

use super::field::{Field, Need};
use super::{Needs, OPS, Op, openapi, rows};
use crate::dispatch::ERRORS;
use std::fs;
use std::path::PathBuf;

#[test]
fn the_reference_of_http_is_that_of_the_rows() {
    check("http-api.md", &[("requests", requests()), ("errors", errors())]);
}

#[test]
fn the_reference_of_the_link_is_that_of_the_rows() {
    check("link.md", &[("fields", fields()), ("order", order()), ("layout", layout()), ("codes", codes())]);
}

#[test]
fn the_openapi_document_in_docs_is_the_one_that_is_served() {
    let (path, served) = (document("openapi.json"), openapi::document());
    if writes() {
        fs::write(&path, served).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == served, "{}", how_to_write());
}

fn document(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn writes() -> bool {
    std::env::var_os("GANNET_WRITE_REFERENCE").is_some()
}

fn how_to_write() -> &'static str {
    "docs/ is behind the rows: run GANNET_WRITE_REFERENCE=1 cargo test --lib ops::reference"
}

/// Each section of a document stands between two marks.
fn check(name: &str, sections: &[(&str, String)]) {
    let path = document(name);
    let text = fs::read_to_string(&path).unwrap();
    let mut right = text.clone();
    for (section, table) in sections {
        let (begin, end) =
            (format!("<!-- {section}: made of src/ops -->\n"), format!("<!-- end of {section} -->"));
        let start = right.find(&begin).unwrap_or_else(|| panic!("{name} has no {begin}")) + begin.len();
        let length = right[start..].find(&end).unwrap_or_else(|| panic!("{name} has no {end}"));
        right.replace_range(start..start + length, &format!("\n{table}\n"));
    }
    if writes() {
        fs::write(&path, &right).unwrap();
    }
    assert!(right == fs::read_to_string(&path).unwrap(), "{}", how_to_write());
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") })
            .collect();
        text.push_str(&format!("|{}|\n", cells.join("|")));
    }
    text
}

fn listed(fields: &[Field]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (need, between, before) in [
        (Need::Required, ", ", ""),
        (Need::ExactlyOne, " or ", ""),
        (Need::AtLeastOne, ", ", "any of "),
        (Need::AtMostOne, ", ", "at most one of "),
        (Need::Optional, ", ", "optional: "),
    ] {
        let names = fields.iter().filter(|field| field.need == need).map(|field| match field.is_list {
            true => format!("`{}`…", field.name),
            false => format!("`{}`", field.name),
        });
        let names: Vec<String> = names.collect();
        if !names.is_empty() {
            parts.push(format!("{before}{}", names.join(between)));
        }
    }
    parts.join("; ")
}

fn needs(needs: Needs) -> String {
    match needs {
        Needs::Nothing => "none".to_owned(),
        Needs::Key => "any".to_owned(),
        Needs::Right(right) => format!("`{}`", right.as_str()),
    }
}

fn requests() -> String {
    let requests = rows().flat_map(|row| row.routes.iter().map(move |route| (row, route)));
    let requests = requests.map(|(row, route)| {
        vec![
            format!("`{route}`"),
            listed(&row.query(route).copied().collect::<Vec<_>>()),
            needs(row.needs),
            row.about.to_owned(),
        ]
    });
    table(&["request", "parameters", "key", "does"], requests)
}

fn errors() -> String {
    let retry = |seconds: Option<u16>| seconds.map_or(String::new(), |seconds| format!("{seconds} s"));
    let rows = ERRORS.iter().map(|row| {
        let further: Vec<String> = row.further.iter().map(|(status, _)| status.to_string()).collect();
        vec![format!("`{}`", row.name), row.status.to_string(), further.join(", "), retry(row.retry_after_s)]
    });
    table(&["`code`", "status", "also with", "`Retry-After`"], rows)
}

fn codes() -> String {
    let rows = ERRORS
        .iter()
        .map(|row| vec![row.number.to_string(), format!("`{}`", row.name), row.close.to_string()]);
    table(&["number", "`code`", "a connection that ends for it is closed with"], rows)
}

fn fields() -> String {
    let row = |op: &Op| {
        vec![format!("`{}`", op.row.name), listed(op.fields), needs(op.row.needs), op.row.about.to_owned()]
    };
    table(&["op", "fields", "key", "does"], OPS.iter().map(row))
}

fn order() -> String {
    let named = |is_barrier| {
        let ops = OPS.iter().filter(move |op| op.row.is_barrier == is_barrier);
        ops.map(|op| format!("`{}`", op.row.name)).collect::<Vec<_>>().join(", ")
    };
    let rows = [
        vec![named(false), "at once".to_owned()],
        vec![
            format!("all others, which change something: {}", named(true)),
            "when it is done on every reactor".to_owned(),
        ],
    ];
    table(&["command", "the next one starts"], rows)
}

fn layout() -> String {
    let row = |op: &Op| {
        let parts = op.layout.iter().map(|part| part.words());
        // One may be a flag alone.
        let parts: Vec<String> = parts.filter(|words| !words.is_empty()).collect();
        vec![
            format!("{:#04x}", op.opcode),
            op.row.name.to_owned(),
            op.flags.words.to_owned(),
            parts.join(" · "),
        ]
    };
    table(&["opcode", "command", "flags", "fields, in this order"], OPS.iter().map(row))
}
