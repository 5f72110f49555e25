//! The crate as a tree of modules: which file a module is in, to which file a path leads, which room a file belongs to.

use crate::reader::{Named, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A module by its path from the root of the crate.
type Module = Vec<String>;

/// Modules that are rooms of their own though they stand in another room.
const ROOMS_IN_ROOMS: [[&str; 2]; 2] = [["gateway", "api"], ["gateway", "doors"]];

/// Tests and fuzz targets of every room make their inputs with it. It says nothing about the house.
pub const HELPER_OF_TESTS: &str = "choices";

/// Which of the left names something of which of the right, and the first place that does so.
pub type Edges = BTreeMap<(String, String), Place>;

/// A name in a file.
#[derive(Debug, Clone)]
pub struct Place {
    file: String,
    line: usize,
    path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{} names {}", self.file, self.line, self.path)
    }
}

struct File {
    name: String,
    module: Module,
    source: Source,
}

/// All files of the crate.
pub struct House {
    files: Vec<File>,
    /// The file of each module, inline ones too. Where `cfg` chooses between two files, the first that was declared.
    modules: BTreeMap<Module, usize>,
}

impl House {
    /// The modules that `lib.rs` and the files below it declare, out of `texts`, by file name.
    ///
    /// # Panics
    /// If a declared module has no file, or a file no module: what is not read cannot be checked.
    pub fn read(mut texts: BTreeMap<String, String>) -> Self {
        let mut house = Self { files: Vec::new(), modules: BTreeMap::new() };
        house.add("lib.rs".to_owned(), Vec::new(), &mut texts);
        assert!(texts.is_empty(), "no module is in {:?}", texts.keys());
        house
    }

    fn add(&mut self, name: String, module: Module, texts: &mut BTreeMap<String, String>) {
        let text = texts.remove(&name).unwrap_or_else(|| panic!("no file {name} for {module:?}"));
        let (source, index) = (Source::read(&text), self.files.len());
        let children = source.children.clone();
        let folder = match name.rsplit_once('/') {
            _ if name == "lib.rs" => String::new(),
            Some((folder, "mod.rs")) => format!("{folder}/"),
            _ => format!("{}/", name.trim_end_matches(".rs")),
        };
        let beside = name.rfind('/').map_or("", |end| &name[..=end]).to_owned();
        self.modules.entry(module.clone()).or_insert(index);
        self.files.push(File { name, module: module.clone(), source });
        for child in children {
            let path = [&module[..], &child.scope, std::slice::from_ref(&child.name)].concat();
            if child.is_inline {
                self.modules.entry(path).or_insert(index);
                continue;
            }
            let plain = format!("{folder}{}.rs", [&child.scope[..], &[child.name]].concat().join("/"));
            let file = match child.file {
                Some(file) => format!("{beside}{file}"),
                None if texts.contains_key(&plain) => plain,
                None => format!("{}/mod.rs", plain.trim_end_matches(".rs")),
            };
            self.add(file, path, texts);
        }
    }

    /// Every room, the helper of tests too.
    pub fn rooms(&self) -> BTreeSet<String> {
        self.files.iter().filter_map(|file| room_of(&file.module)).collect()
    }

    /// Which room names something of which other one. What a room exports is its own, wherever it is made: a name of the
    /// crate's root alone belongs to the room that it is exported from.
    pub fn imports_of_rooms(&self) -> Edges {
        self.edges(|file, path| {
            let named = match path.first() {
                Some(first) if self.modules.contains_key(std::slice::from_ref(first)) => path.to_vec(),
                _ => self.follow(path, 0).1,
            };
            Some((room_of(&file.module)?, room_of(&named)?))
        })
    }

    /// Which file names something that is in which other one of the same room, whoever exports it on the way. A file
    /// that names what is in its own submodules is not reported: they are parts of it.
    pub fn names_of_files(&self) -> Edges {
        self.edges(|file, path| {
            let other = &self.files[self.follow(path, 0).0];
            let is_its_own = other.module.starts_with(&file.module);
            let is_same_room = other.module.first() == file.module.first();
            (is_same_room && !is_its_own).then(|| (file.name.clone(), other.name.clone()))
        })
    }

