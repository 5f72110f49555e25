#!/usr/bin/env python3
"""Builds the pages of docs/ as a site with search, by mdBook: docs/site/build.py [--mdbook PROGRAM] [--source URL] [DIRECTORY]

The order of the pages is that of the tables in docs/README.md: no second list is kept. A link out of docs/, to a source file for
instance, leads to the same path below the source's URL; without one it becomes its text. Then every link of the site is followed: a
file or heading that is not there is an error. DIRECTORY is target/site by default, and is made anew.
"""

import argparse
import html.parser
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

DOCS = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def chapters(index):
    """The rows of the tables: of whom a page is for, and the links in the row."""
    who = ""
    for line in index.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if len(cells) < 2 or cells[0] == "for" or set(cells[0]) == {"-"}:
            continue
        who = cells[0] or who
        for _, text, target in LINK.findall(cells[1]):
            if target.endswith(".md") and "/" not in target:
                yield who, text, target


def summary(index):
    lines, last, seen = ["# Summary", "", "[Documentation](README.md)"], None, set()
    for who, text, target in chapters(index):
        if target in seen:
            continue
        seen.add(target)
        if who != last:
            lines += ["", f"# For {who}", ""]
            last = who
        lines.append(f"- [{text[0].upper()}{text[1:]}]({target})")
    return "\n".join(lines) + "\n"


def with_outer_links(text, source):
    """The page with its links out of docs/ as they are on a site."""

    def changed(match):
        is_image, words, target = match.groups()
        if is_image or not target.startswith("../"):
            return match[0]
        return f"[{words}]({source.rstrip('/')}/{target[3:]})" if source else words

    # What stands in a block of code is no link.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else LINK.sub(changed, part) for part in parts)


def stage(place, source):
    """What mdBook is given."""
    pages = place / "src"
    pages.mkdir(parents=True)
    shutil.copy(DOCS / "site" / "book.toml", place)
    for page in sorted(DOCS.glob("*.md")):
        (pages / page.name).write_text(with_outer_links(page.read_text(), source))
    (pages / "SUMMARY.md").write_text(summary((DOCS / "README.md").read_text()))
    shutil.copytree(DOCS / "images", pages / "images")
    shutil.copy(DOCS / "openapi.json", pages)


class Names(html.parser.HTMLParser):
    """What a page of the site leads to, and its headings."""

    def __init__(self):
        super().__init__()
        self.targets, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.anchors.add(attrs["id"])
        if tag in ("a", "img", "script", "link"):
            self.targets += [attrs[name] for name in ("href", "src") if attrs.get(name)]


def broken_links(site):
    """What leads nowhere, and how many links there are."""
    pages = {}
    for path in site.glob("*.html"):
        pages[path.name] = Names()
        pages[path.name].feed(path.read_text())
    broken, count = [], 0
    for name, page in pages.items():
        # Every page is also in print.html, with links that mdBook makes of them.
        if name in ("print.html", "404.html", "toc.html"):
            continue
        for target in page.targets:
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc:
                continue
            count += 1
            path, anchor = urllib.parse.unquote(url.path), urllib.parse.unquote(url.fragment)
            file = site / path if path else site / name
            is_there = file.is_file() and (not anchor or anchor in pages.get(file.name, page).anchors)
            if not is_there:
                broken.append(f"{name}: {target}")
    return broken, count


def main():
    read = argparse.ArgumentParser(description="Builds the pages of docs/ as a site with search, by mdBook.")
    read.add_argument("--mdbook", default="mdbook", help="the program (cargo install mdbook)")
    read.add_argument("--source", default="", help="where links out of docs/ lead, as https://example.com/gannet/blob/main")
    read.add_argument("directory", nargs="?", default=DOCS.parent / "target" / "site", type=pathlib.Path)
    given = read.parse_args()
    shutil.rmtree(given.directory, ignore_errors=True)
    stage(given.directory, given.source)
    listed = {target for _, _, target in chapters((DOCS / "README.md").read_text())} | {"README.md"}
    lost = sorted(page.name for page in DOCS.glob("*.md") if page.name not in listed)
    if lost:
        sys.exit(f"docs/README.md has no row for {', '.join(lost)}")
    subprocess.run([given.mdbook, "build", str(given.directory)], check=True)
    site = given.directory / "book"
    broken, count = broken_links(site)
    for link in broken:
        print(f"leads nowhere: {link}")
    print(f"{len(listed)} pages and {count} links in {site}")
    print(f"{int(not broken)} passed, {int(bool(broken))} failed")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
