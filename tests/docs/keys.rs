//! Keys and variables of the configuration. That docs/configuration.md has a row for each key is a test of
//! `config::reference_tests`; here is what all pages say of keys.

use crate::Findings;
use crate::page::{Page, pages, root};
use crate::program::prints;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// Where a path has the name of an app, or another name that an operator chooses.
const ANY: &str = "*";

/// The paths of all keys and tables, as the schema of the file has them: `limits.max_page`, `apps.*.secrets`.
fn known() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(&prints(&["config", "schema"])).unwrap();
    let mut known = BTreeSet::new();
    collect(&schema, "", &mut known);
    assert!(known.contains("limits.max_page") && known.contains("apps.*.secrets"), "{known:?}");
    known
}

fn collect(schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    if !path.is_empty() {
        known.insert(path.to_owned());
    }
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        collect(child, &at(name), known);
    }
    if schema["additionalProperties"].is_object() {
        collect(&schema["additionalProperties"], &at(ANY), known);
    }
    // A key of an entry of an array stands behind the array's: `backend.keys.name`.
    collect_parts(schema, path, known);
}

fn collect_parts(schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    for choice in
        ["anyOf", "oneOf", "allOf"].iter().flat_map(|of| schema[of].as_array().into_iter().flatten())
    {
        collect(choice, path, known);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], path, known);
    }
}

/// Whether a path names a key or a table, with the names of apps as they may be.
fn is_known(path: &str, known: &BTreeSet<String>) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    known.iter().any(|key| {
        let key: Vec<&str> = key.split('.').collect();
        key.len() == parts.len() && key.iter().zip(&parts).all(|(key, part)| *key == ANY || key == part)
    })
}

/// Every path of a piece of TOML.
fn paths(value: &toml::Value, path: &str, all: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, child) in table {
                // A name with a point in it cannot be told from two: apps are named without.
                let below =
                    if path.is_empty() { name.clone() } else { format!("{path}.{}", name.replace('.', "_")) };
                paths(child, &below, all);
                all.push(below);
            }
        }
        toml::Value::Array(entries) => entries.iter().for_each(|entry| paths(entry, path, all)),
        _ => {}
    }
}

#[test]
fn every_key_that_a_document_names_exists() {
    let (known, mut findings) = (known(), Findings::default());
    for page in pages() {
        let named = page.find(r"`\[([a-z]+)\](?: ([a-z_]+))?[^`\n]*`");
        for (place, groups) in named {
            let path = groups.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(".");
            if !is_known(&path, &known) {
                findings.add(place, format!("there is no key {path} in the configuration: correct it"));
            }
        }
        for (place, groups) in page.find(r"`([a-z]+)\.([a-z_.A-Z]+)(?: = [^`]*)?`") {
            // `backend.key` is a key and a file; `backend.sock` is a file.
            let is_file = ["sock", "pem", "toml", "log"].contains(&groups[1].as_str());
            if known.contains(&groups[0]) && !is_file && !is_known(&groups.join("."), &known) {
                findings.add(
                    place,
                    format!("there is no key {} in the configuration: correct it", groups.join(".")),
                );
            }
        }
        // What is TOML there is of a Cargo.toml.
        let is_of_cargo = page.name == "docs/library.md";
        for block in page.blocks().into_iter().filter(|block| block.language == "toml" && !is_of_cargo) {
            let table: toml::Table = match toml::from_str(&block.text) {
                Ok(table) => table,
                Err(error) => {
                    findings.add(block.place, format!("this is no TOML: {error}"));
                    continue;
                }
            };
            let mut all = Vec::new();
            paths(&toml::Value::Table(table), "", &mut all);
            for path in all.iter().filter(|path| !is_known(path, &known)) {
                findings
                    .add(&block.place, format!("there is no key {path} in the configuration: correct it"));
            }
        }
    }
    findings.none();
}

/// The variables that the program reads beside those of the keys: the constants of src/cli.
fn variables_of_commands() -> BTreeSet<String> {
    let (mut variables, mut folders) = (BTreeSet::new(), vec![root().join("src/cli")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let found = Page::read(&name).find(r#"const \w+: &str = "(GANNET_[A-Z_]+)";"#);
            variables.extend(found.into_iter().map(|(_, groups)| groups.concat()));
        }
    }
    assert!(variables.contains("GANNET_KEY"), "{variables:?}");
    variables
}

#[test]
fn every_variable_of_the_commands_stands_in_the_reference() {
    let reference = Page::read("docs/cli.md").text;
    let mut findings = Findings::default();
    for variable in variables_of_commands() {
        if !reference.contains(&format!("| `{variable}` |")) {
            findings.add(
                "docs/cli.md",
                format!("add a row for {variable} to the table under \"## Environment variables\""),
            );
        }
    }
    findings.none();
}

#[test]
fn every_variable_that_a_document_names_exists() {
    /// Variables that are no keys, each with why a document names it.
    const OTHERS: [(&str, &str); 3] = [
        ("GANNET_PORT", "set by Kubernetes, and passed over"),
        ("GANNET_LIMITS_MAX_PAGE", "the mistake in an example of an error"),
        ("GANNET_WRITE_REFERENCE", "for contributors: writes the generated parts of the documents"),
    ];
    let mut findings = Findings::default();
    let mut variables = variables_of_commands();
    variables.extend(OTHERS.map(|(name, _)| name.to_owned()));
    let known = known();
    for page in pages() {
        for (place, groups) in page.find(r"\b(GANNET_[A-Z0-9_]*[A-Z0-9])") {
            let path = groups[0]["GANNET_".len()..].to_lowercase().replace("__", ".");
            if !variables.contains(&groups[0]) && !is_known(&path, &known) {
                findings.add(place, format!("{} is the variable of no key: correct it", groups[0]));
            }
        }
    }
    findings.none();
}
