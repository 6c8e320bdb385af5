#!/usr/bin/env python3
"""The reference of the interface and its manual pages: made from the header and nothing else,
each function in them once, every link right, and no word of groff's against a page."""
# ctest: rules
import collections
import os
import re
import shutil
import subprocess
import sys

from common import SOURCE, check, report, skipped
from markdown import broken_links

PAGES = os.path.join(SOURCE, "docs", "reference")
MAN = os.path.join(SOURCE, "man")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def check_pages(functions):
    counts, links = collections.Counter(), 0
    for name in sorted(os.listdir(PAGES)):
        text = read(PAGES, name)
        found, broken = broken_links(text, PAGES)
        links += len(found)
        check(f"broken links of {name}", [], broken)
        counts.update(re.findall(r'<a id="(\w+)">', text))
    check("each function once", {name: 1 for name in functions}, dict(counts))
    check("links", True, links > len(functions))


def check_manual(functions):
    counts = collections.Counter()
    for name in sorted(os.listdir(MAN)):
        text = read(MAN, name)
        for line in re.findall(r'^\.\\" functions: (.*)$', text, re.MULTILINE):
            counts.update(line.split())
        counts.update({name[:-2]} & set(functions))
        if shutil.which("groff") is None:
            skipped.append("groff")
            continue
        got = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", os.path.join(MAN, name)],
                             capture_output=True, text=True)
        check(f"groff of {name}", (0, ""), (got.returncode, got.stderr))
    check("each function in a manual page", {name: 1 for name in functions}, dict(counts))


def check_rendered():
    """A page as a reader sees it."""
    if shutil.which("groff") is None:
        return
    page = os.path.join(MAN, "apus_writer.3")
    got = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou", page], check=True,
                         capture_output=True, text=True).stdout
    words = " ".join(got.split())
    for part in ("int32_t apus_writer_begin(apus_writer writer, int64_t length);",
                 "or -1: chunked (for an HTTP/1.0 client: up to the close)"):
        check(f"{part!r} in apus_writer(3)", True, part in words)


def main():
    script = os.path.join(SOURCE, "scripts", "reference.py")
    made = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    check("the pages are what the header makes", (0, "", ""),
          (made.returncode, made.stdout, made.stderr))
    functions = re.findall(r"\b(apus_\w+);", read(SOURCE, "cmake", "apus.map"))
    check("functions", True, len(functions) > 400)
    check_pages(functions)
    check_manual(functions)
    check_rendered()
    return report("reference_test")


if __name__ == "__main__":
    sys.exit(main())
