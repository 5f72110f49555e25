//! Links between documents lead to files and headings that exist, and every page can be found.

use crate::Findings;
use crate::page::{Page, pages, root};
use std::path::Path;

/// The targets of the links of a page, each with its place. What is in blocks of code is no link.
fn links(page: &Page) -> Vec<(String, String)> {
    let prose = Page { name: page.name.clone(), text: page.prose() };
    // A link's text may end on the next line; its target never does.
    let found = prose.find(r#"\]\(([^)\s]+)(?:\s+"[^"]*")?\)|\b(?:href|src)="([^"]+)""#);
    found.into_iter().map(|(place, groups)| (place, groups.concat())).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut findings = Findings::default();
    for page in pages().into_iter().chain([Page::read("CHANGELOG.md")]) {
        let folder = Path::new(&page.name).parent().unwrap().to_owned();
        for (place, target) in links(&page) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { Path::new(&page.name).to_owned() } else { folder.join(file) };
            if !root().join(&path).exists() {
                findings.add(place, format!("the link {target} leads to no file: correct its path"));
            } else if !anchor.is_empty() && path.extension().is_some_and(|extension| extension == "md") {
                let anchors = Page::read(path.to_str().unwrap()).anchors();
                if !anchors.contains(anchor) {
                    let near = anchors.iter().min_by_key(|other| distance(other, anchor)).unwrap();
                    findings
                        .add(place, format!("the link {target} leads to no heading: did you mean #{near}?"));
                }
            }
        }
    }
    findings.none();
}

/// How many characters two anchors do not share at their beginning: enough for a hint.
fn distance(left: &str, right: &str) -> usize {
    let shared = left.chars().zip(right.chars()).take_while(|(left, right)| left == right).count();
    left.len().max(right.len()) - shared
}

#[test]
fn every_page_is_in_the_list_of_the_documents() {
    let list = Page::read("docs/README.md");
    let listed: Vec<String> = links(&list).into_iter().map(|(_, target)| target).collect();
    let mut findings = Findings::default();
    for page in pages() {
        let Some(name) = page.name.strip_prefix("docs/") else { continue };
        if name != "README.md" && !listed.iter().any(|target| target.split('#').next() == Some(name)) {
            findings
                .add("docs/README.md", format!("add a line that links to {name} and says what it is for"));
        }
    }
    findings.none();
}
