//! Holds the tables of docs/configuration.md to the defaults: every key has a row under its heading, with its default.

use std::fs;

use serde_json::{Value, json};

use super::Config;

/// A row of a table: the path of its key, and its default where the table has such a column.
type Row = (String, Option<String>);

fn rows_of(document: &str) -> Vec<Row> {
    let (mut rows, mut prefix, mut default_column, mut of_keys) = (Vec::new(), String::new(), None, false);
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let table = heading.strip_prefix("`[").and_then(|rest| rest.split_once(']'));
            prefix = table.map_or(String::new(), |(table, _)| table.replace("NAME", "default") + ".");
        }
        let Some(cells) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            of_keys = false;
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        if cells[0] == "key" {
            default_column = cells.iter().position(|cell| *cell == "default");
            of_keys = true;
        } else if of_keys && cells[0].starts_with('`') {
            let keys: Vec<&str> = cells[0].split(", ").map(|key| key.trim_matches('`')).collect();
            let shown = default_column.map(|column| cells[column]);
            for (number, key) in keys.iter().enumerate() {
                // `a`, `b` | 1, 2: a default each; `a`, `b` | none: one for both.
                let split = shown.filter(|shown| keys.len() > 1 && shown.contains(", "));
                let one = split.map_or(shown, |all| all.split(", ").nth(number));
                rows.push((format!("{prefix}{key}"), one.map(str::to_owned)));
            }
        }
    }
    rows
}

/// What a cell of the column `default` says.
fn value_of(cell: &str) -> Value {
    if let Some(literal) = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        let table: Result<toml::Table, _> = toml::from_str(&format!("value = {literal}"));
        return match table {
            Ok(table) => json!(table["value"]),
            Err(_) => literal.into(),
        };
    }
    let (digits, unit) = match cell.split_once(' ') {
        Some((digits, "KiB")) => (digits, 1 << 10),
        Some((digits, "MiB")) => (digits, 1 << 20),
        Some((digits, "GiB")) => (digits, 1 << 30),
        _ => (cell, 1),
    };
    match digits.replace(',', "").parse::<u64>() {
        Ok(number) => (number * unit).into(),
        Err(_) if cell == "off" => json!({ "per_second": 0, "burst": 0 }),
        Err(_) => Value::Null,
    }
}

/// The paths of all keys of the default configuration, those of tables among them.
fn paths_of(value: &Value, prefix: &str, paths: &mut Vec<String>) {
    for (name, child) in value.as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        paths_of(child, &format!("{path}."), paths);
        paths.push(path);
    }
}

#[test]
fn the_reference_has_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let rows = rows_of(&fs::read_to_string(path).unwrap());
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for (key, shown) in &rows {
        let default = key.split('.').try_fold(&defaults, |value, name| value.get(name));
        let default = default.unwrap_or_else(|| panic!("docs/configuration.md: there is no key {key}"));
        let shown = shown.as_deref().unwrap_or_else(|| panic!("the table of {key} has no column `default`"));
        assert_eq!(&value_of(shown), default, "docs/configuration.md says that {key} is {shown:?}");
    }
    let mut paths = Vec::new();
    paths_of(&defaults, "", &mut paths);
    let is_at_or_below = |path: &str, key: &str| {
        path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for path in paths {
        let has_row = rows.iter().any(|(key, _)| is_at_or_below(&path, key) || is_at_or_below(key, &path));
        assert!(has_row, "docs/configuration.md has no row for {path}");
    }
}
