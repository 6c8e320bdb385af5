#!/usr/bin/env python3
"""Makes the reference of include/apus.h: a page for each of its sections in docs/reference,
and manual pages in man.

    scripts/reference.py           writes them
    scripts/reference.py --check   says whether they are up to date

The text is that of the header's comments; what abi.py reads out of them (roles of arguments,
errors, threads) stands beside it.
"""
import os
import re
import sys

import abi
import manpages

PAGES = os.path.join(abi.TOP, "docs", "reference")
MAN = os.path.join(abi.TOP, "man")

# What the page of each section of the header is called.
SLUGS = {1: "conventions", 2: "library", 3: "constants", 4: "server", 5: "routing", 6: "request",
         7: "reply", 8: "writer", 9: "upgrade", 10: "channel", 11: "frames", 12: "client",
         13: "url", 14: "fetch", 15: "files", 16: "events", 17: "forms", 18: "access", 19: "tls"}

ROLES = {
    "handle": "a handle", "text": "a C string, copied", "length": "its length",
    "bytes": "bytes, copied", "buffer": "a buffer of the caller's", "capacity": "its size",
    "function": "a callback", "context": "what the callback is handed",
    "drop": "called once for the context, behind the last call; may be `NULL`",
    "out": "set on success; may be `NULL`", "number": "a number"}
RESULTS = {"nothing": "nothing", "code": "0 or more, or a negative code",
           "handle": "a handle, or 0", "borrowed": "borrowed, or `NULL`", "number": "a number"}


# ---- reading


def lines_of(comment):
    """A comment without its stars and rulers."""
    inner = comment[2:-2]
    lines = [re.sub(r"^ ?\*? ?(?:---- )?", "", line).rstrip() if number else line.strip()
             for number, line in enumerate(inner.split("\n"))]
    return [re.sub(r"^-{4} ", "", line) for line in lines if not re.match(r"^ ?\*?=+$", line)]


def blocks_of(comment):
    """("text", paragraph) and ("code", lines), as they come."""
    found, kind, lines = [], "text", []

    def flush():
        if any(lines):
            text = "\n".join(lines).strip("\n")
            found.append((kind, " ".join(text.split()) if kind == "text" else text))
        lines.clear()
    for line in lines_of(comment):
        now = "code" if line.startswith("  ") else "text" if line else kind
        if now != kind or (not line and kind == "text"):
            flush()
            kind = now
        lines.append(line)
    flush()
    return found


class Group:
    """Functions, a type or constants under one comment."""

    def __init__(self, kind, comment):
        self.kind, self.comment, self.tokens, self.functions = kind, comment, [], []

    def names(self):
        return [function["name"] for function in self.functions]


class Section:
    def __init__(self, number, title, comment):
        self.number, self.slug = number, SLUGS[number]
        self.title = title[0] + title[1:].lower().replace("http", "HTTP").replace(
            "websocket", "WebSocket").replace("urls", "URLs").replace("tls", "TLS")
        if self.slug == "tls":
            self.title = "TLS"
        if title.startswith("URL"):
            self.title = "URLs and text"
        if title.startswith("HTTP"):
            self.title = "HTTP client"
        if title.startswith("SERVER-SENT"):
            self.title = "Server-Sent Events"
        if title.startswith("WEBSOCKET"):
            self.title = "WebSocket without a connection"
        self.intro = [block for block in blocks_of(comment)
                      if not re.match(r"\d+ [A-Z]", block[1])]
        self.items = []  # ("heading", blocks) and ("group", Group)

    def functions(self):
        return [function for kind, item in self.items if kind == "group"
                for function in item.functions]


