//! The command line: docs/cli.md has every command and flag, and every command that a document shows could be typed.

use crate::Findings;
use crate::page::{Page, Piece, pages, root};
use crate::program::{Leaf, leaves};
use regex::Regex;
use std::collections::BTreeMap;
use std::fs;

const CLI: &str = "docs/cli.md";

const HOW_TO_WRITE: &str = "run GANNET_WRITE_REFERENCE=1 cargo test --all-features --test docs, \
     then read the section: does its text still say when to use the command, with an example?";

type Leaves = BTreeMap<Vec<String>, Leaf>;

/// What stands between the two marks of a command's section.
fn reference(leaf: &Leaf) -> String {
    let end = if leaf.about.ends_with(['.', '?']) { "" } else { "." };
    let mut text = format!("\n{}{end}\n\n", escaped(&leaf.about));
    if leaf.arguments.is_empty() {
        return text + "It has no arguments.\n\n";
    }
    text += "| argument | is |\n| --- | --- |\n";
    for argument in &leaf.arguments {
        text += &format!("| `{}` | {} |\n", argument.form, escaped(&argument.about));
    }
    text + "\n"
}

/// The text with what Markdown would take for marks of its own as code.
fn escaped(text: &str) -> String {
    let text = text.replace("***", "`***`").replace('|', "\\|");
    Regex::new(r"<[^>]+>").unwrap().replace_all(&text, "`$0`").into_owned()
}

#[test]
fn the_page_of_the_command_line_has_every_command_and_flag() {
    let (leaves, mut page, mut findings) = (leaves(), Page::read(CLI), Findings::default());
    for (path, leaf) in &leaves {
        let name = format!("gannet {}", path.join(" "));
        let marks = (format!("<!-- {name}: made of --help -->\n"), format!("<!-- end of {name} -->"));
        let start = page.text.find(&marks.0).map(|start| start + marks.0.len());
        let length = start.and_then(|start| page.text[start..].find(&marks.1));
        let (Some(start), Some(length), Some(_)) = (start, length, page.section(&format!("## `{name}`")))
        else {
            let what = "add a section \"## `{name}`\" with the lines";
            findings.add(
                CLI,
                format!("{}\n{}{}\nand {HOW_TO_WRITE}", what.replace("{name}", &name), marks.0, marks.1),
            );
            continue;
        };
        let (range, right) = (start..start + length, reference(leaf));
        if page.text[range.clone()] == right {
            continue;
        }
        let differs = |left: &str, right: &str| {
            let left: Vec<&str> = left.lines().collect();
            right
                .lines()
                .filter(|line| !left.contains(line))
                .map(|line| format!("    {line}\n"))
                .collect::<String>()
        };
        let (missing, wrong) =
            (differs(&page.text[range.clone()], &right), differs(&right, &page.text[range.clone()]));
        if std::env::var_os("GANNET_WRITE_REFERENCE").is_some() {
            page.text.replace_range(range, &right);
            fs::write(root().join(CLI), &page.text).unwrap();
        } else {
            findings
                .add(CLI, format!("{name}: missing\n{missing}  not in its --help\n{wrong}  {HOW_TO_WRITE}"));
        }
    }
    for (place, groups) in page.find("(?m)^## `gannet ([^`]+)`$") {
        let path: Vec<String> = groups[0].split(' ').map(str::to_owned).collect();
        if !leaves.contains_key(&path) {
            findings.add(place, format!("there is no command gannet {}: remove its section", groups[0]));
        }
    }
    findings.none();
}

