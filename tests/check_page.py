"""Reads a status page from standard input and prints COLUMNSxROWS of each table; fails when elements do not balance."""

import sys
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
        self.tables = []

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1] += 1

    def handle_startendtag(self, tag, attributes):
        assert "svg" in self.open, f"<{tag}/> outside SVG"

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}"
        self.open.pop()


page = Page()
page.feed(sys.stdin.buffer.read().decode("utf-8"))
page.close()
assert not page.open, f"left open: {page.open}"
for table in page.tables:
    assert len(set(table)) == 1, f"rows of different length: {table}"
print(" ".join(f"{table[0]}x{len(table) - 1}" for table in page.tables))
