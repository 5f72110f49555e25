//! Answers as people read them: tables and lines, of JSON that is not known any further.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON object in the order in which it was written.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

impl Object {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// Columns as wide as their widest cell, two spaces apart.
pub fn table(f: &mut dyn fmt::Write, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> fmt::Result {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// What a server answers, for people: a line for each value, and a table for each list of objects. `None`: it is no object.
pub fn laid_out(answer: &str) -> Option<String> {
    let Object(answer) = serde_json::from_str(answer).ok()?;
    let (mut tables, mut lines) = (String::new(), String::new());
    for (name, value) in &answer {
        match serde_json::from_str::<Vec<Object>>(value.get()) {
            Ok(objects) if objects.is_empty() => tables.push_str(&format!("no {name}\n")),
            Ok(objects) => table_of(&mut tables, &objects),
            Err(_) if value.get() == "null" => {}
            Err(_) => lines.push_str(&format!("{name}: {}\n", cell(Some(value)))),
        }
    }
    Some(tables + &lines)
}

/// A column for each name that one of the objects has.
fn table_of(text: &mut String, objects: &[Object]) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in objects.iter().flat_map(|object| &object.0) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let head: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let row = |object: &Object| names.iter().map(|name| cell(object.get(name))).collect();
    // A string takes everything.
    let _ = table(text, &head, objects.iter().map(row));
}

/// A value in one line.
fn cell(value: Option<&RawValue>) -> String {
    match value.map_or(Ok(Value::Null), |value| serde_json::from_str(value.get())) {
        Ok(Value::Null) => "-".to_owned(),
        Ok(Value::String(text)) => printable(&text),
        Ok(Value::Array(list)) if list.iter().all(Value::is_string) => {
            let texts: Vec<String> = list.iter().filter_map(Value::as_str).map(printable).collect();
            texts.join(",")
        }
        Ok(other) => other.to_string(),
        // What a parser has taken once it takes again.
        Err(error) => error.to_string(),
    }
}

/// `text` with its control characters escaped, and those that turn the direction of a line: what a player chose must not
/// reach the terminal as a command.
pub fn printable(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = |c: char| match c.is_control() || turns(c) {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_tables_and_values_are_lines() {
        let answer = r#"{"count":2,"sessions":[{"session":"0a","user":"ada","groups":["g","h"],"queued":0},
            {"session":"0b","user":null,"groups":[],"queued":12,"away":true}],"next":null}"#;
        assert_eq!(
            laid_out(answer).unwrap(),
            "SESSION  USER  GROUPS  QUEUED  AWAY\n\
             0a       ada   g,h     0       -\n\
             0b       -             12      true\n\
             count: 2\n"
        );
        assert_eq!(laid_out(r#"{"users":[],"next":null}"#).unwrap(), "no users\n");
        assert_eq!(laid_out(r#"{"users":[{"user":"a"}],"next":"a"}"#).unwrap(), "USER\na\nnext: a\n");
        for other in ["[]", "7", "{", ""] {
            assert_eq!(laid_out(other), None, "{other}");
        }
    }

    #[test]
    fn no_name_commands_the_terminal() {
        let text = laid_out(r#"{"reason":"\u001b[2Jhi\n"}"#).unwrap();
        assert_eq!(text, "reason: \\u{1b}[2Jhi\\n\n");
    }
}