    fn edges(&self, ends: impl Fn(&File, &[String]) -> Option<(String, String)>) -> Edges {
        let mut edges = Edges::new();
        for file in &self.files {
            for name in &file.source.names {
                let Some(path) = self.absolute(&file.module, name) else { continue };
                let Some((from, to)) = ends(file, &path) else { continue };
                if from == to || to == HELPER_OF_TESTS {
                    continue;
                }
                let place = Place { file: file.name.clone(), line: name.line, path: name.path.join("::") };
                edges.entry((from, to)).or_insert(place);
            }
        }
        edges
    }

    /// The path from the crate's root; `None` if it leads to another crate, or to what the file itself has.
    fn absolute(&self, module: &Module, name: &Named) -> Option<Vec<String>> {
        let here = [&module[..], &name.scope].concat();
        let supers = name.path.iter().take_while(|part| *part == "super").count();
        let (start, rest) = match name.path.first().map(String::as_str) {
            Some("crate") => (&[][..], &name.path[1..]),
            Some("self") => (&here[..], &name.path[1..]),
            Some("super") => (&here[..here.len().checked_sub(supers)?], &name.path[supers..]),
            Some(first) => {
                let child = [&here[..], &[first.to_owned()]].concat();
                self.modules.contains_key(&child).then_some((&here[..], &name.path[..]))?
            }
            None => return None,
        };
        Some([start, rest].concat())
    }

    /// The file that has what `path` names, and the path by which it is there: through modules, and through what modules
    /// on the way have imported.
    fn follow(&self, path: &[String], steps: usize) -> (usize, Vec<String>) {
        let length = (0..=path.len()).rev().find(|&length| self.modules.contains_key(&path[..length]));
        // The root is a module.
        let module = path[..length.unwrap_or(0)].to_vec();
        let index = self.modules[&module];
        let file = &self.files[index];
        let imported = path.get(module.len()).and_then(|item| {
            let scope = &module[file.module.len().min(module.len())..];
            let mut names = file.source.names.iter();
            let name = names.find(|name| name.binding.as_ref() == Some(item) && name.scope == scope)?;
            let target = self.absolute(&file.module, name)?;
            Some([&target[..], &path[module.len() + 1..]].concat())
        });
        match imported {
            // A name that is imported in a circle is no more than its last step.
            Some(target) if steps < 8 => self.follow(&target, steps + 1),
            _ => (index, path.to_vec()),
        }
    }
}

fn room_of(module: &[String]) -> Option<String> {
    let is_own = |inner: &[&str; 2]| module.len() > 1 && module[..2] == *inner;
    match ROOMS_IN_ROOMS.iter().find(|inner| is_own(inner)) {
        Some(inner) => Some(inner.join("/")),
        None => module.first().cloned(),
    }
}

/// The groups in which each reaches each other.
pub fn circles(edges: &Edges) -> Vec<BTreeSet<&str>> {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        targets.entry(from).or_default().push(to);
    }
    let reached = |start| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(from) = next.pop() {
            let targets = targets.get(from).into_iter().flatten();
            next.extend(targets.copied().filter(|target| reached.insert(*target)));
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = targets.keys().map(|&from| (from, reached(from))).collect();
    let reaches = |from, to| reach.get(from).is_some_and(|reached| reached.contains(to));
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for (&from, reached) in &reach {
        let is_new = circles.iter().all(|circle| !circle.contains(from));
        if is_new && reaches(from, from) {
            circles.push(reached.iter().copied().filter(|other| reaches(other, from)).collect());
        }
    }
    circles
}