/// The simple commands of a piece of shell, as words. What is quoted is one word.
fn simple_commands(shell: &str) -> Vec<Vec<String>> {
    let joined = Regex::new(r"\\\n\s*").unwrap().replace_all(shell, " ").into_owned();
    let bare = Regex::new(r#"'[^']*'|"[^"]*""#).unwrap().replace_all(&joined, "QUOTED").into_owned();
    let bare = Regex::new(r"(?m)(^|\s)#.*$").unwrap().replace_all(&bare, "").into_owned();
    let ends = Regex::new(r"\n|\|\|?|;|&&?|\$\(|<\(|\)").unwrap();
    let words = |command: &str| {
        let words = command.split([' ', '[', ']']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    ends.split(&bare).map(words).filter(|words| !words.is_empty()).collect()
}

/// What is wrong with the words behind `gannet`.
fn wrong(words: &[String], leaves: &Leaves) -> Option<String> {
    let mut path: Vec<String> = Vec::new();
    let mut words = words.iter();
    while !leaves.contains_key(&path) {
        let word = words.next().filter(|word| !word.starts_with(['-', '…']))?;
        path.push(word.clone());
        if !leaves.keys().any(|leaf| leaf.starts_with(&path)) {
            return Some(format!("there is no command gannet {}", path.join(" ")));
        }
    }
    let flags = leaves[&path].flags();
    // `--flag=value`; `--` ends them; `-` is standard input.
    let named = words.take_while(|word| *word != "--").filter(|word| word.starts_with('-') && word.len() > 1);
    let unknown = named.map(|word| word.split('=').next().unwrap()).find(|flag| !flags.contains_key(flag))?;
    Some(format!("gannet {} has no flag {unknown}", path.join(" ")))
}

/// The same for a script of the repository or for cargo.
fn wrong_of_another(words: &[String]) -> Option<String> {
    let program = words.first()?.trim_start_matches("./");
    if program == "cargo" {
        let files = [("--example", "examples"), ("--bench", "benches"), ("--test", "tests")];
        return words.windows(2).find_map(|pair| {
            let (_, folder) = files.iter().find(|(flag, _)| *flag == pair[0])?;
            let name = format!("{folder}/{}", pair[1]);
            let exists =
                root().join(format!("{name}.rs")).exists() || root().join(&name).join("main.rs").exists();
            (!exists).then(|| format!("there is no {name}"))
        });
    }
    if !["benches/", "tests/", "fuzz/"].iter().any(|folder| program.starts_with(folder)) {
        return None;
    }
    if root().join(program).is_dir() {
        return None;
    }
    let Ok(script) = fs::read_to_string(root().join(program)) else {
        return Some(format!("there is no {program}"));
    };
    let unknown = words[1..].iter().find(|word| word.starts_with("--") && !script.contains(word.as_str()))?;
    Some(format!("{program} has no flag {unknown}"))
}

/// What of a page may be typed: blocks of shell, units of systemd, code in the text.
fn typed(page: &Page) -> Vec<Piece> {
    let blocks = page.blocks().into_iter().filter(|block| matches!(block.language.as_str(), "sh" | "ini"));
    blocks.chain(page.spans()).collect()
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let (leaves, mut findings) = (leaves(), Findings::default());
    let starts = |word: &str| leaves.keys().any(|leaf| leaf[0] == word);
    for page in pages() {
        for piece in typed(&page) {
            for words in simple_commands(&piece.text) {
                let is_gannet = |word: &str| word == "gannet" || word.ends_with("/gannet");
                // `_RJEM_MALLOC_CONF=… gannet serve`, `systemd-socket-activate -l … gannet serve`, `cargo run … -- serve`.
                let behind = (1..words.len()).find(|&at| {
                    let is_run = words[0] == "cargo"
                        && words[at - 1] == "--"
                        && !words.iter().any(|word| word == "--example");
                    is_run || is_gannet(&words[at - 1]) && (at == 1 || starts(&words[at]))
                });
                let wrong =
                    behind.and_then(|at| wrong(&words[at..], &leaves)).or_else(|| wrong_of_another(&words));
                if let Some(wrong) = wrong {
                    findings.add(&piece.place, format!("{wrong}: correct {:?}", words.join(" ")));
                }
            }
        }
    }
    findings.none();
}

#[test]
fn every_flag_that_is_named_alone_is_one_of_some_command() {
    let (leaves, mut findings) = (leaves(), Findings::default());
    let scripts =
        ["benches/run", "benches/agree", "benches/cluster/main.rs", "docs/site/build.py", "tests/run"]
            .map(|name| fs::read_to_string(root().join(name)).unwrap());
    for page in pages() {
        for piece in page.spans().into_iter().filter(|piece| piece.text.starts_with("--")) {
            let flag = piece.text.split([' ', '=']).next().unwrap();
            let is_ours = leaves.values().any(|leaf| leaf.flags().contains_key(flag));
            let is_of_scripts = scripts.iter().any(|script| script.contains(flag));
            if !is_ours && !is_of_scripts && flag != "--version" {
                findings.add(&piece.place, format!("no command has a flag {flag}: correct it"));
            }
        }
    }
    findings.none();
}
