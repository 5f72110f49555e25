//! Reads a source file far enough to say which modules it declares and which paths it names. Comments and literals are
//! skipped; macros are read like other code, as they are written.

/// A piece of source that matters here. Comments, lifetimes and space are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'s> {
    Word(&'s str),
    /// A string literal without its quotes. Only `#[path = "…"]` uses it.
    Text(&'s str),
    /// `::`
    Separator,
    Mark(char),
}

/// A path as written, split at `::`, and the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The inline modules around it, from the file's own module inwards.
    pub scope: Vec<String>,
    /// Never one with a leading `::`, which leads out of the crate.
    pub path: Vec<String>,
    /// What a `use` calls it in this module: its last part or its alias. `None` for a path in code, a glob, and `as _`.
    pub binding: Option<String>,
    pub line: usize,
}

/// `mod name;` or `mod name { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub scope: Vec<String>,
    pub name: String,
    /// Its body is in this file.
    pub is_inline: bool,
    /// What `#[path = "…"]` before it says.
    pub file: Option<String>,
}

/// What one file says about modules and paths.
#[derive(Debug, Default)]
pub struct Source {
    pub children: Vec<Child>,
    pub names: Vec<Named>,
}

impl Source {
    pub fn read(text: &str) -> Self {
        let mut reader = Reader {
            tokens: tokens(text),
            at: 0,
            depth: 0,
            scope: Vec::new(),
            file: None,
            found: Self::default(),
        };
        while reader.at < reader.tokens.len() {
            reader.step();
        }
        reader.found
    }
}

struct Reader<'s> {
    tokens: Vec<(Token<'s>, usize)>,
    at: usize,
    /// Braces that are open.
    depth: usize,
    /// The inline modules that are open, each with the depth outside of it.
    scope: Vec<(String, usize)>,
    /// The last `#[path = "…"]`, until the `mod` that it is for.
    file: Option<String>,
    found: Source,
}

impl<'s> Reader<'s> {
    fn peek(&self, ahead: usize) -> Option<Token<'s>> {
        self.tokens.get(self.at + ahead).map(|(token, _)| *token)
    }

    fn step(&mut self) {
        use Token::{Mark, Separator, Text, Word};
        let ahead = [0, 1, 2, 3].map(|ahead| self.peek(ahead));
        match ahead {
            // A visibility is no import: `pub(in crate::protocol)`.
            [Some(Word("pub")), Some(Mark('(')), ..] => self.skip_to(')'),
            [Some(Mark('[')), Some(Word("path")), Some(Mark('=')), Some(Text(file))] => {
                self.file = Some(file.to_owned());
                self.at += 4;
            }
            [Some(Word("mod")), Some(Word(name)), Some(Mark(mark @ ('{' | ';'))), _] => {
                self.module(name, mark == '{');
            }
            // Another crate's.
            [Some(Word("use")), Some(Separator), ..] => self.skip_to(';'),
            [Some(Word("use")), Some(Word(_) | Mark('{')), ..] => {
                self.at += 1;
                self.tree(&[]);
            }
            [Some(Separator), Some(Word(_)), ..] => {
                self.at += 1;
                self.path();
            }
            [Some(Word(_)), Some(Separator), ..] => {
                let line = self.line();
                let path = self.path();
                // One word is a method or a function: `collect::<Vec<_>>()`.
                if path.len() > 1 {
                    self.name(path, None, line);
                }
            }
            [Some(Mark('{')), ..] => {
                self.depth += 1;
                self.at += 1;
            }
            [Some(Mark('}')), ..] => {
                self.depth -= 1;
                self.scope.pop_if(|(_, outside)| *outside == self.depth);
                self.at += 1;
            }
            _ => self.at += 1,
        }
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    fn skip_to(&mut self, end: char) {
        while self.peek(0).is_some_and(|token| token != Token::Mark(end)) {
            self.at += 1;
        }
        self.at += 1;
    }

    fn module(&mut self, name: &str, is_inline: bool) {
        let child = Child { scope: self.scope(), name: name.to_owned(), is_inline, file: self.file.take() };
        self.found.children.push(child);
        if is_inline {
            self.scope.push((name.to_owned(), self.depth));
            self.depth += 1;
        }
        self.at += 3;
    }

    fn scope(&self) -> Vec<String> {
        self.scope.iter().map(|(name, _)| name.clone()).collect()
    }

    /// `a::b::c`, up to what is no part of it: `a::b::<T>` is `a::b`.
    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while let Some(Token::Word(word)) = self.peek(0) {
            path.push(word.to_owned());
            self.at += 1;
            if !matches!((self.peek(0), self.peek(1)), (Some(Token::Separator), Some(Token::Word(_)))) {
                break;
            }
            self.at += 1;
        }
        path
    }

    /// A tree of a `use` behind `prefix`, to its end: a `,`, a `;` or the group's `}`.
    fn tree(&mut self, prefix: &[String]) {
        let line = self.line();
        let mut path = prefix.to_vec();
        let binding = loop {
            match (self.peek(0), self.peek(1)) {
                (Some(Token::Word("as")), Some(Token::Word(alias))) => {
                    self.at += 2;
                    break Some(alias.to_owned());
                }
                // In a group, `self` is the path before the group.
                (Some(Token::Word("self")), _) if !path.is_empty() => {}
                (Some(Token::Word(word)), _) => path.push(word.to_owned()),
                (Some(Token::Separator), _) => {}
                (Some(Token::Mark('{')), _) => return self.group(&path),
                (Some(Token::Mark('*')), _) => {
                    self.at += 1;
                    break None;
                }
                _ => break path.last().cloned(),
            }
            self.at += 1;
        };
        self.name(path, binding.filter(|name| name != "_"), line);
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        loop {
            match self.peek(0) {
                Some(Token::Mark(',')) => self.at += 1,
                Some(Token::Word(_) | Token::Mark('{' | '*')) => self.tree(prefix),
                _ => break,
            }
        }
        // The group's `}`.
        self.at += 1;
    }

    fn name(&mut self, path: Vec<String>, binding: Option<String>, line: usize) {
        self.found.names.push(Named { scope: self.scope(), path, binding, line });
    }
}

