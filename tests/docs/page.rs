//! A page of the documents: its lines, blocks of code, code in the text, headings, tables.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A page.
pub struct Page {
    /// Its path from the root of the repository on.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A piece of a page and where it stands.
pub struct Piece {
    /// `docs/operations.md:12`.
    pub place: String,
    /// For a block of code, the word behind its fence.
    pub language: String,
    pub text: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages that say what is so: the README and docs/. The changelog says what was so too.
pub fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names.into_iter().map(|name| Page::read(&name)).collect()
}

impl Page {
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    fn piece(&self, line: usize, language: &str, text: String) -> Piece {
        Piece { place: format!("{}:{line}", self.name), language: language.to_owned(), text }
    }

    /// The blocks of code between fences.
    pub fn blocks(&self) -> Vec<Piece> {
        let (mut blocks, mut open): (Vec<Piece>, Option<Piece>) = (Vec::new(), None);
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => open = Some(self.piece(number + 2, language, String::new())),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{} ends inside a block of code", self.name);
        blocks
    }

    /// The page with an empty line in the place of each line of a block of code.
    pub fn prose(&self) -> String {
        let mut is_code = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            prose += if is_code || is_fence { "" } else { line };
            prose.push('\n');
        }
        prose
    }

    /// The code in the text, `such as this`, without its marks.
    pub fn spans(&self) -> Vec<Piece> {
        let prose = self.prose();
        let spans = Regex::new("`([^`]+)`").unwrap();
        let spans = spans.captures_iter(&prose).map(|found| {
            let code = found.get(1).unwrap();
            self.piece(line_of(&prose, code.start()), "", code.as_str().replace('\n', " "))
        });
        spans.collect()
    }

    /// Every match of a pattern in the whole page: its place, and its groups from the first on.
    pub fn find(&self, pattern: &str) -> Vec<(String, Vec<String>)> {
        let found = Regex::new(pattern).unwrap();
        let found = found.captures_iter(&self.text).map(|found| {
            let place = format!("{}:{}", self.name, line_of(&self.text, found.get(0).unwrap().start()));
            let groups =
                found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str()).to_owned());
            (place, groups.collect())
        });
        found.collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        let prose = self.prose();
        let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
        for line in prose.lines().filter(|line| line.starts_with('#')) {
            let heading = link.replace_all(line.trim_start_matches('#').trim(), "$1").to_lowercase();
            let kept =
                heading.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | ' '));
            let anchor: String = kept.map(|char| if char == ' ' { '-' } else { char }).collect();
            let count = seen.entry(anchor.clone()).or_default();
            anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
            *count += 1;
        }
        anchors
    }

    /// The part under a heading, up to the next one of its rank; `heading` begins with its marks.
    pub fn section(&self, heading: &str) -> Option<&str> {
        let rank = heading.split(' ').next().unwrap();
        let start = self.text.find(&format!("\n{heading}\n"))? + heading.len() + 2;
        let rest = &self.text[start..];
        Some(rest.find(&format!("\n{rank} ")).map_or(rest, |end| &rest[..end]))
    }
}

/// The rows of the tables of a text, each as its cells; heads and the lines under them are not rows.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row =
        |line: &str| line.starts_with('|') && !line.starts_with("| ---") && !line.starts_with("|---");
    let is_head = |number: usize| lines.get(number + 1).is_some_and(|next| next.starts_with("| ---"));
    let rows = lines.iter().enumerate().filter(|&(number, line)| is_row(line) && !is_head(number));
    let cells = Regex::new(r"[^|\\]*(?:\\.[^|\\]*)*").unwrap();
    rows.map(|(_, line)| {
        let inside = line.trim_start_matches('|').trim_end().trim_end_matches('|');
        cells.find_iter(inside).map(|cell| cell.as_str().trim().replace("\\|", "|")).collect()
    })
    .collect()
}

/// The code in a text.
pub fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}
