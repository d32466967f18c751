"""What a page holds, read as a browser reads it: its words, its tags and the weights in its script."""

import html.parser

HOSTILE = ["<script>alert(1)</script>", "</script>", "&amp;", "\"'", "{x}", "北京", "القطط", "\ud800"]


class Reader(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = "weights" if dict(attrs).get("id") == "weights" else tag
        if tag == "bdi":
            self.words.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "bdi":
            self.words[-1] += data
        if self.inside == "weights":
            self.data += data