class Reader(abi.Interface):
    """The header in its order."""

    def __init__(self, text):
        self.sections, self.group, self.last = [], None, ""
        conventions = text[text.index("1  CONVENTIONS"):text.index("#ifndef APUS_H")]
        self.sections.append(Section(1, "CONVENTIONS", "/*" + conventions.rstrip()))
        super().__init__(text)

    def take(self, token):
        super().take(token)
        if token.startswith("/*"):
            self.group, self.last = None, token
            if "=====" in token:
                number, title = re.search(r"\n \* (\d+)  ([A-Z][^\n]*)", token).groups()
                self.sections.append(Section(int(number), title.strip(), token))
                self.last = ""
            elif token.startswith("/* ----"):
                self.sections[-1].items.append(("heading", blocks_of(token)))
                self.last = ""
        elif not token.startswith("#define"):
            self.take_item(token)
        elif re.match(r"#define APUS_(?!API)\w+ +\S", token):
            self.take_item(token.split("/*")[0].rstrip())
            self.last = ""  # the types behind it have a comment of their own, or none

    def take_item(self, token):
        kind = ("function" if token.startswith("APUS_API") else
                "constants" if token.startswith("enum") else
                "define" if token.startswith("#") else "type")
        if self.group is None or self.group.kind != kind:
            self.group = Group(kind, self.last)
            self.sections[-1].items.append(("group", self.group))
        self.group.tokens.append(token)
        if kind == "function":
            self.group.functions.append(self.functions[-1])


# ---- Markdown


NAME = re.compile(r"\bapus_\w*[a-z0-9](?:\(\))?(?!\w)|\bAPUS_[A-Z0-9_]+\*?|\b_[a-z]\w+\(\)")


class Writer:
    """Pages in Markdown, whose names are links."""

    def __init__(self, sections):
        self.sections = sections
        self.where = {function["name"]: f"{section.slug}.md#{function['name']}"
                      for section in sections for function in section.functions()}

    def text(self, text):
        out, end = [], 0
        for match in NAME.finditer(text):
            out.append(re.sub(r"([*_<>|\[\]`\\])", r"\\\1", text[end:match.start()]))
            link = self.where.get(match.group().rstrip("()"))
            out.append(f"[`{match.group()}`]({link})" if link else f"`{match.group()}`")
            end = match.end()
        return "".join(out) + re.sub(r"([*_<>|\[\]`\\])", r"\\\1", text[end:])

    def blocks(self, blocks):
        for kind, text in blocks:
            yield self.text(text) if kind == "text" else f"```text\n{text}\n```"

    def group(self, group):
        if group.kind == "function":
            names = group.names()
            yield "\n".join(f'<a id="{name}"></a>' for name in names)
            shown = ", ".join(f"`{name}`" for name in names[:3])
            yield f"### {shown}" + (" and more" if names[3:] else "")
        if group.kind != "constants":
            yield "```c\n" + "\n".join(
                manpages.plain(each) for each in group.tokens) + "\n```"
        blocks = blocks_of(group.comment) if group.comment else []
        if group.kind == "function":
            blocks = [(kind, strip_facts(text)) for kind, text in blocks]
        yield from self.blocks([block for block in blocks if block[1]])
        if group.kind == "constants":
            yield self.constants(group)
        elif group.kind == "function":
            yield self.facts(group)

    def constants(self, group):
        rows = ["| name | value | |", "|---|---|---|"]
        for token in group.tokens:
            for name, value, text in re.findall(
                    r"(APUS_\w+) = (-?\d+),?(?:\s*/\*\s*(.*?)\s*\*/)?", token, re.S):
                rows.append(f"| `{name}` | {value} | {self.text(' '.join(text.split()))} |")
        return "\n".join(rows)

    def facts(self, group):
        rows, first = ["| | |", "|---|---|"], group.functions[0]
        for name, kind, role in manpages.arguments(group.functions):
            what = "borrowed; " + ROLES[role] if kind.endswith("**") else ROLES[role]
            rows.append(f"| `{name}` | `{kind}`: {what} |")
        results = dict.fromkeys(f"`{each['returns']['type']}`: {result(each)}"
                                for each in group.functions)
        rows.append(f"| returns | {'; '.join(results)} |")
        errors = sorted({name for each in group.functions for name in each["errors"]})
        rows.append("| errors | " + (
            ", ".join(f"`{name}`" for name in errors) or "none") + " |")
        rows.append(f"| thread | {first['thread']} |")
        rows.append(f"| since | {first['since']} |")
        return "\n".join(rows)

    def page(self, section):
        parts = [f"# {section.title}", "Section "
                 f"{section.number} of [apus.h](../../include/apus.h), of which this page is made. "
                 "[All sections](README.md)."]
        parts += self.blocks(section.intro)
        for kind, item in section.items:
            if kind == "heading":
                title, *rest = self.blocks(item)
                sentence = re.match(r"(.*?)([.:;,(]|$)", title).group(1).strip()
                parts.append(f"## {sentence[:1].upper()}{sentence[1:]}")
                if len(title) > len(sentence) + 1:
                    parts.append(title[:1].upper() + title[1:])
                parts += rest
            else:
                parts += self.group(item)
        return "\n\n".join(parts) + "\n"

    def index(self):
        parts = ["# Reference", "Made of [apus.h](../../include/apus.h) by "
                 "`scripts/reference.py`, a page for each section.", "## Sections"]
        parts.append("\n".join(f"{each.number}. [{each.title}]({each.slug}.md)"
                               for each in self.sections))
        parts.append("## Functions")
        parts.append("\n".join(f"- [`{name}`]({link})"
                               for name, link in sorted(self.where.items())))
        return "\n\n".join(parts) + "\n"


