//! The rooms of the crate, which are the top-level modules of src and two inside `gateway`, import each other as the map
//! in docs/architecture.md says, from the bottom up, and no two files of a room name each other's items, directly or
//! through others. A file may name what is in its own submodules, and they what is in it: they are parts of it.
//!
//! The source is read as text, whichever features are on, tests included. Read are every `use` (groups, aliases, globs,
//! `pub use`) and every path in code that begins with `crate`, `self`, `super` or a child module. Not read are comments
//! and literals; methods, which no path names; and a path in code that begins with an imported name, since its `use` has
//! been read. src/main.rs is a crate of its own.

mod house;
mod reader;

use house::{Edges, HELPER_OF_TESTS, House, circles, map};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Map = Vec<(String, BTreeSet<String>)>;

fn house() -> House {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = BTreeMap::new();
    collect(&root, "", &mut texts);
    texts.remove("main.rs");
    House::read(texts)
}

/// Adds the source files of a folder by their names from `src` on.
fn collect(folder: &Path, prefix: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.extension() {
            _ if path.is_dir() => collect(&path, &format!("{name}/"), texts),
            Some(extension) if extension == "rs" => {
                texts.insert(name, fs::read_to_string(&path).unwrap());
            }
            _ => {}
        }
    }
}

fn documented() -> Map {
    map(include_str!("../../docs/architecture.md"))
}

fn allows(map: &Map, from: &str, to: &str) -> bool {
    map.iter().any(|(room, imports)| room == from && imports.contains(to))
}

/// Each circle with the names that close it.
fn report(edges: &Edges) -> String {
    let mut report = String::new();
    for circle in circles(edges) {
        report += &format!("a circle: {}\n", circle.iter().copied().collect::<Vec<_>>().join(", "));
        for ((from, to), place) in edges {
            if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
                report += &format!("  {from} -> {to}: {place}\n");
            }
        }
    }
    report
}

#[test]
fn rooms_import_only_what_the_map_has() {
    let map = documented();
    let forbidden: Vec<_> = house()
        .imports_of_rooms()
        .into_iter()
        .filter(|((from, to), _)| !allows(&map, from, to))
        .map(|((from, to), place)| format!("{from} -> {to}: {place}"))
        .collect();
    assert!(forbidden.is_empty(), "not in the map of docs/architecture.md:\n{}", forbidden.join("\n"));
}

#[test]
fn the_map_has_only_what_rooms_import() {
    let imports = house().imports_of_rooms();
    let edges = documented()
        .into_iter()
        .flat_map(|(room, allowed)| allowed.into_iter().map(move |other| (room.clone(), other)));
    let unused: Vec<_> = edges.filter(|edge| !imports.contains_key(edge)).collect();
    assert!(unused.is_empty(), "the map has what no file imports: {unused:?}");
}

#[test]
fn the_map_has_every_room_above_the_rooms_that_it_imports() {
    let mut below = BTreeSet::new();
    for (room, imports) in documented() {
        let above: Vec<_> = imports.difference(&below).collect();
        assert!(above.is_empty(), "{room} imports what is not below it in the map: {above:?}");
        assert!(below.insert(room.clone()), "the map has {room} twice");
    }
    let mut rooms = house().rooms();
    assert!(rooms.remove(HELPER_OF_TESTS));
    assert_eq!(below, rooms, "left: the rooms of the map; right: the rooms of src");
}

#[test]
fn rooms_do_not_import_each_other_in_a_circle() {
    let report = report(&house().imports_of_rooms());
    assert!(report.is_empty(), "{report}");
}

#[test]
fn files_of_a_room_do_not_name_each_other_in_a_circle() {
    let report = report(&house().names_of_files());
    assert!(report.is_empty(), "{report}");
}