/// The map in docs/architecture.md: each room and the rooms that it may import, in the order of the text.
pub fn map(document: &str) -> Vec<(String, BTreeSet<String>)> {
    let section = document.split("\n## ").find(|section| section.starts_with("Who may import whom\n"));
    let block = section.and_then(|section| section.split("```").nth(1));
    let lines = block.unwrap_or_default().lines().skip(1).filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (room, imports) = line.split_once("->").unwrap_or((line, ""));
            let imports = imports.split(',').map(str::trim).filter(|import| !import.is_empty());
            (room.trim().to_owned(), imports.map(str::to_owned).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house<const N: usize>(files: [(&str, &str); N]) -> House {
        House::read(files.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    }

    fn shown(edges: &Edges) -> Vec<String> {
        edges.keys().map(|(from, to)| format!("{from} -> {to}")).collect()
    }

    #[test]
    fn a_room_imports_by_crate_by_super_and_by_the_names_of_the_root() {
        let house = house([
            ("lib.rs", "mod a; mod b; mod c; mod d; mod choices; pub use c::C; pub(crate) use d::*;"),
            ("a/mod.rs", "mod inner; use crate::choices::pick;"),
            ("a/inner.rs", "fn f() { super::super::b::B::new() } mod tests { use crate::{C, a::inner}; }"),
            ("b.rs", "use std::fmt; use crate::b::B;"),
            ("c.rs", "fn c() { let d: Vec<crate::d::D> = d::D::all(); }"),
            ("d.rs", ""),
            ("choices.rs", ""),
        ]);
        let edges = house.imports_of_rooms();
        assert_eq!(shown(&edges), ["a -> b", "a -> c", "c -> d"]);
        let place = &edges[&("a".to_owned(), "b".to_owned())];
        assert_eq!(place.to_string(), "src/a/inner.rs:1 names super::super::b::B::new");
    }

    #[test]
    fn the_rooms_inside_gateway_are_rooms_of_their_own() {
        let house = house([
            ("lib.rs", "mod gateway; mod low;"),
            ("low.rs", "use crate::gateway::Door;"),
            ("gateway/mod.rs", "mod api; mod doors; mod log; pub use doors::Door; fn f() { api::parse() }"),
            ("gateway/log.rs", "use super::doors::Door;"),
            ("gateway/api.rs", ""),
            ("gateway/doors/mod.rs", "mod client;"),
            ("gateway/doors/client.rs", "use super::super::{Gateway, api}; use crate::low;"),
        ]);
        let edges = house.imports_of_rooms();
        let expected = [
            "gateway -> gateway/api",
            "gateway -> gateway/doors",
            "gateway/doors -> gateway",
            "gateway/doors -> gateway/api",
            "gateway/doors -> low",
            "low -> gateway",
        ];
        assert_eq!(shown(&edges), expected);
        assert_eq!(circles(&edges), [BTreeSet::from(["gateway", "gateway/doors", "low"])]);
    }

    #[test]
    fn an_exported_name_leads_to_the_file_that_has_it() {
        let house = house([
            ("lib.rs", "mod a; mod other;"),
            ("other.rs", ""),
            (
                "a/mod.rs",
                "mod b; mod c; mod d; pub use b::{B, B as Renamed}; pub struct A; use crate::other::O;",
            ),
            ("a/b.rs", "use super::c::C; use super::{A, O};"),
            ("a/c.rs", "fn c() { super::Renamed::new(super::d::D) }"),
            ("a/d.rs", "use super::*; mod deeper; use deeper::E;"),
            ("a/d/deeper.rs", "use super::D;"),
        ]);
        let edges = house.names_of_files();
        let expected = [
            "a/b.rs -> a/c.rs",
            "a/b.rs -> a/mod.rs",
            "a/c.rs -> a/b.rs",
            "a/c.rs -> a/d.rs",
            "a/d.rs -> a/mod.rs",
            "a/d/deeper.rs -> a/d.rs",
        ];
        assert_eq!(shown(&edges), expected);
        assert_eq!(circles(&edges), [BTreeSet::from(["a/b.rs", "a/c.rs"])], "a file and its parts are one");
    }

    #[test]
    fn two_files_that_stand_for_one_module_are_both_read() {
        let house = house([
            ("lib.rs", "#[cfg(x)] mod a; #[cfg(not(x))] #[path = \"a/absent.rs\"] mod a; mod b; mod c;"),
            ("a/mod.rs", "use super::b;"),
            ("a/absent.rs", "use super::c;"),
            ("b.rs", ""),
            ("c.rs", ""),
        ]);
        assert_eq!(shown(&house.imports_of_rooms()), ["a -> b", "a -> c"]);
    }

    #[test]
    #[should_panic(expected = "no module is in [\"b.rs\"]")]
    fn a_file_that_no_module_has_is_an_error() {
        house([("lib.rs", "mod a;"), ("a.rs", ""), ("b.rs", "use crate::a;")]);
    }

    #[test]
    fn the_map_is_the_first_block_under_its_heading() {
        let document = "# A\n```text\nx -> y\n```\n## Who may import whom\nWords.\n\n```text\na\nb -> a\n\nc -> a, b\n```\n\
                        ```text\nd\n```\n";
        let map = map(document);
        let expected = [("a", &[][..]), ("b", &["a"]), ("c", &["a", "b"])];
        let expected = expected.map(|(room, imports)| {
            (room.to_owned(), imports.iter().map(|import| (*import).to_owned()).collect::<BTreeSet<String>>())
        });
        assert_eq!(map, expected);
    }
}