def result(function):
    if re.search(r"_is_\w+$|_destroy$", function["name"]) and not function["errors"]:
        return "1 or 0"
    role, text = function["returns"]["role"], function["text"]
    if role == "handle":
        return ("a handle that is the caller's, or 0" if "caller owns" in text or
                "the caller's" in text else
                "a handle that is borrowed, or 0" if "borrowed" in text else RESULTS[role])
    if role == "borrowed":
        first = (function["arguments"] or [{"type": ""}])[0]["type"]
        ends = {"apus_request": "the request", "apus_response": "the response"}.get(first)
        if "static" in text:
            return "static text" if "never NULL" in text else "static text, or `NULL`"
        if "never NULL" in text:
            return "borrowed"
        return f"borrowed until {ends} ends, or `NULL`" if ends else RESULTS[role]
    return RESULTS[role]


def strip_facts(text):
    """A comment without what the table below it says."""
    text = re.sub(r"\s*Thread: [^.]*\.(?=\s|$)", "", text)
    return re.sub(r"\s*Since \d+\.\d+\.", "", text).strip()


# ---- all files


def made():
    with open(abi.HEADER, encoding="utf-8") as file:
        reader = Reader(file.read())
    writer = Writer(reader.sections)
    files = {os.path.join(PAGES, "README.md"): writer.index()}
    for section in reader.sections:
        files[os.path.join(PAGES, section.slug + ".md")] = writer.page(section)
        if section.number > 1:
            files[os.path.join(MAN, f"apus_{section.slug}.3")] = manpages.page(section, reader)
    files[os.path.join(MAN, "apus.7")] = manpages.overview(reader)
    return files


def main():
    files, status = made(), 0
    there = {os.path.join(folder, name) for folder in (PAGES, MAN) if os.path.isdir(folder)
             for name in os.listdir(folder) if not name.endswith(".1")}
    if sys.argv[1:] == ["--check"]:
        for path in sorted(there | set(files)):
            text = None
            if path in there:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            if text != files.get(path):
                print(f"{os.path.relpath(path, abi.TOP)} is not what include/apus.h makes: "
                      "run scripts/reference.py", file=sys.stderr)
                status = 1
        return status
    for path in there - set(files):
        os.remove(path)
    for path, text in files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