/// The tokens of `source`, each with its line.
fn tokens(source: &str) -> Vec<(Token<'_>, usize)> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    while !rest.is_empty() {
        let (token, length) = token(rest);
        found.extend(token.map(|token| (token, line)));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The token at the front of `rest`, which is not empty, if there is one, and how many bytes to go on.
fn token(rest: &str) -> (Option<Token<'_>>, usize) {
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let until = |end: Option<usize>| end.unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or_default();
    let word = &rest[..until(rest.find(|c| !is_of_a_word(c)))];
    let behind = &rest[word.len()..];
    if rest.starts_with("//") {
        return (None, until(rest.find('\n')));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let ("r" | "br" | "cr", Some(length)) = (word, raw_string(behind)) {
        return (None, word.len() + length);
    }
    match (word, behind.chars().next()) {
        ("r", Some('#')) => {
            let name = &behind[1..];
            let name = &name[..name.find(|c| !is_of_a_word(c)).unwrap_or(name.len())];
            (Some(Token::Word(name)), 2 + name.len())
        }
        ("" | "b" | "c", Some('"')) => {
            let length = quoted(behind, '"');
            let text = behind[..length].trim_matches('"');
            (Some(Token::Text(text)), word.len() + length)
        }
        ("b", Some('\'')) => (None, 1 + quoted(behind, '\'')),
        ("", Some('\'')) => match is_char(rest) {
            true => (None, quoted(rest, '\'')),
            false => (None, 1 + until(rest[1..].find(|c| !is_of_a_word(c)).or(Some(rest.len() - 1)))),
        },
        ("", _) if rest.starts_with("::") => (Some(Token::Separator), 2),
        ("", _) if first.is_whitespace() => (None, first.len_utf8()),
        ("", _) => (Some(Token::Mark(first)), first.len_utf8()),
        _ => (Some(Token::Word(word)), word.len()),
    }
}

/// Bytes of the comment, with those that are nested in it.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    at
}

/// Bytes of the raw string whose prefix was `r`, if it is one: `#"…"#` with any number of `#`.
fn raw_string(behind: &str) -> Option<usize> {
    let hashes = behind.find(|c| c != '#')?;
    behind[hashes..].starts_with('"').then(|| {
        let end = format!("\"{}", &behind[..hashes]);
        let body = &behind[hashes + 1..];
        body.find(&end).map_or(behind.len(), |length| hashes + 1 + length + end.len())
    })
}

/// Bytes of the literal that `rest` begins with, both quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a `'` begins a character and not a lifetime.
fn is_char(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(_), next) => next == Some('\''),
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each path with what it is bound to.
    fn named(text: &str) -> Vec<(String, Option<String>)> {
        let named = Source::read(text).names.into_iter();
        named.map(|Named { path, binding, .. }| (path.join("::"), binding)).collect()
    }

    fn bound(path: &str, binding: &str) -> (String, Option<String>) {
        (path.to_owned(), Some(binding.to_owned()))
    }

    fn unbound(path: &str) -> (String, Option<String>) {
        (path.to_owned(), None)
    }

    #[test]
    fn a_use_names_every_path_of_its_groups() {
        let text = "pub(crate) use crate::{a::{self, B, c::{D, E as F}}, g, h::*,};";
        let expected = [
            bound("crate::a", "a"),
            bound("crate::a::B", "B"),
            bound("crate::a::c::D", "D"),
            bound("crate::a::c::E", "F"),
            bound("crate::g", "g"),
            unbound("crate::h"),
        ];
        assert_eq!(named(text), expected);
    }

    #[test]
    fn an_alias_is_what_a_name_is_bound_to() {
        assert_eq!(named("use super::super::a as b;"), [bound("super::super::a", "b")]);
        assert_eq!(named("use a::{self as b, C as _};"), [bound("a", "b"), unbound("a::C")]);
        assert_eq!(named("use crate::r#type::T;"), [bound("crate::type::T", "T")]);
    }

    #[test]
    fn paths_in_code_are_read_wherever_they_stand() {
        let text = "impl crate::A for B<super::c::D> { fn f(x: &'a self::E) -> [u8; crate::f::G] { <crate::H as \
                    I>::new(j::k::<crate::L>()) } }";
        let expected = ["crate::A", "super::c::D", "self::E", "crate::f::G", "crate::H", "j::k", "crate::L"]
            .map(unbound);
        assert_eq!(named(text), expected);
    }

    #[test]
    fn other_crates_visibilities_and_turbofish_are_not_read() {
        let text =
            "use ::a::b; pub(in crate::c) struct D(::e::F); fn g() { Vec::<u8>::new().collect::<H>(); }";
        assert_eq!(named(text), []);
    }

    #[test]
    fn comments_and_literals_are_not_read() {
        let text = r####"
            // use crate::a;
            /// [`crate::b`]
            /* use crate::c; /* nested */ use crate::d; */
            const E: &str = "use crate::e; \" crate::f";
            const G: &str = r##"use crate::g; "# crate::h"##;
            const I: [u8; 2] = [b'"', b'\''];
            fn j<'k>(l: &'k str) -> (char, char) { ('"', '\'') }
            use crate::m;
            const N: (&[u8], &CStr) = (b"crate::n", c"crate::o");
        "####;
        assert_eq!(named(text), [bound("crate::m", "m")]);
    }

    #[test]
    fn names_have_their_line_and_the_modules_around_them() {
        let text =
            "mod a {\n fn b() { c::d() }\n mod e { use super::f; }\n}\n#[path = \"g.rs\"]\nmod h;\nuse i;";
        let source = Source::read(text);
        let places: Vec<_> = source
            .names
            .iter()
            .map(|name| (name.scope.join("::"), name.path.join("::"), name.line))
            .collect();
        let expected = [("a", "c::d", 2), ("a::e", "super::f", 3), ("", "i", 7)];
        assert_eq!(places, expected.map(|(scope, path, line)| (scope.to_owned(), path.to_owned(), line)));
        let children = source.children.iter();
        let children: Vec<_> =
            children.map(|child| (child.name.as_str(), child.is_inline, child.file.as_deref())).collect();
        assert_eq!(children, [("a", true, None), ("e", true, None), ("h", false, Some("g.rs"))]);
    }
}
