"""What the tests of README.md and of docs/ share: the blocks of a page with the comments
in front of them, its links, and the names of the library that it uses."""
import functools
import os
import re

COMMENT = r"^<!-- ((?:(?!-->).)*?)\s-->"
PIECE = re.compile(rf"(?:{COMMENT}\n)?^```(\w*)\n(.*?)^```$|{COMMENT}$", re.DOTALL | re.MULTILINE)


def pieces(text):
    """The blocks of code and the comments: what the comment says ("" without one), the
    language (None: there is no block behind the comment), and the block."""
    for comment, language, block, alone in PIECE.findall(text):
        yield (alone, None, "") if alone else (comment, language, block)


def unknown_names(text, header):
    """The names of functions and constants in a page, and those that the header lacks."""
    names = set(re.findall(r"\b(?:apus|APUS)_\w*[a-zA-Z0-9]\b(?!_)", text))
    return names, sorted(name for name in names if not re.search(rf"\b{name}\b", header))


def anchor(heading):
    """What a heading is linked to by."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors_of(text):
    found = {anchor(each) for each in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    return found | set(re.findall(r'<a id="([^"]+)">', text))


@functools.lru_cache(None)
def anchors(path):
    with open(path, encoding="utf-8") as file:
        return anchors_of(file.read())


def broken_links(text, folder):
    """The links of a page, and those that lead to no file, or to no heading of it."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = []
    for link in links:
        name, _, part = link.partition("#")
        path = os.path.join(folder, name)
        if "://" in link:
            continue
        there = not name or os.path.exists(path)
        if there and part:
            there = part in (anchors(path) if name else anchors_of(text))
        if not there:
            broken.append(link)
    return links, broken
